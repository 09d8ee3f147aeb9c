package chaos

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// history is what all clients saw, in the order of one clock. Safe for concurrent use.
type history struct {
	mu    sync.Mutex
	begin time.Time
	ops   []porcupine.Operation
	acks  []time.Duration // when a change was acknowledged, since begin
	count map[string]int  // by kind and outcome
}

// kind is what an action does. A register is read and written; a thing is created, seen and ended: a token, or a name in a
// folder. The key says what it is before its first slash.
type kind string

const (
	read   kind = "read"
	write  kind = "write"
	create kind = "create"
	see    kind = "see"
	end    kind = "end"
)

// action is one thing a client did to one key.
type action struct {
	kind  kind
	key   string
	cas   int    // of a write: the version that must be there
	value string // of a write
	node  int    // that was asked
}

func (a action) changes() bool { return a.kind == write || a.kind == create || a.kind == end }

// outcome is what the client was told.
type outcome struct {
	unknown bool   // it may have happened, or may happen yet
	undone  bool   // the server says that nothing was done
	refused bool   // a write whose cas did not match
	version int    // of a write: the one it made; of a read: the current one, 0 for none
	value   string // of a read
	there   bool   // of a thing that was looked for
}

func (o outcome) String() string {
	switch {
	case o.unknown:
		return "unknown"
	case o.undone:
		return "not done"
	case o.refused:
		return "refused"
	}
	return "answered"
}

func newHistory() *history { return &history{begin: time.Now(), count: map[string]int{}} }

func (h *history) now() time.Duration { return time.Since(h.begin) }

// do records what act says about a.
func (h *history) do(client int, a action, act func() outcome) outcome {
	call := h.now()
	out := act()
	h.record(client, a, out, call, h.now())
	return out
}

// never is the end of an operation that nobody saw end.
const never = 1<<63 - 1

func (h *history) record(client int, a action, out outcome, call, done time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	subject, _, _ := strings.Cut(a.key, "/")
	h.count[fmt.Sprintf("%s %s: %s", subject, a.kind, out)]++
	switch {
	case out.undone && a.changes():
		// Kept: settle checks that it is true. To the model it is nothing.
	case out.unknown && a.changes():
		done = never
	case out.unknown || out.undone:
		return // it tells nothing
	case a.changes() && !out.refused:
		h.acks = append(h.acks, done)
	}
	h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: a, Output: out, Call: int64(call), Return: int64(done)})
}

// acknowledged counts the changes that were.
func (h *history) acknowledged() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.acks)
}

// longestGap is the longest time between two moments without an acknowledged change.
func (h *history) longestGap(from, to time.Duration) (longest time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	last := from
	for _, ack := range h.acks { // in the order they were recorded, nearly that of time
		if ack > last && ack <= to {
			longest, last = max(longest, ack-last), ack
		}
	}
	return max(longest, to-last)
}

// register is the state of one key: a version that only ever grows by one, and its value. A thing is there when its version is 1, else 0.
type register struct {
	version int
	value   string
}

// model is what a key may answer, for porcupine to find an order of all operations that fits.
func model() porcupine.Model {
	return porcupine.Model{
		Partition: func(ops []porcupine.Operation) [][]porcupine.Operation {
			byKey := map[string][]porcupine.Operation{}
			for _, op := range ops {
				key := op.Input.(action).key
				byKey[key] = append(byKey[key], op)
			}
			var parts [][]porcupine.Operation
			for _, part := range byKey {
				parts = append(parts, part)
			}
			return parts
		},
		Init: func() any { return register{} },
		Step: func(state, input, output any) (bool, any) {
			return step(state.(register), input.(action), output.(outcome))
		},
		DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %+v", input, output) },
	}
}

// step tells whether out is right for a on r, and what r is then. A change of which nobody knows is done if it can be, and has no end: never
// done is the same as done after all else.
func step(r register, a action, out outcome) (ok bool, next register) {
	switch {
	case out.undone:
		return true, r
	case a.kind == read:
		return out.version == r.version && out.value == r.value, r
	case a.kind == see:
		return out.there == (r.version == 1), r
	case a.kind == create:
		return true, register{version: 1}
	case a.kind == end:
		return true, register{}
	case out.refused:
		return r.version != a.cas, r
	}
	if r.version != a.cas {
		return out.unknown, r
	}
	next = register{r.version + 1, a.value}
	return out.unknown || out.version == next.version, next
}

// settle compares what clients were told of the secrets with all the versions that these have in the end, and returns the lies: writes that
// were acknowledged and are not there, or were said not to be done and are. As no two values are the same, it also settles what became of the
// writes whose outcome nobody was told; porcupine would have to try each of them everywhere.
func (h *history) settle(versions map[string]map[int]string) (lies []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	made := map[string]int{}
	for _, values := range versions {
		for v, value := range values {
			made[value] = v
		}
	}
	for i, op := range h.ops {
		a, out := op.Input.(action), op.Output.(outcome)
		if a.kind != write {
			continue
		}
		version, there := made[a.value]
		switch {
		case out.unknown && there:
			h.ops[i].Output = outcome{version: version}
		case out.unknown:
			h.ops[i].Output = outcome{undone: true}
		case (out.undone || out.refused) && there:
			lies = append(lies, fmt.Sprintf("%s: a write was answered with %+v, but it made version %d", a.key, out, version))
		case !out.undone && !out.refused && version != out.version:
			lies = append(lies, fmt.Sprintf("%s: version %d was acknowledged as %s and is %q", a.key, out.version, a.value, versions[a.key][out.version]))
		}
	}
	return lies
}

// keys are the secrets that were written.
func (h *history) keys() map[string]bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	keys := map[string]bool{}
	for _, op := range h.ops {
		if a := op.Input.(action); a.kind == write {
			keys[a.key] = true
		}
	}
	return keys
}

// check looks for an order of all operations that every client could have seen, key by key, and returns the operations of the keys that have
// none, in the order of their calls.
func (h *history) check(limit time.Duration) (wrong []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var ops []porcupine.Operation
	for _, op := range h.ops {
		if !op.Output.(outcome).undone {
			ops = append(ops, op)
		}
	}
	m := model()
	if porcupine.CheckOperationsTimeout(m, ops, limit) == porcupine.Ok {
		return nil
	}
	for _, part := range m.Partition(ops) {
		key := part[0].Input.(action).key
		if result := porcupine.CheckOperationsTimeout(m, part, limit); result != porcupine.Ok {
			wrong = append(wrong, fmt.Sprintf("%s: is there an order of %d operations that all clients could have seen? %v", key, len(part), result)+excerpt(part))
		}
	}
	return wrong
}

// excerpt shows where a key's history goes wrong: the operations around the end of the longest prefix, in the order of answers, that is right.
func excerpt(part []porcupine.Operation) string {
	ops := append([]porcupine.Operation(nil), part...)
	slices.SortFunc(ops, func(x, y porcupine.Operation) int { return cmp.Compare(x.Return, y.Return) })
	m := model()
	good := 0
	for bad := len(ops); bad-good > 1; {
		half := (good + bad) / 2
		// What began before the prefix ends may have had its effect in it.
		prefix := append([]porcupine.Operation(nil), ops[:half]...)
		for _, op := range ops[half:] {
			if a := op.Input.(action); op.Call <= ops[half-1].Return && a.changes() && !op.Output.(outcome).refused {
				op.Output, op.Return = outcome{unknown: true}, never
				prefix = append(prefix, op)
			}
		}
		if porcupine.CheckOperationsTimeout(m, prefix, 10*time.Second) == porcupine.Ok {
			good = half
		} else {
			bad = half
		}
	}
	text := ""
	for i := max(0, good-12); i < min(len(ops), good+4); i++ {
		a, out := ops[i].Input.(action), ops[i].Output.(outcome)
		mark := "  "
		if i == good {
			mark = "=>"
		}
		text += fmt.Sprintf("\n  %s %12.6f to %12.6f s, node %d: %+v: %+v", mark, time.Duration(ops[i].Call).Seconds(), time.Duration(ops[i].Return).Seconds(), a.node, a, out)
	}
	return text
}
