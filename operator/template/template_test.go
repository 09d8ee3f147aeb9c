package template_test

import (
	"encoding/json"
	"strings"
	"testing"

	"strongroom/operator/template"
)

func secrets() map[string]any {
	return map[string]any{
		"USER": "anna", "PASS": "p<&>\"w'd", "PORT": json.Number("5432"), "EMPTY": "", "NULL": nil, "ENC": "aGVsbG8=",
		"DB":    map[string]any{"host": "db.example", "ports": []any{json.Number("1"), json.Number("2")}},
		"LINES": "a\nb", "dash-key": "d",
	}
}

func TestRender(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{``, ""},
		{`plain`, "plain"},
		{`{{ .USER }}`, "anna"},
		{`{{ .Secrets.USER }}`, "anna"},
		{`{{ .PASS }}`, `p<&>"w'd`},
		{`{{ .PORT }}`, "5432"},
		{`{{ .DB.host }}:{{ index .DB.ports 1 }}`, "db.example:2"},
		{`{{ index .Secrets "dash-key" }}`, "d"},
		{`{{ .USER | b64enc }}`, "YW5uYQ=="},
		{`{{ .ENC | b64dec }}`, "hello"},
		{`{{ .DB | toJson }}`, `{"host":"db.example","ports":[1,2]}`},
		{`{{ (fromJson "{\"a\":{\"b\":7}}").a.b }}`, "7"},
		{`{{ .PASS | quote }}`, `"p<&>\"w'd"`},
		{`{{ .PASS | html }}`, `p&lt;&amp;&gt;&#34;w&#39;d`},
		{`{{ "  x " | trim }}|{{ "ab" | upper }}|{{ "AB" | lower }}`, "x|AB|ab"},
		{`{{ .EMPTY | default "none" }} {{ .NULL | default "none" }} {{ .USER | default "none" }}`, "none none anna"},
		{`{{ .NULL }}`, ""},
		{`{{ .LINES | indent 2 }}`, "  a\n  b"},
		{`x:{{ .LINES | nindent 2 }}`, "x:\n  a\n  b"},
		{`{{ "a,b" | split "," | join "+" }}`, "a+b"},
		{`{{ "a-b" | replace "-" "." }}{{ "v1" | trimPrefix "v" }}{{ "1s" | trimSuffix "s" }}`, "a.b11"},
		{`{{ if .USER | hasPrefix "an" }}y{{ else }}n{{ end }}`, "y"},
		{`{{ range $k, $v := .DB.ports }}{{ $k }}={{ $v }};{{ end }}`, "0=1;1=2;"},
		{`{{ range .DB.ports }}{{ continue }}x{{ else }}none{{ end }}`, ""},
		{`{{ printf "%s:%05d" .USER 7 }}`, "anna:00007"},
		{`{{ with .DB }}{{ .host }}{{ end }}`, "db.example"},
	} {
		got, err := template.Render(map[string]string{"key": test.text}, secrets())
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
		} else if string(got["key"]) != test.want {
			t.Errorf("%s gives %q, want %q", test.text, got["key"], test.want)
		}
		if err == nil && got["key"] == nil {
			t.Errorf("%s gives nil, which a Secret cannot hold", test.text)
		}
	}
}

func TestErrorsNameKeyAndLine(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"a\n{{ .MISSING }}", `template of key "key", line 2: the source has no key "MISSING"; it has DB, EMPTY, ENC`},
		{"{{ .Secrets.MISSING }}", `line 1: the source has no key "MISSING"`},
		{"\n\n{{ .USER", `template of key "key", line 3: unclosed action`},
		{"{{ env \"HOME\" }}", `function "env" not defined`},
		{"{{ readFile \"/etc/passwd\" }}", `function "readFile" not defined`},
		{"{{ .PASS | b64dec }}", "the value is not base64"},
		{"{{ .PASS | fromJson }}", "the value is not JSON"},
		{"{{ range .PASS.x }}{{ end }}", "can't evaluate field x in type"},
		{`{{ define "x" }}{{ template "x" }}{{ end }}{{ template "x" }}`, "templates call templates more than 2000 times"},
		{`{{ template "key" }}`, "templates call templates more than 2000 times"},
		{`{{ if true }}{{ range .DB.ports }}{{ template "key" $ }}{{ end }}{{ end }}`, "templates call templates more than 2000 times"},
		{`{{ define "x" }}{{ range 200 }}{{ range 200 }}{{ end }}{{ end }}{{ end }}{{ template "x" }}`, "loops take more than 10000 turns"},
		{`{{ template "nowhere" }}`, `template "nowhere" not defined`},
		{`{{ repeat 2000000 .USER }}`, "the result is longer than 1024 KiB"},
		{`{{ genPrivateKey "rsa" }}`, `function "genPrivateKey" not defined`},
		{`{{ get .USER "x" }}`, "get needs a map"},
		{`{{ $d := dict }}{{ $_ := set $d "a" $d }}{{ $d | toJson }}`, "set needs text, a number, a list or a map that does not hold itself"},
		{`{{ range 1000000000000 }}{{ end }}`, "loops take more than 10000 turns"},
		{`{{ range 200 }}{{ range 200 }}{{ end }}{{ end }}`, "loops take more than 10000 turns"},
		{`{{ $x := "aaaaaaaaaaaaaaaa" }}{{ range 100 }}{{ $x = print $x $x }}{{ end }}`, "the result is longer than 1024 KiB"},
		{`{{ range 9000 }}{{ printf "%900d" 1 }}{{ end }}`, "the result is longer than 1024 KiB"},
		{`{{ printf "%999999999d" 1 }}`, "printf with a width or precision"},
		{`{{ printf "%*d" 99999 1 }}`, "printf with a width or precision"},
		{`{{ indent 1000000 .USER }}`, "indent by 0 to 100 spaces"},
		{`{{ $x := "` + strings.Repeat("a", 5000) + `" }}{{ replace "a" $x $x }}`, "the result is longer than 1024 KiB"},
		{strings.Repeat("x", 256<<10+1), "the templates are longer than 256 KiB"},
	} {
		_, err := template.Render(map[string]string{"key": test.text}, secrets())
		if err == nil {
			t.Errorf("%.60s renders, want the error %q", test.text, test.want)
		} else if !strings.Contains(err.Error(), test.want) {
			t.Errorf("%.60s gives the error\n%v, want\n%s", test.text, err, test.want)
		}
	}
}

func TestOutputIsBoundedOverAllKeys(t *testing.T) {
	big := map[string]any{"BIG": strings.Repeat("x", 600<<10)}
	_, err := template.Render(map[string]string{"a": "{{ .BIG }}", "b": "{{ .BIG }}"}, big)
	if err == nil || !strings.Contains(err.Error(), "longer than 1024 KiB") {
		t.Errorf("1200 KiB over two keys: %v", err)
	}
}

func TestErrorsHoldNoValue(t *testing.T) {
	const value = "s3cr3t!value"
	source := map[string]any{"K": value, "N": json.Number("918273645"), "M": map[string]any{value: value}}
	for _, text := range []string{
		"{{ range .K }}{{ end }}", "{{ range .N }}{{ end }}", "{{ .K.x }}", "{{ index .M .K 300 }}", "{{ index .K 99 }}", "{{ slice .K 99 }}",
		"{{ b64dec .K }}", "{{ fromJson .K }}", "{{ call .K }}", "{{ len .N.x }}", "{{ lt .K 3 }}", "{{ indent .K 3 }}", "{{ join .K .K }}",
		`{{ printf .K "%*d" }}{{ .X }}`, "{{ .M.nothing }}", "{{ eq .M .M }}", "{{ and (index .M .N).x 1 }}",
	} {
		_, err := template.Render(map[string]string{"key": text}, source)
		if err == nil {
			t.Errorf("%s renders", text)
		} else if strings.Contains(err.Error(), value) || strings.Contains(err.Error(), "918273645") {
			t.Errorf("%s: the error holds the value: %v", text, err)
		}
	}
}

func FuzzRender(f *testing.F) {
	for _, seed := range []string{
		"{{ .K }}", "{{ range .L }}{{ . }}{{ end }}", "{{ .Secrets.K | b64enc | quote }}", "{{ if .K }}{{ else }}{{ end }}", "{{ printf \"%09d\" 3 }}",
		"{{ range $i, $e := .L }}{{ with $e }}{{ break }}{{ end }}{{ end }}", "{{ .M.x.y }}", "{{ index .L 7 }}", "{{/* c */}}", "{{ range .K }}{{ end }}",
		"{{ define \"x\" }}{{ template \"x\" . }}{{ end }}{{ template \"x\" . }}", "{{ set .M \"y\" .L | toPrettyJson }}", "{{ dig \"x\" \"d\" .M }}",
		"{{ regexReplaceAll \"(.)\" .K \"$1$1\" }}", "{{ repeat 3 .K | trunc -2 | sha256sum }}", "{{ pkcs12 .K .K .K }}", "{{ pemLeaf .K }}",
	} {
		f.Add(seed)
	}
	const value = "Zq7Zq7Zq7"
	f.Fuzz(func(t *testing.T, text string) {
		source := map[string]any{"K": value, "L": []any{value, json.Number("12")}, "M": map[string]any{"x": value}}
		out, err := template.Render(map[string]string{"key": text}, source)
		switch {
		case err != nil && strings.Contains(err.Error(), value) && !strings.Contains(text, "Zq7"):
			t.Errorf("%q: the error holds the value: %v", text, err)
		case err == nil && len(out["key"]) > 1<<20:
			t.Errorf("%q gives %d bytes", text, len(out["key"]))
		}
	})
}

// Lists of lists would double at each turn: a text that no memory holds, and the end of the operator for all tenants.
func TestCollectionsCannotGrowWithoutEnd(t *testing.T) {
	for _, text := range []string{
		`{{ $l := list "a" }}{{ range $i := split "" "0123456789012345678901234567890123456789" }}{{ $l = list $l $l }}{{ end }}{{ len (toJson $l) }}`,
		`{{ $d := dict "a" "b" }}{{ range $i := split "" "0123456789012345678901234567890123456789" }}{{ $d = dict "x" $d "y" $d }}{{ end }}{{ len (toJson $d) }}`,
		`{{ $d := dict }}{{ range $i := split "" "0123456789012345678901234567890123456789" }}{{ $_ := set $d (printf "k%s%d" $i (len $d)) (list $d $d) }}{{ end }}{{ len (toJson $d) }}`,
		`{{ $m := dict }}{{ $l := list $m $m $m $m $m $m $m $m $m $m }}{{ $_ := set $m "k" (repeat 1000000 "x") }}{{ $l = list $l $l $l $l $l $l $l $l $l $l $m $m $m $m $m $m $m $m $m $m }}{{ len (toJson $l) }}`,
	} {
		out, err := template.Render(map[string]string{"K": text}, nil)
		if err == nil || !strings.Contains(err.Error(), "lists and maps") {
			t.Errorf("%s: %d bytes, %v", text, len(out["K"]), err)
		}
	}
	out, err := template.Render(map[string]string{"K": `{{ $m := dict "a" (list 1 2) }}{{ $n := set $m "b" (dict "c" "d") }}{{ toJson (pick $n "a" "b") }}{{ toJson (values (omit $m "a")) }}`}, nil)
	if err != nil || string(out["K"]) != `{"a":[1,2],"b":{"c":"d"}}[{"c":"d"}]` {
		t.Errorf("%s, %v", out["K"], err)
	}
}
