package node

import (
	"maps"
	"strings"
	"testing"
)

func TestParseAutoJoin(t *testing.T) {
	tests := []struct {
		spec string
		want pods
		err  string
	}{
		{spec: `provider=k8s`},
		{spec: ` provider=k8s  label_selector="app.kubernetes.io/name=vault,component=server"	namespace="vault" `,
			want: pods{labels: "app.kubernetes.io/name=vault,component=server", namespace: "vault"}},
		{spec: `"provider"="k8s" label_selector=app=vault,component=server host_network=true`, want: pods{labels: "app=vault,component=server", hostNetwork: true}},
		{spec: `provider=k8s field_selector="a \"b\" \\c" kubeconfig=/etc/kube`, want: pods{fields: `a "b" \c`, kubeconfig: "/etc/kube"}},
		{spec: `provider=k8s namespace=`},
		{spec: ``, err: "provider is missing"},
		{spec: `namespace=vault`, err: "provider is missing"},
		{spec: `provider=aws tag_key=x tag_value=y`, err: `the provider "aws" is not supported`},
		{spec: `provider=k8s tag=x`, err: `no parameter "tag"`},
		{spec: `provider=k8s host_network=perhaps`, err: "true or false"},
		{spec: `provider=k8s namespace=a namespace=b`, err: "set twice"},
		{spec: `provider=k8s namespace="a`, err: "not closed"},
		{spec: `provider=k8s namespace="a\`, err: "not closed"},
		{spec: `provider=k8s namespace="a"b`, err: "a space is needed"},
		{spec: `provider=k8s namespace=a"b"`, err: "double quotes only"},
		{spec: `provider=k8s namespace`, err: "key=value"},
		{spec: `provider=k8s =x`, err: "key=value"},
	}
	for _, test := range tests {
		got, err := parsePods(test.spec)
		if test.err == "" && (err != nil || got != test.want) || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
			t.Errorf("%s: %+v, %v", test.spec, got, err)
		}
	}
}

// Whatever is understood can be written down, quoted, and is understood the same.
func FuzzAutoJoin(f *testing.F) {
	f.Add(`provider=k8s label_selector="app.kubernetes.io/name=vault,component=server" namespace="vault"`)
	f.Add(`"a \" b"="\\" x=`)
	f.Add("a=\"\n\"\tb==")
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	f.Fuzz(func(t *testing.T, spec string) {
		values, err := parseDiscover(spec)
		if err != nil {
			return
		}
		var b strings.Builder
		for key, value := range values {
			b.WriteString(`"` + quote.Replace(key) + `"="` + quote.Replace(value) + `" `)
		}
		again, err := parseDiscover(b.String())
		if err != nil || !maps.Equal(values, again) {
			t.Errorf("%q is %q, and then %q (%v)", spec, values, again, err)
		}
	})
}
