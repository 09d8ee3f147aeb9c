package sys

import "strongroom/internal/audit"

// The forms of answers that handlers put together, as the OpenAPI document has them: tests hold the answers against them.

// mountInfo is a mount as the lists show it.
type mountInfo struct {
	Type        string            `json:"type"`
	Description string            `json:"description"`
	Accessor    string            `json:"accessor"`
	UUID        string            `json:"uuid"`
	Config      mountConfig       `json:"config"`
	Options     map[string]string `json:"options" api:"null"`
	Local       bool              `json:"local"`
	SealWrap    bool              `json:"seal_wrap"`
	Entropy     bool              `json:"external_entropy_access"`
	Plugin      string            `json:"plugin_version"`
	Running     string            `json:"running_plugin_version"`
	RunningSum  string            `json:"running_sha256"`
	Deprecation string            `json:"deprecation_status"`
}

type mountConfig struct {
	DefaultLeaseTTL   int64  `json:"default_lease_ttl" help:"Seconds; 0: the server's."`
	MaxLeaseTTL       int64  `json:"max_lease_ttl" help:"Seconds; 0: the server's."`
	ForceNoCache      bool   `json:"force_no_cache"`
	ListingVisibility string `json:"listing_visibility,omitempty" enum:"unauth,hidden"`
	TokenType         string `json:"token_type,omitempty" help:"Of an auth method."`
}

// mountTuning is what the tune path answers: the times are those that hold.
type mountTuning struct {
	Description  string            `json:"description"`
	DefaultTTL   int64             `json:"default_lease_ttl" help:"Seconds."`
	MaxTTL       int64             `json:"max_lease_ttl" help:"Seconds."`
	NoCache      bool              `json:"force_no_cache"`
	Options      map[string]string `json:"options,omitempty"`
	Visibility   string            `json:"listing_visibility,omitempty" enum:"unauth,hidden"`
	TokenType    string            `json:"token_type,omitempty"`
	RequestKeys  []string          `json:"audit_non_hmac_request_keys,omitempty"`
	ResponseKeys []string          `json:"audit_non_hmac_response_keys,omitempty"`
	Passed       []string          `json:"passthrough_request_headers,omitempty"`
	Allowed      []string          `json:"allowed_response_headers,omitempty"`
	Threshold    int64             `json:"user_lockout_threshold,omitempty"`
	NoLockout    bool              `json:"user_lockout_disable,omitempty"`
	Lockout      int64             `json:"user_lockout_duration,omitempty" help:"Seconds."`
	LockoutReset int64             `json:"user_lockout_counter_reset_duration,omitempty" help:"Seconds."`
}

// seenMount is a mount that the caller may use, or of one that it may only know of, what it is.
type seenMount struct {
	Type        string            `json:"type"`
	Description string            `json:"description"`
	Options     map[string]string `json:"options" api:"null"`
	Accessor    string            `json:"accessor,omitempty"`
	UUID        string            `json:"uuid,omitempty"`
	Config      *mountConfig      `json:"config,omitempty"`
	Local       bool              `json:"local,omitempty"`
	SealWrap    bool              `json:"seal_wrap,omitempty"`
	Entropy     bool              `json:"external_entropy_access,omitempty"`
	Plugin      string            `json:"plugin_version,omitempty"`
	Running     string            `json:"running_plugin_version,omitempty"`
	RunningSum  string            `json:"running_sha256,omitempty"`
	Deprecation string            `json:"deprecation_status,omitempty"`
}

type uiMounts struct {
	Auth   map[string]seenMount `json:"auth"`
	Secret map[string]seenMount `json:"secret"`
}

type uiMount struct {
	mountInfo
	Path string `json:"path"`
}

type uiFeatureFlags struct {
	Flags []string `json:"feature_flags"`
}

type replicationStatus struct {
	DR          replicationMode `json:"dr"`
	Performance replicationMode `json:"performance"`
}

type replicationMode struct {
	Mode string `json:"mode"`
}

type resultantACL struct {
	Root  bool                   `json:"root"`
	Exact map[string]grantedHere `json:"exact_paths"`
	Glob  map[string]grantedHere `json:"glob_paths"`
}

type grantedHere struct {
	Capabilities []string `json:"capabilities" enum:"create,read,update,patch,delete,list,scan,sudo,deny,root"`
}

// tokenInfo is a token as look-ups answer it.
type tokenInfo struct {
	ID               string            `json:"id" help:"The token, if the request had it."`
	Accessor         string            `json:"accessor"`
	DisplayName      string            `json:"display_name"`
	EntityID         string            `json:"entity_id"`
	Policies         []string          `json:"policies"`
	IdentityPolicies []string          `json:"identity_policies,omitempty"`
	Meta             map[string]string `json:"meta" api:"null"`
	Path             string            `json:"path" help:"Where it was made."`
	NamespacePath    string            `json:"namespace_path"`
	Type             string            `json:"type" enum:"service,batch"`
	Orphan           bool              `json:"orphan"`
	Renewable        bool              `json:"renewable,omitempty"`
	TTL              int64             `json:"ttl" help:"Seconds left."`
	CreationTTL      int64             `json:"creation_ttl" help:"Seconds."`
	ExplicitMaxTTL   int64             `json:"explicit_max_ttl" help:"Seconds; 0: none."`
	Period           int64             `json:"period,omitempty" help:"Seconds."`
	CreationTime     int64             `json:"creation_time" help:"Seconds since 1970."`
	IssueTime        string            `json:"issue_time,omitempty"`
	ExpireTime       *string           `json:"expire_time" help:"null: it does not expire."`
	LastRenewal      string            `json:"last_renewal,omitempty"`
	LastRenewalTime  int64             `json:"last_renewal_time,omitempty" help:"Seconds since 1970."`
	NumUses          int               `json:"num_uses" help:"Uses left; 0: no limit."`
	BoundCIDRs       []string          `json:"bound_cidrs,omitempty"`
	Role             string            `json:"role,omitempty"`
}

// tokenRole is what tokens made by a role may be.
type tokenRole struct {
	Name                   string   `json:"name"`
	Orphan                 bool     `json:"orphan"`
	Renewable              bool     `json:"renewable"`
	PathSuffix             string   `json:"path_suffix"`
	AllowedPolicies        []string `json:"allowed_policies"`
	AllowedPoliciesGlob    []string `json:"allowed_policies_glob"`
	DisallowedPolicies     []string `json:"disallowed_policies"`
	DisallowedPoliciesGlob []string `json:"disallowed_policies_glob"`
	AllowedEntityAliases   []string `json:"allowed_entity_aliases"`
	BoundCIDRs             []string `json:"token_bound_cidrs"`
	OldExplicitMaxTTL      int64    `json:"explicit_max_ttl"`
	ExplicitMaxTTL         int64    `json:"token_explicit_max_ttl"`
	OldPeriod              int64    `json:"period"`
	Period                 int64    `json:"token_period"`
	NoDefaultPolicy        bool     `json:"token_no_default_policy"`
	NumUses                int64    `json:"token_num_uses"`
	Type                   string   `json:"token_type"`
}

type leaseInfo struct {
	ID          string  `json:"id"`
	IssueTime   string  `json:"issue_time"`
	ExpireTime  string  `json:"expire_time"`
	LastRenewal *string `json:"last_renewal"`
	Renewable   bool    `json:"renewable"`
	TTL         int64   `json:"ttl" help:"Seconds left."`
}

type irrevocableLeases struct {
	Count  int                `json:"lease_count"`
	Leases []irrevocableLease `json:"leases"`
}

type irrevocableLease struct {
	ID    string `json:"lease_id"`
	Error string `json:"error"`
}

type irrevocableCount struct {
	Count  int            `json:"lease_count"`
	Counts map[string]int `json:"counts" help:"By mount."`
}

type raftConfiguration struct {
	Config raftServers `json:"config"`
}

type raftServers struct {
	Index   uint64   `json:"index"`
	Servers []Server `json:"servers"`
}

type haStatus struct {
	Nodes []HANode `json:"nodes"`
}

// autopilotConfig is what autopilot may do; durations are such as 10s.
type autopilotConfig struct {
	CleanupDeadServers             bool   `json:"cleanup_dead_servers"`
	LastContactThreshold           string `json:"last_contact_threshold"`
	DeadServerLastContactThreshold string `json:"dead_server_last_contact_threshold"`
	MaxTrailingLogs                uint64 `json:"max_trailing_logs"`
	MinQuorum                      uint   `json:"min_quorum"`
	ServerStabilizationTime        string `json:"server_stabilization_time"`
	DisableUpgradeMigration        bool   `json:"disable_upgrade_migration"`
}

type keyStatus struct {
	Term        uint32 `json:"term"`
	InstallTime string `json:"install_time"`
	Encryptions uint64 `json:"encryptions"`
}

type rotateConfig struct {
	MaxOperations uint64 `json:"max_operations"`
	Interval      int64  `json:"interval" help:"Seconds; 0: none."`
	Enabled       bool   `json:"enabled"`
}

type namespaceInfo struct {
	ID             string            `json:"id"`
	Path           string            `json:"path"`
	CustomMetadata map[string]string `json:"custom_metadata"`
}

type namespaceEnding struct {
	Status string `json:"status"`
}

type namespaceLocked struct {
	UnlockKey string `json:"unlock_key"`
}

type snapshotPlan struct {
	Interval      int64  `json:"interval" help:"Seconds."`
	Retain        int    `json:"retain"`
	PathPrefix    string `json:"path_prefix"`
	FilePrefix    string `json:"file_prefix"`
	StorageType   string `json:"storage_type"`
	LocalMaxSpace int64  `json:"local_max_space" help:"Bytes; 0: no limit."`
}

type snapshotPlanStatus struct {
	ConsecutiveErrors int    `json:"consecutive_errors"`
	LastStart         string `json:"last_snapshot_start"`
	LastEnd           string `json:"last_snapshot_end"`
	LastURL           string `json:"last_snapshot_url"`
	LastError         string `json:"last_snapshot_error"`
	NextStart         string `json:"next_snapshot_start"`
	Start             string `json:"snapshot_start"`
	URL               string `json:"snapshot_url"`
}

type installedVersion struct {
	BuildDate *string `json:"build_date"`
	Previous  *string `json:"previous_version"`
	Installed string  `json:"timestamp_installed"`
}

type wrappingInfo struct {
	Path string `json:"creation_path"`
	Time string `json:"creation_time"`
	TTL  int64  `json:"creation_ttl" help:"Seconds."`
}

type plugins struct {
	Auth     []string     `json:"auth"`
	Secret   []string     `json:"secret"`
	Database []string     `json:"database"`
	Detailed []pluginInfo `json:"detailed"`
}

type pluginInfo struct {
	Name        string `json:"name"`
	Type        string `json:"type"`
	Builtin     bool   `json:"builtin"`
	Version     string `json:"version"`
	Deprecation string `json:"deprecation_status"`
}

type plugin struct {
	pluginInfo
	Args    []string `json:"args"`
	Command string   `json:"command"`
	SHA256  string   `json:"sha256"`
}

type auditHash struct {
	Hash string `json:"hash"`
}

// auditDevice is how audit.Listed is shown.
type auditDevice struct {
	Path        string            `json:"path"`
	Type        string            `json:"type" enum:"file,socket,syslog,http"`
	Description string            `json:"description"`
	Options     map[string]string `json:"options"`
	Local       bool              `json:"local"`
}

type auditedHeaders struct {
	Headers map[string]audit.Header `json:"headers"`
}

type corsSettings struct {
	Enabled     bool     `json:"enabled"`
	Origins     []string `json:"allowed_origins,omitempty"`
	Credentials bool     `json:"allow_credentials,omitempty"`
	Headers     []string `json:"allowed_headers,omitempty"`
}

type uiHeader struct {
	Value  string   `json:"value,omitempty"`
	Values []string `json:"values,omitempty"`
}

type toolRandom struct {
	Bytes string `json:"random_bytes"`
}

type toolHash struct {
	Sum string `json:"sum"`
}

type lockedUsers struct {
	Namespaces []lockedNamespace `json:"by_namespace"`
	Total      int               `json:"total"`
}

type lockedNamespace struct {
	ID     string        `json:"namespace_id"`
	Path   string        `json:"namespace_path"`
	Counts int           `json:"counts"`
	Mounts []lockedMount `json:"mount_accessors"`
}

type moveBegun struct {
	ID string `json:"migration_id"`
}

type moveState struct {
	ID   string   `json:"migration_id"`
	Info moveInfo `json:"migration_info"`
}

type moveInfo struct {
	From   string `json:"source_mount"`
	To     string `json:"target_mount"`
	Status string `json:"status"`
}

type passwordPolicyText struct {
	Policy string `json:"policy"`
}

type generatedPassword struct {
	Password string `json:"password"`
}

type quotaConfig struct {
	Exempt          []string `json:"rate_limit_exempt_paths"`
	AbsoluteExempt  []string `json:"absolute_rate_limit_exempt_paths"`
	AuditLogging    bool     `json:"enable_rate_limit_audit_logging"`
	ResponseHeaders bool     `json:"enable_rate_limit_response_headers"`
}

type quotaRule struct {
	Type        string `json:"type"`
	Name        string `json:"name"`
	Path        string `json:"path"`
	Role        string `json:"role"`
	Inheritable bool   `json:"inheritable"`
}

type rateLimit struct {
	quotaRule
	Rate          float64 `json:"rate"`
	Interval      int64   `json:"interval" help:"Seconds."`
	BlockInterval int64   `json:"block_interval" help:"Seconds."`
	GroupBy       string  `json:"group_by"`
	SecondaryRate float64 `json:"secondary_rate"`
}

type leaseCount struct {
	quotaRule
	MaxLeases int64 `json:"max_leases"`
	Counter   int64 `json:"counter" help:"Leases that there are."`
}

// sanitizedConfig is the configuration of a node without what may be secret: what server/sanitized.go makes of it.
type sanitizedConfig struct {
	APIAddr         string                       `json:"api_addr"`
	ClusterAddr     string                       `json:"cluster_addr"`
	ClusterName     string                       `json:"cluster_name"`
	UI              bool                         `json:"enable_ui"`
	LogLevel        string                       `json:"log_level"`
	LogFormat       string                       `json:"log_format"`
	LogFile         string                       `json:"log_file"`
	PIDFile         string                       `json:"pid_file"`
	DisableMlock    bool                         `json:"disable_mlock"`
	DefaultLeaseTTL int64                        `json:"default_lease_ttl" help:"Seconds."`
	MaxLeaseTTL     int64                        `json:"max_lease_ttl" help:"Seconds."`
	PluginDirectory string                       `json:"plugin_directory"`
	AllowAudit      bool                         `json:"unsafe_allow_api_audit_creation"`
	AllowPrefix     bool                         `json:"allow_audit_log_prefixing"`
	Listeners       []sanitizedListener          `json:"listeners" api:"null"`
	Seals           []sanitizedSeal              `json:"seals"`
	Audit           []sanitizedDevice            `json:"audit" api:"null"`
	Lockouts        map[string]sanitizedLockouts `json:"user_lockout"`
	DisableLockout  bool                         `json:"disable_user_lockout"`
	Declared        int                          `json:"declared_requests"`
	Storage         sanitizedStorage             `json:"storage"`
	Registration    *sanitizedRegistration       `json:"service_registration,omitempty"`
}

type sanitizedListener struct {
	Type   string         `json:"type"`
	Config map[string]any `json:"config"`
}

type sanitizedSeal struct {
	Type     string `json:"type"`
	Disabled bool   `json:"disabled"`
}

type sanitizedDevice struct {
	Type string `json:"type"`
	Path string `json:"path"`
}

type sanitizedLockouts struct {
	Threshold int64 `json:"lockout_threshold"`
	Duration  int64 `json:"lockout_duration" help:"Seconds."`
	Reset     int64 `json:"lockout_counter_reset" help:"Seconds."`
	Disable   bool  `json:"disable_lockout"`
}

type sanitizedStorage struct {
	Type              string `json:"type"`
	RedirectAddr      string `json:"redirect_addr"`
	ClusterAddr       string `json:"cluster_addr"`
	DisableClustering bool   `json:"disable_clustering"`
	NodeID            string `json:"node_id"`
	Path              string `json:"path"`
}

type sanitizedRegistration struct {
	Type string `json:"type"`
}
