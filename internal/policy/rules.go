package policy

// Rules are the rules of all policies together, one a path, of highest priority
// first; root has none and everything.
func (a *ACL) Rules() (rules []Rule, root bool) {
	if a == nil || a.root {
		return nil, a != nil
	}
	for c := range a.all {
		rules = append(rules, c.clone())
	}
	return rules, false
}
