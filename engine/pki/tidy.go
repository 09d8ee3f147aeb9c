package pki

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"strongroom/engine"
	"strongroom/internal/storage"
)

const (
	// tidyPlace is the record of the clean-up that runs, or ran last.
	tidyPlace = "tidy"
	// tidyBatch is how many records one step of a clean-up looks at; steps follow each
	// other by the due index, about one a second, so that no request waits for them.
	tidyBatch = 500
	dueTidy   = "tidy"      // in the due index: the next step
	dueAuto   = "auto-tidy" // in the due index: the next clean-up by itself
)

// tidyConfig is what a clean-up removes. Times are in seconds.
type tidyConfig struct {
	Certs        bool  `json:"tidy_cert_store"`
	Revoked      bool  `json:"tidy_revoked_certs"`
	Issuers      bool  `json:"tidy_expired_issuers"`
	Buffer       int64 `json:"safety_buffer"`        // after a certificate's end
	IssuerBuffer int64 `json:"issuer_safety_buffer"` // after an issuer's
	Pause        int64 `json:"pause_duration"`       // between steps
}

// autoTidy is the clean-up that happens by itself.
type autoTidy struct {
	tidyConfig
	Enabled  bool  `json:"enabled"`
	Interval int64 `json:"interval_duration"` // seconds
}

// tidyRun is a clean-up. It is what the next step goes on from, on whatever node.
type tidyRun struct {
	tidyConfig
	State      string `json:"state"` // Inactive, Running, Finished, Error, Cancelled
	Phase      int    `json:"phase"` // of phases
	After      string `json:"after,omitempty"`
	Seen       int64  `json:"seen"` // records that the phase has looked at
	CertCount  int64  `json:"cert_store_deleted_count"`
	RevokedN   int64  `json:"revoked_cert_deleted_count"`
	IssuerN    int64  `json:"issuer_deleted_count"`
	Started    int64  `json:"started"` // Unix, seconds
	Finished   int64  `json:"finished,omitempty"`
	Error      string `json:"error,omitempty"`
	Automatic  bool   `json:"automatic,omitempty"`
	LastAuto   int64  `json:"last_auto_tidy_finished,omitempty"`
	DueAt      int64  `json:"due,omitempty"`      // of the next step
	AutoDueAt  int64  `json:"auto_due,omitempty"` // of the next clean-up by itself
	NewNumbers bool   `json:"new_numbers,omitempty"`
}

const running = "Running"

// tidyFields are the parameters of a clean-up.
func tidyFields() []engine.Field {
	no := func(name string) engine.Field {
		return engine.Field{Name: name, Type: engine.Bool, Help: "Without effect: there is nothing of the kind."}
	}
	return []engine.Field{
		{Name: "tidy_cert_store", Type: engine.Bool, Help: "Remove certificates that have expired."},
		{Name: "tidy_revoked_certs", Type: engine.Bool, Help: "Remove revocations of certificates that have expired."},
		{Name: "tidy_expired_issuers", Type: engine.Bool, Help: "Remove issuers that have expired, but not the default one, and no keys."},
		{Name: "safety_buffer", Type: engine.Duration, Default: 72 * time.Hour, Help: "Keep what has not expired so long ago."},
		{Name: "issuer_safety_buffer", Type: engine.Duration, Default: 8760 * time.Hour, Help: "Keep issuers that have not expired so long ago."},
		{Name: "pause_duration", Type: engine.Duration, Help: fmt.Sprintf("Pause after each step of %d records.", tidyBatch)},
		no("tidy_revocation_list"), no("tidy_revoked_cert_issuer_associations"), no("tidy_move_legacy_ca_bundle"), no("tidy_revocation_queue"),
		no("tidy_cross_cluster_revoked_certs"), no("tidy_acme"), no("tidy_cert_metadata"), no("tidy_cmpv2_nonce_store"),
		{Name: "revocation_queue_safety_buffer", Type: engine.Duration, Help: "Without effect."}, {Name: "acme_account_safety_buffer", Type: engine.Duration, Help: "Without effect."},
	}
}

// tidyRoutes clean up.
func (b *backend) tidyRoutes() []engine.Route {
	auto := append([]engine.Field{
		{Name: "enabled", Type: engine.Bool, Help: "Clean up by itself."},
		{Name: "interval_duration", Type: engine.Duration, Help: "Time between two clean-ups; 12 h."}}, tidyFields()...)
	return []engine.Route{
		{Path: "tidy", Help: "Begin to remove what has expired.", Fields: tidyFields(), Answers: engine.Answers{engine.Update: engine.Envelope{}}, Write: b.startTidy},
		{Path: "tidy-status", Help: "The clean-up that runs, or ran last.", Answers: engine.Answers{engine.Read: tidyInfo{}}, Read: b.tidyStatus},
		{Path: "tidy-cancel", Help: "End the clean-up that runs.", Answers: engine.Answers{engine.Update: tidyInfo{}}, Write: b.cancelTidy},
		{Path: "config/auto-tidy", Help: "The clean-up that happens by itself.", Fields: auto, Answers: engine.Answers{engine.Read: autoTidyInfo{}, engine.Update: autoTidyInfo{}}, Read: b.readAutoTidy, Write: b.writeAutoTidy},
	}
}

// edit sets what d gives; with all everything.
func (t *tidyConfig) edit(d engine.Data, all bool) error {
	for name, at := range map[string]*bool{"tidy_cert_store": &t.Certs, "tidy_revoked_certs": &t.Revoked, "tidy_expired_issuers": &t.Issuers} {
		if all || d.Has(name) {
			*at = d.Bool(name)
		}
	}
	for name, at := range map[string]*int64{"safety_buffer": &t.Buffer, "issuer_safety_buffer": &t.IssuerBuffer, "pause_duration": &t.Pause} {
		if all || d.Has(name) {
			*at = int64(d.Duration(name) / time.Second)
		}
	}
	if t.Buffer < 1 || t.IssuerBuffer < 1 {
		return engine.Invalidf("safety_buffer and issuer_safety_buffer must be greater than zero")
	}
	return nil
}

// loadTidy is the run that runs, or ran last.
func loadTidy(ctx context.Context, v storage.View) (*tidyRun, error) {
	t := &tidyRun{State: "Inactive"}
	_, err := storage.GetJSON(ctx, v, tidyPlace, t)
	return t, err
}

// begin begins a run that does what does says.
func (t *tidyRun) begin(req *engine.Request, does tidyConfig, automatic bool) error {
	now := time.Now().Unix()
	*t = tidyRun{tidyConfig: does, State: running, Started: now, Automatic: automatic, LastAuto: t.LastAuto, AutoDueAt: t.AutoDueAt}
	return t.next(req, now)
}

// next puts the next step at a time, and saves the run.
func (t *tidyRun) next(req *engine.Request, at int64) error {
	t.DueAt = at
	req.Due.Add(at, dueTidy)
	return storage.PutJSON(req.Storage, tidyPlace, t)
}

func (b *backend) startTidy(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	t, err := loadTidy(ctx, req.Storage)
	if err != nil {
		return nil, err
	}
	if t.State == running {
		return &engine.Response{Accepted: true, Warnings: []string{"Tidy operation already in progress."}}, nil
	}
	var does tidyConfig
	if err := does.edit(req.Data, true); err != nil {
		return nil, err
	}
	if !does.Certs && !does.Revoked && !does.Issuers {
		return &engine.Response{Warnings: []string{"No targets to tidy; specify tidy_cert_store=true, tidy_revoked_certs=true or tidy_expired_issuers=true to start a tidy operation."}}, nil
	}
	resp := &engine.Response{Accepted: true, Warnings: []string{"Tidy operation successfully started. Its progress is shown at tidy-status."}}
	return resp, t.begin(req, does, false)
}

func (b *backend) cancelTidy(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	t, err := loadTidy(ctx, req.Storage)
	if err != nil {
		return nil, err
	}
	if t.State != running {
		return &engine.Response{Data: t.describe(), Warnings: []string{"Tidy operation cannot be cancelled as none is currently running."}}, nil
	}
	req.Due.Remove(t.DueAt, dueTidy)
	t.finish("Cancelled", "")
	c, err := b.settings(ctx, req.Storage)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: t.describe()}, t.scheduleAuto(req, c)
}

func (b *backend) tidyStatus(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	t, err := loadTidy(ctx, req.Storage)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: t.describe()}, nil
}

// finish ends the run in a state.
func (t *tidyRun) finish(state, cause string) {
	t.State, t.Error, t.Finished, t.DueAt = state, cause, time.Now().Unix(), 0
	if t.Automatic {
		t.LastAuto = t.Finished
	}
}

// describe is the run in the form of the API.
func (t *tidyRun) describe() map[string]any {
	at := func(n int64) any {
		if n == 0 {
			return nil
		}
		return rfc3339(n)
	}
	data := map[string]any{"state": t.State, "error": nil, "message": nil, "time_started": at(t.Started), "time_finished": at(t.Finished),
		"tidy_cert_store": t.Certs, "tidy_revoked_certs": t.Revoked, "tidy_expired_issuers": t.Issuers, "safety_buffer": t.Buffer, "issuer_safety_buffer": t.IssuerBuffer,
		"pause_duration": short(time.Duration(t.Pause) * time.Second), "cert_store_deleted_count": t.CertCount, "revoked_cert_deleted_count": t.RevokedN,
		"issuer_deleted_count": t.IssuerN, "last_auto_tidy_finished": at(t.LastAuto), "missing_issuer_cert_count": 0}
	if t.Error != "" {
		data["error"] = t.Error
	}
	if t.State == running {
		data["message"] = fmt.Sprintf("Tidying %s: %d entries looked at", []string{"certificate store", "revoked certificates", "issuers"}[min(t.Phase, 2)], t.Seen)
	}
	return data
}

func (b *backend) readAutoTidy(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c, err := b.settings(ctx, req.Storage)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: c.autoTidy().describe()}, nil
}

// autoTidy is the clean-up that happens by itself, or its defaults.
func (c *config) autoTidy() *autoTidy {
	if c.AutoTidy != nil {
		return c.AutoTidy
	}
	return &autoTidy{tidyConfig{Buffer: 259200, IssuerBuffer: 31536000}, false, 43200}
}

func (a *autoTidy) describe() map[string]any {
	return map[string]any{"enabled": a.Enabled, "interval_duration": a.Interval, "tidy_cert_store": a.Certs, "tidy_revoked_certs": a.Revoked,
		"tidy_expired_issuers": a.Issuers, "safety_buffer": a.Buffer, "issuer_safety_buffer": a.IssuerBuffer, "pause_duration": short(time.Duration(a.Pause) * time.Second)}
}

func (b *backend) writeAutoTidy(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c, err := configure(ctx, req.Storage, func(c *config) error {
		a := *c.autoTidy()
		if err := a.edit(req.Data, false); err != nil {
			return err
		}
		if req.Data.Has("enabled") {
			a.Enabled = req.Data.Bool("enabled")
		}
		if req.Data.Has("interval_duration") {
			if a.Interval = int64(req.Data.Duration("interval_duration") / time.Second); a.Interval < 1 {
				return engine.Invalidf("interval_duration must be greater than zero")
			}
		}
		if a.Enabled && !a.Certs && !a.Revoked && !a.Issuers {
			return engine.Invalidf("Auto-tidy enabled but no tidy operations were requested. Enable at least one tidy operation to be run (tidy_cert_store / tidy_revoked_certs / tidy_expired_issuers).")
		}
		c.AutoTidy = &a
		return nil
	})
	if err != nil {
		return nil, err
	}
	t, err := loadTidy(ctx, req.Storage)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: c.AutoTidy.describe()}, t.scheduleAuto(req, c)
}

// scheduleAuto puts the next clean-up by itself into the due index, or takes it out.
func (t *tidyRun) scheduleAuto(req *engine.Request, c *config) error {
	if t.AutoDueAt != 0 {
		req.Due.Remove(t.AutoDueAt, dueAuto)
		t.AutoDueAt = 0
	}
	if a := c.autoTidy(); a.Enabled {
		t.AutoDueAt = time.Now().Unix() + a.Interval
		req.Due.Add(t.AutoDueAt, dueAuto)
	}
	return storage.PutJSON(req.Storage, tidyPlace, t)
}

// retryAfter is when what failed is tried again, in seconds.
const retryAfter = 3600

// Expire does what is due: a list of revoked certificates is renewed, a clean-up
// begins, or goes a step on. Implements engine.Expirer.
func (b *backend) Expire(ctx context.Context, req *engine.Request, at int64, id string) error {
	var err error
	switch authority, ok := strings.CutPrefix(id, dueCRL); {
	case ok:
		err = b.expireList(ctx, req, at, authority)
	case id == dueAuto:
		err = b.expireAuto(ctx, req, at)
	default:
		return b.expireTidy(ctx, req, at)
	}
	if err == nil || errors.Is(err, storage.ErrConflict) || ctx.Err() != nil {
		return err
	}
	// Others wait behind it in the index.
	b.logger.Error("what is due failed and will be tried again", "what", id, "error", err)
	req.Due.Add(at+retryAfter, id)
	return nil
}

// expireAuto begins the clean-up that happens by itself.
func (b *backend) expireAuto(ctx context.Context, req *engine.Request, at int64) error {
	t, err := loadTidy(ctx, req.Storage)
	if err != nil || t.AutoDueAt == 0 || t.AutoDueAt > at {
		return err
	}
	c, err := b.settings(ctx, req.Storage)
	if err != nil {
		return err
	}
	t.AutoDueAt = 0
	if t.State != running && c.autoTidy().Enabled {
		return t.begin(req, c.autoTidy().tidyConfig, true)
	}
	return t.scheduleAuto(req, c)
}

// expireTidy has the clean-up go a step on.
func (b *backend) expireTidy(ctx context.Context, req *engine.Request, at int64) error {
	t, err := loadTidy(ctx, req.Storage)
	if err != nil || t.State != running || t.DueAt != at {
		return err
	}
	c, err := b.settings(ctx, req.Storage)
	if err != nil {
		return err
	}
	done, err := b.step(ctx, req, t)
	switch {
	case errors.Is(err, storage.ErrConflict) || ctx.Err() != nil:
		return err
	case err != nil:
		b.logger.Error("a clean-up of certificates failed", "error", err)
		t.finish("Error", "a record could not be read: the server's log says which")
		return t.scheduleAuto(req, c)
	case !done:
		return t.next(req, time.Now().Unix()+t.Pause)
	}
	t.finish("Finished", "")
	if t.NewNumbers { // lists are shorter now
		if err := b.renewAll(ctx, req, c); err != nil {
			return err
		}
	}
	return t.scheduleAuto(req, c)
}

// step looks at the next records of the run, and says whether it was the last.
func (b *backend) step(ctx context.Context, req *engine.Request, t *tidyRun) (bool, error) {
	phases := []struct {
		on     bool
		prefix string
		look   func(name string) error
	}{
		{t.Certs, certPrefix, func(name string) error { return t.lookAtCert(ctx, req.Storage, name) }},
		{t.Revoked, revokedPrefix, func(name string) error { return t.lookAtRevoked(ctx, req.Storage, name) }},
	}
	for ; t.Phase < len(phases); t.Phase, t.After, t.Seen = t.Phase+1, "", 0 {
		p := phases[t.Phase]
		if !p.on {
			continue
		}
		ids, err := req.Storage.List(ctx, p.prefix, t.After, tidyBatch)
		if err != nil {
			return false, err
		}
		for _, id := range ids {
			if err := p.look(id); err != nil {
				return false, err
			}
		}
		if t.Seen += int64(len(ids)); len(ids) == tidyBatch {
			t.After = ids[len(ids)-1]
			return false, nil
		}
	}
	if !t.Issuers {
		return true, nil
	}
	return true, b.tidyIssuers(ctx, req, t)
}

// over says whether what ended at a time (Unix, in seconds) has to go.
func over(end, buffer int64) bool { return end+buffer < time.Now().Unix() }

func (t *tidyRun) lookAtCert(ctx context.Context, v storage.View, serial string) error {
	cert, _, err := kept(ctx, v, serial)
	if err != nil || cert == nil {
		return err
	}
	if over(cert.NotAfter.Unix(), t.Buffer) {
		v.Delete(certPrefix + serial)
		t.CertCount++
	}
	return nil
}

func (t *tidyRun) lookAtRevoked(ctx context.Context, v storage.View, serial string) error {
	var r revocation
	found, err := storage.GetJSON(ctx, v, revokedPrefix+serial, &r)
	if err != nil || !found || !over(r.NotAfter, t.Buffer) {
		return err
	}
	v.Delete(revokedPrefix + serial)
	v.Delete(certPrefix + serial)
	v.Delete(listedKey(r.Authority, r.From, serial, r.At))
	t.RevokedN++
	t.NewNumbers = true
	return nil
}

// tidyIssuers removes issuers that have expired, but the default one.
func (b *backend) tidyIssuers(ctx context.Context, req *engine.Request, t *tidyRun) error {
	var gone []string
	_, err := configure(ctx, req.Storage, func(c *config) error {
		for n := range c.Issuers {
			e := &c.Issuers[n]
			i, err := b.load(ctx, req.Storage, e)
			if err != nil {
				return err
			}
			if e.ID != c.DefaultIssuer && over(i.cert.NotAfter.Unix(), t.IssuerBuffer) {
				b.logger.Info("an issuer that has expired is removed; its key is kept", "issuer_id", e.ID, "issuer_name", e.Name, "certificate", pemText("CERTIFICATE", i.Certificate))
				req.Storage.Delete(issuerPrefix + e.ID)
				gone = append(gone, e.ID)
			}
		}
		c.Issuers = slices.DeleteFunc(c.Issuers, func(e issuerEntry) bool { return slices.Contains(gone, e.ID) })
		return b.rechain(ctx, req.Storage, c)
	})
	t.IssuerN += int64(len(gone))
	return err
}
