package cubbyhole_test

import (
	"encoding/json"
	"strings"
	"testing"

	"strongroom/engine"
	"strongroom/engine/cubbyhole"
	"strongroom/engine/enginetest"
	"strongroom/internal/storage"
)

func TestCubbyhole(t *testing.T) {
	m := enginetest.New(t, storage.NewMem(), "cubbyhole/", cubbyhole.Factory, nil)
	for _, c := range []struct {
		op         engine.Operation
		path, body string
		want       string // the data, or what the error says
	}{
		{engine.Read, "a", "", "not found"},
		{engine.List, "", "", "not found"},
		{engine.Update, "a", `{"path":"mine","n":1.50}`, ""},
		{engine.Read, "a", "", `{"path":"mine","n":1.50}`},
		{engine.Update, "b/c", `{"x":"<y>"}`, ""},
		{engine.List, "", "", `{"keys":["a","b/"]}`},
		{engine.List, "b", "", `{"keys":["c"]}`},
		{engine.List, "b/", "", `{"keys":["c"]}`},
		{engine.Update, "a", "", "missing data fields"},
		{engine.Update, "a", "{}", "missing data fields"},
		{engine.Update, "b/", `{"x":1}`, "cannot write to a path ending in '/'"},
		{engine.Update, "b//c", `{"x":1}`, "must not have the segment"},
		{engine.Update, "b/../c", `{"x":1}`, "must not have the segment"},
		{engine.Update, "b\x01", `{"x":1}`, "printable"},
		{engine.Update, "a", `{"x":"` + strings.Repeat("y", 1<<20) + `"}`, "at most 1048576"},
		{engine.Patch, "a", `{"x":1}`, "unsupported operation"},
		{engine.Delete, "a", "", ""},
		{engine.Delete, "a", "", ""},
		{engine.Read, "a", "", "not found"},
		{engine.List, "", "", `{"keys":["b/"]}`},
	} {
		var body any
		if c.body != "" {
			body = json.RawMessage(c.body)
		}
		resp, err := m.Do(c.op, c.path, body)
		got := ""
		if err != nil {
			got = err.Error()
		} else if resp != nil {
			got = enginetest.JSON(t, resp)
		}
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s %s %.40s: %s, want %s", c.op, c.path, c.body, got, c.want)
		}
	}
}
