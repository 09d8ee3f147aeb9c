package server

import (
	"crypto/tls"
	"fmt"
	"math"
	"time"

	"strongroom/internal/node"
	"strongroom/internal/seal"
)

// The keys of every block, as Vault documents them. A key that is missing here is warned of as unknown.

const (
	notYet  = "this release does not do it"
	nothing = "there is nothing of the kind in this server"
)

func (d *decoder) root(c *Config) setters {
	storage := labelled("raft", func(kind string, body *block) error { return d.storage(c, kind, body) })
	known := setters{
		"listener":                        labelled("tcp", func(kind string, body *block) error { return d.listener(c, kind, body) }),
		"storage":                         storage,
		"backend":                         storage,
		"ha_storage":                      refused("not supported: storage \"raft\" replicates by itself; remove this block"),
		"seal":                            labelled(seal.Shamir, func(kind string, body *block) error { return d.seal(c, kind, body) }),
		"api_addr":                        baseURL(&c.APIAddr),
		"cluster_addr":                    baseURL(&c.ClusterAddr),
		"cluster_name":                    text(&c.ClusterName),
		"ui":                              boolean(&c.UI),
		"log_level":                       logLevel(&c.Log.Level),
		"log_format":                      oneOf(&c.Log.Format, logFormats()...),
		"log_file":                        text(&c.Log.File),
		"telemetry":                       d.nested(d.telemetry(&c.Telemetry)),
		"pid_file":                        text(&c.PIDFile),
		"disable_mlock":                   boolean(&c.DisableMlock),
		"audit":                           labelled("file", func(kind string, body *block) error { return d.audit(c, kind, body) }),
		"user_lockout":                    labelled("all", func(kind string, body *block) error { return d.userLockout(c, kind, body) }),
		"initialize":                      labelled("name", func(name string, body *block) error { return d.initialize(c, name, body) }),
		"unsafe_allow_api_audit_creation": boolean(&c.Audit.AllowAPI),
		"allow_audit_log_prefixing":       boolean(&c.Audit.AllowPrefix),
		"plugin_directory":                d.inert(text(&c.Audit.plugins)),
		"default_lease_ttl":               duration(&c.DefaultLeaseTTL),
		"max_lease_ttl":                   duration(&c.MaxLeaseTTL),
		"service_registration": labelled("kubernetes", func(kind string, body *block) error {
			return d.serviceRegistration(c, kind, body)
		}),
	}
	d.ignore(known, notYet, "default_max_request_duration", "raw_storage_endpoint",
		"introspection_endpoint", "enable_response_header_hostname", "enable_response_header_raft_node_id", "disable_clustering",
		"log_rotate_duration", "log_rotate_bytes", "log_rotate_max_files", "plugin_tmpdir",
		"plugin_file_uid", "plugin_file_permissions", "enable_post_unseal_trace", "post_unseal_trace_directory")
	return d.ignore(known, nothing, "cache_size", "disable_cache", "detect_deadlocks", "license_path", "entropy", "kms_library", "replication",
		"reporting", "sentinel", "experiments", "disable_sealwrap", "disable_performance_standby", "disable_printable_check",
		"imprecise_lease_role_tracking", "request_limiter", "adaptive_overload_protection", "administrative_namespace_path")
}

func (d *decoder) storage(c *Config, kind string, body *block) error {
	// A later file's storage replaces an earlier one's; two in one file would lose one.
	if c.Storage.Type != "" && c.Storage.at.file == body.at.file {
		return fmt.Errorf("%s: a second storage block, the first is at %s: keep one", body.at, c.Storage.at)
	}
	s := Storage{Type: kind, MaxEntrySize: defaultMaxEntry, at: body.at}
	known := setters{
		"path":                    text(&s.Path),
		"node_id":                 text(&s.NodeID),
		"retry_join":              d.retryJoin(&s),
		"retry_join_as_non_voter": boolean(&s.NonVoter),
		"performance_multiplier":  d.inert(count(&s.PerformanceMultiplier, 0, 10)),
		"trailing_logs":           count(&s.TrailingLogs, 0, math.MaxInt64),
		"snapshot_threshold":      d.inert(count(&s.SnapshotThreshold, 0, math.MaxInt64)),
		"snapshot_interval":       d.inert(duration(&s.SnapshotInterval)),
		"max_entry_size":          d.inert(count(&s.MaxEntrySize, 64<<10, 64<<20)),
	}
	d.ignore(known, nothing, "max_mount_and_namespace_table_entry_size", "raft_wal", "raft_log_verifier_enabled",
		"raft_log_verification_interval", "autopilot_upgrade_version", "autopilot_redundancy_zone")
	d.ignore(known, notYet, "autopilot_reconcile_interval", "autopilot_update_interval")
	d.ignore(known, "the cluster keeps it: use \"vault operator raft autopilot set-config\"", "autopilot")
	switch kind {
	case "raft", "file", "inmem":
	default:
		return fmt.Errorf("%s: storage %q is not supported: use \"raft\", this server's own replicated storage (or \"file\" or \"inmem\" for one node)", body.at, kind)
	}
	err := d.decode(body, known)
	c.Storage = s
	return err
}

func (d *decoder) retryJoin(s *Storage) setter {
	return func(f field) error {
		var j RetryJoin
		known := setters{
			"leader_api_addr":         baseURL(&j.LeaderAPIAddr),
			"leader_tls_servername":   text(&j.LeaderTLSServerName),
			"leader_ca_cert_file":     text(&j.LeaderCACertFile),
			"leader_client_cert_file": text(&j.LeaderClientCertFile),
			"leader_client_key_file":  text(&j.LeaderClientKeyFile),
			"leader_ca_cert":          text(&j.LeaderCACert),
			"leader_client_cert":      text(&j.LeaderClientCert),
			"leader_client_key":       text(&j.LeaderClientKey),
			"auto_join":               text(&j.AutoJoin),
			"auto_join_scheme":        oneOf(&j.AutoJoinScheme, "http", "https"),
			"auto_join_port":          count(&j.AutoJoinPort, 1, math.MaxUint16),
		}
		if err := d.nested(known)(f); err != nil {
			return err
		}
		switch {
		case j.LeaderAPIAddr == "" && j.AutoJoin == "":
			return f.errorf("leader_api_addr is missing, the address of a node to join, such as https://vault-0.example.com:8200; or auto_join = \"provider=k8s …\"")
		case j.AutoJoin == "" && (j.AutoJoinScheme != "" || j.AutoJoinPort != 0):
			return f.errorf("auto_join_scheme and auto_join_port say how to reach what auto_join finds, which is missing")
		case j.LeaderCACert != "" && j.LeaderCACertFile != "":
			return f.errorf("leader_ca_cert and leader_ca_cert_file are two answers to one question: keep one")
		case (j.LeaderClientCertFile == "") != (j.LeaderClientKeyFile == "") || (j.LeaderClientCert == "") != (j.LeaderClientKey == ""):
			return f.errorf("a client certificate needs both its certificate and its key")
		}
		if j.AutoJoin != "" {
			if err := node.CheckAutoJoin(j.AutoJoin); err != nil {
				return f.errorf("%w", err)
			}
		}
		s.RetryJoin = append(s.RetryJoin, j)
		return nil
	}
}

func (d *decoder) listener(c *Config, kind string, body *block) error {
	if kind != "tcp" {
		return fmt.Errorf("%s: listener %q is not supported: use listener \"tcp\"", body.at, kind)
	}
	l := newListener()
	l.at = body.at
	known := setters{
		"address":                                  address(&l.Address),
		"cluster_address":                          address(&l.ClusterAddress),
		"tls_disable":                              boolean(&l.TLS.Disable),
		"tls_cert_file":                            text(&l.TLS.CertFile),
		"tls_key_file":                             text(&l.TLS.KeyFile),
		"tls_min_version":                          d.tlsVersion(&l.TLS.MinVersion),
		"tls_max_version":                          d.tlsVersion(&l.TLS.MaxVersion),
		"tls_cipher_suites":                        cipherSuites(&l.TLS.CipherSuites),
		"tls_client_ca_file":                       text(&l.TLS.ClientCAFile),
		"tls_require_and_verify_client_cert":       boolean(&l.TLS.RequireClientCert),
		"tls_disable_client_certs":                 boolean(&l.TLS.DisableClientCertPrompt),
		"http_idle_timeout":                        duration(&l.HTTP.Idle),
		"http_read_header_timeout":                 duration(&l.HTTP.ReadHeader),
		"http_read_timeout":                        duration(&l.HTTP.Read),
		"http_write_timeout":                       duration(&l.HTTP.Write),
		"max_request_size":                         size(&l.MaxRequestSize),
		"max_request_duration":                     duration(&l.MaxRequestDuration),
		"max_json_depth":                           count(&l.JSON.Depth, 0, math.MaxInt32),
		"max_json_string_value_length":             count(&l.JSON.String, 0, math.MaxInt32),
		"max_json_object_entry_count":              count(&l.JSON.Entries, 0, math.MaxInt32),
		"max_json_array_element_count":             count(&l.JSON.Elements, 0, math.MaxInt32),
		"require_request_header":                   boolean(&l.RequireRequestHeader),
		"disable_unauthed_rekey_endpoints":         not(&l.UnauthenticatedRekey),
		"disable_unauthed_generate_root_endpoints": not(&l.UnauthenticatedGenerateRoot),
		"telemetry":                                d.nested(d.listenerTelemetry(&l)),
		"profiling": d.nested(setters{"unauthenticated_pprof_access": boolean(&l.UnauthenticatedPprof),
			"unauthenticated_in_flight_request_access": boolean(&l.UnauthenticatedInFlight)}),
		"inflight_requests_logging": d.nested(setters{"unauthenticated_in_flight_requests_access": boolean(&l.UnauthenticatedInFlight)}),
	}
	d.forwardedFor(known, &l.XForwardedFor)
	for _, name := range []string{"proxy_protocol_behavior", "proxy_protocol_authorized_addrs", "chroot_namespace"} {
		// Protection that is asked for and not given is worse than a server that does not start.
		known[name] = refused("not in this release, and it guards the listener, so it is not passed over: remove it")
	}
	d.ignore(known, notYet, "custom_response_headers", "cors", "redact_addresses", "redact_cluster_name",
		"redact_version", "disable_replication_status_endpoints", "disable_request_limiter", "agent_api")
	d.ignore(known, nothing, "tls_prefer_server_cipher_suites")
	err := d.decode(body, known)
	c.Listeners = append(c.Listeners, l)
	return err
}

// newListener is a listener with the documented defaults.
func newListener() Listener {
	return Listener{
		TLS:                ListenerTLS{MinVersion: tls.VersionTLS12},
		HTTP:               HTTPTimeouts{Idle: 5 * time.Minute, ReadHeader: 10 * time.Second, Read: 30 * time.Second},
		XForwardedFor:      XForwardedFor{RejectNotPresent: true, RejectNotAuthorized: true},
		MaxRequestSize:     32 << 20,
		MaxRequestDuration: defaultRequestTime,
	}
}

func (d *decoder) listenerTelemetry(l *Listener) setters {
	known := setters{"unauthenticated_metrics_access": boolean(&l.UnauthenticatedMetrics)}
	return d.ignore(known, notYet, "disallow_metrics", "add_lease_metrics_namespace_labels", "add_mount_point_rollback_metrics")
}

func (d *decoder) forwardedFor(known setters, x *XForwardedFor) {
	known["x_forwarded_for_authorized_addrs"] = networks(&x.Authorized)
	known["x_forwarded_for_hop_skips"] = count(&x.HopSkips, 0, 1000)
	known["x_forwarded_for_reject_not_present"] = boolean(&x.RejectNotPresent)
	known["x_forwarded_for_reject_not_authorized"] = boolean(&x.RejectNotAuthorized)
	d.ignore(known, notYet, "x_forwarded_for_client_cert_header", "x_forwarded_for_client_cert_header_decoders")
}

// not sets to to the contrary of a switch.
func not(to *bool) setter {
	return func(f field) error {
		var on bool
		err := boolean(&on)(f)
		*to = err == nil && !on
		return err
	}
}
