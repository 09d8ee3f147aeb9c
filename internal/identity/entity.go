package identity

import (
	"context"
	"slices"

	"strongroom/engine"
	"strongroom/internal/storage"
)

// Entity returns the entity with that ID, or what it was merged into; nil for none.
func (s *Store) Entity(ctx context.Context, tx *storage.Tx, id string) (*Entity, error) {
	e, _, err := s.entity(ctx, tx, id)
	return e, err
}

// entity is Entity with the versions that the answer depends on.
func (s *Store) entity(ctx context.Context, tx *storage.Tx, id string) (*Entity, []uint64, error) {
	if id == "" {
		return nil, nil, nil
	}
	key := s.idKey(entityKind, id)
	e, version, err := s.entities.Get(ctx, tx, key, key, decode[Entity])
	if err != nil || version != 0 {
		return e, []uint64{version}, err
	}
	into, err := s.pointer(ctx, tx, s.mergedKey(id))
	if err != nil || into == "" {
		return nil, nil, err
	}
	key = s.idKey(entityKind, into)
	e, version, err = s.entities.Get(ctx, tx, key, key, decode[Entity])
	return e, []uint64{version}, err
}

// EntityByName returns the entity of that name; nil for none.
func (s *Store) EntityByName(ctx context.Context, tx *storage.Tx, name string) (*Entity, error) {
	return s.pointed(ctx, tx, s.nameKey(entityKind, name))
}

// EntityByAlias returns the entity that has the alias with that ID; nil for none.
func (s *Store) EntityByAlias(ctx context.Context, tx *storage.Tx, id string) (*Entity, error) {
	return s.pointed(ctx, tx, s.aliasKey(entityKind, id))
}

// EntityByLogin returns the entity that is called name in the mount with that
// accessor; nil for none.
func (s *Store) EntityByLogin(ctx context.Context, tx *storage.Tx, accessor, name string) (*Entity, error) {
	return s.pointed(ctx, tx, s.loginKey(entityKind, accessor, name))
}

func (s *Store) pointed(ctx context.Context, tx *storage.Tx, key string) (*Entity, error) {
	id, err := s.pointer(ctx, tx, key)
	if err != nil {
		return nil, err
	}
	return s.Entity(ctx, tx, id)
}

// NewEntity is an entity to fill and put. Without a name it gets one.
func NewEntity(name string) *Entity {
	e := &Entity{ID: newID(), Name: name, Created: now()}
	if name == "" {
		e.Name = "entity_" + e.ID[:8]
	}
	return e
}

// PutEntity stores e, which was old before; nil: it is new. It refuses a name
// that another has. The aliases and groups of e must be as they were: PutAlias
// and the groups' members change those.
func (s *Store) PutEntity(ctx context.Context, tx *storage.Tx, old, e *Entity) error {
	if err := CheckName(e.Name); err != nil {
		return err
	}
	if old == nil || Fold(old.Name) != Fold(e.Name) {
		other, err := s.pointer(ctx, tx, s.nameKey(entityKind, e.Name))
		if err != nil {
			return err
		}
		if other != "" {
			return engine.Invalidf("entity name is already in use")
		}
		if old != nil {
			tx.Delete(s.nameKey(entityKind, old.Name))
		}
		tx.Put(s.nameKey(entityKind, e.Name), []byte(e.ID))
	}
	return s.save(tx, e)
}

// save writes the record of e alone.
func (s *Store) save(tx *storage.Tx, e *Entity) error {
	e.Updated = now()
	return storage.PutJSON(tx, s.idKey(entityKind, e.ID), e)
}

// DeleteEntity deletes e with its aliases and memberships.
func (s *Store) DeleteEntity(tx *storage.Tx, e *Entity) {
	for _, a := range e.Aliases {
		s.dropAlias(tx, entityKind, a)
	}
	for _, g := range e.Groups {
		tx.Delete(s.memberKey(g, e.ID))
	}
	for _, id := range e.Merged {
		tx.Delete(s.mergedKey(id))
	}
	tx.Delete(s.nameKey(entityKind, e.Name))
	tx.Delete(s.idKey(entityKind, e.ID))
}

// Merge makes the entities with the IDs from part of to: their aliases and
// groups become its own, and so do their tokens. Of two aliases in one mount
// only one can stay: that which keep names, by its ID.
func (s *Store) Merge(ctx context.Context, tx *storage.Tx, to *Entity, from, keep []string) error {
	next := to.Clone()
	seen := map[string]bool{}
	for _, id := range from {
		if seen[id] {
			continue
		}
		seen[id] = true
		if id == to.ID {
			return engine.Invalidf("to_entity_id should not be present in from_entity_ids")
		}
		e, err := s.Entity(ctx, tx, id)
		if err != nil {
			return err
		}
		if e == nil || e.ID != id {
			return engine.Invalidf("entity id to merge from is invalid")
		}
		s.DeleteEntity(tx, e)
		if err := s.absorb(tx, next, e, keep); err != nil {
			return err
		}
	}
	return s.save(tx, next)
}

// absorb puts into next what e has, which is deleted already.
func (s *Store) absorb(tx *storage.Tx, next, e *Entity, keep []string) error {
	for _, a := range e.Aliases {
		if i := slices.IndexFunc(next.Aliases, func(x Alias) bool { return x.Accessor == a.Accessor }); i >= 0 {
			mine := next.Aliases[i]
			switch {
			case slices.Contains(keep, mine.ID) == slices.Contains(keep, a.ID):
				return engine.Invalidf("conflicting aliases: the aliases %s and %s are both of the mount %s, in which an entity has one: name that to keep in conflicting_alias_ids_to_keep", mine.ID, a.ID, a.Accessor)
			case slices.Contains(keep, mine.ID):
				continue
			}
			s.dropAlias(tx, entityKind, mine)
			next.Aliases = slices.Delete(next.Aliases, i, i+1)
		}
		a.MergedFrom = append(slices.Clone(a.MergedFrom), e.ID)
		next.Aliases = append(next.Aliases, a)
		s.pointAlias(tx, entityKind, a, next.ID)
	}
	for _, g := range e.Groups {
		if !slices.Contains(next.Groups, g) {
			next.Groups = append(next.Groups, g)
		}
		tx.Put(s.memberKey(g, next.ID), nil)
	}
	for _, id := range append([]string{e.ID}, e.Merged...) {
		next.Merged = append(next.Merged, id)
		tx.Put(s.mergedKey(id), []byte(next.ID))
	}
	return nil
}
