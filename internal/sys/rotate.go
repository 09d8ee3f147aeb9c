package sys

import (
	"context"
	"time"

	"strongroom/engine"
	"strongroom/internal/barrier"
	"strongroom/internal/call"
	"strongroom/internal/storage"
)

// Inside the barrier: RekeyBackup, as the rekey that made it left it.
const (
	BarrierBackupPath  = "core/unseal-keys-backup"
	RecoveryBackupPath = "core/recovery-keys-backup"
)

// RekeyBackup is the copy of encrypted shares that a rekey with backup keeps.
type RekeyBackup struct {
	Nonce   string              `json:"nonce"`
	Keys    map[string][]string `json:"keys"`        // by fingerprint, in hexadecimal
	KeysB64 map[string][]string `json:"keys_base64"` // by fingerprint
}

// Keyring is what sys asks of the keys that encrypt the data.
type Keyring interface {
	// KeyTerm is the active encryption key's number and when it was made (RFC 3339).
	KeyTerm() (term uint32, installed string)
	// Encryptions is how many values that key has encrypted.
	Encryptions(ctx context.Context) (uint64, error)
	// Rotate makes a new active key.
	Rotate(ctx context.Context) error
	RotatePolicy(ctx context.Context) (barrier.RotatePolicy, error)
	PutRotatePolicy(ctx context.Context, p barrier.RotatePolicy) error
	// TendKey counts and, if it is time, rotates: a lease.Job.
	TendKey(ctx context.Context) (int, error)
}

func (d *Deps) rotateRoutes() []engine.Route {
	rotate := func(ctx context.Context, _ *engine.Request) (*engine.Response, error) { return nil, d.Node.Rotate(ctx) }
	config := []engine.Field{
		{Name: "max_operations", Type: engine.Int, Help: "Encryptions after which the key is rotated, 1,000,000 to 3,865,470,566."},
		{Name: "interval", Type: engine.Duration, Help: "Age at which the key is rotated, at least 24h; 0 for none."},
		{Name: "enabled", Type: engine.Bool, Help: "Whether the key is rotated automatically."},
	}
	routes := []engine.Route{
		{Path: "key-status", Help: "The active encryption key.", Answers: engine.Answers{engine.Read: engine.TopLevel{Data: keyStatus{}}}, Read: d.keyStatus},
		{Path: "rotate", Help: "Make a new encryption key for what is written from now on.", Answers: engine.Answers{engine.Update: engine.Nothing{}}, Sudo: true, External: true, Write: rotate},
		{Path: "rotate/keyring", Help: "Make a new encryption key for what is written from now on.", Answers: engine.Answers{engine.Update: engine.Nothing{}}, Sudo: true, External: true, Write: rotate},
	}
	for _, path := range []string{"rotate/config", "rotate/keyring/config"} {
		routes = append(routes, engine.Route{Path: path, Help: "When the encryption key is rotated automatically.", Fields: config, External: true,
			Answers: engine.Answers{engine.Read: engine.TopLevel{Data: rotateConfig{}}, engine.Update: engine.Nothing{}},
			Read:    d.readRotateConfig, Write: d.writeRotateConfig})
	}
	for path, stored := range map[string]string{"rekey/backup": BarrierBackupPath, "rekey/recovery-key-backup": RecoveryBackupPath, "rekey-recovery-key/backup": RecoveryBackupPath} {
		routes = append(routes, engine.Route{Path: path, Help: "The copy of the PGP-encrypted key shares of the last rekey.", Sudo: true,
			Answers: engine.Answers{engine.Read: engine.TopLevel{Data: RekeyBackup{}}, engine.Delete: engine.Nothing{}},
			Read:    func(ctx context.Context, _ *engine.Request) (*engine.Response, error) { return readBackup(ctx, stored) },
			Delete: func(ctx context.Context, _ *engine.Request) (*engine.Response, error) {
				call.From(ctx).Tx.Delete(stored)
				return nil, nil
			}})
	}
	return routes
}

func (d *Deps) keyStatus(ctx context.Context, _ *engine.Request) (*engine.Response, error) {
	term, installed := d.Node.KeyTerm()
	n, err := d.Node.Encryptions(ctx)
	if err != nil {
		return nil, err
	}
	return &engine.Response{TopLevel: true, Data: map[string]any{"term": term, "install_time": installed, "encryptions": n}}, nil
}

func (d *Deps) readRotateConfig(ctx context.Context, _ *engine.Request) (*engine.Response, error) {
	p, err := d.Node.RotatePolicy(ctx)
	if err != nil {
		return nil, err
	}
	return &engine.Response{TopLevel: true, Data: map[string]any{"max_operations": p.MaxOperations, "interval": int64(p.Interval / time.Second), "enabled": p.Enabled}}, nil
}

func (d *Deps) writeRotateConfig(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	p, err := d.Node.RotatePolicy(ctx)
	if err != nil {
		return nil, err
	}
	if req.Data.Has("max_operations") {
		p.MaxOperations = uint64(max(0, req.Data.Int("max_operations")))
	}
	if req.Data.Has("interval") {
		p.Interval = req.Data.Duration("interval")
	}
	if req.Data.Has("enabled") {
		p.Enabled = req.Data.Bool("enabled")
	}
	if err := p.Validate(); err != nil {
		return nil, engine.Invalidf("%v", err)
	}
	return nil, d.Node.PutRotatePolicy(ctx, p)
}

func readBackup(ctx context.Context, path string) (*engine.Response, error) {
	var b RekeyBackup
	ok, err := storage.GetJSON(ctx, call.From(ctx).Tx, path, &b)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, engine.Errorf(engine.NotFound, "no backed-up keys found: only a rekey with PGP keys and -backup keeps a copy")
	}
	return &engine.Response{TopLevel: true, Data: map[string]any{"nonce": b.Nonce, "keys": b.Keys, "keys_base64": b.KeysB64}}, nil
}
