package kv

import (
	"bytes"
	"encoding/json"

	"strongroom/engine"
)

// mergePatch applies a JSON merge patch (RFC 7396) to target. Numbers keep
// their text, so none loses digits.
func mergePatch(target, patch []byte) ([]byte, error) {
	t, err := decodeJSON(target)
	if err != nil {
		return nil, errCorrupt
	}
	p, err := decodeJSON(patch)
	if err != nil {
		return nil, engine.Invalidf("the patch must be a JSON object")
	}
	return encodeJSON(merge(t, p))
}

// merge is MergePatch of RFC 7396, section 2.
func merge(target, patch any) any {
	changes, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	object, ok := target.(map[string]any)
	if !ok {
		object = make(map[string]any, len(changes))
	}
	for name, value := range changes {
		if value == nil {
			delete(object, name)
		} else {
			object[name] = merge(object[name], value)
		}
	}
	return object
}

// subkeys is data with null for every value that is not an object with members,
// and for all values below depth levels (0: no limit).
func subkeys(data []byte, depth int64) ([]byte, error) {
	v, err := decodeJSON(data)
	if err != nil {
		return nil, errCorrupt
	}
	object, _ := v.(map[string]any)
	blank(object, depth)
	return encodeJSON(object)
}

func blank(object map[string]any, depth int64) {
	for name, value := range object {
		inner, ok := value.(map[string]any)
		if !ok || len(inner) == 0 || depth == 1 {
			object[name] = nil
			continue
		}
		blank(inner, depth-1)
	}
}

func decodeJSON(b []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	return v, err
}

func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
