package identity

import (
	"context"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"strongroom/engine"
	"strongroom/internal/storage"
)

// checkAlias refuses what cannot be a name in an auth method.
func checkAlias(name string) error {
	if Fold(name) == "" || len(name) > 4*maxName || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return engine.Invalidf("the name of an alias must be text of 1 to %d bytes", 4*maxName)
	}
	return nil
}

// dropAlias deletes the keys of a.
func (s *Store) dropAlias(tx *storage.Tx, kind string, a Alias) {
	tx.Delete(s.aliasKey(kind, a.ID))
	tx.Delete(s.loginKey(kind, a.Accessor, a.Name))
}

// pointAlias writes the keys of a, which belongs to owner.
func (s *Store) pointAlias(tx *storage.Tx, kind string, a Alias, owner string) {
	tx.Put(s.aliasKey(kind, a.ID), []byte(owner))
	tx.Put(s.loginKey(kind, a.Accessor, a.Name), []byte(owner))
}

// Find returns the alias of e with that ID.
func (e *Entity) Find(id string) (Alias, bool) {
	i := slices.IndexFunc(e.Aliases, func(a Alias) bool { return a.ID == id })
	if i < 0 {
		return Alias{}, false
	}
	return e.Aliases[i], true
}

// In returns the alias of e in the mount with that accessor.
func (e *Entity) In(accessor string) (Alias, bool) {
	i := slices.IndexFunc(e.Aliases, func(a Alias) bool { return a.Accessor == accessor })
	if i < 0 {
		return Alias{}, false
	}
	return e.Aliases[i], true
}

// NewAlias is an alias to put.
func NewAlias(accessor, name string) Alias {
	return Alias{ID: newID(), Accessor: accessor, Name: name, Created: now()}
}

// PutAlias gives the entity with the ID owner the alias a, and takes it from who
// has the alias with that ID. It refuses a name in a mount that another alias
// has, and a second alias in a mount.
func (s *Store) PutAlias(ctx context.Context, tx *storage.Tx, owner string, a Alias) error {
	if err := checkAlias(a.Name); err != nil {
		return err
	}
	before, err := s.EntityByAlias(ctx, tx, a.ID)
	if err != nil {
		return err
	}
	if before != nil {
		old, _ := before.Find(a.ID)
		s.dropAlias(tx, entityKind, old)
		next := before.Clone()
		next.Aliases = slices.DeleteFunc(next.Aliases, func(x Alias) bool { return x.ID == a.ID })
		if err := s.save(tx, next); err != nil {
			return err
		}
	}
	if taken, err := s.EntityByLogin(ctx, tx, a.Accessor, a.Name); err != nil {
		return err
	} else if taken != nil {
		return engine.Invalidf("alias name %q is already in use in this mount", a.Name)
	}
	e, err := s.Entity(ctx, tx, owner)
	if err != nil {
		return err
	}
	if e == nil {
		return engine.Invalidf("invalid canonical ID: there is no entity %q", owner)
	}
	if other, ok := e.In(a.Accessor); ok {
		return engine.Invalidf("the entity has the alias %s in this mount already: update that one, or delete it first", other.ID)
	}
	next := e.Clone()
	a.Updated = now()
	next.Aliases = append(next.Aliases, a)
	s.pointAlias(tx, entityKind, a, e.ID)
	return s.save(tx, next)
}

// DeleteAlias deletes the alias with that ID; one that is not there is no error.
func (s *Store) DeleteAlias(ctx context.Context, tx *storage.Tx, id string) error {
	e, err := s.EntityByAlias(ctx, tx, id)
	if err != nil || e == nil {
		return err
	}
	a, _ := e.Find(id)
	s.dropAlias(tx, entityKind, a)
	next := e.Clone()
	next.Aliases = slices.DeleteFunc(next.Aliases, func(x Alias) bool { return x.ID == id })
	return s.save(tx, next)
}
