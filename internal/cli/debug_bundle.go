package cli

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"time"
)

// debugIndex says what a bundle of `debug` is, and what it lacks.
type debugIndex struct {
	Version         int          `json:"version"`
	VaultAddress    string       `json:"vault_address"`
	ServerVersion   string       `json:"server_version"`
	Timestamp       time.Time    `json:"timestamp"`
	Duration        int          `json:"duration_seconds"`
	Interval        int          `json:"interval_seconds"`
	MetricsInterval int          `json:"metrics_interval_seconds"`
	Compress        bool         `json:"compress"`
	Targets         []string     `json:"targets"`
	Errors          []debugError `json:"errors"`
}

// write puts the answers and the index into the directory, and makes one file of it.
func (d *debugRun) write(began time.Time, version string) error {
	for file, elements := range d.seen {
		if err := saveJSON(filepath.Join(d.dir, file), elements); err != nil {
			return err
		}
	}
	index := debugIndex{
		Version: 1, VaultAddress: d.client.Address(), ServerVersion: version, Timestamp: began, Compress: d.compress, Targets: d.targets, Errors: d.errors,
		Duration: int(d.duration.Seconds()), Interval: int(d.interval.Seconds()), MetricsInterval: int(d.metricsInterval.Seconds()),
	}
	if err := saveJSON(filepath.Join(d.dir, "index.json"), index); err != nil || !d.compress {
		return err
	}
	if err := bundle(d.dir); err != nil {
		return errors.Join(err, os.Remove(d.dir+".tar.gz"))
	}
	return os.RemoveAll(d.dir)
}

func saveJSON(path string, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	return save(path, bytes.NewReader(text))
}

// bundle makes dir.tar.gz of a directory, whose name leads the names in it.
func bundle(dir string) (err error) {
	out, err := os.OpenFile(dir+".tar.gz", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	packed := gzip.NewWriter(out)
	files := tar.NewWriter(packed)
	root, err := os.OpenRoot(filepath.Dir(dir))
	if err == nil {
		defer root.Close()
		err = addTree(files, root, filepath.Base(dir))
	}
	return errors.Join(err, files.Close(), packed.Close(), out.Close())
}

// addTree adds the folder called name, and all in it.
func addTree(files *tar.Writer, root *os.Root, name string) error {
	folder, err := root.Open(name)
	if err != nil {
		return err
	}
	defer folder.Close()
	entries, err := folder.ReadDir(-1)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		path := name + "/" + entry.Name()
		if entry.IsDir() {
			if err := addTree(files, root, path); err != nil {
				return err
			}
			continue
		}
		text, err := root.ReadFile(path)
		if err != nil {
			return err
		}
		if err := files.WriteHeader(&tar.Header{Name: path, Mode: 0o600, Size: int64(len(text)), ModTime: time.Now()}); err != nil {
			return err
		}
		if _, err := files.Write(text); err != nil {
			return err
		}
	}
	return nil
}
