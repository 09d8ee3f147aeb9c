package cli

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDebug collects from a server that does not let the token see everything: what is missing is named, what is there is whole.
func TestDebug(t *testing.T) {
	server := serve(t, map[string]answer{
		"GET sys/health":        ok(`{"version":"1.0.0","initialized":true}`),
		"GET sys/seal-status":   ok(`{"sealed":false}`),
		"GET sys/metrics":       ok(`{"Counters":[]}`),
		"GET sys/host-info":     {403, `{"errors":["permission denied"]}`},
		"GET sys/in-flight-req": ok(`not JSON`),
	})
	term := newTerminal(t, server)
	out := filepath.Join(t.TempDir(), "bundle")
	got := term.run("debug", "-duration=1s", "-interval=1s", "-metrics-interval=1s", "-output="+out,
		"-target=server-status", "-target=metrics", "-target=host", "-target=requests")
	if got.code != 0 || !strings.Contains(got.stdout, "Success! Bundle written to: "+out+".tar.gz\n") {
		t.Fatalf("%+v", got)
	}
	if info, err := os.Stat(out + ".tar.gz"); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", info, err)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("the folder is left behind")
	}
	files := untar(t, out+".tar.gz")
	var index debugIndex
	if err := json.Unmarshal(files["bundle/index.json"], &index); err != nil {
		t.Fatal(err)
	}
	missing := map[string]bool{}
	for _, e := range index.Errors {
		missing[e.Target] = true
	}
	if !missing["host"] || !missing["requests"] || len(missing) != 2 || index.VaultAddress != server.url {
		t.Errorf("index %+v", index)
	}
	var status []struct {
		Health json.RawMessage `json:"health"`
		Seal   json.RawMessage `json:"seal-status"`
	}
	if err := json.Unmarshal(files["bundle/server_status.json"], &status); err != nil || len(status) == 0 || status[0].Health == nil || status[0].Seal == nil {
		t.Errorf("server_status.json: %v %s", err, files["bundle/server_status.json"])
	}
	if files["bundle/metrics.json"] == nil || files["bundle/host_info.json"] != nil {
		t.Errorf("files %v", sortedKeys(files))
	}

	for _, args := range [][]string{{"-target=passwords"}, {"-interval=1ms"}, {"-duration=1s"}, {"-output=" + out + ".tar.gz", "-duration=0"}} {
		if got := term.run(append([]string{"debug"}, args...)...); got.code != 1 {
			t.Errorf("%v: %+v", args, got)
		}
	}
}

func untar(t *testing.T, path string) map[string][]byte {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	packed, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for r := tar.NewReader(packed); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}
