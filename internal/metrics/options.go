package metrics

import (
	"strings"
	"time"
)

// Options are those of the configuration's telemetry block
// (https://developer.hashicorp.com/vault/docs/configuration/telemetry).
type Options struct {
	Prefix    string        // of every name; "": vault
	Retention time.Duration // 0: the Prometheus format is off
	// Host is this machine's name where gauges are to carry it: in a label, or,
	// with HostInName, in their names. "": they do not.
	Host       string
	HostInName bool
	// Filter are prefixes of names, "+vault.token" to have them and "-vault.expire"
	// not to; the longest counts. What none of them says, HideOthers does.
	Filter     []string
	HideOthers bool
	// UsagePeriod is how old a gauge may be that takes time to find out; 0: ten minutes.
	UsagePeriod time.Duration
}

const defaultUsagePeriod = 10 * time.Minute

// wants says whether the filter lets a name through.
func (o *Options) wants(name string) bool {
	full := o.Prefix + "." + name
	longest, wanted := -1, !o.HideOthers
	for _, rule := range o.Filter {
		if prefix := rule[1:]; len(prefix) > longest && strings.HasPrefix(full, prefix) {
			longest, wanted = len(prefix), rule[0] == '+'
		}
	}
	return wanted
}

// gaugeName is the dotted name and the labels of a gauge.
func (o *Options) gaugeName(name string, labels []Label) (string, []Label) {
	switch {
	case o.Host == "":
	case o.HostInName:
		return o.Prefix + "." + o.Host + "." + name, labels
	default:
		labels = append(labels[:len(labels):len(labels)], Label{"host", o.Host})
	}
	return o.Prefix + "." + name, labels
}
