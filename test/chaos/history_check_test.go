package chaos

import (
	"testing"

	"github.com/anishathalye/porcupine"
)

// The checker must find what it is there to find.
func TestModelFindsFaults(t *testing.T) {
	put := func(call, end int64, cas int, value string, out outcome) porcupine.Operation {
		return porcupine.Operation{Input: action{kind: write, key: "k", cas: cas, value: value}, Output: out, Call: call, Return: end}
	}
	get := func(call, end int64, version int, value string) porcupine.Operation {
		return porcupine.Operation{Input: action{kind: read, key: "k"}, Output: outcome{version: version, value: value}, Call: call, Return: end}
	}
	token := func(k kind, call, end int64, out outcome) porcupine.Operation {
		return porcupine.Operation{Input: action{kind: k, key: "t"}, Output: out, Call: call, Return: end}
	}
	for name, tc := range map[string]struct {
		ops []porcupine.Operation
		ok  bool
	}{
		"in order":                     {[]porcupine.Operation{put(0, 1, 0, "a", outcome{version: 1}), get(2, 3, 1, "a"), put(4, 5, 1, "b", outcome{version: 2}), get(6, 7, 2, "b")}, true},
		"stale read":                   {[]porcupine.Operation{put(0, 1, 0, "a", outcome{version: 1}), put(2, 3, 1, "b", outcome{version: 2}), get(4, 5, 1, "a")}, false},
		"lost write":                   {[]porcupine.Operation{put(0, 1, 0, "a", outcome{version: 1}), get(2, 3, 0, "")}, false},
		"two writers of one version":   {[]porcupine.Operation{put(0, 9, 0, "a", outcome{version: 1}), put(0, 9, 0, "b", outcome{version: 1})}, false},
		"unknown and done":             {[]porcupine.Operation{put(0, never, 0, "a", outcome{unknown: true}), get(2, 3, 1, "a")}, true},
		"unknown and not done":         {[]porcupine.Operation{put(0, never, 0, "a", outcome{unknown: true}), get(2, 3, 0, "")}, true},
		"unknown, not done, then done": {[]porcupine.Operation{put(0, never, 0, "a", outcome{unknown: true}), get(2, 3, 0, ""), get(4, 5, 1, "a")}, true},
		"unknown, done, then undone":   {[]porcupine.Operation{put(0, never, 0, "a", outcome{unknown: true}), get(2, 3, 1, "a"), get(4, 5, 0, "")}, false},
		"refused without cause":        {[]porcupine.Operation{put(0, 1, 0, "a", outcome{refused: true})}, false},
		"refused after an unknown":     {[]porcupine.Operation{put(0, never, 0, "a", outcome{unknown: true}), put(2, 3, 0, "b", outcome{refused: true})}, true},
		"token in order":               {[]porcupine.Operation{token(create, 0, 1, outcome{}), token(see, 2, 3, outcome{there: true}), token(end, 4, 5, outcome{}), token(see, 6, 7, outcome{})}, true},
		"revoked token works":          {[]porcupine.Operation{token(create, 0, 1, outcome{}), token(end, 2, 3, outcome{}), token(see, 4, 5, outcome{there: true})}, false},
		"new token does not work":      {[]porcupine.Operation{token(create, 0, 1, outcome{}), token(see, 2, 3, outcome{})}, false},
		"token comes back":             {[]porcupine.Operation{token(create, 0, 1, outcome{}), token(end, 2, never, outcome{unknown: true}), token(see, 4, 5, outcome{}), token(see, 6, 7, outcome{there: true})}, false},
		"revocation unknown":           {[]porcupine.Operation{token(create, 0, 1, outcome{}), token(end, 2, never, outcome{unknown: true}), token(see, 4, 5, outcome{there: true})}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := porcupine.CheckOperations(model(), tc.ops); got != tc.ok {
				t.Errorf("linearizable: %t, want %t", got, tc.ok)
			}
		})
	}
}
