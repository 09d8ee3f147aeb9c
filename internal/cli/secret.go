package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"
)

// printSecret prints an answer of the logical API: one field of it, or all of it.
func (c *call) printSecret(secret *api.Secret) error {
	if c.options.field != "" {
		return c.printField(secret, c.options.field)
	}
	c.warnings(secret.Warnings)
	return c.print(secret, func() string { return secretTable(secret) })
}

func secretTable(secret *api.Secret) string {
	var rows []string
	for _, f := range secretFields(secret) {
		rows = append(rows, row(f.name, f.text))
	}
	if rows = append(rows, mapRows(secret.Data)...); len(rows) == 0 {
		return "" // an answer of warnings alone
	}
	return keyValue(rows...)
}

// namedField is a field of an answer outside its data: text is for tables, value for -field (durations
// there are bare seconds, for scripts).
type namedField struct {
	name  string
	text  any
	value any
}

func field(name string, value any) namedField { return namedField{name, value, value} }

func humanised(name string, seconds int) namedField {
	return namedField{name, humanSeconds(seconds), seconds}
}

// secretFields lists the fields outside the data in the order Vault prints them.
func secretFields(secret *api.Secret) []namedField {
	var fields []namedField
	switch {
	case secret.LeaseID != "":
		fields = append(fields, field("lease_id", secret.LeaseID), humanised("lease_duration", secret.LeaseDuration),
			field("lease_renewable", secret.Renewable))
	case secret.LeaseDuration > 0:
		// With no lease the duration is a hint how often to read again.
		fields = append(fields, humanised("refresh_interval", secret.LeaseDuration))
	}
	if auth := secret.Auth; auth != nil {
		if auth.MFARequirement != nil {
			fields = append(fields, field("mfa_request_id", auth.MFARequirement.MFARequestID))
		} else {
			fields = append(fields, authFields(auth)...)
		}
	}
	if wrap := secret.WrapInfo; wrap != nil {
		fields = append(fields, wrapFields(wrap)...)
	}
	return fields
}

func authFields(auth *api.SecretAuth) []namedField {
	duration := humanised("token_duration", auth.LeaseDuration)
	if auth.LeaseDuration == 0 {
		duration.text = "∞"
	}
	fields := []namedField{
		field("token", auth.ClientToken),
		field("token_accessor", auth.Accessor),
		duration,
		field("token_renewable", auth.Renewable),
		quoted("token_policies", auth.TokenPolicies),
		quoted("identity_policies", auth.IdentityPolicies),
		quoted("policies", auth.Policies),
	}
	for _, key := range sortedKeys(auth.Metadata) {
		fields = append(fields, field("token_meta_"+key, auth.Metadata[key]))
	}
	return fields
}

func quoted(name string, values []string) namedField {
	return namedField{name, fmt.Sprintf("%q", values), values}
}

func wrapFields(wrap *api.SecretWrapInfo) []namedField {
	fields := []namedField{
		field("wrapping_token:", wrap.Token),
		field("wrapping_accessor:", wrap.Accessor),
		humanised("wrapping_token_ttl:", wrap.TTL),
		field("wrapping_token_creation_time:", wrap.CreationTime.Format("2006-01-02 15:04:05.999999999 -0700 MST")),
		field("wrapping_token_creation_path:", wrap.CreationPath),
	}
	if wrap.WrappedAccessor != "" {
		fields = append(fields, field("wrapped_accessor:", wrap.WrappedAccessor))
	}
	return fields
}

// printField prints one field: of those outside the data, of the data, or "data" itself.
func (c *call) printField(secret *api.Secret, name string) error {
	for _, f := range secretFields(secret) {
		if strings.TrimSuffix(f.name, ":") == name {
			return c.printValue(f.value)
		}
	}
	if value, ok := secret.Data[name]; ok {
		return c.printValue(value)
	}
	if name == "data" && secret.Data != nil {
		return c.printValue(secret.Data)
	}
	return usagef("Field %q not present in secret", name)
}

// printValue prints a single value; as JSON or YAML if that was asked for, otherwise bare. Without a
// terminal no newline follows, so that the value can be piped as it is.
func (c *call) printValue(value any) error {
	if c.options.format == "json" || c.options.format == "yaml" {
		return c.print(value, nil)
	}
	text := ""
	switch v := value.(type) {
	case string:
		text = v
	case json.Number:
		text = v.String()
	case time.Time:
		text = v.Format(time.RFC3339Nano)
	default:
		text = fmt.Sprint(v)
	}
	if c.OutIsTerminal {
		text += "\n"
	}
	_, err := fmt.Fprint(c.Stdout, text)
	return err
}

// printKeys prints the answer of a list: its keys, or all of it when it was wrapped instead.
func (c *call) printKeys(secret *api.Secret, path string) error {
	if secret != nil && secret.WrapInfo != nil {
		return c.printSecret(secret)
	}
	var keys []any
	if secret != nil {
		c.warnings(secret.Warnings)
		keys, _ = secret.Data["keys"].([]any)
	}
	if len(keys) == 0 {
		if !c.isTable() {
			if err := c.print(struct{}{}, nil); err != nil {
				return err
			}
			return silent(exitAPI)
		}
		return answerf("No value found at %s", path)
	}
	return c.print(keys, func() string {
		rows := []string{row("Keys")}
		for _, key := range keys {
			rows = append(rows, row(key))
		}
		return table(rows)
	})
}

// cleanPath is a path as the API wants it: no slash at either end, no spaces around.
func cleanPath(path string) string { return strings.Trim(strings.TrimSpace(path), "/") }

// mountPath is the path of a mount as Vault prints it: one slash at the end.
func mountPath(path string) string { return cleanPath(path) + "/" }
