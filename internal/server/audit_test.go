package server

import (
	"reflect"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"strongroom/internal/audit"
)

func TestAuditStanzas(t *testing.T) {
	const rest = "\nstorage \"inmem\" {}\nlistener \"tcp\" { tls_disable = true }\ndisable_mlock = true\n"
	for name, c := range map[string]struct {
		file, text string
		want       []audit.Spec
	}{
		"OpenBao's": {"a.hcl", "audit \"file\" \"to-stdout\" {\n  description = \"d\"\n  options {\n    file_path = \"stdout\"\n    log_raw = \"true\"\n  }\n}" + rest,
			[]audit.Spec{{Type: "file", Path: "to-stdout", Description: "d", Options: map[string]string{"file_path": "stdout", "log_raw": "true"}}}},
		"in short": {"a.hcl", "audit \"file\" {\n  file_path = \"stdout\"\n}\naudit \"socket\" \"a/b\" {\n  local = true\n  address = \"127.0.0.1:1\"\n  options = { socket_type = \"tcp\" }\n}" + rest,
			[]audit.Spec{{Type: "file", Path: "file", Options: map[string]string{"file_path": "stdout"}}, {Type: "socket", Path: "a/b", Local: true, Options: map[string]string{"address": "127.0.0.1:1", "socket_type": "tcp"}}}},
		"JSON": {"a.json", `{"audit":[{"file":{"x":{"options":{"file_path":"stdout","elide_list_responses":true}}}}],"storage":{"inmem":{}},"listener":{"tcp":{"tls_disable":true}},"disable_mlock":true}`,
			[]audit.Spec{{Type: "file", Path: "x", Options: map[string]string{"file_path": "stdout", "elide_list_responses": "true"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			write(t, map[string]string{c.file: c.text})
			got, warnings, err := LoadConfig(c.file)
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range warnings {
				if strings.Contains(w, "audit") {
					t.Errorf("warned: %s", w)
				}
			}
			if !reflect.DeepEqual(got.Audit.Devices, c.want) || got.Audit.AllowAPI || got.Audit.AllowPrefix {
				t.Errorf("got %+v, want %+v", got.Audit, c.want)
			}
			log, err := openAudit(got, Options{}, "n", hclog.NewNullLogger())
			if err != nil {
				t.Fatal(err)
			}
			if err := log.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	for text, want := range map[string]string{
		"audit \"file\" \"x\" {\n  file_path = [\"a\"]\n}":                                        "single values",
		"audit \"file\" \"x\" {\n  file_path = \"a\"\n  options {\n    file_path = \"b\"\n  }\n}": "set twice",
		"audit \"file\" \"x\" {\n  options = \"a\"\n}":                                            "a block is needed",
		"audit = \"file\"": "a block with its type is needed",
	} {
		write(t, map[string]string{"a.hcl": text + rest})
		if _, _, err := LoadConfig("a.hcl"); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "a.hcl:1") {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
	write(t, map[string]string{"a.hcl": "unsafe_allow_api_audit_creation = true\nallow_audit_log_prefixing = true\nplugin_directory = \"plugins\"\naudit \"file\" \"x\" {\n  file_path = \"plugins/x.log\"\n}" + rest, "plugins/y": ""})
	c, _, err := LoadConfig("a.hcl")
	if err != nil || !c.Audit.AllowAPI || !c.Audit.AllowPrefix {
		t.Fatalf("%+v, %v", c, err)
	}
	for path, want := range map[string]string{"plugins/x.log": "folder of programs", "a.hcl": "folder of programs", "missing/x": "folder of file_path"} {
		c.Audit.Devices[0].Options["file_path"] = path
		if _, err := openAudit(c, Options{ConfigPaths: []string{"a.hcl"}}, "n", hclog.NewNullLogger()); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "audit device x/") {
			t.Errorf("a device at %s: %v", path, err)
		}
	}
}
