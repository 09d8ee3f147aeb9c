package transit

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strconv"

	"strongroom/engine"
)

// maxItems bounds a batch: parsed, an item of two bytes takes a hundred times that.
const maxItems = 100_000

// whole is a whole number that may come as its text.
type whole int64

// UnmarshalJSON reads 3 and "3".
func (w *whole) UnmarshalJSON(b []byte) error {
	s := string(bytes.Trim(b, `"`))
	if s == "null" || s == "" {
		return nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	*w = whole(n)
	return err
}

// item is one thing to encrypt, decrypt, hash, sign or verify: the parameters of
// a request, or of one of its batch.
type item struct {
	Plaintext        *string `json:"plaintext"`
	Ciphertext       *string `json:"ciphertext"`
	Input            *string `json:"input"`
	HMAC             *string `json:"hmac"`
	Signature        *string `json:"signature"`
	Context          string  `json:"context"`
	Nonce            string  `json:"nonce"`
	AssociatedData   string  `json:"associated_data"`
	SignatureContext string  `json:"signature_context"`
	KeyVersion       whole   `json:"key_version"`
	Reference        string  `json:"reference"`
}

// result is what became of an item.
type result struct {
	Plaintext  *string `json:"plaintext,omitempty"`
	Ciphertext string  `json:"ciphertext,omitempty"`
	HMAC       string  `json:"hmac,omitempty"`
	Signature  string  `json:"signature,omitempty"`
	PublicKey  []byte  `json:"publickey,omitempty"` // of a derived key
	Valid      *bool   `json:"valid,omitempty"`
	KeyVersion int     `json:"key_version,omitempty"`
	Error      string  `json:"error,omitempty"`
	Reference  *string `json:"reference,omitempty"` // in a batch
}

// task is what a request asks for: one item, or a batch.
type task struct {
	items []item
	batch bool
}

// parseTask reads the task of req.
func parseTask(req *engine.Request) (t task, err error) {
	d := req.Data
	if raw := d.Raw("batch_input"); raw != nil {
		var quoted string
		if json.Unmarshal(raw, &quoted) == nil { // as the CLI sends it
			raw = json.RawMessage(quoted)
		}
		t.batch = true
		t.items, err = parseBatch(raw)
		return t, err
	}
	text := func(name string) *string {
		if !d.Has(name) {
			return nil
		}
		s := d.String(name)
		return &s
	}
	t.items = []item{{
		Plaintext: text("plaintext"), Ciphertext: text("ciphertext"), Input: text("input"), HMAC: text("hmac"), Signature: text("signature"),
		Context: d.String("context"), Nonce: d.String("nonce"), AssociatedData: d.String("associated_data"), SignatureContext: d.String("signature_context"),
		KeyVersion: whole(d.Int("key_version")),
	}}
	return t, nil
}

func parseBatch(raw []byte) ([]item, error) {
	bad := engine.Invalidf("failed to parse batch_input: it must be a list of objects, whose values are text; key_version is a number")
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return nil, bad
	}
	var items []item
	for d.More() {
		if len(items) == maxItems {
			return nil, engine.Invalidf("batch_input has more than %d items: send them in several requests", maxItems)
		}
		items = append(items, item{})
		if err := d.Decode(&items[len(items)-1]); err != nil {
			return nil, bad
		}
	}
	if t, err := d.Token(); err != nil || t != json.Delim(']') {
		return nil, bad
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, bad
	}
	if len(items) == 0 {
		return nil, engine.Invalidf("missing batch input to process")
	}
	return items, nil
}

// run has do work on every item. What is wrong with an item of a batch is told
// beside it; what is wrong with the server ends the request.
func (t task) run(ctx context.Context, do func(*item) (result, error)) (results []result, failures int, err error) {
	results = make([]result, len(t.items))
	for i := range t.items {
		it := &t.items[i]
		if err := ctx.Err(); err != nil {
			return nil, 0, err
		}
		results[i], err = do(it)
		switch {
		case !t.batch:
			return results, 0, err
		case err != nil && engine.KindOf(err) != engine.Invalid:
			return nil, 0, err
		case err != nil:
			results[i] = result{Error: err.Error()}
			failures++
		}
		results[i].Reference = &it.Reference
	}
	return results, failures, nil
}

// respond answers what do makes of the items; what fails is told in the body alone.
func (t task) respond(ctx context.Context, do func(*item) (result, error)) (*engine.Response, error) {
	results, _, err := t.run(ctx, do)
	if err != nil {
		return nil, err
	}
	return t.response(results), nil
}

func (t task) response(results []result) *engine.Response {
	if !t.batch {
		return &engine.Response{Data: &results[0]}
	}
	return &engine.Response{Data: batchResults{results}}
}

// respondStrictly is respond, but that the status is 400 if an item fails, or what
// the caller asks for if not all do.
func (t task) respondStrictly(ctx context.Context, d engine.Data, do func(*item) (result, error)) (*engine.Response, error) {
	partial := d.Int("partial_failure_response_code")
	if partial != 0 && (partial < 200 || partial > 599 || partial == http.StatusNoContent || partial == http.StatusNotModified) {
		return nil, engine.Invalidf("partial_failure_response_code must be a status code that has a body, from 200 to 599")
	}
	results, failures, err := t.run(ctx, do)
	if err != nil {
		return nil, err
	}
	resp := t.response(results)
	switch {
	case failures == 0:
	case failures < len(results) && partial != 0:
		resp.Status = int(partial)
	default:
		resp.Status = http.StatusBadRequest
	}
	return resp, nil
}

// params decodes what the item says beside its text, for key k.
func (it *item) params(k *key, padding string) (p params, err error) {
	p.padding = padding
	if p.context, err = unbase64(it.Context, "context"); err != nil {
		return p, err
	}
	if p.nonce, err = unbase64(it.Nonce, "nonce"); err != nil {
		return p, err
	}
	if it.AssociatedData != "" && k.Kind.is().size == 0 {
		return p, engine.Invalidf("'associated_data' provided for non-AEAD cipher suite %v", k.Kind)
	}
	p.data, err = unbase64(it.AssociatedData, "associated_data")
	return p, err
}

// plaintext is what the item wants encrypted.
func (it *item) plaintext() ([]byte, error) {
	if it.Plaintext == nil {
		return nil, engine.Invalidf("missing plaintext to encrypt")
	}
	b, err := base64.StdEncoding.DecodeString(*it.Plaintext)
	if err != nil {
		return nil, engine.Invalidf("failed to base64-decode plaintext: %v", err)
	}
	return b, nil
}
