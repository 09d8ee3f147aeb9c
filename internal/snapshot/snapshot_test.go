package snapshot

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// stateOf is a state stream, made from the specification alone.
func stateOf(pairs ...string) []byte {
	b := []byte("SRSTATE\x01")
	b = binary.BigEndian.AppendUint64(b, 42)
	for i := 0; i < len(pairs); i += 2 {
		b = append(b, 1)
		b = append(binary.AppendUvarint(b, uint64(len(pairs[i]))), pairs[i]...)
		b = binary.AppendUvarint(b, uint64(8+len(pairs[i+1])))
		b = append(binary.BigEndian.AppendUint64(b, 7), pairs[i+1]...)
	}
	b = binary.BigEndian.AppendUint64(append(b, 0), uint64(len(pairs)/2))
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

// reversed stands for the barrier.
func reversed(b []byte) ([]byte, error) {
	b = slices.Clone(b)
	slices.Reverse(b)
	return b, nil
}

var testMeta = Meta{Index: 42, Term: 3, Created: time.Unix(1_700_000_000, 0).UTC(), ClusterID: "id", ClusterName: "name", ServerVersion: "1.0.0"}

func archiveOf(t testing.TB, state []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	meta := testMeta
	meta.Size = int64(len(state))
	if err := Write(&b, meta, bytes.NewReader(state), reversed); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// file is one member of a hand-made archive.
type file struct {
	name string
	kind byte
	body []byte
	pax  map[string]string
}

func pack(t testing.TB, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	gz := gzip.NewWriter(&b)
	tw := tar.NewWriter(gz)
	for _, f := range files {
		if f.kind == 0 {
			f.kind = tar.TypeReg
		}
		h := &tar.Header{Name: f.name, Typeflag: f.kind, Size: int64(len(f.body)), Mode: 0o600, PAXRecords: f.pax}
		if err := tw.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write(f.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(tw.Close(), gz.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// parts are the files of a good archive of state.
func parts(t testing.TB, state []byte) []file {
	gz, err := gzip.NewReader(bytes.NewReader(archiveOf(t, state)))
	if err != nil {
		t.Fatal(err)
	}
	var out []file
	for tr := tar.NewReader(gz); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, file{name: h.Name, body: b})
	}
}

func TestRoundTrip(t *testing.T) {
	state := stateOf("a", "1", "b/c", strings.Repeat("x", 200_000), "b/d", "")
	data := archiveOf(t, state)
	var seen []string
	c, err := Check(iotest.OneByteReader(bytes.NewReader(data)), func(key string, size int) error {
		seen = append(seen, fmt.Sprint(key, " ", size))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"a 1", "b/c 200000", "b/d 0"}; !slices.Equal(seen, want) {
		t.Errorf("visited %q, want %q", seen, want)
	}
	want := testMeta
	want.Version, want.ID, want.Size = 1, "3-42-1700000000000", int64(len(state))
	if c.Meta != want {
		t.Errorf("meta %+v, want %+v", c.Meta, want)
	}
	if opened, _ := reversed(c.Sealed); !bytes.Equal(opened, c.Sums) {
		t.Error("the sealed sums are not the sums")
	}
	meta, r, err := State(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, state) || meta != want {
		t.Errorf("state: %v", err)
	}
}

// Every prefix of an archive is told from the whole, and so is every flipped bit
// that has a meaning (gzip has a few without).
func TestDamage(t *testing.T) {
	data := archiveOf(t, stateOf("a", "1", "b", "2"))
	for n := range len(data) {
		if _, err := Check(bytes.NewReader(data[:n]), nil); !errors.Is(err, ErrDamaged) {
			t.Fatalf("%d of %d bytes: %v", n, len(data), err)
		}
	}
	good, err := Check(bytes.NewReader(data), nil)
	if err != nil {
		t.Fatal(err)
	}
	caught := 0
	for i := range data {
		for bit := range 8 {
			bad := slices.Clone(data)
			bad[i] ^= 1 << bit
			got, err := Check(bytes.NewReader(bad), nil)
			if errors.Is(err, ErrDamaged) {
				caught++
			} else if err != nil || !reflect.DeepEqual(got, good) {
				t.Fatalf("byte %d bit %d: %v %+v", i, bit, err, got)
			}
		}
	}
	if caught < 8*len(data)-100 { // RFC 1952: time, extra flags and system are 48 bits
		t.Errorf("only %d of %d flipped bits were caught", caught, 8*len(data))
	}
}

// unpack and compress undo and do the outer layer.
func unpack(t testing.TB, data []byte) []byte {
	t.Helper()
	gz, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(gz)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

func compress(plain []byte) []byte {
	var b bytes.Buffer
	gz := gzip.NewWriter(&b)
	gz.Write(plain) // a bytes.Buffer takes everything
	gz.Close()
	return b.Bytes()
}

func TestHostile(t *testing.T) {
	state := stateOf("a", "1")
	good := func() []file { return parts(t, state) }
	change := func(f func([]file) []file) []byte { return pack(t, f(good())...) }
	whole := pack(t, good()...)
	padded := func(tail []byte) []byte { return compress(append(unpack(t, whole), tail...)) }
	for name, data := range map[string][]byte{
		"nothing":       {},
		"no gzip":       []byte("hello, world, this is no snapshot"),
		"no files":      pack(t),
		"a wrong first": change(func(f []file) []file { f[0].name = "../meta.json"; return f }),
		"another order": change(func(f []file) []file { f[0], f[1] = f[1], f[0]; return f }),
		"a link":        change(func(f []file) []file { f[1].kind, f[1].body = tar.TypeSymlink, nil; return f }),
		"no sums":       change(func(f []file) []file { return f[:2] }),
		"no seal":       change(func(f []file) []file { return f[:3] }),
		"an empty seal": change(func(f []file) []file { f[3].body = nil; return f }),
		"one more":      change(func(f []file) []file { return append(f, file{name: "x"}) }),
		"one twice":     change(func(f []file) []file { return append(f, f[3]) }),
		"a long meta":   change(func(f []file) []file { f[0].body = bytes.Repeat([]byte(" "), 1<<20); return f }),
		"a long seal":   change(func(f []file) []file { f[3].body = make([]byte, 1<<20); return f }),
		"another version": change(func(f []file) []file {
			f[0].body = bytes.Replace(f[0].body, []byte(`"Version":1`), []byte(`"Version":2`), 1)
			return f
		}),
		"meta of garbage": change(func(f []file) []file { f[0].body = []byte("[]"); return f }),
		"altered meta": change(func(f []file) []file {
			f[0].body = bytes.Replace(f[0].body, []byte("name"), []byte("mane"), 1)
			return f
		}),
		"a wrong size":     change(func(f []file) []file { f[1].body = append(f[1].body, 0); return f }),
		"altered sums":     change(func(f []file) []file { f[2].body[0] ^= 1; return f }),
		"another state":    change(func(f []file) []file { f[1].body = stateOf("a", "2"); return f }),
		"a state unsorted": archiveOf(t, stateOf("b", "1", "a", "2")),
		"a key twice":      archiveOf(t, stateOf("a", "1", "a", "2")),
		"no key":           archiveOf(t, stateOf("", "1")),
		"a state too long": archiveOf(t, append(stateOf("a", "1"), 0)),
		"another stream":   archiveOf(t, []byte("SRSTATE\x02________________")),
		"a state bomb":     archiveOf(t, slices.Concat([]byte("SRSTATE\x01________\x01"), binary.AppendUvarint(nil, 1<<40))),
		"a sparse state": compress(bytes.Replace(unpack(t, change(func(f []file) []file {
			f[1].pax = map[string]string{"XNU.sparse.major": "1"} // archive/tar writes no real ones
			return f
		})), []byte("XNU.sparse"), []byte("GNU.sparse"), 1)),
		"zeros behind":    padded(make([]byte, 1<<20)),
		"text behind":     padded([]byte("x")),
		"a second member": append(slices.Clone(whole), whole...),
		"garbage behind":  append(slices.Clone(whole), 'x'),
	} {
		if _, err := Check(bytes.NewReader(data), nil); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Check(bytes.NewReader(padded(make([]byte, 8192))), nil); err != nil {
		t.Errorf("repacked by a tar that pads to 10 KiB: %v", err)
	}
}

// What fails beside the file is not blamed on the file.
func TestOtherFaults(t *testing.T) {
	data := archiveOf(t, stateOf("a", "1"))
	broken := errors.New("the disk is broken")
	for n := range len(data) {
		r := io.MultiReader(bytes.NewReader(data[:n]), iotest.ErrReader(broken))
		if _, err := Check(r, nil); !errors.Is(err, broken) || errors.Is(err, ErrDamaged) {
			t.Fatalf("after %d bytes: %v", n, err)
		}
	}
	if _, err := Check(bytes.NewReader(data), func(string, int) error { return broken }); err != broken {
		t.Errorf("visit: %v", err)
	}
	sealed := func([]byte) ([]byte, error) { return nil, broken }
	if err := Write(io.Discard, Meta{Size: 1}, strings.NewReader("x"), sealed); !errors.Is(err, broken) {
		t.Errorf("seal: %v", err)
	}
	for _, size := range []int64{0, 2} {
		if err := Write(io.Discard, Meta{Size: size}, strings.NewReader("x"), reversed); err == nil {
			t.Errorf("a state of 1 byte announced with %d was written", size)
		}
	}
}

// The vector of docs/format/snapshot.md.
func TestVector(t *testing.T) {
	text, err := os.ReadFile("../../docs/format/snapshot.md")
	if err != nil {
		t.Fatal(err)
	}
	block := func(after string) string {
		_, rest, ok := strings.Cut(string(text), after+"\n```\n")
		body, _, closed := strings.Cut(rest, "\n```")
		if !ok || !closed {
			t.Fatalf("the page has no block after %q", after)
		}
		return body
	}
	data, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(block("The archive, in base64:"), "\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	c, err := Check(bytes.NewReader(data), func(key string, size int) error { keys = append(keys, fmt.Sprint(key, size)); return nil })
	if err != nil {
		t.Fatal(err)
	}
	meta, _ := json.Marshal(c.Meta)
	if want := block("`meta.json`:"); string(meta) != want {
		t.Errorf("meta %s, want %s", meta, want)
	}
	if want := block("`SHA256SUMS`:") + "\n"; string(c.Sums) != want {
		t.Errorf("sums %s, want %s", c.Sums, want)
	}
	if want := []string{"a1", "b/c2"}; !slices.Equal(keys, want) || string(c.Sealed) != "sealed by the barrier" {
		t.Errorf("keys %q, sealed %q", keys, c.Sealed)
	}
}

func FuzzCheck(f *testing.F) {
	f.Add(archiveOf(f, stateOf("a", "1", "b/c", "22")))
	f.Add(pack(f))
	f.Add(pack(f, parts(f, stateOf())...))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Check(bytes.NewReader(data), nil)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Fatalf("an error that does not blame the file: %v", err)
			}
			return
		}
		if _, r, err := State(bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		} else if n, err := io.Copy(io.Discard, r); err != nil || n != c.Meta.Size {
			t.Fatalf("state of %d bytes: %v", n, err)
		}
	})
}

// FuzzFiles puts anything into the files of a well-formed container.
func FuzzFiles(f *testing.F) {
	good := parts(f, stateOf("a", "1"))
	f.Add(good[0].body, good[1].body, good[2].body, good[3].body)
	f.Fuzz(func(t *testing.T, meta, state, sums, sealed []byte) {
		data := pack(t, file{name: metaName, body: meta}, file{name: stateName, body: state}, file{name: sumsName, body: sums}, file{name: sealedName, body: sealed})
		c, err := Check(bytes.NewReader(data), nil)
		if err != nil && !errors.Is(err, ErrDamaged) {
			t.Fatalf("an error that does not blame the file: %v", err)
		}
		if err == nil && (c.Meta.Size != int64(len(state)) || !bytes.Equal(c.Sums, sumsOf(sha256.Sum256(meta), sha256.Sum256(state)))) {
			t.Fatalf("%+v", c)
		}
	})
}
