package identity

import (
	"context"
	"slices"

	"strongroom/engine"
	"strongroom/internal/storage"
)

// Why a token of an entity is refused.
var (
	ErrDisabled error = &engine.Error{Kind: engine.Denied, Text: "permission denied: the entity of the token is disabled"}
	ErrGone     error = &engine.Error{Kind: engine.Denied, Text: "permission denied: the entity of the token is gone"}
)

// Caller is an entity as the rules see it, at one moment.
type Caller struct {
	Entity *Entity
	Groups []*Group // it is a member of, itself or by another group; by ID
	// Policies of the entity and its groups: sorted, each once, never root.
	Policies []string
	// Versions of all that this was made of.
	Versions []uint64
}

// Caller returns the entity with that ID with all that it has by its groups; nil
// for no ID. ErrGone or ErrDisabled refuse it.
func (s *Store) Caller(ctx context.Context, tx *storage.Tx, id string) (*Caller, error) {
	if id == "" {
		return nil, nil
	}
	e, versions, err := s.entity(ctx, tx, id)
	switch {
	case err != nil:
		return nil, err
	case e == nil:
		return nil, ErrGone
	case e.Disabled:
		return nil, ErrDisabled
	}
	c := &Caller{Entity: e, Versions: versions, Policies: e.Policies}
	if len(e.Groups) == 0 {
		return c, nil
	}
	var of []uint64
	if c.Groups, of, err = s.aboveAt(ctx, tx, e.Groups); err != nil {
		return nil, err
	}
	c.Versions = append(c.Versions, of...)
	c.Policies = slices.Clone(e.Policies)
	for _, g := range c.Groups {
		c.Policies = append(c.Policies, g.Policies...)
	}
	slices.Sort(c.Policies)
	c.Policies = slices.Compact(c.Policies)
	return c, nil
}

// Value is what a template stands for, by its parts (see policy.Values); false
// for nothing. Groups are the caller's own: of others it says nothing.
func (c *Caller) Value(parts []string) (string, bool) {
	if len(parts) < 2 {
		return "", false
	}
	switch parts[0] {
	case "entity":
		return c.ofEntity(parts[1:])
	case "groups":
		if len(parts) < 4 {
			return "", false
		}
		i := slices.IndexFunc(c.Groups, func(g *Group) bool {
			return parts[1] == "ids" && g.ID == parts[2] || parts[1] == "names" && Fold(g.Name) == Fold(parts[2])
		})
		if i < 0 {
			return "", false
		}
		g := c.Groups[i]
		return member(parts[3:], g.ID, g.Name, map[string]map[string]string{"metadata": g.Metadata})
	}
	return "", false
}

// Folded is Value with the entity's name in the other of its two spellings, in which
// paths below identity/ are judged; nil if they are the same.
func (c *Caller) Folded() func(parts []string) (string, bool) {
	name := Fold(c.Entity.Name)
	if name == c.Entity.Name {
		return nil
	}
	return func(parts []string) (string, bool) {
		if slices.Equal(parts, []string{"entity", "name"}) {
			return name, true
		}
		return c.Value(parts)
	}
}

func (c *Caller) ofEntity(parts []string) (string, bool) {
	e := c.Entity
	if parts[0] != "aliases" {
		return member(parts, e.ID, e.Name, map[string]map[string]string{"metadata": e.Metadata})
	}
	if len(parts) < 3 {
		return "", false
	}
	a, ok := e.In(parts[1])
	if !ok {
		return "", false
	}
	return member(parts[2:], a.ID, a.Name, map[string]map[string]string{"metadata": a.Metadata, "custom_metadata": a.Custom})
}

// member picks the id, the name, or a value of one of maps.
func member(parts []string, id, name string, maps map[string]map[string]string) (string, bool) {
	switch {
	case len(parts) == 1 && parts[0] == "id":
		return id, true
	case len(parts) == 1 && parts[0] == "name":
		return name, true
	case len(parts) == 2:
		v, ok := maps[parts[0]][parts[1]]
		return v, ok
	}
	return "", false
}

// GroupsOf returns the groups that e is a member of, itself or by another group,
// by ID.
func (s *Store) GroupsOf(ctx context.Context, tx *storage.Tx, e *Entity) ([]*Group, error) {
	return s.above(ctx, tx, e.Groups)
}

// MemberOf says whether e is a member of the group itself.
func (e *Entity) MemberOf(group string) bool { return slices.Contains(e.Groups, group) }
