package kv

import (
	"encoding/binary"
	"errors"
	"math"
	"strconv"
	"time"
)

// The layout of a version 2 record; docs/format/kv.md specifies it.
const (
	formatV2 = 2 // first byte; a version 1 value begins with '{'

	flagCASRequired = 1 << 0

	headerSize = 46
	entrySize  = 17

	entryDestroyed = 1 << 0
)

var errCorrupt = errors.New("kv: the stored record is corrupt; restore it from a snapshot")

// record is a secret: its settings, the history of its versions and the data
// of the current one.
type record struct {
	casRequired bool
	maxVersions uint32        // 0: the mount's
	deleteAfter time.Duration // 0: the mount's
	created     int64         // Unix nanoseconds
	updated     int64         // Unix nanoseconds
	current     uint64        // number of the last version; 0: there is none yet
	custom      []byte        // custom metadata, a JSON object; empty: none
	history     history       // the versions that are kept, up to the current one
	data        []byte        // of the current version, a JSON object; empty: none or destroyed
}

// history is a list of consecutive versions in stored form, oldest first, so
// that a read decodes only the one it wants.
type history []byte

// version is when one version came and went, in Unix nanoseconds.
type version struct {
	created   int64
	deletion  int64 // 0: none; it may lie in the future
	destroyed bool
}

func (h history) len() int { return len(h) / entrySize }

func (h history) at(i int) version {
	b := h[i*entrySize:]
	return version{
		created:   int64(binary.BigEndian.Uint64(b)),
		deletion:  int64(binary.BigEndian.Uint64(b[8:])),
		destroyed: b[16]&entryDestroyed != 0,
	}
}

func (v version) append(h history) history {
	h = binary.BigEndian.AppendUint64(h, uint64(v.created))
	h = binary.BigEndian.AppendUint64(h, uint64(v.deletion))
	if v.destroyed {
		return append(h, entryDestroyed)
	}
	return append(h, 0)
}

// readable says whether the version's data may be answered at now.
func (v version) readable(now int64) bool {
	return !v.destroyed && (v.deletion == 0 || v.deletion > now)
}

// first is the number of the oldest version kept; current+1 if there is none.
func (r *record) first() uint64 { return r.current - uint64(r.history.len()) + 1 }

// version returns version n, if it is kept.
func (r *record) version(n uint64) (version, bool) {
	if n < r.first() || n > r.current {
		return version{}, false
	}
	return r.history.at(int(n - r.first())), true
}

// set changes version n, which must be kept.
func (r *record) set(n uint64, v version) {
	i := int(n-r.first()) * entrySize
	v.append(r.history[: i : i+entrySize])
}

// add makes data the current version, deleted at deletion (0: never), and
// forgets the versions before the last keep.
func (r *record) add(v version, data []byte, keep uint64) {
	if n := r.history.len(); uint64(n) >= keep {
		r.history = r.history[(n-int(keep)+1)*entrySize:]
	}
	r.history = v.append(r.history[:len(r.history):len(r.history)])
	r.current++
	r.data = data
}

// decodeRecord reads what is stored for a secret; the record shares b's memory.
func decodeRecord(b []byte) (record, error) {
	if len(b) > 0 && b[0] == '{' {
		return record{current: 1, history: version{}.append(nil), data: b}, nil
	}
	if len(b) < headerSize || b[0] != formatV2 || b[1]&^flagCASRequired != 0 {
		return record{}, errCorrupt
	}
	be := binary.BigEndian
	r := record{
		casRequired: b[1]&flagCASRequired != 0,
		created:     int64(be.Uint64(b[2:])),
		updated:     int64(be.Uint64(b[10:])),
		deleteAfter: time.Duration(be.Uint64(b[18:])),
		maxVersions: be.Uint32(b[26:]),
		current:     be.Uint64(b[30:]),
	}
	versions, custom := uint64(be.Uint32(b[38:])), uint64(be.Uint32(b[42:]))
	rest := b[headerSize:]
	if versions > r.current || r.current > math.MaxInt64 || versions*entrySize+custom > uint64(len(rest)) {
		return record{}, errCorrupt
	}
	r.custom, rest = rest[:custom:custom], rest[custom:]
	r.history, r.data = history(rest[:versions*entrySize:versions*entrySize]), rest[versions*entrySize:]
	for i := range r.history.len() {
		if r.history[i*entrySize+16]&^entryDestroyed != 0 {
			return record{}, errCorrupt
		}
	}
	if last, ok := r.version(r.current); (ok && !last.destroyed) != (len(r.data) > 0) {
		return record{}, errCorrupt
	}
	return r, nil
}

// encode is the inverse of decodeRecord for version 2 records.
func (r *record) encode() []byte {
	b := make([]byte, 0, headerSize+len(r.custom)+len(r.history)+len(r.data))
	var flags byte
	if r.casRequired {
		flags = flagCASRequired
	}
	be := binary.BigEndian
	b = append(b, formatV2, flags)
	b = be.AppendUint64(b, uint64(r.created))
	b = be.AppendUint64(b, uint64(r.updated))
	b = be.AppendUint64(b, uint64(r.deleteAfter))
	b = be.AppendUint32(b, r.maxVersions)
	b = be.AppendUint64(b, r.current)
	b = be.AppendUint32(b, uint32(r.history.len()))
	b = be.AppendUint32(b, uint32(len(r.custom)))
	b = append(b, r.custom...)
	b = append(b, r.history...)
	return append(b, r.data...)
}

// appendTimes appends the members that a version has everywhere.
func (v version) appendTimes(b []byte) []byte {
	b = append(b, `"created_time":"`...)
	b = appendTime(b, v.created)
	b = append(b, `","deletion_time":"`...)
	if v.deletion != 0 {
		b = appendTime(b, v.deletion)
	}
	b = append(b, `","destroyed":`...)
	return strconv.AppendBool(b, v.destroyed)
}

// appendVersion appends the metadata of version n as data/ answers it.
func (r *record) appendVersion(b []byte, n uint64, v version) []byte {
	b = append(b, '{')
	b = v.appendTimes(b)
	b = append(b, `,"version":`...)
	b = strconv.AppendUint(b, n, 10)
	b = append(b, `,"custom_metadata":`...)
	b = r.appendCustom(b)
	return append(b, '}')
}

// appendMetadata appends the whole record, without data, as metadata/ answers it.
func (r *record) appendMetadata(b []byte) []byte {
	b = append(b, `{"cas_required":`...)
	b = strconv.AppendBool(b, r.casRequired)
	b = append(b, `,"created_time":"`...)
	b = appendTime(b, r.created)
	b = append(b, `","updated_time":"`...)
	b = appendTime(b, r.updated)
	b = append(b, `","current_version":`...)
	b = strconv.AppendUint(b, r.current, 10)
	b = append(b, `,"oldest_version":`...)
	b = strconv.AppendUint(b, r.oldest(), 10)
	b = append(b, `,"max_versions":`...)
	b = strconv.AppendUint(b, uint64(r.maxVersions), 10)
	b = append(b, `,"delete_version_after":"`...)
	b = append(b, r.deleteAfter.String()...)
	b = append(b, `","custom_metadata":`...)
	b = r.appendCustom(b)
	b = append(b, `,"versions":{`...)
	for i := range r.history.len() {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = strconv.AppendUint(b, r.first()+uint64(i), 10)
		b = append(b, `":{`...)
		b = r.history.at(i).appendTimes(b)
		b = append(b, '}')
	}
	return append(b, "}}"...)
}

// oldest is the first version kept once some have been forgotten, and 0 until
// then, as Vault counts.
func (r *record) oldest() uint64 {
	if f := r.first(); f > 1 {
		return f
	}
	return 0
}

func (r *record) appendCustom(b []byte) []byte {
	if len(r.custom) == 0 {
		return append(b, "null"...)
	}
	return append(b, r.custom...)
}

func appendTime(b []byte, ns int64) []byte {
	return time.Unix(0, ns).UTC().AppendFormat(b, time.RFC3339Nano)
}
