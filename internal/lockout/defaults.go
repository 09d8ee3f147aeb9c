package lockout

import "cmp"

// Defaults are the configurations of mounts that say nothing else, by type of
// method; "all" is for every type, and for what a type leaves out.
type Defaults struct {
	Off   bool // nobody is locked out, whatever a mount says
	Types map[string]Config
}

// Over is c where it says something, and base where it does not.
func (c Config) Over(base Config) Config {
	return Config{c.Disabled || base.Disabled, cmp.Or(c.Threshold, base.Threshold), cmp.Or(c.Duration, base.Duration), cmp.Or(c.Reset, base.Reset)}
}

// For is what holds for a mount of that type that is tuned to c.
func (d Defaults) For(kind string, c Config) Config {
	c = c.Over(d.Types[kind].Over(d.Types["all"]))
	c.Disabled = c.Disabled || d.Off
	return c
}
