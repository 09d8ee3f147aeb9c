package main

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// manifests are the guide's.
//
//go:embed k3s-vault/*.yaml
var manifests embed.FS

// writeManifests writes the guide's manifests to dir, as they are but for the namespace.
func writeManifests(dir, namespace string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	files, err := manifests.ReadDir("k3s-vault")
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := manifests.ReadFile("k3s-vault/" + file.Name())
		if err != nil {
			return err
		}
		here := strings.ReplaceAll(string(text), "namespace: longhorn-system\n", "namespace: "+namespace+"\n")
		if err := os.WriteFile(filepath.Join(dir, file.Name()), []byte(here), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// secretObject is what the demo wants of a Secret.
type secretObject struct {
	Data map[string][]byte `json:"data"`
}

func (s secretObject) text() map[string]string {
	data := make(map[string]string, len(s.Data))
	for key, value := range s.Data {
		data[key] = string(value)
	}
	return data
}

func readSecret(ctx context.Context, k kubernetes, namespace, name string) (map[string]string, error) {
	out, err := kubectl(ctx, k, "get", "secret", name, "-n", namespace, "-o", "json")
	if err != nil {
		return nil, err
	}
	var s secretObject
	if err := json.Unmarshal(out, &s); err != nil {
		return nil, err
	}
	return s.text(), nil
}

// watch is a kubectl that prints a Secret whenever it changes.
type watch struct {
	updates chan map[string]string
	stop    func()
}

// watchSecret watches a Secret; it returns when it has seen its present state.
func watchSecret(ctx context.Context, k kubernetes, namespace, name string) (*watch, error) {
	ctx, cancel := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, "sh", "-c", `exec kubectl get secret "$1" -n "$2" --watch -o json`, "sh", name, namespace)
	cmd.Env = append(os.Environ(), k.env()...)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, err
	}
	w := &watch{updates: make(chan map[string]string), stop: cancel}
	go func() { // ends with kubectl, which ends with ctx
		defer close(w.updates)
		for decoder := json.NewDecoder(out); ; {
			var s secretObject
			if err := decoder.Decode(&s); err != nil {
				cancel()
				_ = cmd.Wait()
				return
			}
			select {
			case w.updates <- s.text():
			case <-ctx.Done():
			}
		}
	}()
	if _, err := w.until(ctx, func(map[string]string) bool { return true }); err != nil {
		cancel()
		return nil, fmt.Errorf("watch Secret %s: %w", name, err)
	}
	return w, nil
}

// until waits for a state that is good.
func (w *watch) until(ctx context.Context, good func(map[string]string) bool) (map[string]string, error) {
	for {
		select {
		case data, ok := <-w.updates:
			if !ok {
				return nil, errors.Join(context.Cause(ctx), errors.New("the watch of the Secret ended"))
			}
			if good(data) {
				return data, nil
			}
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func sortedKeys(data map[string]string) []string { return slices.Sorted(maps.Keys(data)) }
