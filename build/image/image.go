package main

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// kind is one of the two images.
type kind struct {
	name, title string
	config      v1.Config
}

func kinds() (server, operator kind) {
	return kind{"strongroom", "Strongroom", serverConfig()},
		kind{"strongroom-operator", "Strongroom's operator for Kubernetes", operatorConfig()}
}

// image makes k's image for arch of its layers, the lowest first.
func (k kind) image(arch, version string, at time.Time, layers ...tree) (v1.Image, error) {
	config := k.config
	config.Labels = map[string]string{
		"org.opencontainers.image.title":    k.title,
		"org.opencontainers.image.version":  version,
		"org.opencontainers.image.licenses": "MPL-2.0",
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.ConfigFile(image, &v1.ConfigFile{OS: "linux", Architecture: arch, Created: v1.Time{Time: at}, Config: config})
	if err != nil {
		return nil, err
	}
	for _, t := range layers {
		layer, err := t.layer(at)
		if err != nil {
			return nil, err
		}
		image, err = mutate.Append(image, mutate.Addendum{Layer: layer, History: v1.History{Created: v1.Time{Time: at}, CreatedBy: "build/image"}})
		if err != nil {
			return nil, err
		}
	}
	return image, nil
}

// index joins the images of several architectures.
func index(images map[string]v1.Image, architectures []string) v1.ImageIndex {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, arch := range architectures {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add:        images[arch],
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}},
		})
	}
	return index
}

// reference is the full form of the short name NAME:TAG, under which container runtimes look for it.
func reference(name, tag string) string { return "docker.io/library/" + name + ":" + tag }

// writeArchive writes index as an OCI archive, an OCI image layout in a tar file, whole or not at all.
func writeArchive(file string, index v1.ImageIndex, name, tag string) (err error) {
	dir, err := os.MkdirTemp(filepath.Dir(file), ".image-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	images, err := layout.Write(filepath.Join(dir, "layout"), mutate.IndexMediaType(empty.Index, types.OCIImageIndex))
	if err != nil {
		return err
	}
	if err := images.AppendIndex(index, layout.WithAnnotations(map[string]string{
		"io.containerd.image.name":          reference(name, tag),
		"org.opencontainers.image.ref.name": tag,
	})); err != nil {
		return err
	}
	made := filepath.Join(dir, "archive.tar")
	if err := tarDirectory(made, string(images)); err != nil {
		return err
	}
	return os.Rename(made, file)
}

// tarDirectory writes dir's files to the tar file out, sorted and without what differs between machines.
func tarDirectory(out, dir string) (err error) {
	file, err := os.Create(out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	archive := tar.NewWriter(file)
	root := os.DirFS(dir)
	err = fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: info.Size(), ModTime: time.Unix(0, 0)}); err != nil {
			return err
		}
		content, err := root.Open(name)
		if err != nil {
			return err
		}
		_, err = io.Copy(archive, content)
		return errors.Join(err, content.Close())
	})
	return errors.Join(err, archive.Close())
}

// writeRootFS writes all files of image to a tar file, for those who put them into an image by other means.
func writeRootFS(ctx context.Context, file string, image v1.Image) (err error) {
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	files := mutate.Extract(image)
	defer files.Close()
	if _, err := io.Copy(out, files); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return context.Cause(ctx)
}
