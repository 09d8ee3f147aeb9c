package transform

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
)

func allow([]string, string, string) bool { return true }

func TestApply(t *testing.T) {
	owner := &metav1.ObjectMeta{Namespace: "ns", Labels: map[string]string{"app": "l"}, Annotations: map[string]string{"host": "h"}}
	input := Input{
		Secrets: map[string]any{"user": "u", "pass": "p", "n": json.Number("5")}, Raw: map[string]any{"data": map[string]any{"user": "u"}},
		Metadata: map[string]any{"group": "g"},
	}
	for _, test := range []struct {
		spec v1beta1.Transformation
		want string
	}{
		{v1beta1.Transformation{}, `map[_raw:{"data":{"user":"u"}} n:5 pass:p user:u]`},
		{v1beta1.Transformation{ExcludeRaw: true}, "map[n:5 pass:p user:u]"},
		{v1beta1.Transformation{Excludes: []string{".*"}, Templates: map[string]v1beta1.Template{
			"url": {Text: `{{ get .Secrets "user" }}@{{ get .Annotations "host" }}/{{ get .Labels "app" }}/{{ get .Metadata "group" }}`},
		}}, "map[url:u@h/l/g]"},
		{v1beta1.Transformation{Includes: []string{"^user$"}, Excludes: []string{"pass"}}, "map[user:u]"},
		{v1beta1.Transformation{Includes: []string{"^pass$"}, Excludes: []string{"pass"}}, "map[]"},
	} {
		rules, err := Library{Permits: allow}.Resolve(t.Context(), "ns", test.spec)
		if err != nil {
			t.Fatal(err)
		}
		data, err := rules.Apply(owner, input)
		if err != nil {
			t.Fatal(err)
		}
		texts := make(map[string]string)
		for key, value := range data {
			texts[key] = string(value)
		}
		if got := fmt.Sprint(texts); got != test.want {
			t.Errorf("%+v gives %s, want %s", test.spec, got, test.want)
		}
	}
	if _, err := (Library{Permits: allow}).Resolve(t.Context(), "ns", v1beta1.Transformation{Excludes: []string{"("}}); !condition.Is(err, v1beta1.ReasonInvalidSpec) {
		t.Error(err)
	}
	rules, err := Library{Permits: allow}.Resolve(t.Context(), "ns", v1beta1.Transformation{Templates: map[string]v1beta1.Template{"k": {Text: "a\n{{ .Secrets.no }}"}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rules.Apply(owner, input); !condition.Is(err, v1beta1.ReasonTemplateError) || !strings.Contains(err.Error(), `key "k", line 2`) {
		t.Error(err)
	}
}
