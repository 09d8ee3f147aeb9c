package events

import (
	"encoding/hex"
	"testing"
	"time"

	"strongroom/engine"
)

func sample() *Event {
	return &Event{
		Event: engine.Event{Type: "kv-v2/data-write", Path: "data/foo", DataPath: "data/foo", Modified: true,
			Metadata: map[string]string{"current_version": "1", "oldest_version": "0"}},
		ID: "a3be9fb1-b514-519f-5b25-b6f144a8c1ce", Time: time.Date(2025, 6, 12, 15, 19, 49, 394915000, time.FixedZone("", -7*3600)),
		Mount: engine.Mount{Path: "secret/", Type: "kv", Accessor: "kv_5dc4d18e"}, Class: "secret",
	}
}

// TestJSON is the example of Vault's documentation.
func TestJSON(t *testing.T) {
	const want = `{"id":"a3be9fb1-b514-519f-5b25-b6f144a8c1ce","source":"vault://mycluster","specversion":"1.0","type":"*",` +
		`"data":{"event":{"id":"a3be9fb1-b514-519f-5b25-b6f144a8c1ce","metadata":{"current_version":"1","data_path":"secret/data/foo",` +
		`"modified":"true","oldest_version":"0","operation":"data-write","path":"secret/data/foo","vault_index":"djE6"}},` +
		`"event_type":"kv-v2/data-write","plugin_info":{"mount_class":"secret","mount_accessor":"kv_5dc4d18e","mount_path":"secret/","plugin":"kv"}},` +
		`"datacontenttype":"application/cloudevents","time":"2025-06-12T15:19:49.394915-07:00"}`
	got, err := sample().JSON("vault://mycluster", "djE6")
	if err != nil || string(got) != want {
		t.Errorf("%s\nwant %s, %v", got, want, err)
	}
}

// TestProtobuf: the vectors were made by github.com/hashicorp/vault/sdk v0.25.1
// (logical.EventReceived, marshalled deterministically).
func TestProtobuf(t *testing.T) {
	plain := sample()
	plain.Metadata["empty"] = ""
	local := sample()
	local.Metadata["empty"] = ""
	local.Namespace, local.Local = "ns1/", true
	for _, c := range []struct {
		event *Event
		want  string
	}{
		{plain, "0ae6010a2461336265396662312d623531342d353139662d356232352d62366631343461386331636512bd010a160a0f63757272656e745f76657273696f6e12031a01310a1e0a09646174615f7061746812111a0f7365637265742f646174612f666f6f0a0b0a05656d70747912021a000a120a086d6f64696669656412061a04747275650a150a0e6f6c646573745f76657273696f6e12031a01300a190a096f7065726174696f6e120c1a0a646174612d77726974650a190a047061746812111a0f7365637265742f646174612f666f6f0a150a0b7661756c745f696e64657812061a04646a45361a106b762d76322f646174612d777269746522220a06736563726574120b6b765f35646334643138651a077365637265742f22026b76"},
		{local, "0ae6010a2461336265396662312d623531342d353139662d356232352d62366631343461386331636512bd010a160a0f63757272656e745f76657273696f6e12031a01310a1e0a09646174615f7061746812111a0f7365637265742f646174612f666f6f0a0b0a05656d70747912021a000a120a086d6f64696669656412061a04747275650a150a0e6f6c646573745f76657273696f6e12031a01300a190a096f7065726174696f6e120c1a0a646174612d77726974650a190a047061746812111a0f7365637265742f646174612f666f6f0a150a0b7661756c745f696e64657812061a04646a453612046e73312f1a106b762d76322f646174612d777269746522240a06736563726574120b6b765f35646334643138651a077365637265742f22026b763801"},
	} {
		if got := hex.EncodeToString(c.event.Protobuf("djE6")); got != c.want {
			t.Errorf("%s\nwant %s", got, c.want)
		}
	}
}
