package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"strongroom/internal/storage"
)

// What one call of Search may cost.
const (
	maxScan   = 4 << 20 // bytes of the file that are looked at
	maxRecord = 1 << 20 // bytes; a longer record is passed over
	maxFound  = 1000    // records returned
	searchGap = 64 << 10
)

// Query says which records are wanted, the newest first. What is empty matches
// every record.
type Query struct {
	Device     string // path; "": the first file device
	From, To   time.Time
	Type       string // request or response
	Operation  string
	PathPrefix string // of the request's path
	Name       string // entity id, display name or client's metadata holds it, in any case
	Request    string // id of the request
	ErrorsOnly bool
	Limit      int    // 0: 100
	Cursor     string // Page.Next of the page before; "": the end of the file
}

// Page is a part of what was found.
type Page struct {
	Device  string            `json:"device"`
	Node    string            `json:"node_id"`
	Records []json.RawMessage `json:"records"` // as they stand in the file
	// Next continues where this call stopped, which may be before it had found
	// Limit records; "": the file begins here.
	Next    string `json:"next"`
	Scanned int64  `json:"scanned_bytes"`
	Skipped int    `json:"skipped_lines"` // that are no records
}

// AuditSummary is what a record of the search itself holds: not the records
// that it found, or the log would grow by being read.
func (p *Page) AuditSummary() any {
	return map[string]any{"device": p.Device, "records": len(p.Records), "scanned_bytes": p.Scanned}
}

// Search looks through the file of a device of this node, backwards from its end.
func (j *Journal) Search(ctx context.Context, tx *storage.Tx, q Query) (*Page, error) {
	k, err := j.load(ctx, tx)
	if err != nil {
		return nil, err
	}
	d, err := k.devices.searchable(q.Device)
	if err != nil {
		return nil, err
	}
	if q.Limit == 0 {
		q.Limit = 100
	}
	if q.Limit < 1 || q.Limit > maxFound {
		return nil, invalidf("limit must be 1 to %d", maxFound)
	}
	p := &Page{Device: d.spec.Path, Node: j.log.options.Node, Records: []json.RawMessage{}}
	f, err := os.Open(d.sink.(*file).path)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil // nothing has been recorded since it was rotated away
	}
	if err != nil {
		return nil, fmt.Errorf("audit: search: %w", err)
	}
	defer f.Close()
	return p, p.read(ctx, f, q, d.settings.prefix)
}

// searchable is the file device at path.
func (d *Devices) searchable(path string) (*device, error) {
	if path != "" {
		clean, err := CleanPath(path)
		if err != nil {
			return nil, invalidf("%v", err)
		}
		path = clean
	}
	if d != nil {
		for _, r := range d.list {
			if r.device == nil || path != "" && r.device.spec.Path != path {
				continue
			}
			_, isFile := r.device.sink.(*file)
			switch {
			case isFile && r.settings.raw && path != "":
				return nil, invalidf("the records of %s hold secrets in clear (log_raw): they are not shown over the API", path)
			case isFile && !r.settings.raw:
				return r.device, nil
			}
		}
	}
	if path != "" {
		return nil, invalidf("no file audit device of this node is at %s", path)
	}
	return nil, invalidf("this node has no file audit device to search: declare one in the server's configuration, audit \"file\" \"main\" { file_path = … }")
}

// position is where a search goes on: before offset in the file of that identity.
type position struct {
	file   uint64 // inode
	offset int64
}

func (p position) String() string { return fmt.Sprintf("%x-%x", p.file, p.offset) }

func parsePosition(text string) (position, error) {
	a, b, ok := strings.Cut(text, "-")
	id, err := strconv.ParseUint(a, 16, 64)
	offset, oerr := strconv.ParseInt(b, 16, 64)
	p := position{id, offset}
	if !ok || err != nil || oerr != nil || offset < 0 || p.String() != text {
		return position{}, invalidf("cursor is not the \"next\" of an earlier answer")
	}
	return p, nil
}

// identity tells a file from the one that follows it at its path.
func identity(info fs.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Ino
	}
	return 0
}

// read fills p with what q wants of f, from where its cursor says.
func (p *Page) read(ctx context.Context, f *os.File, q Query, prefix string) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	at := position{identity(info), info.Size()}
	if q.Cursor != "" {
		from, err := parsePosition(q.Cursor)
		if err != nil {
			return err
		}
		if from.file != at.file || from.offset > at.offset {
			return invalidf("cursor is of another file: the log was rotated, or another node answers; begin again without it")
		}
		at = from
	}
	b := &backwards{from: f, offset: at.offset}
	for len(p.Records) < q.Limit && p.Scanned < maxScan && ctx.Err() == nil {
		line, err := b.line()
		if err == io.EOF {
			return nil // Next is empty
		}
		if err != nil {
			return fmt.Errorf("audit: search: %w", err)
		}
		p.Scanned = at.offset - b.offset
		wanted, older, ok := q.matches(bytes.TrimPrefix(line, []byte(prefix)))
		switch {
		case !ok && len(bytes.TrimSpace(line)) > 0:
			p.Skipped++
		case older: // records stand in the order of time, but for moments
			return nil
		case wanted:
			p.Records = append(p.Records, bytes.Clone(bytes.TrimPrefix(line, []byte(prefix))))
		}
	}
	if b.offset > 0 {
		p.Next = position{at.file, b.offset}.String()
	}
	return ctx.Err()
}

// head is what a search looks at of a record.
type head struct {
	Time    time.Time `json:"time"`
	Type    string    `json:"type"`
	Error   string    `json:"error"`
	Auth    person    `json:"auth"`
	Request struct {
		ID        string `json:"id"`
		Operation string `json:"operation"`
		Path      string `json:"path"`
	} `json:"request"`
	Response struct {
		Auth person `json:"auth"`
	} `json:"response"`
}

type person struct {
	DisplayName string            `json:"display_name"`
	EntityID    string            `json:"entity_id"`
	Metadata    map[string]string `json:"metadata"`
}

// slack is how much later than its neighbours a record may have been written
// than it was made.
const slack = time.Minute

// matches says whether q wants a record, whether it is of so long before
// q.From that all further ones are too, and whether line is a record at all.
func (q *Query) matches(line []byte) (wanted, older, ok bool) {
	// Most lines are told apart before they are decoded.
	if len(line) == 0 || line[0] != '{' || !json.Valid(line) {
		return false, false, false
	}
	var h head
	if json.Unmarshal(line, &h) != nil || h.Type == "" {
		return false, false, false
	}
	if !q.From.IsZero() && h.Time.Before(q.From) {
		return false, h.Time.Before(q.From.Add(-slack)), true
	}
	wanted = (q.To.IsZero() || !h.Time.After(q.To)) && (q.Type == "" || h.Type == q.Type) && (q.Operation == "" || h.Request.Operation == q.Operation) &&
		strings.HasPrefix(h.Request.Path, q.PathPrefix) && (q.Request == "" || h.Request.ID == q.Request) && (!q.ErrorsOnly || h.Error != "") &&
		(q.Name == "" || h.Auth.is(q.Name) || h.Response.Auth.is(q.Name))
	return wanted, false, true
}

func (p person) is(name string) bool {
	name = strings.ToLower(name)
	if p.EntityID == name || strings.Contains(strings.ToLower(p.DisplayName), name) {
		return true
	}
	for _, v := range p.Metadata {
		if strings.Contains(strings.ToLower(v), name) {
			return true
		}
	}
	return false
}

// backwards reads the lines of a file from its end to its begin.
type backwards struct {
	from   io.ReaderAt
	offset int64  // of the begin of the line returned last
	buf    []byte // what of the file stands before offset, as far as it was read
}

// line returns the line before the last one; io.EOF where the file begins. One
// that is longer than maxRecord, or is still being written, comes as empty. The
// bytes are overwritten by the next call.
func (b *backwards) line() ([]byte, error) {
	if b.offset == 0 {
		return nil, io.EOF
	}
	for {
		// The byte before offset ends the line that is wanted.
		if n := len(b.buf); n > 0 {
			end := n
			if b.buf[n-1] == '\n' {
				end = n - 1
			}
			if i := bytes.LastIndexByte(b.buf[:end], '\n'); i >= 0 || int64(n) == b.offset {
				line := b.buf[i+1 : end]
				b.offset -= int64(n - (i + 1))
				b.buf = b.buf[:i+1]
				if end == n || len(line) > maxRecord {
					return nil, nil
				}
				return line, nil
			}
			if n > maxRecord { // drop what was read of it: it counts as read
				b.offset -= int64(n)
				b.buf = b.buf[:0]
				return nil, nil
			}
		}
		step := min(b.offset-int64(len(b.buf)), searchGap)
		grown := make([]byte, step+int64(len(b.buf)))
		if _, err := b.from.ReadAt(grown[:step], b.offset-int64(len(b.buf))-step); err != nil && err != io.EOF {
			return nil, err
		}
		copy(grown[step:], b.buf)
		b.buf = grown
	}
}
