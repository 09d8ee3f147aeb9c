package template

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"regexp"
	"strings"
	texttemplate "text/template"
)

// texts is what a template may do with text, under the names that Helm's users know.
func texts() texttemplate.FuncMap {
	match := func(pattern string, v any) (bool, error) {
		expression, err := compiled(pattern)
		return err == nil && expression.MatchString(textOf(v)), err
	}
	find := func(pattern string, v any) (string, error) {
		expression, err := compiled(pattern)
		if err != nil {
			return "", err
		}
		return expression.FindString(textOf(v)), nil
	}
	return texttemplate.FuncMap{
		"b32enc": func(v any) (string, error) { return bounded(base32.StdEncoding.EncodeToString([]byte(textOf(v)))) },
		"b32dec": func(v any) (string, error) {
			decoded, err := base32.StdEncoding.DecodeString(textOf(v))
			if err != nil {
				return "", errors.New("the value is not base32")
			}
			return string(decoded), nil
		},
		"sha256sum": func(v any) string {
			sum := sha256.Sum256([]byte(textOf(v)))
			return hex.EncodeToString(sum[:])
		},
		"trimAll": func(cut string, v any) string { return strings.Trim(textOf(v), cut) },
		"nospace": func(v any) string { return strings.Join(strings.Fields(textOf(v)), "") },
		"title":   title,
		"trunc":   trunc,
		"substr":  substr,
		"repeat":  repeat,
		"cat": func(v ...any) (string, error) {
			parts := make([]string, len(v))
			size := 0
			for i, each := range v {
				parts[i] = textOf(each)
				size += len(parts[i]) + 1
			}
			if size > maxOutput {
				return "", errTooLong
			}
			return strings.Join(parts, " "), nil
		},
		"regexMatch": match, "mustRegexMatch": match, "regexFind": find, "mustRegexFind": find,
		"regexReplaceAll": regexReplace, "mustRegexReplaceAll": regexReplace,
	}
}

func compiled(pattern string) (*regexp.Regexp, error) {
	if len(pattern) > 1024 {
		return nil, errors.New("a regular expression of more than 1024 bytes")
	}
	expression, err := regexp.Compile(pattern)
	if err != nil {
		return nil, errors.New("not a regular expression")
	}
	return expression, nil
}

func regexReplace(pattern string, v any, replacement string) (string, error) {
	expression, err := compiled(pattern)
	if err != nil {
		return "", err
	}
	text := textOf(v)
	// Each match may become the replacement with every group in it.
	if matches := len(expression.FindAllStringIndex(text, -1)); (matches+1)*(len(replacement)+1) > maxOutput ||
		strings.Count(replacement, "$")*len(text) > maxOutput {
		return "", errTooLong
	}
	return bounded(expression.ReplaceAllString(text, replacement))
}

func title(v any) (string, error) {
	words := strings.SplitAfter(textOf(v), " ")
	for i, word := range words {
		if word != "" {
			words[i] = strings.ToUpper(word[:1]) + word[1:]
		}
	}
	return bounded(strings.Join(words, ""))
}

// trunc keeps the first n runes, or with a negative n the last.
func trunc(n int, v any) string {
	runes := []rune(textOf(v))
	switch {
	case n >= 0 && n < len(runes):
		return string(runes[:n])
	case n < 0 && -n < len(runes):
		return string(runes[len(runes)+n:])
	}
	return string(runes)
}

func substr(start, end int, v any) string {
	runes := []rune(textOf(v))
	start = min(max(start, 0), len(runes))
	if end < 0 || end > len(runes) {
		end = len(runes)
	}
	return string(runes[start:max(start, end)])
}

func repeat(n int, v any) (string, error) {
	text := textOf(v)
	if n < 0 || len(text) > 0 && n > maxOutput/len(text) {
		return "", errTooLong
	}
	return strings.Repeat(text, n), nil
}
