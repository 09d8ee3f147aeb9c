package server

import (
	"errors"
	"fmt"

	"github.com/hashicorp/go-hclog"

	"strongroom/internal/audit"
)

// Audit is what the configuration says of the audit log.
type Audit struct {
	Devices     []audit.Spec
	AllowAPI    bool // unsafe_allow_api_audit_creation, OpenBao's name for it
	AllowPrefix bool // allow_audit_log_prefixing, of devices that the API enables

	plugins string // plugin_directory: nothing is run from there, nor logged into
}

// audit decodes audit "TYPE" "PATH" { … }, or audit "TYPE" { … } at the path of
// that name. Options stand in a block of that name or beside the description.
func (d *decoder) audit(c *Config, kind string, body *block) error {
	if paths := labels(body); paths != nil {
		for _, f := range paths {
			if err := d.auditDevice(c, kind, f.name, f.value.(*block)); err != nil {
				return err
			}
		}
		return nil
	}
	return d.auditDevice(c, kind, kind, body)
}

// labels are b's fields if all of them are blocks that the second label made.
func labels(b *block) []field {
	for _, f := range b.fields {
		if _, isBlock := f.value.(*block); !isBlock || f.name == "options" {
			return nil
		}
	}
	return b.fields
}

func (d *decoder) auditDevice(c *Config, kind, path string, body *block) error {
	s := audit.Spec{Type: kind, Path: path, Options: map[string]string{}}
	option := func(f field) error {
		value, ok := f.value.(string)
		if !ok {
			return f.errorf("the options of an audit device are single values")
		}
		if _, twice := s.Options[f.name]; twice {
			return f.errorf("set twice: keep one of them")
		}
		s.Options[f.name] = value
		return nil
	}
	var errs []error
	for _, f := range body.fields {
		switch f.name {
		case "description":
			errs = append(errs, text(&s.Description)(f))
		case "local":
			errs = append(errs, boolean(&s.Local)(f))
		case "options":
			b, ok := f.value.(*block)
			if !ok {
				errs = append(errs, f.errorf("a block is needed here: options { … }"))
				continue
			}
			for _, o := range b.fields {
				errs = append(errs, option(o))
			}
		default:
			errs = append(errs, option(f))
		}
	}
	c.Audit.Devices = append(c.Audit.Devices, s)
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%s: audit %q %q: %w", body.at, kind, path, err)
	}
	return nil
}

// openAudit opens the declared devices. No file device writes where programs,
// plugins, the configuration or the data are.
func openAudit(c *Config, opts Options, node string, logger hclog.Logger) (*audit.Log, error) {
	forbidden := append([]string{}, opts.ConfigPaths...)
	for _, folder := range []string{c.Audit.plugins, c.Storage.Path} {
		if folder != "" {
			forbidden = append(forbidden, folder)
		}
	}
	return audit.Open(c.Audit.Devices, audit.Options{AllowAPI: c.Audit.AllowAPI, AllowPrefix: c.Audit.AllowPrefix, Forbidden: forbidden, Node: node, Logger: logger.Named("audit")})
}
