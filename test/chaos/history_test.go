package chaos

import (
	"fmt"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// history is what all clients saw, in the order of one clock. Safe for concurrent use.
type history struct {
	mu    sync.Mutex
	begin time.Time
	ops   []porcupine.Operation
}

// action is one thing a client did to one key.
type action struct {
	key   string
	write bool
	cas   int    // of a write: the version that must be there
	value string // of a write
}

// outcome is what the client was told.
type outcome struct {
	unknown bool   // it may have happened, or may happen yet
	undone  bool   // the server says that nothing was done
	refused bool   // a write whose cas did not match
	version int    // of a write: the one it made; of a read: the current one, 0 for none
	value   string // of a read
}

func (h *history) now() int64 { return int64(time.Since(h.begin)) }

// do records what act says about a.
func (h *history) do(client int, a action, act func() outcome) outcome {
	call := h.now()
	out := act()
	end := h.now()
	if out.unknown && !a.write {
		return out // it tells nothing
	}
	if out.unknown {
		end = 1<<63 - 1 // it has no end that anybody saw
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: a, Output: out, Call: call, Return: end})
	return out
}

// register is the state of one key: a version that only ever grows by one, and its value.
type register struct {
	version int
	value   string
}

// model is what a key may answer, for porcupine to find an order of all operations that fits.
var model = porcupine.Model{
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
		r, a, out := state.(register), input.(action), output.(outcome)
		if !a.write {
			return out.version == r.version && out.value == r.value, r
		}
		next := r
		if r.version == a.cas {
			next = register{r.version + 1, a.value}
		}
		switch {
		case out.undone:
			return true, r
		case out.unknown: // done if it could be; never done is the same as done after all else
			return true, next
		case out.refused:
			return r.version != a.cas, r
		}
		return next != r && out.version == next.version, next
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %+v", input, output) },
}

// settle compares what clients were told of a key with versions, which is all that the key has in the end, and returns the lies: writes that
// were acknowledged and are not there, or were said not to be done and are. As no two values are the same, it also settles what became of the
// writes whose outcome nobody was told; porcupine would have to try each of them everywhere.
func (h *history) settle(key string, versions map[int]string) (lies []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	made := map[string]int{}
	for v, value := range versions {
		made[value] = v
	}
	for i, op := range h.ops {
		a, out := op.Input.(action), op.Output.(outcome)
		if a.key != key || !a.write {
			continue
		}
		version, there := made[a.value]
		switch {
		case out.unknown && there:
			h.ops[i].Output = outcome{version: version}
		case out.unknown:
			h.ops[i].Output = outcome{undone: true}
		case (out.undone || out.refused) && there:
			lies = append(lies, fmt.Sprintf("%s: a write was answered with %+v, but it made version %d", key, out, version))
		case !out.undone && !out.refused && version != out.version:
			lies = append(lies, fmt.Sprintf("%s: version %d was acknowledged as %s and is %q", key, out.version, a.value, versions[out.version]))
		}
	}
	return lies
}

// acknowledged counts the writes that were.
func (h *history) acknowledged() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, op := range h.ops {
		if out := op.Output.(outcome); op.Input.(action).write && out.version > 0 {
			n++
		}
	}
	return n
}
