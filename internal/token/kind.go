package token

import (
	"slices"
	"strings"

	"strongroom/engine"
)

// The types of tokens. A service token is stored; a batch token is all in itself.
const (
	Service = "service"
	Batch   = "batch"
)

// mountTypes are what a mount or a role of auth/token/ may be tuned to: the
// "default-" ones give way to what is asked for.
var mountTypes = []string{"default-service", "default-batch", Service, Batch}

// CheckMountType says what is wrong with an auth method's token_type.
func CheckMountType(kind string) error {
	if !slices.Contains(mountTypes, kind) {
		return engine.Invalidf("invalid token type %q; it must be one of %s", kind, strings.Join(mountTypes, ", "))
	}
	return nil
}

// KindFor is the type of a token where tuned ("" is default-service) is the
// mount's or role's and asked ("" and "default" are none) the caller's.
func KindFor(tuned, asked string) (string, error) {
	switch asked {
	case "", "default", Service, Batch:
	default:
		return "", engine.Invalidf("invalid 'type' value %q: use \"service\" or \"batch\"", asked)
	}
	fallback, isDefault := strings.CutPrefix(tuned, "default-")
	switch {
	case tuned == "":
		fallback, isDefault = Service, true
	case !isDefault:
		return tuned, nil
	}
	if asked == Service || asked == Batch {
		return asked, nil
	}
	return fallback, nil
}
