package lease

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"time"

	"strongroom/internal/storage"
)

// Lease is the stored record of a secret that is lent. Times are Unix seconds,
// durations seconds. The form is specified in docs/format/lease.md.
type Lease struct {
	ID        string `json:"-"`               // the path of the request and a random name: "database/creds/app/…"
	Mount     string `json:"mount"`           // UUID of the mount that lends
	Owner     string `json:"owner,omitempty"` // ID of the token with which it ends; with ".<ns>" behind it where that is of another namespace
	Issued    int64  `json:"issued"`
	Renewed   int64  `json:"renewed,omitempty"`
	Expires   int64  `json:"expires"`
	Due       int64  `json:"due"` // when to end it, or to try that again
	TTL       int64  `json:"ttl"` // at first
	Max       int64  `json:"max"` // Issued+Max bounds renewal
	Renewable bool   `json:"renewable,omitempty"`
	Revoke    []byte `json:"revoke"`          // the engine's
	Tries     int    `json:"tries,omitempty"` // failed attempts to end it
	Error     string `json:"error,omitempty"` // of the last one
	Quota     string `json:"quota,omitempty"` // the mark of what counts it
}

// Over says whether the lease has ended, though its secret may still work.
func (l *Lease) Over(now time.Time) bool { return now.Unix() >= l.Expires }

// Irrevocable says whether the lease could not be ended so often that it is
// tried once a day only.
func (l *Lease) Irrevocable() bool { return l.Tries >= MaxTries }

// Ending a lease that fails is tried again after retryFirst, doubled each time;
// after MaxTries it is irrevocable, and tried again once in retryLast.
const (
	retryFirst = 10 * time.Second
	retryLast  = 24 * time.Hour
	MaxTries   = 6
	maxError   = 256 // bytes of an error that are kept
)

// Book keeps the leases of one namespace. Nothing of them is held in memory.
type Book struct {
	ns     string
	prefix string // "ns/root/lease/"
	suffix string // of the ids, after the name of each: ".<ns>"; "" in the root
}

// Root is the namespace whose ids carry no suffix.
const Root = "root"

// Open returns the book of namespace ns.
func Open(ns string) *Book { return &Book{ns, "ns/" + ns + "/lease/", Suffix(ns)} }

// Suffix ends the ids, and the accessors and tokens, of namespace ns, so that each
// says where it belongs: ".<ns>", or nothing in the root.
func Suffix(ns string) string {
	if ns == Root {
		return ""
	}
	return "." + ns
}

// Namespace is the namespace in whose book the lease id stands, by its suffix. Names
// of leases hold no '.' themselves.
func Namespace(id string) string { _, ns := Split(id[strings.LastIndexByte(id, '/')+1:]); return ns }

// Split takes the suffix off a name that holds no '.' itself.
func Split(name string) (bare, ns string) {
	if bare, ns, ok := strings.Cut(name, "."); ok {
		return bare, ns
	}
	return name, Root
}

func (b *Book) idKey(id string) string { return b.prefix + "id/" + id }

// ownerKey stands in the book of the owner's namespace, which may be one above.
func (b *Book) ownerKey(owner, id string) string {
	if bare, ns, ok := strings.Cut(owner, "."); ok {
		return Open(ns).ownerKey(bare, id)
	}
	return b.prefix + "owner/" + owner + "/" + id
}
func (b *Book) stuckKey(id string) string { return b.prefix + "irrevocable/" + id }

// TokenKey is where a token made at path is found by that path. Its value is
// empty, which tells it from a lease. The token package writes it.
func (b *Book) TokenKey(path, token string) string { return b.idKey(path + "/h" + token + b.suffix) }

// Prefix is where the ids of all leases and tokens begin.
func (b *Book) Prefix() string { return b.idKey("") }

// queue is the kind, in the due index, of the leases of a mount; all of them stand
// there, whatever their time.
func (b *Book) queue(mount string) string { return queueKind + mount + ":" + b.ns }

const queueKind = "secret:"

// Queues lists the mounts that have leases, by UUID, and their namespaces. It
// costs as much as there are mounts.
func Queues(ctx context.Context, store storage.Store) ([][2]string, error) {
	return queues(ctx, store, queueKind)
}

const workKind = "work:"

// WorkKind is the kind, in the due index, of what the engine of a mount is to do elsewhere.
func WorkKind(mount, ns string) string { return workKind + mount + ":" + ns }

// WorkQueues is Queues for the mounts whose engines have work to do.
func WorkQueues(ctx context.Context, store storage.Store) ([][2]string, error) {
	return queues(ctx, store, workKind)
}

func queues(ctx context.Context, store storage.Store, kind string) ([][2]string, error) {
	var out [][2]string
	names, err := storage.Begin(store).View(duePrefix).List(ctx, "", kind, 0)
	for _, name := range names {
		rest, found := strings.CutPrefix(strings.TrimSuffix(name, "/"), kind)
		if !found {
			break
		}
		if mount, ns, ok := strings.Cut(rest, ":"); ok {
			out = append(out, [2]string{mount, ns})
		}
	}
	return out, err
}

// Queue yields the items of all leases of a mount, the first that ends before the others.
func (b *Book) Queue(ctx context.Context, store storage.Store, mount string) iter.Seq2[Item, error] {
	return Queue(ctx, store, b.queue(mount))
}

// Due returns up to limit leases of a mount that are to be ended now.
func (b *Book) Due(ctx context.Context, store storage.Store, mount string, limit int) ([]Item, error) {
	return Due(ctx, store, b.queue(mount), time.Now(), limit)
}

// Add stores l, a new lease of a request to path whose times are set, and gives it its id.
func (b *Book) Add(tx *storage.Tx, path string, l *Lease) error {
	l.ID = path + "/" + rand.Text() + b.suffix
	if l.Owner != "" {
		tx.Put(b.ownerKey(l.Owner, l.ID), nil)
	}
	return b.put(tx, l, l.Expires)
}

// put stores l, to be ended at due.
func (b *Book) put(tx *storage.Tx, l *Lease, due int64) error {
	if l.Due != 0 {
		tx.Delete(DueKey(l.Due, b.queue(l.Mount), l.ID))
	}
	l.Due = due
	tx.Put(DueKey(l.Due, b.queue(l.Mount), l.ID), nil)
	return storage.PutJSON(tx, b.idKey(l.ID), l)
}

// Get returns the lease of that id, or nil; for the id of a token, also the
// token's ID.
func (b *Book) Get(ctx context.Context, r storage.Reader, id string) (l *Lease, token string, err error) {
	e, err := r.Get(ctx, b.idKey(id))
	if err != nil || !e.Exists() {
		return nil, "", err
	}
	if len(e.Value) == 0 {
		return nil, strings.TrimSuffix(id[strings.LastIndexByte(id, '/')+2:], b.suffix), nil
	}
	l = &Lease{ID: id}
	if err := json.Unmarshal(e.Value, l); err != nil {
		return nil, "", fmt.Errorf("lease: decode a record: %w", err)
	}
	return l, "", nil
}

// Extend gives l a new end.
func (b *Book) Extend(tx *storage.Tx, l *Lease, expires int64) error {
	l.Expires, l.Renewed = expires, time.Now().Unix()
	return b.put(tx, l, expires)
}

// End has l ended as soon as may be, by whoever works its mount's queue off.
func (b *Book) End(tx *storage.Tx, l *Lease) error {
	now := time.Now().Unix()
	tx.Delete(b.stuckKey(l.ID))
	l.Expires, l.Tries = min(l.Expires, now), 0
	return b.put(tx, l, now)
}

// Failed notes that l could not be ended, and when that is to be tried again.
func (b *Book) Failed(tx *storage.Tx, l *Lease, cause error) error {
	now := time.Now()
	l.Expires = min(l.Expires, now.Unix())
	l.Tries, l.Error = l.Tries+1, cause.Error()
	if len(l.Error) > maxError {
		l.Error = strings.ToValidUTF8(l.Error[:maxError], "")
	}
	wait := retryFirst << (l.Tries - 1)
	if l.Irrevocable() {
		l.Tries, wait = MaxTries, retryLast
		tx.Put(b.stuckKey(l.ID), nil)
	}
	return b.put(tx, l, now.Add(wait).Unix())
}

// Mark has l counted by mark.
func (b *Book) Mark(tx *storage.Tx, l *Lease, mark string) error {
	l.Quota = mark
	return storage.PutJSON(tx, b.idKey(l.ID), l)
}

// Remove forgets l: it is ended.
func (b *Book) Remove(tx *storage.Tx, l *Lease) {
	tx.Delete(b.idKey(l.ID))
	tx.Delete(DueKey(l.Due, b.queue(l.Mount), l.ID))
	tx.Delete(b.stuckKey(l.ID))
	if l.Owner != "" {
		tx.Delete(b.ownerKey(l.Owner, l.ID))
	}
}

// List returns the ids directly below the folder prefix, and sub-folders, as LIST does.
func (b *Book) List(ctx context.Context, tx *storage.Tx, prefix, after string, limit int) ([]string, error) {
	return tx.View(b.prefix+"id/").List(ctx, prefix, after, limit)
}

// Under yields the ids of all leases and tokens that begin with prefix and are
// greater than after ("": all).
func (b *Book) Under(ctx context.Context, store storage.Store, prefix, after string) iter.Seq2[string, error] {
	if after != "" {
		after = b.idKey(after)
	}
	return trimmed(store.Keys(ctx, b.idKey(prefix), after), b.idKey(""))
}

// Irrevocables yields the ids of the leases that could not be ended.
func (b *Book) Irrevocables(ctx context.Context, tx *storage.Tx) iter.Seq2[string, error] {
	return trimmed(tx.Keys(ctx, b.stuckKey(""), ""), b.stuckKey(""))
}

// Owned yields the ids of the leases that end with a token.
func (b *Book) Owned(ctx context.Context, store storage.Store, owner string) iter.Seq2[string, error] {
	return trimmed(store.Keys(ctx, b.ownerKey(owner, ""), ""), b.ownerKey(owner, ""))
}

// Disown takes the lease id from its owner, which has ended.
func (b *Book) Disown(tx *storage.Tx, owner, id string) { tx.Delete(b.ownerKey(owner, id)) }

func trimmed(keys iter.Seq2[string, error], prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for k, err := range keys {
			if !yield(strings.TrimPrefix(k, prefix), err) {
				return
			}
		}
	}
}

// EndLater notes that all leases and tokens under prefix are to be ended.
func (b *Book) EndLater(tx *storage.Tx, prefix string) { tx.Put(laterPrefix+b.ns+"/"+prefix, nil) }

// EndedAll takes back EndLater.
func (b *Book) EndedAll(tx *storage.Tx, prefix string) {
	tx.Delete(laterPrefix + b.ns + "/" + prefix)
	if b.ns == Root {
		tx.Delete(olderPrefix + prefix)
	}
}

// One queue for all namespaces, so that those at rest cost nothing; before there
// were any, the root had its own.
const (
	laterPrefix = "lease/later/"
	olderPrefix = "ns/root/lease/later/"
)

// Later yields what EndLater was told, with the namespace.
func Later(ctx context.Context, store storage.Store) iter.Seq2[[2]string, error] {
	return func(yield func([2]string, error) bool) {
		for k, err := range store.Keys(ctx, laterPrefix, "") {
			ns, prefix, _ := strings.Cut(strings.TrimPrefix(k, laterPrefix), "/")
			if !yield([2]string{ns, prefix}, err) {
				return
			}
		}
		for k, err := range store.Keys(ctx, olderPrefix, "") {
			if !yield([2]string{Root, strings.TrimPrefix(k, olderPrefix)}, err) {
				return
			}
		}
	}
}
