package kubetest

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"
)

// Names that no registry answers to; the nodes have them by import.
const (
	pauseImage = "localhost/pause:1"
	dnsImage   = "localhost/coredns:1"
)

// image is a container image of one layer with no other below: static programs
// are all that it holds.
type image struct {
	name       string            // with its tag
	entrypoint string            // absolute path
	files      map[string]string // path in the image, relative → the file it is a copy of
	links      map[string]string // path in the image, relative → what it is a link to
}

type jsonObject = map[string]any

// write makes an OCI archive of the image, as containerd imports it.
func (i image) write(archive string) error {
	layer, err := i.layer()
	if err != nil {
		return err
	}
	var content bytes.Buffer
	out := ociArchive{tar: tar.NewWriter(&content)}
	manifest := out.json("application/vnd.oci.image.manifest.v1+json", jsonObject{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": out.json("application/vnd.oci.image.config.v1+json", jsonObject{
			"os": "linux", "architecture": runtime.GOARCH,
			"config": jsonObject{"Entrypoint": []string{i.entrypoint}, "Env": []string{"PATH=/bin"}, "WorkingDir": "/"},
			"rootfs": jsonObject{"type": "layers", "diff_ids": []string{digest(layer)}},
		}),
		"layers": []any{out.blob("application/vnd.oci.image.layer.v1.tar", layer)},
	})
	manifest["annotations"] = jsonObject{"io.containerd.image.name": i.name}
	index, err := json.Marshal(jsonObject{"schemaVersion": 2, "manifests": []any{manifest}})
	if err != nil {
		return err
	}
	out.file("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`))
	out.file("index.json", index)
	out.fail(out.tar.Close())
	if out.err != nil {
		return out.err
	}
	return os.WriteFile(archive, content.Bytes(), 0o644)
}

// layer is the image's only layer, a tar archive.
func (i image) layer() ([]byte, error) {
	var content bytes.Buffer
	layer := tar.NewWriter(&content)
	written := map[string]bool{".": true}
	var folder func(name string, mode int64) error
	folder = func(name string, mode int64) error {
		if written[name] {
			return nil
		}
		written[name] = true
		if err := folder(path.Dir(name), 0o755); err != nil {
			return err
		}
		return layer.WriteHeader(&tar.Header{Name: name + "/", Typeflag: tar.TypeDir, Mode: mode})
	}
	if err := folder("tmp", 0o1777); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(i.files)) {
		program, err := os.ReadFile(i.files[name])
		if err != nil {
			return nil, err
		}
		if err := folder(path.Dir(name), 0o755); err != nil {
			return nil, err
		}
		if err := layer.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(program))}); err != nil {
			return nil, err
		}
		if _, err := layer.Write(program); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(i.links)) {
		if err := folder(path.Dir(name), 0o755); err != nil {
			return nil, err
		}
		if err := layer.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: i.links[name], Mode: 0o777}); err != nil {
			return nil, err
		}
	}
	return content.Bytes(), layer.Close()
}

// ociArchive is a tar archive in the making. The first error stays, and what
// follows it does nothing.
type ociArchive struct {
	tar *tar.Writer
	err error
}

func (a *ociArchive) fail(err error) {
	if a.err == nil {
		a.err = err
	}
}

func (a *ociArchive) file(name string, content []byte) {
	a.fail(a.tar.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}))
	_, err := io.Copy(a.tar, bytes.NewReader(content))
	a.fail(err)
}

// blob adds content and returns its descriptor.
func (a *ociArchive) blob(mediaType string, content []byte) jsonObject {
	sum := digest(content)
	a.file("blobs/sha256/"+strings.TrimPrefix(sum, "sha256:"), content)
	return jsonObject{"mediaType": mediaType, "digest": sum, "size": len(content)}
}

func (a *ociArchive) json(mediaType string, value jsonObject) jsonObject {
	content, err := json.Marshal(value)
	a.fail(err)
	return a.blob(mediaType, content)
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}
