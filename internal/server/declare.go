package server

import (
	"errors"
	"net"
	"net/url"
	"strings"

	"strongroom/internal/declare"
)

// tree is a value as it was written, of any shape: text, bool, json.Number, []any and map[string]any.
type tree struct{ value any }

// initialize decodes initialize "NAME" { request "NAME" { … } }. Neither a warning nor an error shows what data holds.
func (d *decoder) initialize(c *Config, stanza string, body *block) error {
	var errs []error
	for _, f := range body.fields {
		if f.name != "request" {
			errs = append(errs, f.errorf("an initialize stanza holds request \"NAME\" { … } blocks only"))
			continue
		}
		errs = append(errs, labelled("name", func(name string, body *block) error {
			return d.declared(c, stanza, name, body)
		})(f))
	}
	return errors.Join(errs...)
}

func (d *decoder) declared(c *Config, stanza, name string, body *block) error {
	r := declare.Request{Stanza: stanza, Name: name, At: body.at.String()}
	plain := func(to *any) setter {
		return func(f field) error {
			switch value := f.value.(type) {
			case string:
				*to = value
			case *block:
				m := map[string]any{}
				for _, inner := range value.fields {
					switch v := inner.value.(type) {
					case string:
						m[inner.name] = v
					case []string:
						var list []any
						for _, text := range v {
							list = append(list, text)
						}
						m[inner.name] = list
					default:
						return inner.errorf("a single value or a list is needed here")
					}
				}
				*to = m
			default:
				return f.errorf("one value is needed here, or { eval_source = … }")
			}
			return nil
		}
	}
	known := setters{"operation": plain(&r.Operation), "path": plain(&r.Path), "token": plain(&r.Token), "allow_failure": plain(&r.AllowFailure),
		"data": func(f field) error {
			t, ok := f.value.(tree)
			if !ok {
				return f.errorf("a map is needed here: data = { … }")
			}
			r.Data = t.value
			return nil
		}}
	for _, f := range body.fields {
		if _, ok := known[f.name]; !ok {
			return f.errorf("a request has operation, path, token, data and allow_failure only")
		}
	}
	if err := d.decode(body, known); err != nil {
		return err
	}
	if c.Declared == nil {
		c.Declared = new(declare.Plan)
	}
	return c.Declared.Add(r)
}

// founder says whether this node is the one to found a cluster that initializes itself: it stands alone, or is what the first retry_join names, or,
// where pods are found by auto_join, it is the first of them. So at most one node of a cluster is.
func (c *Config) founder() bool {
	if len(c.Storage.RetryJoin) == 0 {
		return true
	}
	first := c.Storage.RetryJoin[0]
	if first.AutoJoin != "" {
		return strings.HasSuffix(c.Storage.PodName, "-0")
	}
	named, err := url.Parse(first.LeaderAPIAddr)
	if err != nil {
		return false
	}
	api, err := url.Parse(c.APIAddr)
	if err == nil && api.Host == named.Host {
		return true
	}
	// In Kubernetes api_addr is the pod's IP address, cluster_addr the pod's name.
	own, err := url.Parse(c.ClusterAddr)
	return err == nil && own.Hostname() == named.Hostname() && net.ParseIP(named.Hostname()) == nil && named.Hostname() != "localhost"
}
