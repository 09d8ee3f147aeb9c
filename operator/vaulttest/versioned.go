package vaulttest

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"
)

// Custom is the custom_metadata of a KV 2 secret, named as the CLI does.
func (s *Server) Custom(name string) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.custom[name])
}

// Versions lists the data of a secret's versions, the first one first.
func (s *Server) Versions(name string) []map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []map[string]any
	for _, each := range s.secrets[name] {
		all = append(all, maps.Clone(each.data))
	}
	return all
}

// versioned answers what changes secrets of KV 2, and their metadata; it tells whether that was asked.
func (s *Server) versioned(w http.ResponseWriter, r *http.Request, bearer *token, path string) bool {
	mount, kv := s.mountOf(path)
	kind, name, _ := strings.Cut(strings.TrimPrefix(path, mount), "/")
	reads := r.Method == http.MethodGet
	if kv != 2 || kind != "metadata" && (kind != "data" || reads) || r.Method == "LIST" || r.URL.Query().Has("list") {
		return false
	}
	name = mount + name
	var body struct {
		Data    map[string]any
		Options struct{ CAS *int }
		Custom  map[string]string `json:"custom_metadata"`
	}
	if !reads && r.ContentLength != 0 && json.NewDecoder(r.Body).Decode(&body) != nil {
		refuse(w, http.StatusBadRequest, "failed to parse JSON input")
		return true
	}
	versions := s.secrets[name]
	switch {
	case !bearer.may(path):
		refuse(w, http.StatusForbidden, "1 error occurred:\n\t* permission denied\n\n")
	case kind == "metadata" && reads && len(versions) == 0 && s.custom[name] == nil:
		refuse(w, http.StatusNotFound)
	case kind == "metadata" && reads:
		answer(w, http.StatusOK, map[string]any{"data": map[string]any{"current_version": len(versions), "custom_metadata": s.custom[name]}})
	case kind == "metadata":
		s.custom[name] = body.Custom
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodDelete:
		if len(versions) > 0 {
			versions[len(versions)-1].deleted = true
		}
		w.WriteHeader(http.StatusNoContent)
	case body.Options.CAS != nil && *body.Options.CAS != len(versions):
		refuse(w, http.StatusBadRequest, "check-and-set parameter did not match the current version")
	default:
		s.secrets[name] = append(versions, version{data: body.Data})
		answer(w, http.StatusOK, map[string]any{"data": map[string]any{"version": len(versions) + 1}})
	}
	return true
}
