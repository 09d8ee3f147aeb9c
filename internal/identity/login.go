package identity

import (
	"context"
	"maps"
	"slices"

	"strongroom/internal/storage"
)

// Login is what an auth method says of who logged in.
type Login struct {
	Accessor string            // of the mount
	Name     string            // of the caller in the method
	Metadata map[string]string // of the alias
	Groups   []string          // the names of the caller's groups in the method
}

// Bind returns the entity that l is of, which it makes if there is none, and
// brings its alias and its external groups to what l says; all in tx, and only
// what has changed. ErrDisabled refuses the login.
func (s *Store) Bind(ctx context.Context, tx *storage.Tx, l Login) (*Entity, error) {
	if err := checkAlias(l.Name); err != nil {
		return nil, err
	}
	old, err := s.EntityByLogin(ctx, tx, l.Accessor, l.Name)
	if err != nil {
		return nil, err
	}
	if old == nil {
		return s.found(ctx, tx, l)
	}
	if old.Disabled {
		return nil, ErrDisabled
	}
	groups, err := s.external(ctx, tx, old, l)
	if err != nil {
		return nil, err
	}
	a, _ := old.In(l.Accessor)
	sameMetadata := maps.Equal(a.Metadata, l.Metadata)
	if sameMetadata && slices.Equal(groups, old.Groups) {
		return old, nil
	}
	next := old.Clone()
	if !sameMetadata {
		i := slices.IndexFunc(next.Aliases, func(x Alias) bool { return x.ID == a.ID })
		next.Aliases[i].Metadata, next.Aliases[i].Updated = l.Metadata, now()
	}
	s.move(tx, next, groups)
	return next, s.save(tx, next)
}

// found makes the entity of who logs in for the first time.
func (s *Store) found(ctx context.Context, tx *storage.Tx, l Login) (*Entity, error) {
	e := NewEntity("")
	a := NewAlias(l.Accessor, l.Name)
	a.Metadata, a.Updated = l.Metadata, a.Created
	e.Aliases = []Alias{a}
	s.pointAlias(tx, entityKind, a, e.ID)
	groups, err := s.external(ctx, tx, e, l)
	if err != nil {
		return nil, err
	}
	s.move(tx, e, groups)
	return e, s.PutEntity(ctx, tx, nil, e)
}

// external is the groups of e after l: the external ones of l's method are those
// that l names, the others as they were. Groups that are gone are left out.
func (s *Store) external(ctx context.Context, tx *storage.Tx, e *Entity, l Login) ([]string, error) {
	var groups []string
	for _, id := range e.Groups {
		g, err := s.Group(ctx, tx, id)
		if err != nil {
			return nil, err
		}
		if g != nil && !(g.External && s.said(e, g, l.Accessor)) {
			groups = append(groups, id)
		}
	}
	for _, name := range l.Groups {
		g, err := s.GroupByLogin(ctx, tx, l.Accessor, name)
		if err != nil {
			return nil, err
		}
		if g != nil && !slices.Contains(groups, g.ID) {
			groups = append(groups, g.ID)
		}
	}
	slices.Sort(groups)
	return groups, nil
}

// said is whether a login in the mount with that accessor decides whether e is
// in g: it is of that mount, or no mount that knows e has a say in it any more.
func (s *Store) said(e *Entity, g *Group, accessor string) bool {
	if g.Alias == nil || g.Alias.Accessor == accessor {
		return true
	}
	_, known := e.In(g.Alias.Accessor)
	return !known
}

// move makes groups the groups of e, which the caller saves.
func (s *Store) move(tx *storage.Tx, e *Entity, groups []string) {
	for _, id := range e.Groups {
		if !slices.Contains(groups, id) {
			tx.Delete(s.memberKey(id, e.ID))
		}
	}
	for _, id := range groups {
		if !slices.Contains(e.Groups, id) {
			tx.Put(s.memberKey(id, e.ID), nil)
		}
	}
	e.Groups = groups
}
