package sys

import (
	"context"
	"slices"
	"strings"

	"github.com/google/uuid"

	"strongroom/engine"
	"strongroom/internal/call"
	"strongroom/internal/mount"
	"strongroom/internal/storage"
)

// remountRoutes serve sys/remount
// (https://developer.hashicorp.com/vault/api-docs/system/remount). A mount's data
// is stored by its UUID, so a move is one write of the mount table.
func (d *Deps) remountRoutes() []engine.Route {
	return []engine.Route{
		{Path: "remount", Help: "Move a mount to another path.", Answers: engine.Answers{engine.Update: engine.TopLevel{Data: moveBegun{}}}, Sudo: true, Write: d.remount, Fields: []engine.Field{
			{Name: "from", Required: true, Help: "The mount's path; an auth method's begins with auth/."}, {Name: "to", Required: true, Help: "Its new path."}}},
		{Path: "remount/status/{migration_id}", Help: "How far a move is: always done.", Answers: engine.Answers{engine.Read: engine.TopLevel{Data: moveState{}}}, Fields: []engine.Field{{Name: "migration_id", Help: "As the move answered."}}, Read: d.remountStatus},
	}
}

// moves are the latest moves, for who asks how they went.
type moves []move

type move struct {
	ID   string `json:"id"`
	From string `json:"source_mount"`
	To   string `json:"target_mount"`
}

const keptMoves = 64

func movesKey(ns string) string { return "ns/" + ns + "/moves" }

func (d *Deps) remount(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c := call.From(ctx)
	from, err := mount.CleanPath(req.Data.String("from"))
	if err != nil {
		return nil, err
	}
	to, err := mount.CleanPath(req.Data.String("to"))
	if err != nil {
		return nil, err
	}
	for _, path := range []string{from, to} { // a mount belongs to its namespace, with its leases, tokens and identities
		if err := shadowed(ctx, path); err != nil {
			return nil, err
		}
	}
	table, err := mount.Load(ctx, c.Tx, c.Namespace)
	if err != nil {
		return nil, err
	}
	if err := table.Move(from, to); err != nil {
		return nil, err
	}
	var kept moves
	if _, err := storage.GetJSON(ctx, c.Tx, movesKey(c.Namespace), &kept); err != nil {
		return nil, err
	}
	m := move{uuid.NewString(), from, to}
	kept = append(kept[max(0, len(kept)-keptMoves+1):], m)
	if err := storage.PutJSON(c.Tx, movesKey(c.Namespace), kept); err != nil {
		return nil, err
	}
	if err := table.Save(c.Tx, c.Namespace); err != nil {
		return nil, err
	}
	return &engine.Response{TopLevel: true, Data: map[string]any{"migration_id": m.ID}}, nil
}

func (d *Deps) remountStatus(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c := call.From(ctx)
	id := req.Data.String("migration_id")
	var kept moves
	if _, err := storage.GetJSON(ctx, c.Tx, movesKey(c.Namespace), &kept); err != nil {
		return nil, err
	}
	i := slices.IndexFunc(kept, func(m move) bool { return m.ID == id })
	if i < 0 {
		return nil, engine.ErrNotFound
	}
	m := kept[i]
	return &engine.Response{TopLevel: true, Data: map[string]any{
		"migration_id": m.ID, "migration_info": map[string]any{"source_mount": strings.TrimSuffix(m.From, "/"), "target_mount": strings.TrimSuffix(m.To, "/"), "status": "success"},
	}}, nil
}
