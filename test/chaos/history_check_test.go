package chaos

import (
	"testing"

	"github.com/anishathalye/porcupine"
)

// The checker must find what it is there to find.
func TestModelFindsFaults(t *testing.T) {
	write := func(call, end int64, cas int, value string, out outcome) porcupine.Operation {
		return porcupine.Operation{Input: action{key: "k", write: true, cas: cas, value: value}, Output: out, Call: call, Return: end}
	}
	read := func(call, end int64, version int, value string) porcupine.Operation {
		return porcupine.Operation{Input: action{key: "k"}, Output: outcome{version: version, value: value}, Call: call, Return: end}
	}
	never := int64(1<<63 - 1)
	for name, tc := range map[string]struct {
		ops []porcupine.Operation
		ok  bool
	}{
		"in order":                     {[]porcupine.Operation{write(0, 1, 0, "a", outcome{version: 1}), read(2, 3, 1, "a"), write(4, 5, 1, "b", outcome{version: 2}), read(6, 7, 2, "b")}, true},
		"stale read":                   {[]porcupine.Operation{write(0, 1, 0, "a", outcome{version: 1}), write(2, 3, 1, "b", outcome{version: 2}), read(4, 5, 1, "a")}, false},
		"lost write":                   {[]porcupine.Operation{write(0, 1, 0, "a", outcome{version: 1}), read(2, 3, 0, "")}, false},
		"two writers of one version":   {[]porcupine.Operation{write(0, 9, 0, "a", outcome{version: 1}), write(0, 9, 0, "b", outcome{version: 1})}, false},
		"unknown and done":             {[]porcupine.Operation{write(0, never, 0, "a", outcome{unknown: true}), read(2, 3, 1, "a")}, true},
		"unknown and not done":         {[]porcupine.Operation{write(0, never, 0, "a", outcome{unknown: true}), read(2, 3, 0, "")}, true},
		"unknown, not done, then done": {[]porcupine.Operation{write(0, never, 0, "a", outcome{unknown: true}), read(2, 3, 0, ""), read(4, 5, 1, "a")}, true},
		"unknown, done, then undone":   {[]porcupine.Operation{write(0, never, 0, "a", outcome{unknown: true}), read(2, 3, 1, "a"), read(4, 5, 0, "")}, false},
		"refused without cause":        {[]porcupine.Operation{write(0, 1, 0, "a", outcome{refused: true})}, false},
		"refused after an unknown":     {[]porcupine.Operation{write(0, never, 0, "a", outcome{unknown: true}), write(2, 3, 0, "b", outcome{refused: true})}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := porcupine.CheckOperations(model, tc.ops); got != tc.ok {
				t.Errorf("linearizable: %t, want %t", got, tc.ok)
			}
		})
	}
}
