package server

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/hashicorp/go-hclog"

	"strongroom/engine"
	"strongroom/engine/enginetest"
	"strongroom/internal/active"
	"strongroom/internal/audit"
	"strongroom/internal/barrier"
	"strongroom/internal/gateway"
	"strongroom/internal/lockout"
	"strongroom/internal/mount"
	"strongroom/internal/secret"
	"strongroom/internal/snapshot"
	"strongroom/internal/storage"
	"strongroom/internal/sys"
)

const answersFile = "../../ui/answers.json"

var update = flag.Bool("update", false, "write ui/answers.json")

// idle is the node of a Session that is only asked what it can do.
type idle struct {
	sys.Members
	snapshot.Source
	sys.Keyring
}

func (idle) Seal(context.Context) error           { return nil }
func (idle) StepDown(context.Context) error       { return nil }
func (idle) TendKey(context.Context) (int, error) { return 0, nil }

// session is one of a server of config with every engine; ask asks it as root.
func session(t *testing.T, config *Config) (ask func(op engine.Operation, path, body string) *gateway.Response) {
	t.Helper()
	store := barrier.New(storage.NewMem())
	if _, err := store.Initialize(secret.NewKey()); err != nil {
		t.Fatal(err)
	}
	root, err := active.Initialize(t.Context(), store, "")
	if err != nil {
		t.Fatal(err)
	}
	s, err := active.Open(t.Context(), active.Config{Store: store, Types: builtin(), Node: idle{}, Logger: hclog.NewNullLogger(),
		Limits: mount.Limits{Default: time.Hour, Max: time.Hour}, Inspect: sys.Inspect{Config: config.sanitized()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return func(op engine.Operation, path, body string) *gateway.Response {
		t.Helper()
		resp, err := s.Serve(t.Context(), &gateway.Request{ID: "id", Operation: op, Path: path, Token: string(root), Body: []byte(body)})
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		return resp
	}
}

// whole is the OpenAPI document of a server on which every engine and method is mounted under its own name, KV in both versions.
func whole(t *testing.T) []byte {
	t.Helper()
	ask := session(t, &Config{})
	ask(engine.Update, "sys/mounts/kv-v2", `{"type":"kv-v2"}`)
	for name, kind := range builtin() {
		at := map[bool]string{true: "sys/auth/", false: "sys/mounts/"}[kind.Auth]
		ask(engine.Update, at+name, fmt.Sprintf(`{"type":%q}`, name))
	}
	return ask(engine.Read, "sys/internal/specs/openapi", "").Raw.Body
}

// answers is the document without what it says of requests, which the web UI reads from the server when it needs it.
func answers(t *testing.T, document []byte) []byte {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal(document, &doc); err != nil {
		t.Fatal(err)
	}
	doc["paths"] = map[string]any{}
	components := doc["components"].(map[string]any)
	delete(components, "responses")
	maps.DeleteFunc(components["schemas"].(map[string]any), func(name string, _ any) bool { return strings.HasSuffix(name, "Request") })
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetIndent("", " ")
	if err := e.Encode(doc); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// ui/answers.json, of which the web UI's types are made, is what the server says of its answers.
// With -update it is written anew; make ui-types makes the types, too.
func TestTypesOfTheUIAreCurrent(t *testing.T) {
	got := answers(t, whole(t))
	if *update {
		if err := os.WriteFile(answersFile, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(answersFile)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(got, kept) {
		return
	}
	have, want := strings.Split(string(kept), "\n"), strings.Split(string(got), "\n")
	for i := range min(len(have), len(want)) {
		if have[i] != want[i] {
			t.Errorf("line %d is %s; the server says %s", i+1, have[i], want[i])
			break
		}
	}
	t.Error("ui/answers.json is not what the server says of its answers: run make ui-types, and commit what it writes")
}

// The document is one that other tools can read.
func TestOpenAPIDocumentIsValid(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(whole(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Error(err)
	}
}

// Every route of the server says what it answers, so that a client's types can be made of that: a new one too.
func TestEveryRouteSaysWhatItAnswers(t *testing.T) {
	types := builtin()
	maps.Copy(types, (&sys.Deps{}).Types())
	for _, name := range slices.Sorted(maps.Keys(types)) {
		for _, options := range []map[string]string{{"version": "1"}, {"version": "2"}} {
			if name != "kv" && options["version"] == "2" {
				continue
			}
			e, err := types[name].Factory(engine.Env{Mount: engine.Mount{Path: name + "/", Type: name, Options: options}, Logger: hclog.NewNullLogger()})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range e.Routes() {
				for _, op := range []engine.Operation{engine.Read, engine.List, engine.Scan, engine.Update, engine.Patch, engine.Delete} {
					_, said := r.Answer(op)
					switch served := r.Handler(op) != nil; {
					case said && !served:
						t.Errorf("%s: %s says what %s answers, which it does not serve", name, r.Path, op)
					case served && !said:
						t.Errorf("%s: %s does not say what %s answers (engine.Route.Answers)", name, r.Path, op)
					}
				}
			}
		}
	}
}

func TestSanitizedConfigIsAsItsRouteSays(t *testing.T) {
	for _, config := range []*Config{{}, {
		Listeners: []Listener{{Address: "127.0.0.1:0"}}, Seals: []SealStanza{{Type: "static"}}, Registration: &ServiceRegistration{},
		Audit: Audit{Devices: []audit.Spec{{Type: "file", Path: "f/"}}}, Lockout: lockout.Defaults{Types: map[string]lockout.Config{"userpass": {}}},
	}} {
		resp := session(t, config)(engine.Read, "sys/config/state/sanitized", "")
		enginetest.CheckAnswer(t, resp.Route, engine.Read, &resp.Response)
	}
}
