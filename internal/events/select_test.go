package events

import (
	"strings"
	"testing"
	"time"

	"strongroom/engine"
)

func TestSelect(t *testing.T) {
	write := sample()
	remove := sample()
	remove.Type, remove.DataPath = "kv-v2/data-delete", ""
	child := sample()
	child.Namespace = "team/dev/"
	for _, c := range []struct {
		types, namespace string
		below            []string
		filter           string
		want             string // of write, remove and child
	}{
		{"*", "", nil, "", "yyn"},
		{"kv*", "", nil, "", "yyn"},
		{"kv-v2/*", "", nil, "", "yyn"},
		{"kv-v2/data-write", "", nil, "", "ynn"},
		{"kv-v2/data-*te", "", nil, "", "yyn"},
		{"kv-v2", "", nil, "", "nnn"},
		{"*", "", []string{"team"}, "", "yyn"},
		{"*", "", []string{"team/*"}, "", "yyy"},
		{"*", "", []string{"/team/dev/"}, "", "yyy"},
		{"*", "", []string{"*"}, "", "yyy"},
		{"*", "team/", nil, "", "nnn"},
		{"*", "team/", []string{"dev"}, "", "nny"},
		{"*", "tea", []string{"*"}, "", "nnn"},
		{"*", "", nil, `data_path == secret/data/foo`, "ynn"},
		{"*", "", nil, `data_path == secret/data/foo and operation != "data-write"`, "nnn"},
		{"*", "", nil, `operation != write and not (event_type == "kv-v2/data-delete")`, "ynn"},
		{"*", "", nil, `source_plugin_mount == "secret/" and source_plugin_is_local == false`, "yyn"},
		{"*", "", []string{"*"}, `namespace == "team/dev/"`, "nny"},
		{"*", "", nil, `data_path is empty`, "nyn"},
		{"*", "", nil, `data_path matches "^secret/data/f"`, "ynn"},
		{"*", "", nil, `"/data_path" contains "foo"`, "ynn"},
	} {
		s, err := Select(c.types, c.namespace, c.below, c.filter)
		if err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		got := ""
		for _, e := range []*Event{write, remove, child} {
			got += map[bool]string{true: "y", false: "n"}[s.Wants(e)]
		}
		if got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

func TestSelectRefuses(t *testing.T) {
	for _, c := range []struct {
		types  string
		below  []string
		filter string
		text   string
	}{
		{"", nil, "", "event type is empty"},
		{"*", nil, "data_path ==", "cannot be read"},
		{"*", nil, "datapath == x", "which events do not have"},
		{"*", nil, "operation == x or path == y", "which events do not have"},
		{"*", nil, "operation.length == x", "which events do not have"},
		{"*", nil, `any data_path as x { x == "a" }`, "events have no lists"},
		{"*", nil, `data_path matches "("`, "cannot be read"},
		{"*", nil, "source_plugin_is_local == maybe", "which is true or false"},
		{"*", nil, "source_plugin_is_local is empty", "true or false"},
		{"*", nil, "not (operation is nil)", "can only be empty"},
		{"*", make([]string, maxNamespaces+1), "", "namespaces"},
		{"*", nil, "operation == " + strings.Repeat("x", maxFilter), "bytes long"},
		{"*", nil, strings.Repeat("(", 1000) + "operation == x" + strings.Repeat(")", 1000), "cannot be read"},
	} {
		begun := time.Now()
		if _, err := Select(c.types, "", c.below, c.filter); err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%.60q %v: %v; want %q", c.filter, len(c.below), err, c.text)
		}
		if took := time.Since(begun); took > time.Second {
			t.Errorf("%.60q took %s", c.filter, took)
		}
	}
}

func FuzzSelect(f *testing.F) {
	f.Add("kv*", "ns1", "data_path == secret/data/foo and operation != \"data-write\"")
	f.Add("*", "*", "not (data_path matches \"a+\") or namespace is not empty")
	f.Add("a*b*c", "", "source_plugin_is_local != x and \"/operation\" in data_path")
	f.Fuzz(func(t *testing.T, types, namespace, filter string) {
		s, err := Select(types, "", []string{namespace}, filter)
		if err != nil {
			if strings.TrimSpace(err.Error()) == "" {
				t.Error("an error that says nothing")
			}
			return
		}
		e := sample()
		wanted := s.Wants(e)
		// A filter and its opposite never both match, and without it more does.
		if all, err := Select(types, "", []string{namespace}, ""); err != nil || (wanted && !all.Wants(e)) {
			t.Errorf("%q matches, and nothing does without it, %v", filter, err)
		}
		if strings.TrimSpace(filter) != "" && wanted {
			if not, err := Select(types, "", []string{namespace}, "not ("+filter+")"); err == nil && not.Wants(e) {
				t.Errorf("%q and its opposite match", filter)
			}
		}
		e.Event = engine.Event{Type: types, Path: filter}
		if s.filter != nil {
			if _, err := s.filter.Evaluate(subject{EventType: types, DataPath: filter}); err != nil {
				t.Errorf("%q was accepted and fails: %v", filter, err)
			}
		}
		if _, err := e.JSON("vault://n", namespace); err != nil {
			t.Error(err)
		}
		e.Protobuf(namespace)
	})
}
