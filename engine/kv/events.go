package kv

import (
	"strconv"
	"strings"

	"strongroom/engine"
)

// tell emits an event of version 2. dataPath, below the mount, is where the
// change can be read; "" if it cannot. s is the secret as it is now, nil for an
// event of no secret, or of one that is gone.
func tell(req *engine.Request, operation, dataPath string, s *secret) {
	e := engine.Event{Type: "kv-v2/" + operation, Path: req.Path, DataPath: dataPath, Modified: true}
	if _, name, ok := strings.Cut(req.Path, "/"); ok && name != "" { // data/app, undelete/app, metadata/app, …
		e.Subject = "data/" + name
	}
	if s != nil {
		e.Metadata = map[string]string{
			"current_version": strconv.FormatUint(s.current, 10),
			"oldest_version":  strconv.FormatUint(s.oldest(), 10),
		}
	}
	req.Emit(e)
}
