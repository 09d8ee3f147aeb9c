package kv

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"strongroom/engine"
	"strongroom/internal/storage"
)

// versioned is version 2: every path has a history and metadata.
// https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2
type versioned struct{}

const (
	defaultMaxVersions = 10
	// mostVersions bounds max_versions: 17 bytes a version lie in every record.
	mostVersions = 10000
)

// Routes serves the paths of the versioned API.
func (versioned) Routes() []engine.Route {
	path := engine.Field{Name: "path", Type: engine.String, Required: true, Help: "Path of the secret."}
	version := engine.Field{Name: "version", Type: engine.Int, Help: "Version to read; 0 is the current one."}
	maxVersions := engine.Field{Name: "max_versions", Type: engine.Int, Help: "Versions to keep; 0 for the default."}
	casRequired := engine.Field{Name: "cas_required", Type: engine.Bool, Help: "Every write must give options.cas."}
	versions := []engine.Field{path, {Name: "versions", Type: engine.StringList, Help: "Numbers of the versions."}}
	nothing, never := engine.Answers{engine.Update: engine.Nothing{}}, engine.Answers{}
	for _, op := range []engine.Operation{engine.Read, engine.Update, engine.Patch, engine.Delete, engine.List, engine.Scan} {
		never[op] = engine.Never{}
	}
	return []engine.Route{
		{
			Path: "config", Help: "Settings for all secrets of the mount.",
			Fields: []engine.Field{maxVersions, casRequired,
				{Name: "delete_version_after", Type: engine.String, Help: "Delete versions this long after they are written; a negative duration forbids it for all secrets."}},
			Answers: engine.Answers{engine.Read: Settings{}, engine.Update: engine.Nothing{}},
			Read:    readConfig, Write: writeConfig,
		},
		{
			Path: "data/{path...}", Help: "The data of a secret, by version.",
			Fields: []engine.Field{path, version,
				{Name: "data", Type: engine.Object, Help: "The secret: a JSON object. PATCH merges it into the current version (RFC 7396)."},
				{Name: "options", Type: engine.Object, Help: `"cas": write only if the current version has this number; 0: only if there is none.`}},
			Answers: engine.Answers{engine.Read: Secret{}, engine.Update: Written{}, engine.Patch: Written{}, engine.Delete: engine.Nothing{}},
			Exists:  exists,
			Read:    readData, Write: writeData, Patch: patchData, Delete: deleteLatest,
		},
		{Path: "delete/{path...}", Help: "Mark versions as deleted.", Fields: versions, Answers: nothing, Write: deleteVersions},
		{Path: "undelete/{path...}", Help: "Restore deleted versions.", Fields: versions, Answers: nothing, Write: undeleteVersions},
		{Path: "destroy/{path...}", Help: "Remove the data of versions for good.", Fields: versions, Answers: nothing, Write: destroyVersions},
		{
			Path: "metadata/{path...}", Help: "The settings and versions of a secret; LIST names the secrets of a folder, SCAN those of its folders too.",
			Fields: []engine.Field{{Name: "path", Type: engine.String, Help: "Path of the secret, or of the folder to list."},
				maxVersions, casRequired,
				{Name: "delete_version_after", Type: engine.Duration, Help: "Delete versions this long after they are written, if that is sooner than the mount says."},
				{Name: "custom_metadata", Type: engine.StringMap, Help: "Texts of your own, up to 64."},
				{Name: "after", Type: engine.String, Help: "LIST and SCAN: begin after this name."},
				{Name: "limit", Type: engine.Int, Help: "LIST and SCAN: answer at most so many names."}},
			Answers: engine.Answers{engine.Read: Metadata{}, engine.List: engine.Keys{}, engine.Scan: engine.Keys{}, engine.Update: engine.Nothing{}, engine.Patch: engine.Nothing{}, engine.Delete: engine.Nothing{}},
			Exists:  exists,
			Read:    readMetadata, Write: writeMetadata, Patch: patchMetadata, Delete: deleteMetadata, List: listMetadata, Scan: scanMetadata,
		},
		{
			Path: "subkeys/{path...}", Help: "The keys of a secret, without its values.",
			Fields:  []engine.Field{path, version, {Name: "depth", Type: engine.Int, Help: "Levels to show; 0 for all."}},
			Answers: engine.Answers{engine.Read: Subkeys{}},
			Read:    readSubkeys,
		},
		{Path: "{path...}", Help: "No path of version 2.", FreeForm: true, Answers: never, Read: misplaced, Write: misplaced, Patch: misplaced, Delete: misplaced, List: misplaced, Scan: misplaced},
	}
}

// misplaced answers who uses a version 1 path here.
func misplaced(context.Context, *engine.Request) (*engine.Response, error) {
	return &engine.Response{Missing: true, Warnings: []string{
		"Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use. " +
			"If using the Vault CLI, use 'vault kv get' for this operation."}}, nil
}

// config is what a mount says for all its secrets.
type config struct {
	MaxVersions uint32        `json:"max_versions"`
	CASRequired bool          `json:"cas_required"`
	DeleteAfter time.Duration `json:"delete_version_after"` // nanoseconds; negative: never
}

func loadConfig(ctx context.Context, v storage.View) (config, error) {
	var c config
	_, err := storage.GetJSON(ctx, v, configKey, &c)
	if err != nil {
		return c, fmt.Errorf("kv: read configuration: %w", err)
	}
	return c, nil
}

// keep is how many versions r may have.
func (c config) keep(r *record) uint64 {
	switch {
	case r.maxVersions > 0:
		return uint64(r.maxVersions)
	case c.MaxVersions > 0:
		return uint64(c.MaxVersions)
	}
	return defaultMaxVersions
}

// deletion is when a version of r written at now is deleted; 0 is never.
func (c config) deletion(r *record, now int64) int64 {
	after := r.deleteAfter
	if after == 0 || (c.DeleteAfter > 0 && c.DeleteAfter < after) {
		after = c.DeleteAfter
	}
	if c.DeleteAfter < 0 || after <= 0 {
		return 0
	}
	if end := now + int64(after); end > now {
		return end
	}
	return 1<<63 - 1 // 2262, the end of Unix nanoseconds
}

func readConfig(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c, err := loadConfig(ctx, req.Storage)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: Settings{c.MaxVersions, c.CASRequired, c.DeleteAfter.String()}}, nil
}

func writeConfig(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c, err := loadConfig(ctx, req.Storage)
	if err != nil {
		return nil, err
	}
	d := req.Data
	if d.Has("max_versions") {
		if c.MaxVersions, err = maxVersions(d); err != nil {
			return nil, err
		}
	}
	if d.Has("cas_required") {
		c.CASRequired = d.Bool("cas_required")
	}
	if d.Has("delete_version_after") {
		s, negative := strings.CutPrefix(strings.TrimSpace(d.String("delete_version_after")), "-")
		if c.DeleteAfter, err = engine.ParseDuration(s); err != nil {
			return nil, engine.Invalidf("delete_version_after: %v", err)
		}
		if negative {
			c.DeleteAfter = -c.DeleteAfter
		}
	}
	tell(req, "config-write", req.Path, nil)
	return nil, storage.PutJSON(req.Storage, configKey, c)
}

func maxVersions(d engine.Data) (uint32, error) {
	n := d.Int("max_versions")
	if n < 0 || n > mostVersions {
		return 0, engine.Invalidf("max_versions must be between 0 and %d", mostVersions)
	}
	return uint32(n), nil
}

// secret is a record and its place in a request's transaction.
type secret struct {
	record
	view  storage.View
	path  string
	found bool
}

// open loads the secret that req names; found says whether it is there.
func open(ctx context.Context, req *engine.Request) (secret, error) {
	s := secret{view: req.Storage, path: req.Data.String("path")}
	e, err := get(ctx, s.view, secretPrefix+s.path)
	if err != nil || !e.Exists() {
		return s, err
	}
	s.found = true
	s.record, err = decodeRecord(e.Value)
	return s, err
}

// save writes the record as of now; the time of its change never goes back.
func (s *secret) save(now int64) {
	s.updated = max(now, s.updated)
	if !s.found {
		s.created = s.updated
	}
	s.view.Put(secretPrefix+s.path, s.encode())
}

func (s *secret) versionKey(n uint64) string {
	return versionPrefix + s.path + "/" + strconv.FormatUint(n, 10)
}

// load returns the data of version n, which is kept and not destroyed.
func (s *secret) load(ctx context.Context, n uint64) ([]byte, error) {
	if n == s.current {
		return s.data, nil
	}
	e, err := get(ctx, s.view, s.versionKey(n))
	if err != nil || e.Exists() {
		return e.Value, err
	}
	// Another request may have forgotten or destroyed the version since the
	// record was read: then this is a conflict, and else a fault.
	if _, err := s.view.Version(ctx, secretPrefix+s.path); err != nil {
		return nil, fmt.Errorf("kv: read version %d: %w", n, err)
	}
	return nil, errCorrupt
}

// add makes data the next version and puts the one it replaces in its own place.
func (s *secret) add(c config, data []byte) version {
	// A clock that was set back does not make a version older than the one
	// before it.
	now := time.Now().UnixNano()
	last, had := s.version(s.current)
	if had && last.created >= now {
		now = last.created + 1
	}
	v := version{created: now, deletion: c.deletion(&s.record, now)}
	first, replaced, old := s.first(), s.current, s.history
	previous := s.data
	s.record.add(v, data, c.keep(&s.record))
	for n := first; n < s.first() && n < replaced; n++ {
		if !old.at(int(n - first)).destroyed {
			s.view.Delete(s.versionKey(n))
		}
	}
	if had && !last.destroyed && replaced >= s.first() {
		s.view.Put(s.versionKey(replaced), previous)
	}
	s.save(now)
	return v
}
