package consumer

import (
	"cmp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// sound says whether the entry is of the form that it should have: names that Kubernetes could give, paths that the API could
// have, nothing that could not be printed, and all of it of bounded length.
func (e Entry) sound() bool {
	if e.Kind == "" || e.Name == "" || len(e.Paths) > maxPaths || !Printable(e.Kind) || !Printable(e.State) || !Printable(e.Version) {
		return false
	}
	for _, name := range []string{e.Namespace, e.Name} {
		if len(name) > maxName || !printable(name) {
			return false
		}
	}
	for _, p := range e.Paths {
		if len(p) > maxPath || !printable(p) || !canonical(p) {
			return false
		}
	}
	if e.Synced == "" {
		return true
	}
	_, err := time.Parse(time.RFC3339, e.Synced)
	return err == nil
}

// canonical says whether p could be the path of a request: none with a segment that is empty or steps up gets as far as a policy.
func canonical(p string) bool {
	for segment := range strings.SplitSeq(strings.TrimSuffix(p, "/"), "/") {
		if segment == "" || segment == "." || segment == ".." {
			return false
		}
	}
	return true
}

// Printable says whether a text is one that people can be shown, of at most 128 bytes.
func Printable(text string) bool { return len(text) <= maxText && printable(text) }

func printable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(c rune) bool { return !unicode.IsPrint(c) })
}

// cost is about how many bytes of memory the resource takes.
func (r *Resource) cost() int {
	n := entryCost + len(r.Kind) + len(r.Namespace) + len(r.Name) + len(r.State) + len(r.Version) + len(r.Synced) + len(r.Reporter)
	for _, p := range r.Paths {
		n += pathCost + len(p)
	}
	return n
}

// Query says what is asked for. What is empty selects nothing.
type Query struct {
	Namespace string // of the server, by id
	Path      string // that the resource uses, itself or with all that is below a folder
	Prefix    string // of one of its paths
	Search    string // a part of its cluster, kind, name or paths, in whatever case
	Cluster   string
	Kind      string
	State     string
	Limit     int // 0: all
}

// Answer is what was found, in the order of clusters, namespaces, names and kinds.
type Answer struct {
	Resources []*Resource
	Total     int            // that the query is about
	States    map[string]int // of all that it is about, whatever its State
}

// Find answers q.
func (r *Registry) Find(q Query) Answer {
	q.Search = strings.ToLower(q.Search)
	out := Answer{States: map[string]int{}}
	now := time.Now()
	r.mu.Lock()
	for key, of := range r.reporters {
		if key.namespace != q.Namespace {
			continue
		}
		for _, h := range of.resources {
			if !now.Before(h.of.expires) || !q.about(h.Resource) {
				continue
			}
			out.States[h.State]++
			if q.State == "" || q.State == h.State {
				out.Resources = append(out.Resources, h.Resource)
			}
		}
	}
	r.mu.Unlock()
	slices.SortFunc(out.Resources, func(a, b *Resource) int {
		return cmp.Or(cmp.Compare(a.Cluster, b.Cluster), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name),
			cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Reporter, b.Reporter), a.Reported.Compare(b.Reported))
	})
	if out.Total = len(out.Resources); q.Limit > 0 && out.Total > q.Limit {
		out.Resources = out.Resources[:q.Limit]
	}
	return out
}

// about says whether q is about the resource, but for its State.
func (q Query) about(r *Resource) bool {
	return (q.Cluster == "" || q.Cluster == r.Cluster) && (q.Kind == "" || q.Kind == r.Kind) &&
		(q.Path == "" || slices.ContainsFunc(r.Paths, func(p string) bool { return uses(p, q.Path) })) &&
		(q.Prefix == "" || slices.ContainsFunc(r.Paths, func(p string) bool { return strings.HasPrefix(p, q.Prefix) })) &&
		(q.Search == "" || contains(r, q.Search))
}

// uses says whether who uses p uses path.
func uses(p, path string) bool {
	return p == path || strings.HasSuffix(p, "/") && strings.HasPrefix(path, p)
}

func contains(r *Resource, low string) bool {
	texts := append([]string{r.Cluster, r.Kind, r.Namespace + "/" + r.Name, r.State}, r.Paths...)
	return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(strings.ToLower(text), low) })
}
