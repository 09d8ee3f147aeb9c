package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"strongroom/engine"
	"strongroom/internal/audit"
	"strongroom/internal/barrier"
	"strongroom/internal/call"
	"strongroom/internal/mount"
	"strongroom/internal/namespace"
	"strongroom/internal/storage"
	"strongroom/internal/token"
)

// Recorder knows the audit devices that record at the moment of r; nil: none
// is enabled. *audit.Journal is one.
type Recorder interface {
	Devices(ctx context.Context, r storage.VersionReader) (*audit.Devices, error)
}

// Audited is the same gateway, which lets r's devices record all it serves.
func (g *Gateway) Audited(r Recorder) *Gateway {
	a := *g
	a.recorder = r
	return &a
}

// What a client is told when no device can record (status 500, as Vault's).
const (
	unrecordedText = "no audit device could record the request, so it was not served: mend one of the enabled devices; the server's log says what is wrong with each"
	withheldText   = "no audit device could record the answer, so it is withheld; what the request changes may have been changed: mend one of the enabled devices; the server's log says what is wrong with each"
)

// recording is the audit of one request: one record before it acts, however
// often it runs again, and one before its answer leaves. What acts on nothing,
// such as a read, has both before its answer leaves.
type recording struct {
	g       *Gateway
	last    *visit // the last attempt
	v       *visit // the same, if it is to be recorded
	x       *audit.Exchange
	devices *audit.Devices // that have the request; nil: none was enabled
	here    bool           // no other node may serve it instead
}

// request records what v asks, and with which refusal it ends if that is known
// already. After an error of it the request must not act. The attempt depends
// on the devices from here on: it conflicts if one is enabled meanwhile.
func (r *recording) request(ctx context.Context, v *visit, refusal error) error {
	if r.g.recorder == nil || v == nil || v.unrecorded || r.g.notAnswered(refusal) {
		return nil
	}
	r.v = v
	devices, err := r.g.recorder.Devices(ctx, v.Tx)
	if err != nil || devices == nil || devices == r.devices {
		r.devices = devices
		return err
	}
	x := v.exchange()
	if refusal != nil || v.harmless() {
		x.Defer(fault(refusal)) // one write for both records: half the cost of a read
	} else {
		err = r.g.meter.logs(false, func() error { return devices.Request(ctx, x, "") })
	}
	r.x, r.devices = x, devices
	return r.before(err)
}

// before is err, of recording a request, as its caller has to know it.
func (r *recording) before(err error) error {
	switch {
	case audit.Closed(err):
		r.devices, r.x = nil, nil
		return storage.ErrConflict // with the disabling of a device
	case err != nil:
		r.devices, r.x = nil, nil
		return r.unrecorded(err, unrecordedText)
	}
	return nil
}

// harmless says whether v will change nothing, wherever it ends.
func (v *visit) harmless() bool {
	return v.handler != nil && v.engReq.Operation.Reads() && !v.route.External && (v.Token == nil || v.Token.Uses == 0)
}

// flush records the request, if that has waited, before tx is committed.
func (r *recording) flush(ctx context.Context, tx *storage.Tx) error {
	if r.devices == nil || r.x == nil || !tx.Dirty() {
		return nil
	}
	return r.before(r.devices.Flush(ctx, r.x))
}

// notAnswered says whether a client never hears of err: another attempt or
// another node answers.
func (g *Gateway) notAnswered(err error) bool {
	if _, ok := errors.AsType[*engine.Error](err); g.standby && err != nil && !ok {
		return true
	}
	return errors.Is(err, storage.ErrNotLeader) || errors.Is(err, storage.ErrConflict)
}

// unrecorded is what becomes of a request that cannot be recorded. A standby
// has only read: the active node may be able to serve and record it.
func (r *recording) unrecorded(err error, text string) error {
	if r.g.standby && !r.here {
		r.g.logger.Warn("a read is passed on to the active node: it could not be recorded here", "error", err)
		return storage.ErrNotLeader
	}
	r.g.logger.Error("a request was refused, or its answer withheld: it could not be recorded", "error", err)
	return &engine.Error{Kind: engine.Internal, Text: text}
}

// response records the answer, and returns it if it may leave.
func (r *recording) response(ctx context.Context, resp *Response, failure error) (*Response, error) {
	wrote := r.v != nil && r.v.Tx.Dirty() && failure == nil // and may have enabled or disabled a device
	// The client may be gone; what happened is recorded all the same.
	ctx = context.WithoutCancel(ctx)
	devices, answer := r.devices, (*audit.Response)(nil)
	for fresh := wrote; ; fresh = true {
		if fresh && r.g.recorder != nil {
			if now, err := r.g.recorder.Devices(ctx, storage.Begin(r.g.store)); err == nil {
				devices = now
			} // else the server was sealed by this very request
		}
		if devices == nil {
			return resp, failure
		}
		if r.x == nil {
			r.x = r.v.exchange()
		}
		if answer == nil {
			var err error
			if answer, err = r.answer(resp, failure); err != nil {
				return nil, err
			}
		}
		switch err := r.g.meter.logs(true, func() error { return devices.Response(ctx, r.x, answer, fault(failure)) }); {
		case err == nil || r.g.notAnswered(failure):
			return resp, failure
		case audit.Closed(err) && !fresh:
		case r.x.Deferred():
			return nil, r.unrecorded(err, unrecordedText)
		default:
			return nil, r.unrecorded(err, withheldText)
		}
	}
}

// answer is resp as it is recorded. Its data is encoded here once for all.
func (r *recording) answer(resp *Response, failure error) (*audit.Response, error) {
	out := &audit.Response{}
	if m := r.v.Mount; m != nil {
		out.MountPoint, out.MountType, out.Accessor, out.MountClass, out.Plain = m.Entry.Path, m.Entry.Type, m.Entry.Accessor, class(m), m.Entry.Config.AuditNonHMACResponseKeys
	}
	if resp == nil || failure != nil {
		return out, nil
	}
	out.Warnings, out.LeaseID = resp.Warnings, resp.LeaseID
	if resp.Auth != nil {
		out.Auth = authOf(resp.Auth.Token, resp.Auth.ClientToken)
		identified(out.Auth, resp.Auth.EntityID, resp.Auth.IdentityPolicies)
		out.Auth.NumUses, out.Auth.RemainingUses = resp.Auth.Token.Uses, 0
	}
	if w := resp.WrapInfo; w != nil {
		out.Wrap = &audit.Wrap{Token: w.Token, Accessor: w.Accessor, WrappedAccessor: w.WrappedAccessor, CreationPath: w.Path, CreationTime: w.Created, TTL: w.TTL}
	}
	if resp.Raw != nil {
		out.Raw = &audit.Raw{Status: resp.Raw.Status, ContentType: resp.Raw.ContentType, Body: resp.Raw.Body}
		return out, nil
	}
	var err error
	switch d := resp.Data.(type) {
	case nil:
	case json.RawMessage:
		out.Data = d
	case audit.Summarizer:
		out.Data, err = json.Marshal(d.AuditSummary())
	default:
		if out.Data, err = json.Marshal(d); err == nil && !resp.TopLevel {
			resp.Data = json.RawMessage(out.Data)
		}
	}
	return out, err
}

// exchange is v as it is recorded.
func (v *visit) exchange() *audit.Exchange {
	q, op := v.req, v.req.Operation
	if v.engReq != nil {
		op = v.engReq.Operation // create and update told apart
	}
	x := &audit.Exchange{Request: audit.Request{
		ID: q.ID, Operation: string(op), Path: v.path, NamespaceID: v.Namespace, NamespacePath: v.Here.Path, ClientToken: q.Token,
		Headers: q.Header, Body: q.Body, Query: v.query(), WrapTTL: q.WrapTTL,
	}}
	if q.Remote.IsValid() {
		x.Request.RemoteAddress, x.Request.RemotePort = q.Remote.Addr().String(), int(q.Remote.Port())
	}
	if m := v.Mount; m != nil {
		x.Request.MountPoint, x.Request.MountType, x.Request.MountAccessor, x.Request.MountClass, x.Request.Plain =
			m.Entry.Path, m.Entry.Type, m.Entry.Accessor, class(m), m.Entry.Config.AuditNonHMACRequestKeys
	}
	if v.Token != nil {
		x.Auth = authOf(v.Token, q.Token)
		if v.Identity != nil {
			identified(x.Auth, v.Identity.Entity.ID, v.Identity.Policies)
		} else {
			identified(x.Auth, v.Token.EntityID, nil) // refused, perhaps for it
		}
		x.Request.Accessor = v.Token.Accessor
		x.Auth.Decided, x.Auth.Allowed = v.decided, v.allowed
	}
	return x
}

func class(m *mount.Mounted) string {
	if m.Entry.Auth() {
		return "auth"
	}
	return "secret"
}

// authOf describes the token that raw is.
func authOf(t *token.Token, raw string) *audit.Auth {
	kind := t.Type
	if kind == "" {
		kind = token.Service
	}
	return &audit.Auth{
		ClientToken: raw, Accessor: t.Accessor, DisplayName: t.DisplayName, Policies: t.Policies, TokenPolicies: t.Policies, Metadata: t.Meta,
		NoDefaultPolicy: !t.Root() && !slices.Contains(t.Policies, "default"),
		TokenType:       kind, TokenTTL: time.Duration(t.TTL) * time.Second, TokenIssueTime: time.Unix(t.Created, 0), RemainingUses: t.Uses,
	}
}

// fault is err as the client is told it: an error that is not for clients is
// not for the audit log either.
func fault(err error) string {
	switch e, ok := errors.AsType[*engine.Error](err); {
	case err == nil:
		return ""
	case ok:
		return e.Text
	case errors.Is(err, storage.ErrNotLeader):
		return "not served by this node: passed on to the active one"
	}
	return "internal error"
}

// Record has act serve a request that is not the gateway's: key shares or a
// proof in its body stand for a token, or come on top of it where req is Guarded
// (its path is then one of a route of sys). act runs only if that is recorded, and
// what it answers, as JSON, may leave only if Record returns no error.
func (g *Gateway) Record(ctx context.Context, req *Request, act func() (json.RawMessage, error)) error {
	rec := &recording{g: g, here: true}
	err := again(ctx, func() error {
		if req.Guarded {
			return g.begin(ctx, req, rec)
		}
		v := &visit{Call: call.Call{Tx: storage.Begin(g.store), Namespace: namespace.RootID, RawToken: req.Token, Remote: req.Remote}, req: req, path: req.Path}
		v.Here = &namespace.Namespace{ID: namespace.RootID}
		return rec.request(ctx, v, nil)
	})
	if err != nil && req.Guarded {
		_, err = rec.response(ctx, nil, err)
		return err
	}
	if err != nil && !errors.Is(err, barrier.ErrSealed) { // a sealed server has no devices
		return err
	}
	data, err := act()
	resp := &Response{}
	if resp.Empty = data == nil; !resp.Empty {
		resp.Data = data
	}
	_, err = rec.response(ctx, resp, err)
	return err
}
