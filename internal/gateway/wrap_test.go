package gateway

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"strongroom/engine"
	"strongroom/internal/call"
	"strongroom/internal/token"
)

// The vector of docs/format/wrap.md, and an answer with everything.
func TestKeptAnswers(t *testing.T) {
	simple := &Response{MountType: "kv"}
	simple.Data = json.RawMessage(`{"data":{"k":"v"},"metadata":{"version":1}}`)
	whole := &Response{MountType: "system", Auth: &call.Auth{ClientToken: "hvs.x", Token: &token.Token{ID: "i", Accessor: "a", Policies: []string{"p"}}, LeaseDuration: time.Hour}}
	whole.Data, whole.TopLevel = map[string]any{"a": json.RawMessage("1.50")}, true
	whole.LeaseID, whole.Auth.EntityID, whole.Auth.IdentityPolicies = "l", "e", []string{"q"}
	whole.Warnings, whole.Lease = []string{"w"}, &engine.Lease{TTL: time.Minute, Renewable: true}
	for want, r := range map[string]*Response{
		`{"data":{"data":{"k":"v"},"metadata":{"version":1}},"mount_type":"kv"}`: simple,
		`{"data":{"a":1.50},"top_level":true,"warnings":["w"],"mount_type":"system","lease":{"id":"l","ttl":60,"renewable":true},"auth":{"client_token":"hvs.x",` +
			`"token":{"id":"i","accessor":"a","policies":["p"],"path":"","mount":"","display_name":"","created":0},"lease_duration":3600,"entity_id":"e","identity_policies":["q"]}}`: whole,
	} {
		b, err := pack(r)
		if err != nil || string(b) != want {
			t.Errorf("packed:\n%s, want\n%s (%v)", b, want, err)
		}
		if got, err := unpack(b); err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("unpacked %+v, want %+v (%v)", got, r, err)
		}
	}
	for _, bad := range []string{"", "[]", `{"top_level":true}`, `{"top_level":true,"data":[1]}`} {
		if got, err := unpack([]byte(bad)); err == nil {
			t.Errorf("%q was unpacked as %+v", bad, got)
		}
	}
}
