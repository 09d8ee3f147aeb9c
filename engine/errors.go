package engine

import (
	"errors"
	"fmt"
)

// Kind classes errors by what the caller can do about them; httpapi alone turns
// it into a status code.
type Kind int

// The kinds of error.
const (
	Internal     Kind = iota // ours: 500
	Invalid                  // the request's: 400
	Denied                   // 403
	NotFound                 // 404
	Unsupported              // 405: the path has no such operation
	Unavailable              // 503: sealed, no leader
	Upstream                 // 502: a system behind the engine failed
	TooLarge                 // 413
	Precondition             // 412
	TooMany                  // 429: a quota is used up
	MediaType                // 415: the body is of another kind
)

// Error is an error with a text for the caller. Its text never holds a secret.
type Error struct {
	Kind Kind
	Text string // "" with NotFound: an empty list of errors, as Vault answers
	Err  error  // the cause, for the log
	// BadLogin: the proof of a login was wrong; see Route.Login.
	BadLogin bool
}

func (e *Error) Error() string {
	if e.Text == "" && e.Kind == NotFound {
		return "not found"
	}
	return e.Text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Invalidf says what is wrong with the request, and how to mend it.
func Invalidf(format string, args ...any) error {
	return &Error{Kind: Invalid, Text: fmt.Sprintf(format, args...)}
}

// BadLogin refuses the proof of a login, in the same words for whatever was
// wrong with it.
func BadLogin(text string) error { return &Error{Kind: Invalid, Text: text, BadLogin: true} }

// IsBadLogin says whether err is, or wraps, a BadLogin.
func IsBadLogin(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.BadLogin
}

// Errorf makes an error of kind.
func Errorf(kind Kind, format string, args ...any) error {
	return &Error{Kind: kind, Text: fmt.Sprintf(format, args...)}
}

// The errors without a text of their own, in the words that clients match on.
var (
	ErrDenied      error = &Error{Kind: Denied, Text: "permission denied"}
	ErrNotFound    error = &Error{Kind: NotFound}
	ErrUnsupported error = &Error{Kind: Unsupported, Text: "unsupported operation"}
)

// KindOf finds the Kind of err; an error without one is Internal.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}
