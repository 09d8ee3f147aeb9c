package snapshot

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"strongroom/internal/storage/raftstore"
)

// What the small files of an archive may be at most, and what may follow them,
// in bytes.
const (
	maxMeta    = 64 << 10
	maxSums    = 4 << 10
	maxSealed  = 16 << 10
	maxPadding = 64 << 10
)

// Checked is what a whole and consistent archive says.
type Checked struct {
	Meta   Meta
	Sums   []byte // SHA256SUMS; it is that of the archive
	Sealed []byte // SHA256SUMS.sealed: whether it is the cluster's own is the caller's to see
}

// Check reads a whole archive from r, to its last byte, and checks all of it but
// the seal: names, order, lengths, checksums and the state itself, of which
// visit (nil for none) sees every key and its value's size in bytes, in order.
// What is wrong with the file is an ErrDamaged.
func Check(r io.Reader, visit func(key string, size int) error) (*Checked, error) {
	a, err := open(r)
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	var refused error // by visit: no fault of the file
	err = raftstore.CheckStream(io.TeeReader(a.state(), sum), func(key string, size int) error {
		if visit != nil {
			refused = visit(key, size)
		}
		return refused
	})
	if refused != nil {
		return nil, refused
	}
	if err != nil {
		return nil, a.classify(err)
	}
	c := &Checked{Meta: a.meta}
	if c.Sums, err = a.small(sumsName, maxSums); err != nil {
		return nil, err
	}
	if want := sumsOf(a.sum, [sha256.Size]byte(sum.Sum(nil))); !bytes.Equal(c.Sums, want) {
		return nil, damaged("the checksums do not match")
	}
	if c.Sealed, err = a.small(sealedName, maxSealed); err != nil {
		return nil, err
	}
	if len(c.Sealed) == 0 {
		return nil, damaged("%s is empty", sealedName)
	}
	return c, a.end()
}

// State returns the state of an archive that Check has found good, as a stream.
func State(r io.Reader) (Meta, io.Reader, error) {
	a, err := open(r)
	if err != nil {
		return Meta{}, nil, err
	}
	return a.meta, a.state(), nil
}

// archive is an archive of which meta.json has been read.
type archive struct {
	source *source
	file   *bufio.Reader
	gz     *gzip.Reader
	tar    *tar.Reader
	meta   Meta
	sum    [sha256.Size]byte // of meta.json
}

// open reads the archive up to where state.bin begins.
func open(r io.Reader) (*archive, error) {
	a := &archive{source: &source{from: r}}
	a.file = bufio.NewReaderSize(a.source, 64<<10)
	var err error
	if a.gz, err = gzip.NewReader(a.file); err != nil {
		return nil, a.classify(err)
	}
	a.gz.Multistream(false)
	a.tar = tar.NewReader(a.gz)
	head, err := a.small(metaName, maxMeta)
	if err != nil {
		return nil, err
	}
	a.sum = sha256.Sum256(head)
	if err := json.Unmarshal(head, &a.meta); err != nil {
		return nil, damaged("%s is not what this server writes", metaName)
	}
	if a.meta.Version != Version {
		return nil, damaged("it has version %d, and this release knows %d", a.meta.Version, Version)
	}
	size, err := a.next(stateName)
	if err != nil {
		return nil, err
	}
	if size != a.meta.Size {
		return nil, damaged("%s has %d bytes instead of %d", stateName, size, a.meta.Size)
	}
	return a, nil
}

// state is the rest of the present file. What is wrong with the container is an
// ErrDamaged.
func (a *archive) state() io.Reader { return classifying{a, a.tar} }

// next goes to the next file, which must have that name, and returns its size.
func (a *archive) next(name string) (int64, error) {
	h, err := a.tar.Next()
	if err == io.EOF {
		return 0, damaged("%s is missing", name)
	}
	if err != nil {
		return 0, a.classify(err)
	}
	if h.Name != name || h.Typeflag != tar.TypeReg {
		return 0, damaged("it holds something else where %s should be", name)
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse") { // it would be longer than what was written
			return 0, damaged("%s is sparse", name)
		}
	}
	return h.Size, nil
}

// small reads the next file whole.
func (a *archive) small(name string, limit int64) ([]byte, error) {
	size, err := a.next(name)
	if err != nil {
		return nil, err
	}
	if size > limit {
		return nil, damaged("%s has %d bytes", name, size)
	}
	b, err := io.ReadAll(a.tar)
	return b, a.classify(err)
}

// end sees that nothing follows.
func (a *archive) end() error {
	switch _, err := a.tar.Next(); {
	case err == nil:
		return damaged("it holds more files than it should")
	case err != io.EOF:
		return a.classify(err)
	}
	padding, err := io.ReadAll(io.LimitReader(a.gz, maxPadding+1)) // to the end: gzip has a checksum too
	if err != nil {
		return a.classify(err)
	}
	if len(padding) > maxPadding || len(bytes.Trim(padding, "\x00")) > 0 {
		return damaged("bytes follow the last file")
	}
	switch _, err := a.file.Peek(1); {
	case err == nil:
		return damaged("bytes follow the archive")
	case err != io.EOF:
		return a.classify(err)
	}
	return nil
}

// source is where the bytes come from; it remembers its own failure, so that it
// is not taken for damage.
type source struct {
	from io.Reader
	err  error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.from.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// classify makes what gzip, tar and the state's reader say of the bytes an
// ErrDamaged; a failure of the source stays as it is.
func (a *archive) classify(err error) error {
	switch {
	case err == nil || errors.Is(err, ErrDamaged):
		return err
	case a.source.err != nil:
		return a.source.err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return damaged("it is cut short")
	}
	return damaged("%v", err)
}

// classifying is a reader whose errors are classified.
type classifying struct {
	*archive
	from io.Reader
}

func (c classifying) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	if err != nil && err != io.EOF {
		err = c.classify(err)
	}
	return n, err
}
