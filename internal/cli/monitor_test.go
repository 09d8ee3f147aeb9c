package cli

import "testing"

func TestScanCommand(t *testing.T) {
	keys := ok(`{"data":{"keys":["a","b/c"]}}`)
	runGolden(t, []goldenCase{{
		args:    []string{"scan", "secret/metadata/apps"},
		answers: map[string]answer{"GET secret/metadata/apps": keys},
		stdout:  "Keys\n----\na\nb/c\n",
	}, {
		args:    []string{"scan", "-format=json", "old/"},
		answers: map[string]answer{"GET old": keys},
		stdout:  "[\n  \"a\",\n  \"b/c\"\n]\n",
	}, {
		args:    []string{"scan", "none"},
		answers: map[string]answer{},
		code:    2,
		stderr:  "No value found at none\n",
	}})
}

func TestMonitorCommand(t *testing.T) {
	runGolden(t, []goldenCase{{
		args:    []string{"monitor", "-log-level=debug"},
		answers: map[string]answer{"GET sys/monitor": {200, "one\ntwo\n"}},
		stdout:  "one\ntwo\n",
	}})
}
