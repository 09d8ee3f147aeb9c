package engine

import "testing"

func TestRouterMatch(t *testing.T) {
	r, err := NewRouter([]Route{{Path: "config"}, {Path: "data/{path...}"}, {Path: "role/{name}"}, {Path: "role"}, {Path: "{path...}"}, {Path: "role/{name}/secret"}, {Path: "role/all"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		op         Operation
		path, want string
		param      string
	}{
		{Read, "config", "config", ""},
		{Read, "data/a/b", "data/{path...}", "a/b"},
		{Read, "data", "{path...}", "data"},
		{List, "data", "data/{path...}", ""},
		{List, "data/", "data/{path...}", ""},
		{List, "data/a/", "data/{path...}", "a/"},
		{Read, "data/", "{path...}", "data/"},
		{Read, "role/x", "role/{name}", "x"},
		{Read, "role/all", "role/all", ""},
		{List, "role/", "role", ""},
		{List, "role", "role", ""},
		{Read, "role/x/secret", "role/{name}/secret", "x"},
		{List, "", "{path...}", ""},
	} {
		route, params, ok := r.Match(c.op, c.path)
		if !ok || route.Path != c.want {
			t.Errorf("%s %q: got %v %v, want %q", c.op, c.path, route, ok, c.want)
			continue
		}
		if got := params["path"] + params["name"]; got != c.param {
			t.Errorf("%s %q: parameter %q, want %q", c.op, c.path, got, c.param)
		}
	}
	if _, _, ok := r.Match(Read, ""); ok {
		t.Error("an empty path matched")
	}
	for _, bad := range [][]Route{{{Path: "a/{x}"}, {Path: "a/{y}"}}, {{Path: "{x...}/a"}}} {
		if _, err := NewRouter(bad); err == nil {
			t.Errorf("%v was accepted", bad)
		}
	}
}
