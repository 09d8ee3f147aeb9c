package audit

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"hash"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// hashPrefix begins every hash, as in Vault.
const hashPrefix = "hmac-sha256:"

// hashSize is the length of a hash in a record, with its quotes.
const hashSize = len(hashPrefix) + 2*sha256.Size + 2

// hasher makes the hashes of one device: HMAC-SHA256 under its salt. Safe for
// concurrent use.
type hasher struct {
	states sync.Pool
	empty  []byte // the hash of "", which records are full of
}

type hashState struct {
	hmac hash.Hash
	in   []byte
	sum  [sha256.Size]byte
}

func newHasher(salt []byte) *hasher {
	h := &hasher{}
	h.states.New = func() any { return &hashState{hmac: hmac.New(sha256.New, salt)} }
	h.empty = h.append(nil, "")
	return h
}

// append appends the hash of text, without quotes.
func (h *hasher) append(dst []byte, text string) []byte {
	if text == "" && h.empty != nil {
		return append(dst, h.empty...)
	}
	s := h.states.Get().(*hashState)
	s.in = append(s.in[:0], text...)
	s.hmac.Reset()
	s.hmac.Write(s.in)
	clear(s.in)
	dst = append(dst, hashPrefix...)
	dst = hex.AppendEncode(dst, s.hmac.Sum(s.sum[:0]))
	h.states.Put(s)
	return dst
}

// appendSecret appends value as a JSON string: its hash, or itself on a device
// with log_raw.
func (r *recorder) appendSecret(dst []byte, value string) []byte {
	if r.settings.raw {
		return appendText(dst, value)
	}
	if cap(dst)-len(dst) < hashSize { // append would grow a long record by a quarter, over and over
		dst = slices.Grow(dst, max(len(dst), hashSize))
	}
	return append(r.hash.append(append(dst, '"'), value), '"')
}

// appendText appends s as a JSON string.
func appendText(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(s) // text always encodes
			return append(dst, quoted...)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}

func sorted(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

// isObject says whether b is one valid JSON object.
func isObject(b []byte) bool {
	b = bytes.TrimLeft(b, " \t\r\n")
	return len(b) > 0 && b[0] == '{' && json.Valid(b)
}

// walker copies JSON and puts hashes in the place of texts. Names, numbers,
// booleans and null stay (as in Vault, which says so); the nearest name above a
// text decides whether it is in plain.
type walker struct {
	r     *recorder
	plain []string
	elide bool // put numbers in the place of "keys" and "key_info", at the top
	depth int
	found *[]string // collects the texts instead, if it is set
	wrong bool      // it was no JSON
}

// append appends src without blanks and newlines; what turns out to be no JSON
// on the way, as null. It does not check all that JSON demands: what comes from
// outside must be known to be valid.
func (w *walker) append(dst, src []byte) []byte {
	begun := len(dst)
	dst, end := w.value(dst, src, 0, false)
	if w.wrong || skip(src, end) < len(src) {
		return append(dst[:begun], "null"...)
	}
	return dst
}

// at is src[i], or 0 behind the end, which no JSON holds outside of strings.
func at(src []byte, i int) byte {
	if i < len(src) {
		return src[i]
	}
	return 0
}

func skip(src []byte, i int) int {
	for i < len(src) && (src[i] == ' ' || src[i] == '\n' || src[i] == '\t' || src[i] == '\r') {
		i++
	}
	return i
}

// value appends the value that begins at src[i] and returns where it ends.
func (w *walker) value(dst, src []byte, i int, plain bool) ([]byte, int) {
	i = skip(src, i)
	switch c := at(src, i); {
	case c == '{' || c == '[':
		return w.nested(dst, src, i, plain)
	case c == '"':
		end := stringEnd(src, i)
		switch {
		case end > len(src):
			w.wrong = true
			return dst, len(src)
		case w.found != nil && !plain:
			*w.found = append(*w.found, unquote(src[i:end]))
			return dst, end
		case plain || w.r.settings.raw:
			return append(dst, src[i:end]...), end
		}
		return w.r.appendSecret(dst, unquote(src[i:end])), end
	}
	start := i
	for c := at(src, i); c == '-' || c == '+' || c == '.' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c == 'E'; c = at(src, i) {
		i++
	}
	w.wrong = w.wrong || i == start
	return append(dst, src[start:i]...), i
}

// nested is value for an object or a list.
func (w *walker) nested(dst, src []byte, i int, plain bool) ([]byte, int) {
	opening, closing := src[i], src[i]+2 // in ASCII
	dst = append(dst, opening)
	w.depth++
	for i++; !w.wrong; {
		switch i = skip(src, i); at(src, i) {
		case closing:
			w.depth--
			return append(dst, closing), i + 1
		case ',':
			dst = append(dst, ',')
			i++
			continue
		}
		if opening == '[' {
			dst, i = w.value(dst, src, i, plain)
			continue
		}
		end := stringEnd(src, i)
		colon := skip(src, end)
		if at(src, i) != '"' || at(src, colon) != ':' {
			w.wrong = true
			break
		}
		name := src[i:end]
		dst = append(append(dst, name...), ':')
		i = skip(src, colon+1)
		if w.elide && w.depth == 1 && (at(src, i) == '[' && string(name) == `"keys"` || at(src, i) == '{' && string(name) == `"key_info"`) {
			var n int
			n, i = count(src, i)
			dst = strconv.AppendInt(dst, int64(n), 10)
			continue
		}
		dst, i = w.value(dst, src, i, w.named(name))
	}
	return dst, len(src)
}

// named says whether the member of that name, with its quotes, is in plain.
func (w *walker) named(name []byte) bool {
	return len(w.plain) > 0 && slices.Contains(w.plain, unquote(name))
}

// count is how many values the object or list at src[i] has, and where it ends.
func count(src []byte, i int) (n, end int) {
	depth, commas, empty := 0, 0, true
	for ; i < len(src); i++ {
		switch c := src[i]; c {
		case '{', '[':
			empty = empty && depth == 0
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				if empty {
					return 0, i + 1
				}
				return commas + 1, i + 1
			}
		case '"':
			i, empty = stringEnd(src, i)-1, false
		case ',':
			if depth == 1 {
				commas++
			}
		case ' ', '\t', '\r', '\n':
		default:
			empty = false
		}
	}
	return 0, len(src)
}

// stringEnd is where the JSON string ends that begins at src[i]; more than
// len(src) if it does not.
func stringEnd(src []byte, i int) int {
	for i++; i < len(src) && src[i] != '"'; i++ {
		if src[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// unquote is the text of a valid JSON string.
func unquote(quoted []byte) string {
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
		return string(inner)
	}
	var s string
	_ = json.Unmarshal(quoted, &s) // it is valid
	return s
}

// shortestEcho is from how many bytes on a value of the request is looked for
// in the error: shorter ones would be found in ordinary words.
const shortestEcho = 4

// unecho is fault with hashes in the place of values of the request: an error
// that quotes bad input must not show a secret that was put in the wrong place.
func (r *recorder) unecho(x *Exchange, fault string) string {
	if r.settings.raw {
		return fault
	}
	values := []string{x.Request.ClientToken}
	if isObject(x.Request.Body) {
		values = appendTexts(values, x.Request.Body, x.Request.Plain)
	}
	for name, vs := range x.Request.Query {
		if !slices.Contains(x.Request.Plain, name) {
			values = append(append(values, vs...), strings.Join(vs, ","))
		}
	}
	slices.SortFunc(values, func(a, b string) int { return len(b) - len(a) }) // the longest first: one may hold another
	for _, v := range slices.Compact(values) {
		if len(v) < shortestEcho {
			break
		}
		hashed := string(r.hash.append(nil, v))
		for _, form := range forms(v) {
			fault = strings.ReplaceAll(fault, form, hashed)
		}
	}
	return fault
}

// forms are the ways errors quote a value.
func forms(v string) []string {
	trimmed := strings.TrimSpace(v)
	out := []string{v}
	for _, f := range []string{strconv.Quote(v), strings.ToLower(v), strconv.Quote(strings.ToLower(v)), trimmed, strings.ToLower(trimmed)} {
		if f = strings.Trim(f, `"`); len(f) >= shortestEcho && !slices.Contains(out, f) {
			out = append(out, f)
		}
	}
	return out
}

// appendTexts collects the texts in a valid JSON value that are not in plain,
// and what those are lists of.
func appendTexts(to []string, src []byte, plain []string) []string {
	var found []string
	w := walker{plain: plain, found: &found, r: &recorder{}}
	w.append(nil, src)
	for _, s := range found {
		to = append(to, s)
		if parts := strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == '\n' }); len(parts) > 1 {
			to = append(to, parts...)
		}
	}
	return to
}
