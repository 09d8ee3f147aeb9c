package server

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
)

// Banner says what was started: the keys and the shape are those people's scripts know from Vault. Of the environment it shows names only.
func Banner(w io.Writer, c *Config, dev bool) {
	lines := [][2]string{
		{"Api Address", c.APIAddr},
		{"Cgo", cgo()},
		{"Cluster Address", c.ClusterAddr},
		{"Environment Variables", strings.Join(environmentNames(), ", ")},
		{"Go Version", runtime.Version()},
	}
	for i, l := range c.Listeners {
		lines = append(lines, [2]string{fmt.Sprintf("Listener %d", i+1), l.String()})
	}
	storage := c.Storage.Type
	if storage == "raft" {
		storage += " (HA available)"
	}
	lines = append(lines,
		[2]string{"Log Level", c.Log.Level},
		[2]string{"Mlock", "supported: false, enabled: false"},
		[2]string{"Recovery Mode", "false"},
		[2]string{"Storage", storage},
		[2]string{"Version", versionText()},
	)
	width := 0
	for _, line := range lines {
		width = max(width, len(line[0]))
	}
	fmt.Fprint(w, "==> Strongroom server configuration:\n\n")
	if dev {
		fmt.Fprint(w, "Development mode: nothing here outlives this process.\n\n")
	}
	for _, line := range lines {
		fmt.Fprintf(w, "%*s: %s\n", width, line[0], line[1])
	}
	fmt.Fprint(w, "\n==> Strongroom server started! Log data will stream in below:\n\n")
}

// String describes l for the banner.
func (l Listener) String() string {
	mode := "enabled"
	if l.TLS.Disable {
		mode = "disabled"
	}
	return fmt.Sprintf("tcp (addr: %q, cluster address: %q, max_request_duration: \"%s\", max_request_size: \"%d\", tls: %q)",
		l.Address, l.ClusterAddress, l.MaxRequestDuration, l.MaxRequestSize, mode)
}

func versionText() string {
	s := "Strongroom v" + strings.TrimPrefix(Version, "v")
	if Revision != "" {
		s += " (" + Revision + ")"
	}
	if BuildDate != "" {
		s += ", built " + BuildDate
	}
	return s
}

// cgo is whether this program was built with cgo.
func cgo() string {
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "CGO_ENABLED", Value: "1"}) {
		return "enabled"
	}
	return "disabled"
}

// environmentNames are the names of the variables that are set, sorted: their values may be secret.
func environmentNames() []string {
	names := []string{}
	for _, variable := range os.Environ() {
		if name, _, ok := strings.Cut(variable, "="); ok && name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// DevBanner shows how to reach a development server, with its only key share and its root token.
func DevBanner(w io.Writer, o Options, unsealKey, rootToken string) {
	fmt.Fprint(w, "WARNING! This is a development server: it keeps everything in memory, starts\nunsealed with one key, and prints its root token. Never put a secret of worth in it.\n\n")
	fmt.Fprintf(w, "To use it from another terminal:\n\n    $ export VAULT_ADDR='%s'\n", o.devURL())
	if o.DevTLS {
		fmt.Fprintf(w, "    $ export VAULT_CACERT='%s'\n", filepath.Join(o.DevTLSCertDir, devCAFile))
	}
	fmt.Fprint(w, "\nThe key unseals it again after a seal; the token logs in.\n\n")
	fmt.Fprintf(w, "Unseal Key: %s\nRoot Token: %s\n\n", unsealKey, rootToken)
	fmt.Fprint(w, "Do not run development mode in production!\n\n")
}

// devURL is where a client on this machine finds the development server.
func (o Options) devURL() string {
	scheme := "http"
	if o.DevTLS {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(o.DevListenAddress)
	if err != nil {
		return scheme + "://" + o.DevListenAddress
	}
	if ip := net.ParseIP(host); host == "" || (ip != nil && ip.IsUnspecified()) {
		host = "127.0.0.1"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}
