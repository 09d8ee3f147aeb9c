package cli

import (
	"maps"
	"strings"
	"testing"
)

const (
	mountV2 = `{"data":{"path":"secret/","type":"kv","options":{"version":"2"}}}`
	mountV1 = `{"data":{"path":"old/","type":"kv","options":{"version":"1"}}}`

	secretApp = `{"request_id":"r1","data":{"data":{"password":"s3cret","ttl":3600,"user":"ada"},` +
		`"metadata":{"created_time":"2026-01-02T03:04:05.6Z","custom_metadata":null,"deletion_time":"","destroyed":false,"version":2}}}`
	newVersion = `{"request_id":"r2","data":{"created_time":"2026-01-02T03:04:05.6Z","custom_metadata":null,"deletion_time":"","destroyed":false,"version":3}}`

	metadataTable = "======= Metadata =======\n" +
		"Key                Value\n" +
		"---                -----\n" +
		"created_time       2026-01-02T03:04:05.6Z\n" +
		"custom_metadata    <nil>\n" +
		"deletion_time      n/a\n" +
		"destroyed          false\n"
)

// kvAnswers are answers beside those of the mount look-up.
func kvAnswers(answers map[string]answer) map[string]answer {
	all := map[string]answer{
		"GET sys/internal/ui/mounts/secret/app":       ok(mountV2),
		"GET sys/internal/ui/mounts/secret/apps/a":    ok(mountV2),
		"GET sys/internal/ui/mounts/secret/longhorn":  ok(mountV2),
		"GET sys/internal/ui/mounts/secret":           ok(mountV2),
		"GET sys/internal/ui/mounts/old/app":          ok(mountV1),
		"GET sys/internal/ui/mounts/old":              ok(mountV1),
		"GET sys/internal/ui/mounts/forbidden/secret": {403, `{"errors":["preflight capability check returned 403, please ensure client's policies grant access to path \"forbidden/secret/\""]}`},
	}
	maps.Copy(all, answers)
	return all
}

func TestKVGet(t *testing.T) {
	runGolden(t, []goldenCase{{
		args:    []string{"kv", "get", "secret/app"},
		answers: kvAnswers(map[string]answer{"GET secret/data/app": ok(secretApp)}),
		stdout: "= Secret Path =\nsecret/data/app\n\n" + metadataTable + "version            2\n\n" +
			"====== Data ======\n" +
			"Key         Value\n" +
			"---         -----\n" +
			"password    s3cret\n" +
			"ttl         3600\n" +
			"user        ada\n",
		sent: []string{"GET secret/data/app"},
	}, {
		args:    []string{"kv", "get", "-mount=secret", "-version=2", "/app/"},
		answers: kvAnswers(map[string]answer{"GET secret/data/app?version=2": ok(secretApp)}),
		stdout: "= Secret Path =\nsecret/data/app\n\n" + metadataTable + "version            2\n\n" +
			"====== Data ======\n" +
			"Key         Value\n" +
			"---         -----\n" +
			"password    s3cret\n" +
			"ttl         3600\n" +
			"user        ada\n",
		sent: []string{"GET secret/data/app?version=2"},
	}, {
		args:    []string{"kv", "get", "-field=password", "secret/app"},
		answers: kvAnswers(map[string]answer{"GET secret/data/app": ok(secretApp)}),
		stdout:  "s3cret",
	}, {
		args:    []string{"kv", "get", "-format=json", "-field=data", "secret/app"},
		answers: kvAnswers(map[string]answer{"GET secret/data/app": ok(secretApp)}),
		stdout:  "{\n  \"password\": \"s3cret\",\n  \"ttl\": 3600,\n  \"user\": \"ada\"\n}\n",
	}, {
		args:    []string{"kv", "get", "-field=none", "secret/app"},
		answers: kvAnswers(map[string]answer{"GET secret/data/app": ok(secretApp)}),
		code:    1,
		stderr:  "Field \"none\" not present in secret\n",
	}, {
		args:    []string{"kv", "get", "-format=yaml", "secret/app"},
		answers: kvAnswers(map[string]answer{"GET secret/data/app": ok(secretApp)}),
		stdout: `data:
  data:
    password: s3cret
    ttl: 3600
    user: ada
  metadata:
    created_time: "2026-01-02T03:04:05.6Z"
    custom_metadata: null
    deletion_time: ""
    destroyed: false
    version: 2
lease_duration: 0
lease_id: ""
renewable: false
request_id: r1
warnings: null
`,
	}, {
		name: "kv get of a deleted version shows its metadata",
		args: []string{"kv", "get", "secret/app"},
		answers: kvAnswers(map[string]answer{"GET secret/data/app": {404, `{"data":{"data":null,"metadata":{"created_time":"2026-01-02T03:04:05.6Z",` +
			`"custom_metadata":{"owner":"ada"},"deletion_time":"2026-01-03T03:04:05Z","destroyed":false,"version":2}}}`}}),
		stdout: "= Secret Path =\nsecret/data/app\n\n======= Metadata =======\n" +
			"Key                Value\n---                -----\n" +
			"created_time       2026-01-02T03:04:05.6Z\n" +
			"custom_metadata    map[owner:ada]\n" +
			"deletion_time      2026-01-03T03:04:05Z\n" +
			"destroyed          false\n" +
			"version            2\n",
	}, {
		name: "kv get -field of a deleted version",
		args: []string{"kv", "get", "-field=password", "secret/app"},
		answers: kvAnswers(map[string]answer{"GET secret/data/app": {404,
			`{"data":{"data":null,"metadata":{"version":2}}}`}}),
		code:   2,
		stderr: "No data found at secret/data/app\n",
	}, {
		name:    "kv get of nothing",
		args:    []string{"kv", "get", "secret/app"},
		answers: kvAnswers(nil),
		code:    2,
		stderr:  "No value found at secret/data/app\n",
	}, {
		name:    "kv get of version 1",
		args:    []string{"kv", "get", "old/app"},
		answers: kvAnswers(map[string]answer{"GET old/app": ok(`{"lease_duration":2764800,"data":{"foo":"bar"}}`)}),
		stdout:  "=== Data ===\nKey    Value\n---    -----\nfoo    bar\n",
		sent:    []string{"GET old/app"},
	}, {
		name:    "kv get of a mount the token may not know of",
		args:    []string{"kv", "get", "forbidden/secret"},
		answers: kvAnswers(nil),
		code:    2,
		stderr: "Error making API request.\n\nURL: GET {url}/v1/sys/internal/ui/mounts/forbidden/secret\nCode: 403. Errors:\n\n" +
			"* preflight capability check returned 403, please ensure client's policies grant access to path \"forbidden/secret/\"\n",
	}, {
		name:    "kv get without permission",
		args:    []string{"kv", "get", "secret/app"},
		answers: kvAnswers(map[string]answer{"GET secret/data/app": {403, `{"errors":["1 error occurred:\n\t* permission denied\n\n"]}`}}),
		code:    2,
		stderr: "Error reading secret/data/app: Error making API request.\n\nURL: GET {url}/v1/secret/data/app\nCode: 403. Errors:\n\n" +
			"* 1 error occurred:\n\t* permission denied\n\n\n",
	}})
}

func TestKVPut(t *testing.T) {
	runGolden(t, []goldenCase{{
		args:    []string{"kv", "put", "secret/longhorn", "AWS_ACCESS_KEY_ID=id", "AWS_SECRET_ACCESS_KEY=a=b", "AWS_ENDPOINTS=https://x.y"},
		answers: kvAnswers(map[string]answer{"PUT secret/data/longhorn": ok(newVersion)}),
		stdout:  "==== Secret Path ====\nsecret/data/longhorn\n\n" + metadataTable + "version            3\n",
		sent: []string{`PUT secret/data/longhorn {"data":{"AWS_ACCESS_KEY_ID":"id","AWS_ENDPOINTS":"https://x.y",` +
			`"AWS_SECRET_ACCESS_KEY":"a=b"},"options":{}}`},
	}, {
		args:    []string{"kv", "put", "-mount=secret", "-cas=0", "app", "-"},
		stdin:   `{"n": 12345678901234567890, "nested": {"a": [1]}}`,
		answers: kvAnswers(map[string]answer{"PUT secret/data/app": ok(newVersion)}),
		stdout:  "= Secret Path =\nsecret/data/app\n\n" + metadataTable + "version            3\n",
		sent:    []string{`PUT secret/data/app {"data":{"n":12345678901234567890,"nested":{"a":[1]}},"options":{"cas":0}}`},
	}, {
		args:    []string{"kv", "put", "-field=version", "secret/app", "a=b"},
		answers: kvAnswers(map[string]answer{"PUT secret/data/app": ok(newVersion)}),
		stdout:  "3",
	}, {
		name:    "kv put to version 1",
		args:    []string{"kv", "put", "old/app", "a=b"},
		answers: kvAnswers(map[string]answer{"PUT old/app": noContent}),
		stdout:  "Success! Data written to: old/app\n",
		sent:    []string{`PUT old/app {"a":"b"}`},
	}, {
		name:    "kv put of nothing",
		args:    []string{"kv", "put", "secret/app"},
		answers: kvAnswers(nil),
		code:    1,
		stderr:  "Must supply data\n",
		sent:    []string{},
	}, {
		name:    "kv put with a cas that is passed",
		args:    []string{"kv", "put", "-cas=1", "secret/app", "a=b"},
		answers: kvAnswers(map[string]answer{"PUT secret/data/app": {400, `{"errors":["check-and-set parameter did not match the current version"]}`}}),
		code:    2,
		stderr: "Error writing data to secret/data/app: Error making API request.\n\nURL: PUT {url}/v1/secret/data/app\nCode: 400. Errors:\n\n" +
			"* check-and-set parameter did not match the current version\n",
	}})
}

func TestKVPatch(t *testing.T) {
	text := "= Secret Path =\nsecret/data/app\n\n" + metadataTable + "version            3\n"
	runGolden(t, []goldenCase{{
		args:    []string{"kv", "patch", "-remove-data=user", "secret/app", "password=new"},
		answers: kvAnswers(map[string]answer{"PATCH secret/data/app": ok(newVersion)}),
		stdout:  text,
		sent:    []string{`PATCH secret/data/app {"data":{"password":"new","user":null},"options":{}}`},
	}, {
		name: "kv patch where PATCH is refused",
		args: []string{"kv", "patch", "-remove-data=user", "secret/app", "password=new"},
		answers: kvAnswers(map[string]answer{
			"PATCH secret/data/app": {403, `{"errors":["permission denied"]}`},
			"GET secret/data/app":   ok(secretApp),
			"PUT secret/data/app":   ok(newVersion),
		}),
		stdout: text,
		stderr: "Data was written to secret/data/app but we recommend that you add the \"patch\" capability to your ACL policy in order to use HTTP PATCH in the future.\n",
		sent: []string{
			`PATCH secret/data/app {"data":{"password":"new","user":null},"options":{}}`,
			`GET secret/data/app`,
			`PUT secret/data/app {"data":{"password":"new","ttl":3600},"options":{"cas":2}}`,
		},
	}, {
		args:    []string{"kv", "patch", "-method=patch", "secret/app", "a=b"},
		answers: kvAnswers(map[string]answer{"PATCH secret/data/app": {403, `{"errors":["permission denied"]}`}}),
		code:    2,
		stderr: "Error writing data to secret/data/app: Error making API request.\n\nURL: PATCH {url}/v1/secret/data/app\nCode: 403. Errors:\n\n" +
			"* permission denied\n",
		sent: []string{`PATCH secret/data/app {"data":{"a":"b"},"options":{}}`},
	}, {
		name:    "kv patch of nothing there",
		args:    []string{"kv", "patch", "-method=rw", "secret/app", "a=b"},
		answers: kvAnswers(nil),
		code:    2,
		stderr:  "No value found at secret/data/app\n",
	}, {
		args:    []string{"kv", "patch", "old/app", "a=b"},
		answers: kvAnswers(nil),
		code:    2,
		stderr:  "KV engine mount must be version 2 for patch support\n",
	}})
}

func TestKVVersions(t *testing.T) {
	runGolden(t, []goldenCase{{
		args:    []string{"kv", "delete", "secret/app"},
		answers: kvAnswers(map[string]answer{"DELETE secret/data/app": noContent}),
		stdout:  "Success! Data deleted (if it existed) at: secret/data/app\n",
		sent:    []string{"DELETE secret/data/app"},
	}, {
		args:    []string{"kv", "delete", "-versions=3,4", "-mount=secret", "app"},
		answers: kvAnswers(map[string]answer{"PUT secret/delete/app": noContent}),
		stdout:  "Success! Data deleted (if it existed) at: secret/data/app\n",
		sent:    []string{`PUT secret/delete/app {"versions":[3,4]}`},
	}, {
		args:    []string{"kv", "undelete", "-versions=3", "secret/app"},
		answers: kvAnswers(map[string]answer{"PUT secret/undelete/app": noContent}),
		stdout:  "Success! Data written to: secret/undelete/app\n",
		sent:    []string{`PUT secret/undelete/app {"versions":[3]}`},
	}, {
		args:    []string{"kv", "destroy", "-versions=3", "-versions=7", "secret/app"},
		answers: kvAnswers(map[string]answer{"PUT secret/destroy/app": noContent}),
		stdout:  "Success! Data written to: secret/destroy/app\n",
		sent:    []string{`PUT secret/destroy/app {"versions":[3,7]}`},
	}, {
		args:    []string{"kv", "destroy", "secret/app"},
		answers: kvAnswers(nil),
		code:    1,
		stderr:  "No versions provided, use the \"-versions\" flag to specify the version to destroy.\n",
	}, {
		args:    []string{"kv", "undelete", "-versions=latest", "secret/app"},
		answers: kvAnswers(nil),
		code:    1,
		stderr:  "Invalid version \"latest\": versions are whole numbers from 1\n",
	}, {
		args:    []string{"kv", "undelete", "-versions=1", "old/app"},
		answers: kvAnswers(nil),
		code:    1,
		stderr:  "Undelete not supported on KV Version 1 (\"vault kv enable-versioning old\" turns versions on)\n",
	}, {
		args: []string{"kv", "rollback", "-version=1", "secret/app"},
		answers: kvAnswers(map[string]answer{
			"GET secret/data/app":           ok(`{"data":{"data":{"a":"2"},"metadata":{"version":2}}}`),
			"GET secret/data/app?version=1": ok(`{"data":{"data":{"a":"1"},"metadata":{"version":1}}}`),
			"PUT secret/data/app":           ok(newVersion),
		}),
		stdout: strings.TrimPrefix(metadataTable, "======= Metadata =======\n") + "version            3\n",
		sent: []string{"GET secret/data/app", "GET secret/data/app?version=1",
			`PUT secret/data/app {"data":{"a":"1"},"options":{"cas":2}}`},
	}, {
		name: "kv rollback to a destroyed version",
		args: []string{"kv", "rollback", "-version=1", "secret/app"},
		answers: kvAnswers(map[string]answer{
			"GET secret/data/app":           ok(`{"data":{"data":{"a":"2"},"metadata":{"version":2}}}`),
			"GET secret/data/app?version=1": {404, `{"data":{"data":null,"metadata":{"version":1,"destroyed":true}}}`},
		}),
		code:   2,
		stderr: "Version 1 of secret/data/app is deleted or destroyed: there is nothing to roll back to\n",
	}, {
		args:    []string{"kv", "enable-versioning", "old"},
		answers: map[string]answer{"POST sys/mounts/old/tune": noContent},
		stdout:  "Success! Tuned the secrets engine at: old/\n",
		sent:    []string{`POST sys/mounts/old/tune {"options":{"version":"2"}}`},
	}})
}

func TestKVList(t *testing.T) {
	keys := ok(`{"data":{"keys":["apps/","argocd","longhorn-r2"]}}`)
	runGolden(t, []goldenCase{{
		args:    []string{"kv", "list", "secret/"},
		answers: kvAnswers(map[string]answer{"GET secret/metadata": keys}),
		stdout:  "Keys\n----\napps/\nargocd\nlonghorn-r2\n",
		sent:    []string{"GET secret/metadata?list=true"},
	}, {
		args:    []string{"kv", "list", "-mount=secret"},
		answers: kvAnswers(map[string]answer{"GET secret/metadata": keys}),
		stdout:  "Keys\n----\napps/\nargocd\nlonghorn-r2\n",
	}, {
		args:    []string{"kv", "list", "-format=json", "old"},
		answers: kvAnswers(map[string]answer{"GET old": keys}),
		stdout:  "[\n  \"apps/\",\n  \"argocd\",\n  \"longhorn-r2\"\n]\n",
	}, {
		args:    []string{"kv", "list", "secret/apps/a"},
		answers: kvAnswers(nil),
		code:    2,
		stderr:  "No value found at secret/metadata/apps/a\n",
	}, {
		args:    []string{"kv", "list", "-format=json", "secret/apps/a"},
		answers: kvAnswers(nil),
		code:    2,
		stdout:  "{}\n",
	}, {
		args:   []string{"kv", "list"},
		code:   1,
		stderr: "Not enough arguments (expected 1, got 0)\n",
	}})
}

func TestKVMetadata(t *testing.T) {
	runGolden(t, []goldenCase{{
		args: []string{"kv", "metadata", "get", "secret/app"},
		answers: kvAnswers(map[string]answer{"GET secret/metadata/app": ok(`{"data":{"cas_required":false,"created_time":"2026-01-01T00:00:00Z",` +
			`"current_version":10,"delete_version_after":"0s","max_versions":0,"oldest_version":2,"updated_time":"2026-01-02T00:00:00Z",` +
			`"versions":{"10":{"created_time":"c10","deletion_time":"","destroyed":false},"2":{"created_time":"c2","deletion_time":"","destroyed":true}}}}`)}),
		stdout: `== Metadata Path ==
secret/metadata/app

========== Metadata ==========
Key                     Value
---                     -----
cas_required            false
created_time            2026-01-01T00:00:00Z
current_version         10
delete_version_after    0s
max_versions            0
oldest_version          2
updated_time            2026-01-02T00:00:00Z

====== Version 2 ======
Key              Value
---              -----
created_time     c2
deletion_time    n/a
destroyed        true

===== Version 10 =====
Key              Value
---              -----
created_time     c10
deletion_time    n/a
destroyed        false
`,
	}, {
		args:    []string{"kv", "metadata", "put", "-max-versions=0", "-delete-version-after=3h", "-custom-metadata=owner=ada", "secret/app"},
		answers: kvAnswers(map[string]answer{"PUT secret/metadata/app": noContent}),
		stdout:  "Success! Data written to: secret/metadata/app\n",
		sent:    []string{`PUT secret/metadata/app {"custom_metadata":{"owner":"ada"},"delete_version_after":"3h0m0s","max_versions":0}`},
	}, {
		args:    []string{"kv", "metadata", "patch", "-remove-custom-metadata=owner", "-cas-required", "secret/app"},
		answers: kvAnswers(map[string]answer{"PATCH secret/metadata/app": noContent}),
		stdout:  "Success! Data written to: secret/metadata/app\n",
		sent:    []string{`PATCH secret/metadata/app {"cas_required":true,"custom_metadata":{"owner":null}}`},
	}, {
		args:    []string{"kv", "metadata", "delete", "-mount=secret", "app"},
		answers: kvAnswers(map[string]answer{"DELETE secret/metadata/app": noContent}),
		stdout:  "Success! Data deleted (if it existed) at: secret/metadata/app\n",
	}, {
		args:    []string{"kv", "metadata", "get", "old/app"},
		answers: kvAnswers(nil),
		code:    1,
		stderr:  "Metadata not supported on KV Version 1 (\"vault kv enable-versioning old\" turns versions on)\n",
	}})
}

// The widths are those of outputs of Vault that people published.
func TestHeading(t *testing.T) {
	for path, want := range map[string]string{
		"kv/data/app/db":                                "= Secret Path =",
		"secret/data/hello":                             "== Secret Path ==",
		"secret/data/db-pass":                           "=== Secret Path ===",
		"secret/data/myapp/config":                      "====== Secret Path ======",
		"secret/data/myapp/database":                    "======= Secret Path =======",
		"kv/my-thing/data/class/agent/fizz":             "========== Secret Path ==========",
		"app-example-app-kv/data/example-secret":        "============= Secret Path =============",
		"secret/data/vault-agent-sidecar-injector-demo": "================ Secret Path ================",
	} {
		if got := heading("Secret Path", len(path)); got != want {
			t.Errorf("heading over %s: %s, want %s", path, got, want)
		}
	}
}

func TestKVFlagsThatMustNotReachTheMountLookup(t *testing.T) {
	server := serve(t, kvAnswers(map[string]answer{
		"GET secret/data/app": ok(`{"wrap_info":{"token":"hvs.wrap","accessor":"acc","ttl":60,"creation_time":"2026-01-02T03:04:05Z","creation_path":"secret/data/app"}}`),
	}))
	term := newTerminal(t, server)
	got := term.run("kv", "get", "-wrap-ttl=60", "secret/app")
	want := `Key                              Value
---                              -----
wrapping_token:                  hvs.wrap
wrapping_accessor:               acc
wrapping_token_ttl:              1m
wrapping_token_creation_time:    2026-01-02 03:04:05 +0000 UTC
wrapping_token_creation_path:    secret/data/app
`
	if got.stdout != want || got.code != 0 {
		t.Errorf("wrapped read: %+v, want\n%s", got, want)
	}
	if ttl := server.seen[0].header.Get("X-Vault-Wrap-Ttl"); ttl != "" {
		t.Errorf("the mount look-up asked for wrapping (%s)", ttl)
	}
	if ttl := server.last().header.Get("X-Vault-Wrap-Ttl"); ttl != "1m0s" {
		t.Errorf("the read asked for wrapping of %q, want 1m0s", ttl)
	}

	got = term.run("kv", "put", "-output-curl-string", "secret/app", "a=b'c")
	if got.code != 0 || !strings.HasPrefix(got.stdout, "curl -X PUT ") ||
		!strings.HasSuffix(got.stdout, server.url+"/v1/secret/data/app\n") || strings.Contains(got.stdout, "root-token") {
		t.Errorf("-output-curl-string: %+v", got)
	}
	got = term.run("kv", "get", "-output-policy", "secret/app")
	if got.code != 0 || got.stdout != "path \"secret/data/app\" {\n  capabilities = [\"read\"]\n}\n" {
		t.Errorf("-output-policy: %+v", got)
	}
	if n := len(server.lines()); n != 1 {
		t.Errorf("%d requests were sent besides look-ups, want the wrapped read alone", n)
	}
}
