package template

import (
	"strings"
	"testing"
	texttemplate "text/template"
	"time"
)

// The time is looked at in a template without any loop too, and within one action that calls many functions.
func TestTheDeadlineHoldsEverywhere(t *testing.T) {
	for _, text := range []string{
		`{{ spend }}{{ .A }}`, `{{ spend }}{{ $x := .A }}`, `{{ spend }}{{ if .A }}{{ end }}`, `{{ spend }}{{ with .A }}{{ end }}`,
		`{{ spend }}{{ range .L }}{{ else }}{{ end }}`, `{{ spend }}{{ template "plain" }}`, `{{ if .A }}{{ spend }}x{{ .A }}{{ end }}`,
		`{{ define "x" }}{{ spend }}{{ .A }}{{ end }}{{ template "x" . }}`, `{{ template "spends" . }}`,
		`{{ spend | upper }}`, `{{ cat (spend) (list .A) }}`, `{{ print (spend) (b64enc .A) }}`,
	} {
		for _, enough := range []bool{true, false} {
			budget := &budget{deadline: time.Now().Add(time.Hour)}
			base := texttemplate.New("").Funcs(functions(budget)).Funcs(texttemplate.FuncMap{"spend": func() string {
				if !enough {
					budget.deadline = time.Now().Add(-time.Second)
				}
				return ""
			}})
			texttemplate.Must(base.Parse(`{{ define "plain" }}y{{ end }}{{ define "spends" }}{{ spend }}{{ .A }}{{ end }}`))
			_, err := render(base, "key", text, map[string]any{"A": "a", "L": []any{}}, budget)
			late := err != nil && strings.Contains(err.Error(), "takes longer than 2s")
			if late == enough || enough && err != nil {
				t.Errorf("%s with time enough (%v): %v", text, enough, err)
			}
		}
	}
}
