package audit

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Exchange is one request on its way to the devices, and later its answer: what
// the two records share is made once a device. It belongs to one goroutine.
type Exchange struct {
	Auth    *Auth // of the caller; nil without a token
	Request Request

	shared   []rendering // until release
	deferred bool        // the request's record is written with the answer's
	asked    time.Time
	fault    string // of the request
}

// rendering is what both records of an exchange have in one device's form.
type rendering struct {
	by   *recorder
	text *[]byte // of lines
}

// Auth is a token and what it stands for. The device hashes ClientToken, and
// Accessor unless hmac_accessor is off.
type Auth struct {
	ClientToken, Accessor string
	DisplayName           string
	Policies              []string // all of them
	TokenPolicies         []string
	IdentityPolicies      []string
	NoDefaultPolicy       bool
	Metadata              map[string]string
	EntityID              string
	TokenType             string
	TokenTTL              time.Duration // at issue; 0: never expires
	TokenIssueTime        time.Time
	NumUses               int  // of a token that is issued; 0: no limit
	RemainingUses         int  // of the caller's, before this request; 0: no limit
	Decided, Allowed      bool // whether the policies were asked, and what they said
}

// Request is what was asked.
type Request struct {
	ID, ClientID            string
	Operation               string // create, read, update, delete, list or patch
	Path                    string // below /v1/ and the namespace
	NamespaceID             string
	NamespacePath           string
	MountPoint, MountType   string
	MountAccessor           string
	MountClass              string // auth, secret or system
	ClientToken             string // as it came, known or not
	Accessor                string
	RemoteAddress           string
	RemotePort              int
	CertificateSerialNumber string
	WrapTTL                 time.Duration
	Headers                 http.Header         // as they came; the configured ones are recorded
	Body                    []byte              // what of it is no JSON object is not recorded
	Query                   map[string][]string // that counts as parameters
	Plain                   []string            // keys whose texts are recorded in clear
}

// Response is what was answered.
type Response struct {
	Auth       *Auth  // of a token that was issued or renewed
	Data       []byte // JSON that this server made, or nil
	Raw        *Raw   // in place of Data
	Warnings   []string
	LeaseID    string
	Wrap       *Wrap
	MountPoint string
	MountType  string
	Accessor   string   // of the mount
	MountClass string   // auth, secret or system
	Plain      []string // keys whose texts are recorded in clear
}

// Raw is an answer that is not the usual envelope.
type Raw struct {
	Status      int
	ContentType string
	Body        []byte
}

// Wrap describes the token that holds a wrapped answer.
type Wrap struct {
	Token, Accessor, WrappedAccessor string
	CreationPath                     string
	CreationTime                     time.Time
	TTL                              time.Duration
}

// Summarizer is data that a record holds in another, shorter form.
type Summarizer interface{ AuditSummary() any }

// record is a line for r: one JSON object, without the newline in it.
func (r *recorder) record(dst []byte, x *Exchange, resp *Response, fault string, now time.Time) []byte {
	o := object{b: append(dst, r.settings.prefix...), r: r}
	o.open()
	o.time("time", now)
	if resp == nil {
		o.text("type", "request")
	} else {
		o.text("type", "response")
	}
	o.b = append(o.b, x.render(r)...)
	if resp != nil {
		o.response(x, resp)
	}
	if fault != "" {
		o.text("error", r.unecho(x, fault))
	}
	o.close()
	return append(o.b, '\n')
}

// render is "auth" and "request" of x, each with the comma before it.
func (x *Exchange) render(by *recorder) []byte {
	for _, s := range x.shared {
		if s.by == by {
			return *s.text
		}
	}
	buf := lines.Get().(*[]byte)
	o := object{b: append((*buf)[:0], ','), r: by}
	if x.Auth != nil {
		o.auth("auth", x.Auth)
	}
	o.request(&x.Request)
	*buf = o.b
	x.shared = append(x.shared, rendering{by, buf})
	return o.b
}

// release gives the buffers of x back: its records are made.
func (x *Exchange) release() {
	for _, s := range x.shared {
		putLine(s.text)
	}
	x.shared = nil
}

// object appends the members of JSON objects to b.
type object struct {
	b []byte
	r *recorder

	said [2]place // hashes that stand in b already: the caller's token is in it twice
}

// place is where a value's hash stands.
type place struct {
	value      string
	begin, end int
}

func (o *object) open()  { o.b = append(o.b, '{') }
func (o *object) close() { o.b = append(o.b, '}') }

// key begins a member.
func (o *object) key(name string) {
	if c := o.b[len(o.b)-1]; c != '{' && c != ',' {
		o.b = append(o.b, ',')
	}
	o.b = append(o.b, '"')
	o.b = append(o.b, name...)
	o.b = append(o.b, '"', ':')
}

// The following leave out what is empty.

func (o *object) text(name, value string) {
	if value != "" {
		o.key(name)
		o.b = appendText(o.b, value)
	}
}

func (o *object) secret(name, value string) {
	if value == "" {
		return
	}
	o.key(name)
	for _, p := range o.said {
		if p.value == value { // which is not empty
			o.b = append(o.b, o.b[p.begin:p.end]...)
			return
		}
	}
	begin := len(o.b)
	o.b = o.r.appendSecret(o.b, value)
	o.said[0], o.said[1] = o.said[1], place{value, begin, len(o.b)}
}

func (o *object) accessor(name, value string) {
	if value != "" && !o.r.settings.hashAccessor {
		o.text(name, value)
		return
	}
	o.secret(name, value)
}

func (o *object) number(name string, value int64) {
	if value != 0 {
		o.key(name)
		o.b = strconv.AppendInt(o.b, value, 10)
	}
}

func (o *object) yes(name string, value bool) {
	if value {
		o.key(name)
		o.b = append(o.b, "true"...)
	}
}

func (o *object) time(name string, value time.Time) {
	if !value.IsZero() {
		o.key(name)
		o.b = append(o.b, '"')
		o.b = value.UTC().AppendFormat(o.b, time.RFC3339Nano)
		o.b = append(o.b, '"')
	}
}

func (o *object) texts(name string, values []string) {
	if len(values) == 0 {
		return
	}
	o.key(name)
	separator := byte('[')
	for _, v := range values {
		o.b = appendText(append(o.b, separator), v)
		separator = ','
	}
	o.b = append(o.b, ']')
}

func (o *object) pairs(name string, m map[string]string) {
	if len(m) == 0 {
		return
	}
	o.key(name)
	o.open()
	for _, k := range sorted(m) {
		if c := o.b[len(o.b)-1]; c != '{' {
			o.b = append(o.b, ',')
		}
		o.b = append(appendText(o.b, k), ':')
		o.b = appendText(o.b, m[k])
	}
	o.close()
}

func (o *object) auth(name string, a *Auth) {
	o.key(name)
	o.open()
	o.secret("client_token", a.ClientToken)
	o.accessor("accessor", a.Accessor)
	o.text("display_name", a.DisplayName)
	o.texts("policies", a.Policies)
	o.texts("token_policies", a.TokenPolicies)
	o.texts("identity_policies", a.IdentityPolicies)
	o.yes("no_default_policy", a.NoDefaultPolicy)
	if a.Decided {
		o.key("policy_results")
		o.b = strconv.AppendBool(append(o.b, `{"allowed":`...), a.Allowed)
		o.close()
	}
	o.pairs("metadata", a.Metadata)
	o.text("entity_id", a.EntityID)
	o.number("num_uses", int64(a.NumUses))
	o.number("remaining_uses", int64(a.RemainingUses))
	o.text("token_type", a.TokenType)
	o.number("token_ttl", int64(a.TokenTTL/time.Second))
	o.time("token_issue_time", a.TokenIssueTime)
	o.close()
}

func (o *object) request(q *Request) {
	o.key("request")
	o.open()
	o.text("id", q.ID)
	o.text("client_id", q.ClientID)
	o.text("operation", q.Operation)
	o.text("mount_point", q.MountPoint)
	o.text("mount_type", q.MountType)
	o.text("mount_accessor", q.MountAccessor)
	o.text("mount_class", q.MountClass)
	o.secret("client_token", q.ClientToken)
	o.accessor("client_token_accessor", q.Accessor)
	o.key("namespace")
	o.open()
	o.text("id", q.NamespaceID)
	o.text("path", q.NamespacePath)
	o.close()
	o.text("path", q.Path)
	o.requestData(q)
	o.text("remote_address", q.RemoteAddress)
	o.number("remote_port", int64(q.RemotePort))
	o.text("client_certificate_serial_number", q.CertificateSerialNumber)
	o.headers(q.Headers)
	o.number("wrap_ttl", int64(q.WrapTTL/time.Second))
	o.close()
}

// requestData is the body's members and the query's.
func (o *object) requestData(q *Request) {
	w := walker{r: o.r, plain: q.Plain}
	if len(q.Query) == 0 {
		if isObject(q.Body) {
			o.key("data")
			o.b = w.append(o.b, q.Body)
		}
		return
	}
	data := map[string]json.RawMessage{}
	if isObject(q.Body) {
		_ = json.Unmarshal(q.Body, &data) // it is an object
	}
	for name, values := range q.Query {
		data[name], _ = json.Marshal(strings.Join(values, ",")) // text always encodes
	}
	merged, _ := json.Marshal(data)
	o.key("data")
	o.b = w.append(o.b, merged)
}

// headers are those that the configuration names, by their names in lower case.
func (o *object) headers(all http.Header) {
	begun := false
	for _, h := range o.r.headers {
		values := all[h.canonical]
		if len(values) == 0 {
			continue
		}
		if !begun {
			o.key("headers")
			o.open()
			begun = true
		}
		o.key(h.name)
		separator := byte('[')
		for _, v := range values {
			o.b = append(o.b, separator)
			if separator = ','; h.hash {
				o.b = o.r.appendSecret(o.b, v)
			} else {
				o.b = appendText(o.b, v)
			}
		}
		o.b = append(o.b, ']')
	}
	if begun {
		o.close()
	}
}

func lists(operation string) bool { return operation == "list" || operation == "scan" }

func (o *object) response(x *Exchange, p *Response) {
	o.key("response")
	o.open()
	if p.Auth != nil {
		o.auth("auth", p.Auth)
	}
	o.text("mount_point", p.MountPoint)
	o.text("mount_type", p.MountType)
	o.text("mount_accessor", p.Accessor)
	o.text("mount_class", p.MountClass)
	if p.LeaseID != "" {
		o.key("secret")
		o.open()
		o.text("lease_id", p.LeaseID)
		o.close()
	}
	switch {
	case p.Raw != nil:
		o.key("data")
		o.open()
		o.text("http_content_type", p.Raw.ContentType)
		o.number("http_status_code", int64(p.Raw.Status))
		o.secret("http_raw_body", string(p.Raw.Body))
		o.close()
	case len(p.Data) > 0:
		o.key("data")
		w := walker{r: o.r, plain: p.Plain, elide: o.r.settings.elideLists && lists(x.Request.Operation)}
		o.b = w.append(o.b, p.Data)
	}
	o.texts("warnings", p.Warnings)
	if w := p.Wrap; w != nil {
		o.key("wrap_info")
		o.open()
		o.number("ttl", int64(w.TTL/time.Second))
		o.secret("token", w.Token)
		o.accessor("accessor", w.Accessor)
		o.time("creation_time", w.CreationTime)
		o.text("creation_path", w.CreationPath)
		o.accessor("wrapped_accessor", w.WrappedAccessor)
		o.close()
	}
	o.close()
}
