package main

import (
	"cmp"
	"encoding/json"
	"net/url"
	"os"
	"slices"
	"time"
)

// component is one of a CycloneDX 1.6 document's.
type component struct {
	Type        string    `json:"type"`
	Ref         string    `json:"bom-ref,omitempty"`
	Name        string    `json:"name"`
	Version     string    `json:"version"`
	Description string    `json:"description,omitempty"`
	Licenses    []license `json:"licenses,omitempty"`
	PURL        string    `json:"purl,omitempty"`
}

type license struct {
	License struct {
		ID string `json:"id"`
	} `json:"license"`
}

func licensed(id string) []license {
	var l license
	l.License.ID = id
	return []license{l}
}

// bill is the document. It has no serial number, so that the same image has the same bill.
type bill struct {
	Format      string `json:"bomFormat"`
	SpecVersion string `json:"specVersion"`
	Version     int    `json:"version"`
	Metadata    struct {
		Timestamp time.Time `json:"timestamp"`
		Component component `json:"component"`
	} `json:"metadata"`
	Components []component `json:"components"`
}

// newBill says what is in k: the Go modules that the compiled programs themselves name, and Debian's packages.
func newBill(k kind, version string, at time.Time, programs []program, debs []deb) bill {
	b := bill{Format: "CycloneDX", SpecVersion: "1.6", Version: 1}
	b.Metadata.Timestamp = at
	b.Metadata.Component = component{Type: "container", Name: k.name, Version: version, Licenses: licensed("MPL-2.0"),
		PURL: "pkg:oci/" + k.name + "?tag=" + url.QueryEscape(version)}
	for _, p := range programs {
		b.Components = append(b.Components, component{Type: "library", Name: "stdlib", Version: p.info.GoVersion, Licenses: licensed("BSD-3-Clause"),
			PURL: "pkg:golang/stdlib@" + p.info.GoVersion[len("go"):]})
		for _, m := range p.modules() {
			b.Components = append(b.Components, component{Type: "library", Name: m.Path, Version: m.Version, PURL: "pkg:golang/" + m.Path + "@" + m.Version})
		}
	}
	for _, d := range debs {
		c := component{Type: "library", Name: d.name, Version: d.version, Description: "from Debian's source package " + d.source,
			PURL: "pkg:deb/debian/" + d.name + "@" + url.QueryEscape(d.version) + "?arch=" + d.arch}
		switch d.name {
		case "busybox-static":
			c.Type, c.Licenses = "application", licensed("GPL-2.0-only")
			c.Description += "; linked into it: " + d.builtUsing
		case "ca-certificates":
			c.Type, c.Licenses = "data", licensed("MPL-2.0")
		}
		b.Components = append(b.Components, c)
	}
	for i := range b.Components {
		b.Components[i].Ref = b.Components[i].PURL
	}
	slices.SortFunc(b.Components, func(x, y component) int { return cmp.Compare(x.PURL, y.PURL) })
	b.Components = slices.CompactFunc(b.Components, func(x, y component) bool { return x.PURL == y.PURL })
	return b
}

func (b bill) write(file string) error {
	text, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}
