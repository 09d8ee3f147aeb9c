package postgres

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"strongroom/engine/database/dbms"
)

const (
	connectTimeout    = 10 * time.Second // of one address, where connection_url says nothing
	maxConnectTimeout = time.Minute
	defaultPort       = "5432"
	maxHosts          = 16
	maxMessage        = 1 << 20 // bytes of one message of a server, which need not be a database
)

// seed is what the driver reads, for it insists on reading something. It would take
// what is missing from the environment and from files of this server, so it names all
// that does, and the rest is overwritten.
const seed = "host=127.0.0.1 port=5432 user=nobody password=none dbname=none sslmode=disable sslcertmode=allow connect_timeout=10 target_session_attrs=any " +
	"passfile='' servicefile='' sslcert='' sslkey='' sslrootcert='' sslpassword='' sslnegotiation=postgres min_protocol_version=3.0 max_protocol_version=3.0 " +
	"options='' channel_binding=%s require_auth='%s'"

// local are the options of PostgreSQL's own clients that read files of the machine
// they run on, or trust it, and what stands for them here.
var local = map[string]string{
	"service": "", "servicefile": "", "passfile": "", "requirepeer": "", "sslkeylogfile": "",
	"sslcert": "tls_certificate", "sslkey": "private_key", "sslpassword": "private_key", "sslrootcert": "tls_ca", "sslcrl": "", "sslcrldir": "", "sslcertmode": "",
	"krbsrvname": "", "krbspn": "", "gsslib": "", "gssencmode": "", "gssdelegation": "", "hostaddr": "host", "replication": "",
	"keepalives": "", "keepalives_idle": "", "keepalives_interval": "", "keepalives_count": "", "tcp_user_timeout": "", "load_balance_hosts": "", "sslsni": "", "sslnegotiation": "",
	"scram_client_key": "", "scram_server_key": "", "oauth_issuer": "", "oauth_client_id": "", "oauth_client_secret": "", "oauth_scope": "",
}

// parameter is the name of a run-time parameter of a server.
var parameter = regexp.MustCompile(`^[a-z_][a-z0-9_.]*$`)

// authentication is what stands in the options that say how to log in.
var authentication = regexp.MustCompile(`^[a-z0-9,!-]*$`)

// configure is what the driver needs to connect by s.
func configure(s dbms.Settings) (*pgconn.Config, error) {
	o, err := options(s)
	if err != nil {
		return nil, err
	}
	if !authentication.MatchString(o["channel_binding"] + o["require_auth"]) {
		return nil, errors.New("connection_url: channel_binding must be disable, prefer or require; require_auth a list of methods such as scram-sha-256")
	}
	config, err := pgconn.ParseConfig(fmt.Sprintf(seed, cmp.Or(o["channel_binding"], "prefer"), o["require_auth"]))
	if err != nil && o["channel_binding"]+o["require_auth"] != "" {
		return nil, errors.New("connection_url: channel_binding or require_auth has a value that is not known, or the server's environment a variable that begins with PG")
	}
	if err != nil {
		return nil, errors.New("the server's environment names a service of PostgreSQL, or another setting for its clients: unset all variables that begin with PG")
	}
	hosts, err := hosts(o["host"], o["port"])
	if err != nil {
		return nil, err
	}
	config.User, config.Password, config.Database = o["user"], o["password"], cmp.Or(o["dbname"], o["user"])
	if config.ConnectTimeout, err = timeout(o["connect_timeout"]); err != nil {
		return nil, err
	}
	config.DialFunc = (&net.Dialer{Timeout: config.ConnectTimeout, KeepAlive: 30 * time.Second}).DialContext
	config.LookupFunc = net.DefaultResolver.LookupHost
	if config.ValidateConnect, err = role(o["target_session_attrs"]); err != nil {
		return nil, err
	}
	config.MaxProtocolMessageBodyLen = maxMessage
	config.KerberosSrvName, config.KerberosSpn, config.OAuthTokenProvider = "", "", nil
	config.RuntimeParams = map[string]string{"application_name": cmp.Or(o["application_name"], "strongroom")}
	for name, value := range o {
		if !known(name) {
			config.RuntimeParams[name] = value
		}
	}
	return config, secure(config, hosts, cmp.Or(o["sslmode"], ""), s)
}

// known says whether the option is one of the client's, not of the server's.
func known(name string) bool {
	switch name {
	case "host", "port", "user", "password", "dbname", "sslmode", "connect_timeout", "target_session_attrs", "application_name", "channel_binding", "require_auth":
		return true
	}
	return false
}

// options are those of connection_url, with the user name and password in their
// places: they are put there after it was read, so no character of theirs needs escaping.
func options(s dbms.Settings) (map[string]string, error) {
	read := keywords
	for _, scheme := range []string{"postgres://", "postgresql://"} {
		if strings.HasPrefix(s.URL, scheme) {
			read = location
		}
	}
	o, err := read(s.URL)
	if err != nil {
		return nil, fmt.Errorf("connection_url: %w", err)
	}
	if o["database"] != "" {
		o["dbname"] = o["database"]
	}
	delete(o, "database")
	username, password := s.Username, string(s.Password)
	if s.Escaped {
		u, uerr := url.PathUnescape(username)
		p, perr := url.PathUnescape(password)
		if uerr != nil || perr != nil {
			return nil, errors.New("with disable_escaping, username and password must be as they stand in a URL")
		}
		username, password = u, p
	}
	for name, value := range o {
		if instead, refused := local[name]; refused {
			text := "it would have the server use files or rights of its own machine, or is of no use here"
			if instead != "" {
				text += ": use " + instead + " instead"
			}
			return nil, fmt.Errorf("connection_url: the option %s is refused: %s", name, text)
		}
		if !known(name) && !parameter.MatchString(name) {
			return nil, errors.New("connection_url: an option has a name that none has")
		}
		if name == "user" || name == "dbname" {
			value = strings.ReplaceAll(value, "{{username}}", username)
		}
		if name == "password" {
			value = strings.ReplaceAll(value, "{{password}}", password)
		}
		if strings.Contains(value, "{{") && name != "password" || strings.ContainsRune(value, 0) {
			return nil, fmt.Errorf("connection_url: {{username}} may stand for the user or the database, {{password}} for the password, and nothing in %s", name)
		}
		o[name] = value
	}
	if o["user"] == "" {
		return nil, errors.New("connection_url names no user: begin it with postgresql://{{username}}:{{password}}@ and give username and password")
	}
	return o, nil
}

// location reads postgresql://user:password@host:port,host:port/database?option=value.
func location(text string) (map[string]string, error) {
	bad := errors.New("it must be like postgresql://{{username}}:{{password}}@host:5432/database?sslmode=verify-full")
	_, rest, _ := strings.Cut(text, "://")
	rest, query, _ := strings.Cut(rest, "?")
	rest, path, _ := strings.Cut(rest, "/")
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, bad
	}
	o := map[string]string{}
	for name, given := range values {
		o[name] = given[len(given)-1]
	}
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		user, password, _ := strings.Cut(rest[:at], ":")
		rest = rest[at+1:]
		u, uerr := url.PathUnescape(user)
		p, perr := url.PathUnescape(password)
		if uerr != nil || perr != nil {
			return nil, bad
		}
		o["user"], o["password"] = u, p
	}
	if path, err = url.PathUnescape(path); err != nil {
		return nil, bad
	}
	if path != "" {
		o["dbname"] = path
	}
	var names, ports []string
	for host := range strings.SplitSeq(rest, ",") {
		name, port := host, ""
		if colon := strings.LastIndexByte(host, ':'); colon > strings.LastIndexByte(host, ']') {
			name, port = host[:colon], host[colon+1:]
		}
		names, ports = append(names, strings.Trim(name, "[]")), append(ports, port)
	}
	if rest != "" {
		o["host"], o["port"] = strings.Join(names, ","), strings.Join(ports, ",")
	}
	return o, nil
}

// keywords reads host=… port=… user='…', where a backslash takes the next character
// as it stands.
func keywords(text string) (map[string]string, error) {
	bad := errors.New("it must be a URL that begins with postgresql://, or pairs such as host=db.example.com port=5432 user={{username}} password={{password}} dbname=app")
	o := map[string]string{}
	const space = " \t\r\n\v\f"
	for text = strings.TrimLeft(text, space); text != ""; text = strings.TrimLeft(text, space) {
		name, rest, ok := strings.Cut(text, "=")
		name = strings.TrimRight(name, space)
		if !ok || name == "" || strings.ContainsAny(name, space) {
			return nil, bad
		}
		rest = strings.TrimLeft(rest, space)
		quoted := strings.HasPrefix(rest, "'")
		if quoted {
			rest = rest[1:]
		}
		var value strings.Builder
		closed := false
		for rest != "" && !closed {
			c := rest[0]
			rest = rest[1:]
			switch {
			case c == '\\' && rest != "":
				value.WriteByte(rest[0])
				rest = rest[1:]
			case quoted && c == '\'', !quoted && strings.IndexByte(space, c) >= 0:
				closed = true
			default:
				value.WriteByte(c)
			}
		}
		if quoted && !closed {
			return nil, bad
		}
		o[name], text = value.String(), rest
	}
	return o, nil
}

// hosts pairs the hosts with their ports.
func hosts(names, ports string) ([]*pgconn.FallbackConfig, error) {
	var out []*pgconn.FallbackConfig
	given := strings.Split(ports, ",")
	for i, name := range strings.Split(names, ",") {
		switch {
		case name == "":
			return nil, errors.New("connection_url names no host")
		case name[0] == '/' || name[0] == '@':
			return nil, errors.New("connection_url: a Unix socket is of the server's own machine, where it could be trusted without a password: name a host")
		case len(out) == maxHosts:
			return nil, fmt.Errorf("connection_url: at most %d hosts", maxHosts)
		}
		text := given[0] // one port for all
		if len(given) > 1 {
			if len(given) <= i {
				return nil, errors.New("connection_url: as many ports as hosts are needed, or one")
			}
			text = given[i]
		}
		port, err := strconv.ParseUint(cmp.Or(text, defaultPort), 10, 16)
		if err != nil || port == 0 {
			return nil, errors.New("connection_url: a port is a number from 1 to 65535")
		}
		out = append(out, &pgconn.FallbackConfig{Host: name, Port: uint16(port)})
	}
	return out, nil
}

// timeout is that of connect_timeout, in seconds; 0 would be without end.
func timeout(text string) (time.Duration, error) {
	if text == "" || text == "0" {
		return connectTimeout, nil
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0, errors.New("connection_url: connect_timeout is a number of seconds")
	}
	return min(time.Duration(n)*time.Second, maxConnectTimeout), nil
}

// role is what tells a server that may be used from one that may not.
func role(attrs string) (pgconn.ValidateConnectFunc, error) {
	switch attrs {
	case "", "any":
		return nil, nil
	case "read-write":
		return pgconn.ValidateConnectTargetSessionAttrsReadWrite, nil
	case "primary":
		return pgconn.ValidateConnectTargetSessionAttrsPrimary, nil
	}
	return nil, errors.New("connection_url: target_session_attrs must be any, read-write or primary: users are made, which others cannot do")
}
