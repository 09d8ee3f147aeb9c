package database

import (
	"time"

	"strongroom/engine"
)

// What is answered, as Vault's API documentation has it. Durations are in seconds, unless they are texts.

// Connection is what a read of config/<name> answers.
type Connection struct {
	Plugin         string   `json:"plugin_name"`
	PluginVersion  string   `json:"plugin_version"`
	AllowedRoles   []string `json:"allowed_roles"`
	Details        Details  `json:"connection_details"`
	PasswordPolicy string   `json:"password_policy"`
	Rotation       []string `json:"root_credentials_rotate_statements"`
	Verify         bool     `json:"verify_connection"`
}

// Details are the settings of a connection that depend on the kind of the database. No password or key is among them.
type Details struct {
	URL            string `json:"connection_url" help:"A password that stands in it is hidden."`
	Username       string `json:"username,omitempty"`
	MaxOpen        int    `json:"max_open_connections"`
	MaxIdle        int    `json:"max_idle_connections"`
	MaxLifetime    string `json:"max_connection_lifetime"`
	Escaped        bool   `json:"disable_escaping"`
	Authentication string `json:"password_authentication" enum:"password,scram-sha-256"`
	Template       string `json:"username_template,omitempty"`
	CA             string `json:"tls_ca,omitempty"`
	Certificate    string `json:"tls_certificate,omitempty"`
}

// Role is what a read of roles/<name> answers.
type Role struct {
	Connection string   `json:"db_name"`
	Creation   []string `json:"creation_statements"`
	Revocation []string `json:"revocation_statements"`
	Rollback   []string `json:"rollback_statements"`
	Renewal    []string `json:"renew_statements"`
	DefaultTTL int64    `json:"default_ttl"`
	MaxTTL     int64    `json:"max_ttl"`
	Credential string   `json:"credential_type"`
}

// Credentials are a user that is lent, beside the lease.
type Credentials struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// Rotation is when the password of a static role is changed: by a period, or a schedule.
type Rotation struct {
	Last     *time.Time `json:"last_vault_rotation"`
	Period   int64      `json:"rotation_period,omitempty"`
	Schedule string     `json:"rotation_schedule,omitempty"`
	Window   int64      `json:"rotation_window,omitempty"`
}

// StaticRole is what a read of static-roles/<name> answers.
type StaticRole struct {
	Connection string   `json:"db_name"`
	Username   string   `json:"username"`
	Statements []string `json:"rotation_statements"`
	Credential string   `json:"credential_type"`
	Rotation
}

// StaticCredentials are a user that stays.
type StaticCredentials struct {
	Credentials
	TTL int64 `json:"ttl" help:"Seconds until the password is changed."`
	Rotation
}

// lists are the Answers of a list of names.
func lists() engine.Answers { return engine.Answers{engine.List: engine.Keys{}} }

// one are those of something that is read, written and deleted.
func one(read any) engine.Answers {
	return engine.Answers{engine.Read: read, engine.Update: engine.Nothing{}, engine.Delete: engine.Nothing{}}
}

// done are those of a write that has nothing to tell.
func done() engine.Answers { return engine.Answers{engine.Update: engine.Nothing{}} }
