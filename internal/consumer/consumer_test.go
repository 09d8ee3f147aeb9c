package consumer_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"strongroom/internal/consumer"
)

func anything(string) bool { return true }

func entry(name string, paths ...string) consumer.Entry {
	return consumer.Entry{Kind: "VaultSecret", Namespace: "shop", Name: name, Paths: paths, State: "Valid", Version: "3", Synced: "2026-01-02T03:04:05Z"}
}

func report(instance string, reset bool, entries ...consumer.Entry) consumer.Report {
	return consumer.Report{Namespace: "root", Reporter: "e1", Name: "kubernetes-shop", Cluster: "prod", Instance: instance, Reset: reset, Entries: entries, Allowed: anything}
}

// names are what the registry shows, in its order.
func names(r *consumer.Registry, q consumer.Query) string {
	q.Namespace = "root"
	var out []string
	for _, c := range r.Find(q).Resources {
		out = append(out, c.Name)
	}
	return strings.Join(out, " ")
}

func want(t *testing.T, what string, got, want any) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %+v, want %+v", what, got, want)
	}
}

func TestReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := consumer.New(consumer.DefaultLimits)
		want(t, "news of an unknown instance", r.Report(report("a", false, entry("x", "secret/data/x"))), consumer.Outcome{})
		want(t, "nothing of it is held", names(r, consumer.Query{}), "")
		want(t, "all", r.Report(report("a", true, entry("b", "secret/data/x"), entry("a", "secret/data/y", "secret/data/team/"))), consumer.Outcome{Known: true, Accepted: 2, Held: 2})
		want(t, "more", r.Report(report("a", false, entry("c", "secret/data/z"))), consumer.Outcome{Known: true, Accepted: 1, Held: 3})
		want(t, "in order", names(r, consumer.Query{}), "a b c")
		want(t, "one goes", r.Report(report("a", false, entry("b"))), consumer.Outcome{Known: true, Held: 2})
		want(t, "it went", names(r, consumer.Query{}), "a c")

		want(t, "by path", names(r, consumer.Query{Path: "secret/data/y"}), "a")
		want(t, "by a path in a folder", names(r, consumer.Query{Path: "secret/data/team/db"}), "a")
		want(t, "by a longer path", names(r, consumer.Query{Path: "secret/data/y2"}), "")
		want(t, "by prefix", names(r, consumer.Query{Prefix: "secret/data/z"}), "c")
		want(t, "by a part", names(r, consumer.Query{Search: "SHOP/C"}), "c")
		want(t, "by kind", names(r, consumer.Query{Kind: "VaultPKISecret"}), "")
		want(t, "in another namespace of the server", r.Find(consumer.Query{Namespace: "other"}).Total, 0)
		if a := r.Find(consumer.Query{Namespace: "root", Limit: 1}); a.Total != 2 || len(a.Resources) != 1 || a.States["Valid"] != 2 {
			t.Errorf("with a limit: %+v", a)
		}

		time.Sleep(consumer.Life - time.Second)
		want(t, "a renewal", r.Report(report("a", false)), consumer.Outcome{Known: true, Held: 2})
		time.Sleep(consumer.Life - time.Second)
		want(t, "renewed", names(r, consumer.Query{}), "a c")
		time.Sleep(time.Second)
		want(t, "over", names(r, consumer.Query{}), "")
		want(t, "and unknown", r.Report(report("a", false)).Known, false)

		r.Report(report("a", true, entry("x", "secret/data/x")))
		want(t, "all anew", r.Report(report("a", true, entry("y", "secret/data/x"))), consumer.Outcome{Known: true, Accepted: 1, Held: 1})
		want(t, "what is not told anew goes", names(r, consumer.Query{}), "y")
	})
}

// TestInstances: what a process of the operator that is gone has told ends by itself; what its successor tells of takes its place at once.
func TestInstances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := consumer.New(consumer.DefaultLimits)
		r.Report(report("a", true, entry("x", "secret/data/x"), entry("gone", "secret/data/x")))
		time.Sleep(consumer.Period)
		want(t, "its successor", r.Report(report("b", true, entry("x", "secret/data/x"))), consumer.Outcome{Known: true, Accepted: 1, Held: 1})
		want(t, "shown once", names(r, consumer.Query{}), "gone x")
		want(t, "renewal of the first", r.Report(report("a", false)).Held, 1)
		r.Report(report("a", false, entry("x")))
		want(t, "what the first has no more to tell of is the other's", names(r, consumer.Query{}), "gone x")
		r.Report(report("a", true))
		want(t, "it takes back only its own", names(r, consumer.Query{}), "x")
		time.Sleep(consumer.Life)
		_, _ = r.Sweep(t.Context())
		r.Report(report("a", true, entry("x", "secret/data/x")))

		other := report("a", true, entry("x", "secret/data/x"))
		other.Reporter, other.Name = "e2", "mallory"
		r.Report(other)
		other.Entries = []consumer.Entry{entry("x")}
		r.Report(other)
		want(t, "nobody takes back what another reported", names(r, consumer.Query{}), "x")
	})
}

// TestRights: what the reporter may not use is not held, and not held any longer once it may not.
func TestRights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := consumer.New(consumer.DefaultLimits)
		mine := report("a", true, entry("both", "secret/data/a", "secret/data/b"), entry("b", "secret/data/b"))
		allowed := "secret/data/a"
		mine.Allowed = func(path string) bool { return strings.HasPrefix(path, allowed) }
		want(t, "half of it", r.Report(mine), consumer.Outcome{Known: true, Accepted: 1, Dropped: 1, Held: 1})
		want(t, "the other path", names(r, consumer.Query{Path: "secret/data/b"}), "")
		allowed = "secret/"
		r.Report(mine)
		want(t, "all of it", names(r, consumer.Query{}), "b both")
		mine.Reset, mine.Entries, allowed = false, nil, "secret/data/a"
		time.Sleep(consumer.Period)
		want(t, "after the right went", r.Report(mine), consumer.Outcome{Known: true, Held: 1})
		want(t, "the other path", names(r, consumer.Query{Path: "secret/data/b"}), "")
	})
}

func TestHostile(t *testing.T) {
	r := consumer.New(consumer.DefaultLimits)
	with := func(change func(*consumer.Entry)) consumer.Entry {
		e := entry("x", "secret/data/x")
		change(&e)
		return e
	}
	long := strings.Repeat("x", 2000)
	for what, e := range map[string]consumer.Entry{
		"no name":             with(func(e *consumer.Entry) { e.Name = "" }),
		"no kind":             with(func(e *consumer.Entry) { e.Kind = "" }),
		"a long kind":         with(func(e *consumer.Entry) { e.Kind = long }),
		"a long name":         with(func(e *consumer.Entry) { e.Name = long }),
		"a long namespace":    with(func(e *consumer.Entry) { e.Namespace = long }),
		"a long state":        with(func(e *consumer.Entry) { e.State = long }),
		"a long version":      with(func(e *consumer.Entry) { e.Version = long }),
		"a long path":         with(func(e *consumer.Entry) { e.Paths = []string{long} }),
		"an empty path":       with(func(e *consumer.Entry) { e.Paths = []string{""} }),
		"a slash at first":    with(func(e *consumer.Entry) { e.Paths = []string{"/secret/data/x"} }),
		"a step up":           with(func(e *consumer.Entry) { e.Paths = []string{"secret/data/x/../y"} }),
		"two slashes":         with(func(e *consumer.Entry) { e.Paths = []string{"secret/data/x//"} }),
		"many paths":          with(func(e *consumer.Entry) { e.Paths = slices.Repeat([]string{"secret/data/x"}, 100) }),
		"a line break":        with(func(e *consumer.Entry) { e.State = "a\nb" }),
		"an escape":           with(func(e *consumer.Entry) { e.Name = "a\x1b[31m" }),
		"text backwards":      with(func(e *consumer.Entry) { e.Name = "a\u202eb" }),
		"no text":             with(func(e *consumer.Entry) { e.Name = "a\xff" }),
		"a time that is none": with(func(e *consumer.Entry) { e.Synced = "yesterday" }),
	} {
		want(t, what, r.Report(report("a", true, e)), consumer.Outcome{Known: true, Invalid: 1})
	}
	want(t, "nothing of it", r.Find(consumer.Query{Namespace: "root"}).Total, 0)
}

// TestLessonReportsAreBounded: no reporter, and not all of them together, take more memory than they may; what ends makes room.
func TestLessonReportsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := consumer.New(consumer.Limits{Reporter: 10 << 10, All: 15 << 10})
		var many []consumer.Entry
		for i := range 100 {
			many = append(many, entry(fmt.Sprintf("n%02d", i), "secret/data/x"))
		}
		first := r.Report(report("a", true, many...))
		if first.Accepted+first.NoRoom != 100 || first.Accepted < 10 || first.Accepted > 25 {
			t.Errorf("one reporter: %+v", first)
		}
		other := report("a", true, many...)
		other.Reporter = "e2"
		second := r.Report(other)
		if second.Accepted >= first.Accepted || second.Accepted == 0 || second.Held != second.Accepted {
			t.Errorf("another: %+v", second)
		}
		again := r.Report(report("a", true, many...))
		want(t, "the same anew takes no more", again, first)
		held := 0
		for i := range 1000 {
			third := report("a", true)
			third.Reporter = fmt.Sprint("f", i)
			if r.Report(third).Known {
				held++
			}
		}
		if held > 15 {
			t.Errorf("%d reporters without entries", held)
		}
		for i := range 100 {
			r.Report(report(fmt.Sprint("i", i), true))
		}
		time.Sleep(consumer.Life)
		_, _ = r.Sweep(t.Context())
		other.Reporter = "e3"
		want(t, "after their end", r.Report(other).Accepted, first.Accepted)
	})
}

// BenchmarkFind: 10,000 resources, of which one is asked for, as the page of a secret does.
func BenchmarkFind(b *testing.B) {
	r := consumer.New(consumer.DefaultLimits)
	for login := range 100 {
		one := report("a", true)
		one.Reporter = fmt.Sprint(login)
		for i := range 100 {
			one.Entries = append(one.Entries, entry(fmt.Sprintf("n%d-%d", login, i), fmt.Sprintf("secret/data/n%d/%d", login, i)))
		}
		r.Report(one)
	}
	for name, q := range map[string]consumer.Query{"path": {Path: "secret/data/n50/50"}, "search": {Search: "n50"}, "all": {Limit: 500}} {
		q.Namespace = "root"
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if r.Find(q).Total == 0 {
					b.Fatal("nothing is found")
				}
			}
		})
	}
}
