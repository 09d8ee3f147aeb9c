// Package crd holds the operator's CustomResourceDefinitions, as controller-gen writes them from api/. It owns nothing else.
package crd

import "embed"

// Files are the definitions, a YAML document each.
//
//go:embed *.yaml
var Files embed.FS
