package httpapi

import (
	"cmp"

	"strongroom/engine"
)

// JSONLimits bound what the parsing of a body may cost, which is many times its
// size. 0 is the documented default
// (https://developer.hashicorp.com/vault/docs/configuration/listener/tcp).
type JSONLimits struct {
	Depth    int // of nesting; 300
	String   int // bytes of one string, as it is written; 1 MiB
	Entries  int // members of one object; 10,000
	Elements int // of one array; 10,000
}

// check refuses a body over the limits, in one pass that keeps nothing but a
// count a level. A body that is no JSON is judged by its brackets alone: its parser
// refuses it.
func (l JSONLimits) check(body []byte) error {
	depth, text, entries, elements := cmp.Or(l.Depth, 300), cmp.Or(l.String, 1<<20), cmp.Or(l.Entries, 10_000), cmp.Or(l.Elements, 10_000)
	var levels []level
	for i := 0; i < len(body); i++ {
		switch c := body[i]; c {
		case '"':
			end := closing(body, i+1)
			if end-i-1 > text {
				return engine.Invalidf("a string of the JSON body has over %d bytes (max_json_string_value_length)", text)
			}
			i = end
		case '{', '[':
			if len(levels) == depth {
				return engine.Invalidf("the JSON body is nested more than %d levels deep (max_json_depth)", depth)
			}
			levels = append(levels, level{object: c == '{'})
		case '}', ']':
			levels = levels[:max(0, len(levels)-1)]
		case ',':
			if len(levels) == 0 {
				continue
			}
			top := &levels[len(levels)-1]
			top.commas++
			switch {
			case top.object && top.commas >= entries:
				return engine.Invalidf("an object of the JSON body has over %d members (max_json_object_entry_count)", entries)
			case !top.object && top.commas >= elements:
				return engine.Invalidf("an array of the JSON body has over %d elements (max_json_array_element_count)", elements)
			}
		}
	}
	return nil
}

// level is an open object or array.
type level struct {
	object bool
	commas int
}

// closing is where the string that began before i ends: at its quote, or the body's end.
func closing(body []byte, i int) int {
	for ; i < len(body) && body[i] != '"'; i++ {
		if body[i] == '\\' {
			i++
		}
	}
	return i
}
