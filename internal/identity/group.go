package identity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"strongroom/engine"
	"strongroom/internal/storage"
)

// maxAncestors bounds the groups above one group: every request of a member looks
// at them all.
const maxAncestors = 256

// Group returns the group with that ID; nil for none.
func (s *Store) Group(ctx context.Context, tx *storage.Tx, id string) (*Group, error) {
	g, _, err := s.group(ctx, tx, id)
	return g, err
}

func (s *Store) group(ctx context.Context, tx *storage.Tx, id string) (*Group, uint64, error) {
	if id == "" {
		return nil, 0, nil
	}
	key := s.idKey(groupKind, id)
	return s.groups.Get(ctx, tx, key, key, decode[Group])
}

// GroupByName returns the group of that name; nil for none.
func (s *Store) GroupByName(ctx context.Context, tx *storage.Tx, name string) (*Group, error) {
	return s.pointedGroup(ctx, tx, s.nameKey(groupKind, name))
}

// GroupByAlias returns the group that has the alias with that ID; nil for none.
func (s *Store) GroupByAlias(ctx context.Context, tx *storage.Tx, id string) (*Group, error) {
	return s.pointedGroup(ctx, tx, s.aliasKey(groupKind, id))
}

// GroupByLogin returns the group that is called name in the mount with that
// accessor; nil for none.
func (s *Store) GroupByLogin(ctx context.Context, tx *storage.Tx, accessor, name string) (*Group, error) {
	return s.pointedGroup(ctx, tx, s.loginKey(groupKind, accessor, name))
}

func (s *Store) pointedGroup(ctx context.Context, tx *storage.Tx, key string) (*Group, error) {
	id, err := s.pointer(ctx, tx, key)
	if err != nil {
		return nil, err
	}
	return s.Group(ctx, tx, id)
}

// NewGroup is a group to fill and put. Without a name it gets one.
func NewGroup(name string, external bool) *Group {
	g := &Group{ID: newID(), Name: name, External: external, Created: now()}
	if name == "" {
		g.Name = "group_" + g.ID[:8]
	}
	return g
}

// PutGroup stores g, which was old before; nil: it is new. It refuses a name that
// another group has, members that do not exist, and a circle of groups.
func (s *Store) PutGroup(ctx context.Context, tx *storage.Tx, old, g *Group) error {
	if err := CheckName(g.Name); err != nil {
		return err
	}
	if old == nil || Fold(old.Name) != Fold(g.Name) {
		other, err := s.pointer(ctx, tx, s.nameKey(groupKind, g.Name))
		if err != nil {
			return err
		}
		if other != "" {
			return engine.Invalidf("group name is already in use")
		}
		if old != nil {
			tx.Delete(s.nameKey(groupKind, old.Name))
		}
		tx.Put(s.nameKey(groupKind, g.Name), []byte(g.ID))
	}
	slices.Sort(g.Children)
	g.Children = slices.Compact(g.Children)
	var before []string
	if old != nil {
		before = old.Children
	}
	if err := s.adopt(ctx, tx, g, before); err != nil {
		return err
	}
	return s.saveGroup(tx, g)
}

func (s *Store) saveGroup(tx *storage.Tx, g *Group) error {
	g.Updated = now()
	return storage.PutJSON(tx, s.idKey(groupKind, g.ID), g)
}

// adopt writes g's place into the groups that have become, or are no longer, its
// members. All that says that no circle arises is read here, so that of two
// requests which would close one together, one conflicts and runs again.
func (s *Store) adopt(ctx context.Context, tx *storage.Tx, g *Group, before []string) error {
	above, err := s.above(ctx, tx, []string{g.ID})
	if err != nil {
		return err
	}
	for _, id := range before {
		if slices.Contains(g.Children, id) {
			continue
		}
		if err := s.relate(ctx, tx, id, func(c *Group) { c.Parents = without(c.Parents, g.ID) }); err != nil {
			return err
		}
	}
	for _, id := range g.Children {
		if id == g.ID || slices.ContainsFunc(above, func(x *Group) bool { return x.ID == id }) {
			return engine.Invalidf("cyclic relationship detected for group ID %q: it would be a member of itself", id)
		}
		if slices.Contains(before, id) {
			continue
		}
		child, err := s.Group(ctx, tx, id)
		if err != nil {
			return err
		}
		if child == nil {
			return engine.Invalidf("invalid group ID %q", id)
		}
		if err := s.relate(ctx, tx, id, func(c *Group) { c.Parents = append(c.Parents, g.ID) }); err != nil {
			return err
		}
	}
	return nil
}

// relate changes the record of a group, if there is one.
func (s *Store) relate(ctx context.Context, tx *storage.Tx, id string, change func(*Group)) error {
	g, err := s.Group(ctx, tx, id)
	if err != nil || g == nil {
		return err
	}
	next := g.Clone()
	change(next)
	return s.saveGroup(tx, next)
}

func without(ids []string, id string) []string {
	return slices.DeleteFunc(slices.Clone(ids), func(x string) bool { return x == id })
}

// above returns the groups with these IDs and all that they are members of, each
// once, by ID. IDs of no group are passed over.
func (s *Store) above(ctx context.Context, tx *storage.Tx, ids []string) ([]*Group, error) {
	groups, _, err := s.aboveAt(ctx, tx, ids)
	return groups, err
}

// aboveAt is above with the versions that the answer depends on, in an order that
// depends on these and ids alone.
func (s *Store) aboveAt(ctx context.Context, tx *storage.Tx, ids []string) (groups []*Group, versions []uint64, err error) {
	queue := slices.Clone(ids)
	for i := 0; i < len(queue); i++ {
		if slices.Index(queue, queue[i]) < i {
			continue
		}
		g, version, err := s.group(ctx, tx, queue[i])
		if err != nil {
			return nil, nil, err
		}
		versions = append(versions, version)
		if g == nil {
			continue
		}
		groups, queue = append(groups, g), append(queue, g.Parents...)
		if len(queue) > len(ids)+maxAncestors {
			return nil, nil, engine.Invalidf("the groups are nested too widely: there are over %d above one", maxAncestors)
		}
	}
	slices.SortFunc(groups, func(a, b *Group) int { return strings.Compare(a.ID, b.ID) })
	return groups, versions, nil
}

// Members lists the entities that are members of the group themselves.
func (s *Store) Members(ctx context.Context, tx *storage.Tx, group string) ([]string, error) {
	return s.list(ctx, tx, "group/member/"+group+"/")
}

// SetMembers makes exactly these entities members of g, which the caller has put.
func (s *Store) SetMembers(ctx context.Context, tx *storage.Tx, g *Group, ids []string) error {
	have, err := s.Members(ctx, tx, g.ID)
	if err != nil {
		return err
	}
	want := map[string]bool{}
	for _, id := range ids {
		e, err := s.Entity(ctx, tx, id)
		if err != nil {
			return err
		}
		if e == nil {
			return engine.Invalidf("invalid entity ID %q", id)
		}
		if want[e.ID] {
			continue
		}
		want[e.ID] = true
		if slices.Contains(e.Groups, g.ID) {
			continue
		}
		if err := s.join(tx, e, g.ID); err != nil {
			return err
		}
	}
	for _, id := range have {
		if want[id] {
			continue
		}
		if err := s.leave(ctx, tx, id, g.ID); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) join(tx *storage.Tx, e *Entity, group string) error {
	next := e.Clone()
	next.Groups = append(next.Groups, group)
	tx.Put(s.memberKey(group, e.ID), nil)
	return s.save(tx, next)
}

func (s *Store) leave(ctx context.Context, tx *storage.Tx, id, group string) error {
	tx.Delete(s.memberKey(group, id))
	e, err := s.Entity(ctx, tx, id)
	if err != nil || e == nil || !slices.Contains(e.Groups, group) {
		return err
	}
	next := e.Clone()
	next.Groups = without(next.Groups, group)
	return s.save(tx, next)
}

// DeleteGroup deletes g. It is gone for everybody at once; its members' records
// are tidied by Sweep.
func (s *Store) DeleteGroup(ctx context.Context, tx *storage.Tx, g *Group) error {
	for _, id := range g.Parents {
		if err := s.relate(ctx, tx, id, func(p *Group) { p.Children = without(p.Children, g.ID) }); err != nil {
			return err
		}
	}
	for _, id := range g.Children {
		if err := s.relate(ctx, tx, id, func(c *Group) { c.Parents = without(c.Parents, g.ID) }); err != nil {
			return err
		}
	}
	if g.Alias != nil {
		s.dropAlias(tx, groupKind, *g.Alias)
	}
	tx.Delete(s.nameKey(groupKind, g.Name))
	tx.Delete(s.idKey(groupKind, g.ID))
	tx.Put(s.goneKey(g.ID), nil)
	return nil
}

// PutGroupAlias gives the external group with the ID owner the alias a in place of
// what it has, and takes it from who has the alias with that ID.
func (s *Store) PutGroupAlias(ctx context.Context, tx *storage.Tx, owner string, a Alias) error {
	if err := checkAlias(a.Name); err != nil {
		return err
	}
	g, err := s.Group(ctx, tx, owner)
	switch {
	case err != nil:
		return err
	case g == nil:
		return engine.Invalidf("invalid group ID given in 'canonical_id'")
	case !g.External:
		return engine.Invalidf("alias can't be set on an internal group")
	}
	if err := s.DeleteGroupAlias(ctx, tx, a.ID); err != nil {
		return err
	}
	if g.Alias != nil {
		s.dropAlias(tx, groupKind, *g.Alias)
	}
	if taken, err := s.GroupByLogin(ctx, tx, a.Accessor, a.Name); err != nil {
		return err
	} else if taken != nil {
		return engine.Invalidf("group alias name %q is already in use in this mount", a.Name)
	}
	a.Updated = now()
	s.pointAlias(tx, groupKind, a, g.ID)
	return s.relate(ctx, tx, g.ID, func(next *Group) { next.Alias = &a })
}

// DeleteGroupAlias deletes the alias with that ID; one that is not there is no error.
func (s *Store) DeleteGroupAlias(ctx context.Context, tx *storage.Tx, id string) error {
	g, err := s.GroupByAlias(ctx, tx, id)
	if err != nil || g == nil {
		return err
	}
	s.dropAlias(tx, groupKind, *g.Alias)
	return s.relate(ctx, tx, g.ID, func(next *Group) { next.Alias = nil })
}

// Sweep tidies the records of entities that were members of deleted groups, a
// bounded batch a transaction, and says how many.
func (s *Store) Sweep(ctx context.Context, store storage.Store) (int, error) {
	tidied := 0
	for key, err := range store.Keys(ctx, gone, "") {
		if err != nil {
			return tidied, err
		}
		group, ns, ok := strings.Cut(strings.TrimPrefix(key, gone), ".")
		if !ok {
			ns = "root"
		}
		of := s.In(ns)
		for left := true; left; {
			n, more, err := of.sweep(ctx, store, group)
			if errors.Is(err, storage.ErrConflict) {
				continue
			}
			if err != nil {
				return tidied, fmt.Errorf("identity: tidy the members of a deleted group: %w", err)
			}
			tidied, left = tidied+n, more
		}
	}
	return tidied, nil
}

func (s *Store) sweep(ctx context.Context, store storage.Store, group string) (n int, more bool, err error) {
	const batch = 200
	tx := storage.Begin(store)
	prefix := s.memberKey(group, "")
	for key, err := range store.Keys(ctx, prefix, "") {
		if err != nil {
			return 0, false, err
		}
		if n == batch {
			more = true
			break
		}
		if err := s.leave(ctx, tx, strings.TrimPrefix(key, prefix), group); err != nil {
			return 0, false, err
		}
		n++
	}
	if !more {
		tx.Delete(s.goneKey(group))
	}
	return n, more, tx.Commit(ctx)
}
