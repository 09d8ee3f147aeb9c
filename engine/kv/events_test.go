package kv

import (
	"fmt"
	"testing"

	"strongroom/engine/enginetest"
)

// TestEvents: every change is told once, with the fields that Vault documents for
// its type, and what changes nothing is not.
func TestEvents(t *testing.T) {
	two, _ := mountV2(t)
	one := enginetest.New(t, newStore(), "kv/", Factory, nil)
	for _, c := range []struct {
		m          *enginetest.Mounted
		call, body string
		want       string // type path data_path metadata
	}{
		{two, "PUT data/app/db", `{"data":{"a":"1"}}`, "kv-v2/data-write data/app/db data/app/db map[current_version:1 oldest_version:0]"},
		{two, "PUT data/app/db", `{"data":{"a":"1"},"options":{"cas":7}}`, ""},
		{two, "PATCH data/app/db", `{"data":{"b":"2"}}`, "kv-v2/data-patch data/app/db data/app/db map[current_version:2 oldest_version:0]"},
		{two, "PATCH data/other", `{"data":{"b":"2"}}`, ""},
		{two, "GET data/app/db", "", ""},
		{two, "DELETE data/app/db", "", "kv-v2/data-delete data/app/db  map[current_version:2 oldest_version:0]"},
		{two, "DELETE data/app/db", "", ""},
		{two, "DELETE data/other", "", ""},
		{two, "PUT undelete/app/db", `{"versions":[2]}`, "kv-v2/undelete undelete/app/db data/app/db map[current_version:2 oldest_version:0]"},
		{two, "PUT undelete/app/db", `{"versions":[2,9]}`, ""},
		{two, "PUT delete/app/db", `{"versions":[1,2]}`, "kv-v2/delete delete/app/db  map[current_version:2 oldest_version:0]"},
		{two, "PUT destroy/app/db", `{"versions":[1]}`, "kv-v2/destroy destroy/app/db  map[current_version:2 oldest_version:0]"},
		{two, "PUT destroy/app/db", `{"versions":[1]}`, ""},
		{two, "PUT config", `{"max_versions":1}`, "kv-v2/config-write config config map[]"},
		{two, "PUT metadata/app/db", `{"cas_required":false}`, "kv-v2/metadata-write metadata/app/db metadata/app/db map[current_version:2 oldest_version:0]"},
		{two, "PATCH metadata/app/db", `{"cas_required":true}`, "kv-v2/metadata-patch metadata/app/db metadata/app/db map[current_version:2 oldest_version:0]"},
		{two, "PUT data/app/db", `{"data":{"a":"1"},"options":{"cas":2}}`, "kv-v2/data-write data/app/db data/app/db map[current_version:3 oldest_version:3]"},
		{two, "DELETE metadata/app/db", "", "kv-v2/metadata-delete metadata/app/db  map[]"},
		{two, "DELETE metadata/app/db", "", ""},
		{one, "PUT app/db", `{"a":"1"}`, "kv-v1/write app/db app/db map[]"},
		{one, "PUT app/db", `{}`, ""},
		{one, "GET app/db", "", ""},
		{one, "DELETE app/db", "", "kv-v1/delete app/db  map[]"},
	} {
		c.m.Emitted = nil
		answer, got := do(c.m, c.call, c.body), ""
		for _, e := range c.m.Emitted {
			got += fmt.Sprintf("%s %s %s %v", e.Type, e.Path, e.DataPath, e.Metadata)
			if !e.Modified {
				got += " not modified"
			}
		}
		if got != c.want {
			t.Errorf("%s %s told %q, want %q (answer: %s)", c.call, c.body, got, c.want, answer)
		}
	}
}
