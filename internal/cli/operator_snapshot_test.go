package cli

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"strongroom/internal/snapshot"
)

// testSnapshot is an archive of three keys.
func testSnapshot(t *testing.T) []byte {
	t.Helper()
	state := binary.BigEndian.AppendUint64([]byte("SRSTATE\x01"), 42)
	pairs := []struct {
		key  string
		size int
	}{{"core/seal", 20}, {"mount/u1/a", 3000}, {"mount/u1/b", 1000}, {"ns/root/mounts", 5}}
	for _, p := range pairs {
		state = append(binary.AppendUvarint(append(state, 1), uint64(len(p.key))), p.key...)
		state = append(binary.AppendUvarint(state, uint64(8+p.size)), make([]byte, 8+p.size)...)
	}
	state = binary.BigEndian.AppendUint64(append(state, 0), uint64(len(pairs)))
	sum := sha256.Sum256(state)
	state = append(state, sum[:]...)
	var b bytes.Buffer
	meta := snapshot.Meta{Index: 42, Term: 3, Size: int64(len(state)), Created: time.Unix(1_700_000_000, 0).UTC(), ClusterID: "id", ClusterName: "vault-cluster-1", ServerVersion: "1.0.0"}
	if err := snapshot.Write(&b, meta, bytes.NewReader(state), func([]byte) ([]byte, error) { return []byte("sealed"), nil }); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestSnapshotSave(t *testing.T) {
	good := testSnapshot(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "backup.snap")
	saved := func(want string) {
		t.Helper()
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 1 {
			t.Fatalf("%v %v", entries, err)
		}
		got, err := os.ReadFile(file)
		info, _ := os.Stat(file)
		if err != nil || string(got) != want || info.Mode() != 0o600 {
			t.Fatalf("%d bytes, mode %v, %v", len(got), info.Mode(), err)
		}
	}
	if err := os.WriteFile(file, []byte("the last one"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]string{"torn": string(good[:len(good)-9]), "none": "", "text": "hello"} {
		server := serve(t, map[string]answer{"GET sys/storage/raft/snapshot": {200, body}})
		if got := newTerminal(t, server).run("operator", "raft", "snapshot", "save", file); got.code != 2 || got.stderr == "" {
			t.Errorf("%s: %+v", name, got)
		}
		saved("the last one")
	}
	denied := serve(t, map[string]answer{"GET sys/storage/raft/snapshot": {403, `{"errors":["permission denied"]}`}})
	if got := newTerminal(t, denied).run("operator", "raft", "snapshot", "save", file); got.code != 2 || !strings.Contains(got.stderr, "permission denied") {
		t.Errorf("%+v", got)
	}
	server := serve(t, map[string]answer{"GET sys/storage/raft/snapshot": {200, string(good)}})
	if got := newTerminal(t, server).run("operator", "raft", "snapshot", "save", file); got != (result{}) {
		t.Errorf("%+v", got)
	}
	saved(string(good))
	if got := newTerminal(t, server).run("operator", "raft", "snapshot", "save", dir); got.code != 1 || !strings.Contains(got.stderr, "no regular file") {
		t.Errorf("%+v", got)
	}
	if got := newTerminal(t, server).run("operator", "raft", "snapshot", "save", "-output-curl-string", filepath.Join(dir, "other")); got.code != 2 || !strings.Contains(got.stderr, "not implemented") { // by the client library
		t.Errorf("%+v", got)
	}
	saved(string(good))
}

// A file to be saved in place of a link goes where the link points.
func TestSnapshotSaveThroughLink(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "real"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Symlink(file, link)); err != nil {
		t.Fatal(err)
	}
	good := testSnapshot(t)
	if err := saveSnapshot(link, func(w io.Writer) error { _, err := w.Write(good); return err }); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Error("the link was replaced")
	}
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, good) {
		t.Errorf("%d bytes: %v", len(got), err)
	}
}

func TestSnapshotRestore(t *testing.T) {
	file := filepath.Join(t.TempDir(), "backup.snap")
	if err := os.WriteFile(file, testSnapshot(t), 0o600); err != nil {
		t.Fatal(err)
	}
	server := serve(t, map[string]answer{"POST sys/storage/raft/snapshot": noContent, "POST sys/storage/raft/snapshot-force": noContent,
		"GET sys/seal-status": ok(`{"sealed":false}`)})
	if got := newTerminal(t, server).run("operator", "raft", "snapshot", "restore", file); got != (result{}) {
		t.Errorf("%+v", got)
	}
	if seen := server.lines(); len(seen) != 2 || !strings.HasPrefix(seen[0], "POST sys/storage/raft/snapshot \x1f\x8b") {
		t.Errorf("sent %q", seen)
	}
	server.answers["GET sys/seal-status"] = ok(`{"sealed":true}`)
	got := newTerminal(t, server).run("operator", "raft", "snapshot", "restore", "-force", file)
	if got.code != 0 || !strings.Contains(got.stderr, "unseal every node") {
		t.Errorf("%+v", got)
	}
	server.answers["POST sys/storage/raft/snapshot"] = answer{400, `{"errors":["could not verify hash file"]}`}
	if got := newTerminal(t, server).run("operator", "raft", "snapshot", "restore", file); got.code != 2 || !strings.Contains(got.stderr, "could not verify hash file") {
		t.Errorf("%+v", got)
	}
	if got := newTerminal(t, server).run("operator", "raft", "snapshot", "restore", file+"x"); got.code != 1 || !strings.Contains(got.stderr, "no such file") {
		t.Errorf("%+v", got)
	}
}

func TestSnapshotInspect(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "backup.snap")
	if err := os.WriteFile(file, testSnapshot(t), 0o600); err != nil {
		t.Fatal(err)
	}
	const meta = `ID                3-42-1700000000000
Size              4171
Index             42
Term              3
Version           1
Created           2023-11-14T22:13:20Z
Cluster Name      vault-cluster-1
Cluster ID        id
Server Version    1.0.0
`
	term := newTerminal(t, nil)
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, meta + `
Key Name     Count    Size
--------     -----    ----
mount/u1     2        3.9 KB
core/seal    1        20 B
ns/root      1        5 B
----         ----     ----
Total        4        3.9 KB
`},
		{[]string{"-details=false"}, meta},
		{[]string{"-depth=3", "-filter=mount/"}, meta + `
Key Name      Count    Size
--------      -----    ----
mount/u1/a    1        2.9 KB
mount/u1/b    1        1000 B
----          ----     ----
Total         2        3.9 KB
`},
		{[]string{"-format=json", "-filter=core/"}, `{
  "Meta": {
    "Version": 1,
    "ID": "3-42-1700000000000",
    "Index": 42,
    "Term": 3,
    "Size": 4171,
    "Created": "2023-11-14T22:13:20Z",
    "ClusterID": "id",
    "ClusterName": "vault-cluster-1",
    "ServerVersion": "1.0.0"
  },
  "Stats": [
    {
      "Name": "core/seal",
      "Count": 1,
      "Size": 20
    }
  ],
  "TotalCount": 1,
  "TotalSize": 20
}
`},
	} {
		got := term.run(append(append([]string{"operator", "raft", "snapshot", "inspect"}, c.args...), file)...)
		if got.code != 0 || got.stderr != "" || got.stdout != c.want {
			t.Errorf("%q: %d %s\n%s\nwant:\n%s", c.args, got.code, got.stderr, got.stdout, c.want)
		}
	}
	for _, args := range [][]string{{"-format=xml", file}, {"-depth=0", file}, {file + "x"}} {
		if got := term.run(append([]string{"operator", "raft", "snapshot", "inspect"}, args...)...); got.code != 1 {
			t.Errorf("%q: %+v", args, got)
		}
	}
	if err := os.Truncate(file, 200); err != nil {
		t.Fatal(err)
	}
	if got := term.run("operator", "raft", "snapshot", "inspect", file); got.code != 1 || !strings.Contains(got.stderr, "damaged") {
		t.Errorf("%+v", got)
	}
}
