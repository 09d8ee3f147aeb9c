package engine

// Memo keeps, over the attempts at one request, what Once was asked for. The
// zero Memo keeps nothing yet.
type Memo struct{ kept map[string]any }

// Once is what make made at the first attempt at the request: what is costly to
// make, such as an RSA key, is not made again where others wrote first. name tells
// it from whatever else the handler asks for.
func Once[T any](r *Request, name string, make func() (T, error)) (T, error) {
	if r.Memo != nil {
		if v, ok := r.Memo.kept[name].(T); ok {
			return v, nil
		}
	}
	v, err := make()
	if err != nil || r.Memo == nil {
		return v, err
	}
	if r.Memo.kept == nil {
		r.Memo.kept = map[string]any{}
	}
	r.Memo.kept[name] = v
	return v, nil
}
