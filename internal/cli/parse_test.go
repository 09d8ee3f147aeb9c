package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseKV(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "ca.crt")
	object := filepath.Join(dir, "data.json")
	for path, content := range map[string]string{file: "-----BEGIN-----\n", object: `{"a":{"b":[1,true,null]},"big":12345678901234567890}`} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		name  string
		stdin string
		args  []string
		want  string // JSON, or the error if it does not begin with {
	}{
		{"none", "", nil, `{}`},
		{"one", "", []string{"a=b"}, `{"a":"b"}`},
		{"empty value", "", []string{"a="}, `{"a":""}`},
		{"equals sign in value", "", []string{"a=b=c=="}, `{"a":"b=c=="}`},
		{"repeated key is a list", "", []string{"a=1", "b=x", "a=2", "a=3"}, `{"a":["1","2","3"],"b":"x"}`},
		{"numbers stay text", "", []string{"n=007"}, `{"n":"007"}`},
		{"file verbatim", "", []string{"ca=@" + file}, `{"ca":"-----BEGIN-----\n"}`},
		{"escaped at", "", []string{`user=\@ada`}, `{"user":"@ada"}`},
		{"backslash alone", "", []string{`p=\n`}, `{"p":"\\n"}`},
		{"stdin verbatim", "line\n", []string{"v=-"}, `{"v":"line\n"}`},
		{"dash inside a value", "", []string{"v=-5", "w=a-"}, `{"v":"-5","w":"a-"}`},
		{"JSON on stdin", `{"a": 1.50, "b": ["x"]}`, []string{"-"}, `{"a":1.50,"b":["x"]}`},
		{"JSON file", "", []string{"@" + object}, `{"a":{"b":[1,true,null]},"big":12345678901234567890}`},
		{"JSON, then a pair", `{"a":"1"}`, []string{"-", "b=2"}, `{"a":"1","b":"2"}`},
		{"pair added to a list in JSON", `{"a":["1"]}`, []string{"-", "a=2"}, `{"a":["1","2"]}`},
		{"empty argument", "", []string{"", "a=b"}, `{"a":"b"}`},
		{"no equals sign", "", []string{"secret"}, `invalid key/value pair "secret": format must be key=value`},
		{"no key", "", []string{"=x"}, `invalid key/value pair "=x": format must be key=value`},
		{"no such file", "", []string{"a=@" + dir + "/none"}, "error reading file: open " + dir + "/none: no such file or directory"},
		{"stdin twice", "x", []string{"a=-", "b=-"}, "stdin is named twice, but can be read once only"},
		{"empty JSON", "", []string{"-"}, `invalid JSON in stdin: it is empty, but must be an object such as {"key": "value"}`},
		{"JSON list", `["hunter2"]`, []string{"-"}, `invalid JSON in stdin: not a JSON object (near byte 11)`},
		{"JSON null", `null`, []string{"-"}, `invalid JSON in stdin: it is null, but must be an object such as {"key": "value"}`},
		{"two objects", `{} {}`, []string{"-"}, `invalid JSON in stdin: more text after the object (near byte 4)`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			data, err := ParseKV(strings.NewReader(tc.stdin), tc.args)
			if err != nil {
				if err.Error() != tc.want {
					t.Errorf("error %q, want %q", err, tc.want)
				}
				return
			}
			got, err := json.Marshal(data)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestJSONErrorsDoNotShowTheSecret(t *testing.T) {
	_, err := ParseKV(strings.NewReader(`{"password": hunter2}`), []string{"-"})
	if err == nil || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "'h'") {
		t.Errorf("error %v, want one that shows nothing of the input", err)
	}
}

func FuzzParseKV(f *testing.F) {
	for _, seed := range [][3]string{{"a=b", "a=c", ""}, {"-", "a=1", `{"a":[1]}`}, {"k=-", `x=\@y`, "text"}, {"=", "-", "{}"}, {"a", "b=-", "{"}} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, first, second, stdin string) {
		for _, arg := range []string{first, second} {
			if _, value, ok := strings.Cut(arg, "="); strings.HasPrefix(arg, "@") || ok && strings.HasPrefix(value, "@") {
				return // it names a file
			}
		}
		data, err := ParseKV(strings.NewReader(stdin), []string{first, second})
		if err != nil {
			if data != nil {
				t.Errorf("data %v beside error %v", data, err)
			}
			return
		}
		if _, err := json.Marshal(data); err != nil {
			t.Errorf("cannot be sent: %v", err)
		}
		key, value, ok := strings.Cut(first, "=")
		if !ok || first == "-" || second == "-" || value == "-" || strings.HasPrefix(value, `\@`) {
			return
		}
		if other, _, _ := strings.Cut(second, "="); other != key && !reflect.DeepEqual(data[key], value) {
			t.Errorf("%q gave %v, want %q", first, data[key], value)
		}
	})
}

func TestParseTTL(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"90": 90 * time.Second, "1h30m": 90 * time.Minute, "7d": 7 * 24 * time.Hour, "0": 0, " 5m ": 5 * time.Minute, "-1": -time.Second,
	} {
		if got, err := parseTTL(text); err != nil || got != want {
			t.Errorf("parseTTL(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "x", "1y", "99999999999999999999", "999999999999d", "d"} {
		if got, err := parseTTL(text); err == nil {
			t.Errorf("parseTTL(%q) = %v, want an error", text, got)
		}
	}
}

func FuzzParseTTL(f *testing.F) {
	for _, seed := range []string{"1h", "90", "7d", "-3d", "9223372036854775807", "106751d", "1h1d"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := parseTTL(text)
		if err != nil {
			return
		}
		again, err := parseTTL(d.String())
		if err != nil || again != d {
			t.Errorf("%q is %v, which reads as %v, %v", text, d, again, err)
		}
	})
}

func TestHumanDuration(t *testing.T) {
	for seconds, want := range map[int]string{0: "0s", 10: "10s", 60: "1m", 3600: "1h", 86400: "24h", 2764800: "768h", 5400: "1h30m", 3605: "1h0m5s", 600: "10m"} {
		if got := humanSeconds(seconds); got != want {
			t.Errorf("%d s is %s, want %s", seconds, got, want)
		}
	}
}

func TestListAndPairsFlags(t *testing.T) {
	var l list
	_ = l.Set("a, b,,c")
	_ = l.Set("d")
	if want := (list{"a", "b", "c", "d"}); !reflect.DeepEqual(l, want) {
		t.Errorf("list %v, want %v", l, want)
	}
	var p pairs
	if err := p.Set("k=v=w"); err != nil || p["k"] != "v=w" {
		t.Errorf("pairs %v, %v", p, err)
	}
	if p.Set("k") == nil || p.Set("=v") == nil {
		t.Error("a pair without = or key was taken")
	}
}

func FuzzFlags(f *testing.F) {
	f.Add("a=b", "-version=2")
	f.Add("-mount", "x")
	f.Add("--", "-")
	f.Fuzz(func(t *testing.T, first, second string) {
		// Whatever stands on the command line, reading it must not panic. This command takes no arguments.
		term := newTerminal(t, nil)
		term.env["VAULT_ADDR"] = "http://127.0.0.1:0"
		if got := term.run("version", "x", first, second); got.code != exitUsage {
			t.Errorf("code %d for version x %q %q", got.code, first, second)
		}
		var p pairs
		if key, _, _ := strings.Cut(first, "="); p.Set(first) == nil && key == "" {
			t.Errorf("pairs took %q", first)
		}
		_ = lateFlags(testFlags(), []string{first, second})
		_ = wrap(first+" "+second, 20)
	})
}
