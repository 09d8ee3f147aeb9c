package kv

// What version 2 answers; but for Settings, the bytes are put together without these types, and tests hold them against these.

// Settings are those of a mount.
type Settings struct {
	MaxVersions uint32 `json:"max_versions"`
	CASRequired bool   `json:"cas_required"`
	DeleteAfter string `json:"delete_version_after" help:"Such as 3h25m0s; 0s: never."`
}

// Version is a version of a secret.
type Version struct {
	Created   string `json:"created_time"`
	Deleted   string `json:"deletion_time" help:"When it was, or will be; empty: it is not."`
	Destroyed bool   `json:"destroyed"`
}

// Written is a version that was written, or is read.
type Written struct {
	Version
	Number uint64            `json:"version"`
	Custom map[string]string `json:"custom_metadata" api:"null"`
}

// Secret is the data of a version; null if that is deleted or destroyed, with status 404.
type Secret struct {
	Data     *map[string]any `json:"data"`
	Metadata Written         `json:"metadata"`
}

// Subkeys are the keys of a version: where a value was there is null.
type Subkeys struct {
	Subkeys  *map[string]any `json:"subkeys"`
	Metadata Written         `json:"metadata"`
}

// Metadata is a secret without its data.
type Metadata struct {
	CASRequired bool               `json:"cas_required"`
	Created     string             `json:"created_time"`
	Updated     string             `json:"updated_time"`
	Current     uint64             `json:"current_version"`
	Oldest      uint64             `json:"oldest_version"`
	MaxVersions uint32             `json:"max_versions"`
	DeleteAfter string             `json:"delete_version_after"`
	Custom      map[string]string  `json:"custom_metadata" api:"null"`
	Versions    map[string]Version `json:"versions" help:"By number."`
}
