package cli

import "testing"

func TestNamespace(t *testing.T) {
	const created = `{"data":{"id":"A1b2C","path":"team-a/","custom_metadata":{"owner":"ada"}}}`
	table := "Key                Value\n---                -----\ncustom_metadata    map[owner:ada]\nid                 A1b2C\npath               team-a/\n"
	runGolden(t, []goldenCase{{
		args:    []string{"namespace", "create", "-custom-metadata=owner=ada", "team-a/"},
		answers: map[string]answer{"PUT sys/namespaces/team-a": ok(created)},
		stdout:  table,
		sent:    []string{`PUT sys/namespaces/team-a {"custom_metadata":{"owner":"ada"}}`},
	}, {
		args:    []string{"namespace", "create", "-field=id", "team-a"},
		answers: map[string]answer{"PUT sys/namespaces/team-a": ok(created)},
		stdout:  "A1b2C",
		sent:    []string{`PUT sys/namespaces/team-a {"custom_metadata":null}`},
	}, {
		args:    []string{"namespace", "patch", "-custom-metadata=a=b", "-remove-custom-metadata=c", "team-a"},
		answers: map[string]answer{"PATCH sys/namespaces/team-a": ok(created)},
		stdout:  table,
		sent:    []string{`PATCH sys/namespaces/team-a {"custom_metadata":{"a":"b","c":null}}`},
	}, {
		args:    []string{"namespace", "lookup", "team-a"},
		answers: map[string]answer{"GET sys/namespaces/team-a": ok(created)},
		stdout:  table,
		sent:    []string{"GET sys/namespaces/team-a"},
	}, {
		args:    []string{"namespace", "lookup", "none"},
		answers: map[string]answer{"GET sys/namespaces/none": {404, `{"errors":[]}`}},
		code:    2,
		stderr:  "Namespace not found\n",
		sent:    []string{"GET sys/namespaces/none"},
	}, {
		args:    []string{"namespace", "list"},
		answers: map[string]answer{"GET sys/namespaces?list=true": ok(`{"data":{"keys":["a/","b/"],"key_info":{}}}`)},
		stdout:  "Keys\n----\na/\nb/\n",
	}, {
		args:    []string{"namespace", "list", "-detailed"},
		answers: map[string]answer{"GET sys/namespaces?list=true": ok(`{"data":{"keys":["a/"],"key_info":{"a/":{"id":"A1b2C","path":"a/","custom_metadata":{}}}}}`)},
		stdout:  "Path    ID       Custom Metadata\n----    --       ---------------\na/      A1b2C    map[]\n",
	}, {
		args:    []string{"namespace", "delete", "team-a"},
		answers: map[string]answer{"DELETE sys/namespaces/team-a": noContent},
		stdout:  "Success! Namespace deleted at: team-a/\n",
		sent:    []string{"DELETE sys/namespaces/team-a"},
	}, {
		args:    []string{"namespace", "lock", "team-a/sub"},
		answers: map[string]answer{"PUT sys/namespaces/api-lock/lock/team-a/sub": ok(`{"data":{"unlock_key":"k"}}`)},
		stdout:  "Key           Value\n---           -----\nunlock_key    k\n",
		sent:    []string{"PUT sys/namespaces/api-lock/lock/team-a/sub null"},
	}, {
		args:    []string{"namespace", "unlock", "-unlock-key=k"},
		answers: map[string]answer{"PUT sys/namespaces/api-lock/unlock": noContent},
		stdout:  "Success! The namespace is unlocked\n",
		sent:    []string{`PUT sys/namespaces/api-lock/unlock {"unlock_key":"k"}`},
	}})
}
