package server

import (
	"strings"
	"testing"
)

func TestConfigErrors(t *testing.T) {
	const (
		store  = "storage \"raft\" { path = \"d\" }\n"
		plain  = "listener \"tcp\" { tls_disable = true }\n"
		secret = "s3cr3t-value"
	)
	join := func(lines string) string {
		return plain + "storage \"raft\" {\n path = \"d\"\n retry_join {\n" + lines + "\n } }"
	}
	tcp := func(lines string) string { return store + "listener \"tcp\" {\n" + lines + "\n}" }
	const pair = "tls_cert_file = \"c\"\ntls_key_file = \"k\"\n"
	tests := []struct{ name, text, want string }{
		{"no storage", plain, `no storage is configured: add storage "raft" { path = "/var/lib/strongroom" }`},
		{"no listener", store, `no listener is configured: add listener "tcp"`},
		{"no path", plain + `storage "raft" {}`, `v.hcl:2:1: storage "raft": path is needed`},
		{"foreign storage", plain + `storage "consul" { token = "` + secret + `" }`, `v.hcl:2:1: storage "consul" is not supported: use "raft"`},
		{"two storages", store + store + plain, "v.hcl:2:1: a second storage block, the first is at v.hcl:1:1: keep one"},
		{"unlabelled storage", plain + `storage { path = "d" }`, `v.hcl:2:1: storage: the block's type is missing: write storage "raft" { … }`},
		{"storage is a word", plain + `storage = "raft"`, `v.hcl:2:1: storage: a block with its type is needed here`},
		{"ha_storage", store + plain + `ha_storage "raft" {}`, `v.hcl:3:1: ha_storage: not supported: storage "raft" replicates by itself; remove this block`},
		{"auto seal", store + plain + `seal "awskms" { secret_key = "` + secret + `" }`, `v.hcl:3:1: seal "awskms" is not supported: this release has "shamir", "static", "transit" and "peer"`},
		{"auto_join", join("  auto_join = \"provider=aws secret_access_key=" + secret + "\""), `v.hcl:4:2: retry_join: auto_join: the provider "aws" is not supported: use provider=k8s`},
		{"auto_join badly quoted", join("auto_join = \"provider=k8s namespace=\\\"" + secret + "\""), "the double quote is not closed"},
		{"auto_join port alone", join("leader_api_addr = \"https://a:1\"\nauto_join_port = 8200"), "auto_join finds, which is missing"},
		{"auto_join scheme", join("auto_join = \"provider=k8s\"\nauto_join_scheme = \"ftp\""), "must be one of http, https"},
		{"join nobody", join(""), "v.hcl:4:2: retry_join: leader_api_addr is missing"},
		{"half a client certificate", join("leader_api_addr = \"https://a:1\"\nleader_client_key = \"" + secret + "\""), "a client certificate needs both its certificate and its key"},
		{"two CAs", join("leader_api_addr = \"https://a:1\"\nleader_ca_cert = \"x\"\nleader_ca_cert_file = \"y\""), "leader_ca_cert and leader_ca_cert_file are two answers to one question"},
		{"retry_join on file", plain + "storage \"file\" {\n path = \"d\"\n retry_join {\n leader_api_addr = \"https://a:1\"\n } }", `retry_join is for storage "raft"`},
		{"template", store + plain + `api_addr = "http://{{ GetPrivateIP }}:8200"`, `v.hcl:3:1: api_addr: the template "http://{{ GetPrivateIP }}:8200" is not expanded: write the address itself`},
		{"template listener", tcp(`address = "{{ GetPrivateIP }}:8200"`), "v.hcl:3:1: address: the template"},
		{"no port", tcp(`address = "127.0.0.1"`), `v.hcl:3:1: address: "127.0.0.1" is not host:port: write it like 127.0.0.1:8200`},
		{"no scheme", store + plain + `api_addr = "vault:8200"`, "v.hcl:3:1: api_addr: a full address is needed here, such as https://vault-0.example.com:8200"},
		{"password in the address", store + plain + `api_addr = "http://u:` + secret + `@h:1"`, "a full address is needed here"},
		{"no certificate", tcp(""), "v.hcl:2:1: listener: tls_cert_file and tls_key_file are needed"},
		{"client CA missing", tcp(pair + "tls_require_and_verify_client_cert = true"), "needs tls_client_ca_file"},
		{"TLS version", tcp(`tls_min_version = "1.2"`), "v.hcl:3:1: tls_min_version: must be tls10, tls11, tls12 or tls13"},
		{"TLS versions crossed", tcp(pair + "tls_min_version = \"tls13\"\ntls_max_version = \"tls12\""), "tls_max_version is below tls_min_version"},
		{"client certificates both ways", tcp(pair + "tls_disable_client_certs = true\ntls_require_and_verify_client_cert = true"), "contradict each other"},
		{"cipher suite", tcp(`tls_cipher_suites = "TLS_RSA_WITH_RC4_128_SHA"`), `"TLS_RSA_WITH_RC4_128_SHA" is not a cipher suite this server offers`},
		{"unix", store + `listener "unix" {}`, `v.hcl:2:1: listener "unix" is not supported: use listener "tcp"`},
		{"guard", tcp("tls_disable = true\nchroot_namespace = \"a\""), "v.hcl:4:1: chroot_namespace: not in this release, and it guards the listener"},
		{"network", tcp("x_forwarded_for_authorized_addrs = \"proxy\""), `"proxy" is neither an IP address nor a range`},
		{"boolean", store + plain + `ui = "maybe"`, "v.hcl:3:1: ui: true or false is needed here"},
		{"number", plain + "storage \"raft\" {\n path = \"d\"\nperformance_multiplier = 11\n}", "v.hcl:4:1: performance_multiplier: a number from 0 to 10 is needed here"},
		{"duration", store + plain + `max_lease_ttl = "soon"`, "v.hcl:3:1: max_lease_ttl: a duration such as 90, 30s, 24h or 7d is needed"},
		{"leases crossed", store + plain + "max_lease_ttl = \"1h\"\ndefault_lease_ttl = \"2h\"", "default_lease_ttl (2h0m0s) is longer than max_lease_ttl (1h0m0s)"},
		{"log level", store + plain + `log_level = "loud"`, `v.hcl:3:1: log_level: must be trace, debug, info, warn or error, not "loud"`},
		{"list for scalar", store + plain + `api_addr = ["a"]`, "v.hcl:3:1: api_addr: one value is needed here, not a list or block"},
		{"twice", store + plain + "ui = true\nui = false", "v.hcl:4:1: ui: set twice, first at v.hcl:3:1: keep one of them"},
		{"every interface", tcp("address = \"0.0.0.0:8200\"\ntls_disable = 1"), "v.hcl:2:1: listener: its address is every interface, so it does not say where other nodes reach this one: set api_addr"},
		{"top port", tcp("address = \"127.0.0.1:65535\"\ntls_disable = 1"), `no port follows that of "127.0.0.1:65535": set cluster_address and cluster_addr`},
		{"syntax", "ui = true\nstorage \"raft\" {\n", "v.hcl:3:2: not valid HCL: object expected closing RBRACE got: EOF"},
		{"JSON syntax", "{\n \"ui\": tru }", "v.hcl:2:"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			write(t, map[string]string{"v.hcl": test.text})
			_, _, err := LoadConfig("v.hcl")
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got error %v\nwant %s", err, test.want)
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}
