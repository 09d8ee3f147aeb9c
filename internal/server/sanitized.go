package server

// sanitized is c for sys/config/state/sanitized: names, addresses and durations, and of storage, seals and audit devices their kind only, as
// their options may hold secrets (developer.hashicorp.com/vault/api-docs/system/config-state). Durations are in seconds.
func (c *Config) sanitized() map[string]any {
	var listeners, seals, audits []map[string]any
	for _, l := range c.Listeners {
		listeners = append(listeners, map[string]any{"type": "tcp", "config": map[string]any{"address": l.Address, "cluster_address": l.ClusterAddress,
			"tls_disable": l.TLS.Disable, "tls_cert_file": l.TLS.CertFile, "tls_client_ca_file": l.TLS.ClientCAFile, "tls_require_and_verify_client_cert": l.TLS.RequireClientCert,
			"max_request_size": l.MaxRequestSize, "max_request_duration": int64(l.MaxRequestDuration.Seconds())}})
	}
	for _, s := range c.Seals {
		seals = append(seals, map[string]any{"type": s.Type, "disabled": s.Disabled})
	}
	if len(seals) == 0 {
		seals = append(seals, map[string]any{"type": "shamir", "disabled": false})
	}
	for _, d := range c.Audit.Devices {
		audits = append(audits, map[string]any{"type": d.Type, "path": d.Path})
	}
	lockouts := map[string]any{}
	for kind, l := range c.Lockout.Types {
		lockouts[kind] = map[string]any{"lockout_threshold": l.Threshold, "lockout_duration": int64(l.Duration.Seconds()), "lockout_counter_reset": int64(l.Reset.Seconds()), "disable_lockout": l.Disabled}
	}
	out := map[string]any{
		"api_addr": c.APIAddr, "cluster_addr": c.ClusterAddr, "cluster_name": c.ClusterName, "enable_ui": c.UI, "log_level": c.Log.Level, "log_format": c.Log.Format, "log_file": c.Log.File,
		"pid_file": c.PIDFile, "disable_mlock": c.DisableMlock, "default_lease_ttl": int64(c.DefaultLeaseTTL.Seconds()), "max_lease_ttl": int64(c.MaxLeaseTTL.Seconds()),
		"plugin_directory": c.Audit.plugins, "unsafe_allow_api_audit_creation": c.Audit.AllowAPI, "allow_audit_log_prefixing": c.Audit.AllowPrefix,
		"listeners": listeners, "seals": seals, "audit": audits, "user_lockout": lockouts, "disable_user_lockout": c.Lockout.Off, "declared_requests": c.Declared.Len(),
		"storage": map[string]any{"type": c.Storage.Type, "redirect_addr": c.APIAddr, "cluster_addr": c.ClusterAddr, "disable_clustering": c.Storage.Type != "raft", "node_id": c.Storage.NodeID, "path": c.Storage.Path},
	}
	if c.Registration != nil {
		out["service_registration"] = map[string]any{"type": "kubernetes"}
	}
	return out
}
