package main

import (
	"archive/tar"
	"bytes"
	"io"
	"maps"
	"path"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// entry is a file, a symbolic link or a directory of an image.
type entry struct {
	mode    int64
	uid     int
	gid     int
	content []byte
	link    string // where a symbolic link points
	dir     bool
}

// tree is the files of a layer by path, without the leading slash.
type tree map[string]entry

func (t tree) add(path string, mode int64, content []byte) {
	t[path] = entry{mode: mode, content: content}
}

func (t tree) symlink(path, to string) { t[path] = entry{mode: 0o777, link: to} }

func (t tree) mkdir(path string, mode int64, uid, gid int) {
	t[path] = entry{mode: mode, uid: uid, gid: gid, dir: true}
}

// archive is t as a tar file, the same bytes every time: sorted, every file of one time,
// directories that are only implied belonging to root.
func (t tree) archive(at time.Time) ([]byte, error) {
	all := maps.Clone(t)
	for name := range t {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if _, ok := all[dir]; !ok {
				all[dir] = entry{mode: 0o755, dir: true}
			}
		}
	}
	var buffer bytes.Buffer
	archive := tar.NewWriter(&buffer)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		e := all[name]
		header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: e.mode, Uid: e.uid, Gid: e.gid, Size: int64(len(e.content)), ModTime: at}
		switch {
		case e.dir:
			header.Typeflag, header.Name = tar.TypeDir, name+"/"
		case e.link != "":
			header.Typeflag, header.Linkname = tar.TypeSymlink, e.link
		}
		if err := archive.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := archive.Write(e.content); err != nil {
			return nil, err
		}
	}
	err := archive.Close()
	return buffer.Bytes(), err
}

func (t tree) layer(at time.Time) (v1.Layer, error) {
	content, err := t.archive(at)
	if err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
	return tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
}
