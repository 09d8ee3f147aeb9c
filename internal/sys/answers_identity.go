package sys

import "strongroom/engine"

// The forms of what identity/ answers; see answers.go.

type aliasInfo struct {
	ID             string            `json:"id"`
	CanonicalID    string            `json:"canonical_id" help:"Of the entity or group that it is of."`
	Name           string            `json:"name"`
	MountAccessor  string            `json:"mount_accessor"`
	MountPath      string            `json:"mount_path" help:"Empty when the method is gone."`
	MountType      string            `json:"mount_type"`
	Metadata       map[string]string `json:"metadata" api:"null" help:"As the method told it at the last login."`
	CustomMetadata map[string]string `json:"custom_metadata" api:"null"`
	CreationTime   string            `json:"creation_time"`
	LastUpdateTime string            `json:"last_update_time"`
	MergedFrom     []string          `json:"merged_from_canonical_ids" api:"null"`
	Local          bool              `json:"local"`
}

type entityAlias struct {
	aliasInfo
	NamespaceID string `json:"namespace_id"`
}

type entityInfo struct {
	ID                string            `json:"id"`
	Name              string            `json:"name"`
	Disabled          bool              `json:"disabled"`
	Policies          []string          `json:"policies"`
	Metadata          map[string]string `json:"metadata" api:"null"`
	Aliases           []aliasInfo       `json:"aliases"`
	GroupIDs          []string          `json:"group_ids"`
	DirectGroupIDs    []string          `json:"direct_group_ids"`
	InheritedGroupIDs []string          `json:"inherited_group_ids"`
	MergedEntityIDs   []string          `json:"merged_entity_ids" api:"null"`
	CreationTime      string            `json:"creation_time"`
	LastUpdateTime    string            `json:"last_update_time"`
	NamespaceID       string            `json:"namespace_id"`
}

type groupInfo struct {
	ID              string            `json:"id"`
	Name            string            `json:"name"`
	Type            string            `json:"type" enum:"internal,external"`
	Policies        []string          `json:"policies"`
	Metadata        map[string]string `json:"metadata" api:"null"`
	Alias           groupAlias        `json:"alias"`
	MemberEntityIDs []string          `json:"member_entity_ids"`
	MemberGroupIDs  []string          `json:"member_group_ids"`
	ParentGroupIDs  []string          `json:"parent_group_ids"`
	ModifyIndex     int               `json:"modify_index"`
	CreationTime    string            `json:"creation_time"`
	LastUpdateTime  string            `json:"last_update_time"`
	NamespaceID     string            `json:"namespace_id"`
}

// groupAlias is aliasInfo, or empty for a group that has none.
type groupAlias struct {
	ID             string            `json:"id,omitempty"`
	CanonicalID    string            `json:"canonical_id,omitempty"`
	Name           string            `json:"name,omitempty"`
	MountAccessor  string            `json:"mount_accessor,omitempty"`
	MountPath      string            `json:"mount_path,omitempty"`
	MountType      string            `json:"mount_type,omitempty"`
	Metadata       map[string]string `json:"metadata,omitempty" api:"null"`
	CustomMetadata map[string]string `json:"custom_metadata,omitempty" api:"null"`
	CreationTime   string            `json:"creation_time,omitempty"`
	LastUpdateTime string            `json:"last_update_time,omitempty"`
	MergedFrom     []string          `json:"merged_from_canonical_ids,omitempty" api:"null"`
	Local          bool              `json:"local,omitempty"`
}

type entityMade struct {
	ID      string      `json:"id"`
	Name    string      `json:"name"`
	Aliases []aliasInfo `json:"aliases" api:"null"`
}

type groupMade struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

type aliasMade struct {
	ID          string `json:"id"`
	CanonicalID string `json:"canonical_id"`
}

type entityListed struct {
	Name    string            `json:"name"`
	Aliases []aliasOfAnEntity `json:"aliases"`
}

type aliasOfAnEntity struct {
	ID string `json:"id"`
	groupAliasListed
}

type groupListed struct {
	Name        string `json:"name"`
	NumEntities int    `json:"num_member_entities"`
	NumParents  int    `json:"num_parent_groups"`
}

type groupAliasListed struct {
	CanonicalID   string `json:"canonical_id"`
	MountAccessor string `json:"mount_accessor"`
	MountPath     string `json:"mount_path"`
	MountType     string `json:"mount_type"`
	Name          string `json:"name"`
}

type entityAliasListed struct {
	groupAliasListed
	CustomMetadata map[string]string `json:"custom_metadata" api:"null"`
	Local          bool              `json:"local"`
}

// listed are the answers of a list that says something of each name.
func listed[T any](T) engine.Answers {
	return engine.Answers{engine.Read: engine.Named[T]{}, engine.List: engine.Named[T]{}}
}

// names are the answers of a list of names alone.
func names() engine.Answers {
	return engine.Answers{engine.Read: engine.Keys{}, engine.List: engine.Keys{}}
}
