package policy

import (
	"slices"

	"github.com/ryanuber/go-glob"

	"strongroom/engine"
)

// Follows says whether the caller may be told that what is read at path has changed, whatever changed it: whoever may read it as often as it likes
// learns that anyhow. Where answers must be wrapped, it is not so.
func (a *ACL) Follows(path string) bool {
	if a == nil || a.root {
		return a != nil
	}
	d := a.Decide(engine.Read, path, nil)
	return path != "" && d.Allowed && d.MinWrappingTTL == 0
}

// Subscribes says whether the caller may be told of an event of type eventType
// about path, which has no leading slash; "" stands for an event about no path,
// of which only root is told. The rule that counts for path must have the
// capability and name the type: see
// https://developer.hashicorp.com/vault/docs/concepts/events#policies.
func (a *ACL) Subscribes(path, eventType string) bool {
	if a == nil || a.root {
		return a != nil
	}
	if path == "" {
		return false
	}
	c := a.find(path, false)
	return c != nil && c.Capabilities&Deny == 0 && c.Capabilities&Subscribe != 0 &&
		slices.ContainsFunc(c.EventTypes, func(pattern string) bool { return glob.Glob(pattern, eventType) })
}
