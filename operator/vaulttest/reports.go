package vaulttest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// reports is what the fake knows of sys/kubernetes/report, which it takes from SetReports on. It is ready when zero.
type reports struct {
	taken bool
	held  map[string]map[string]Consumer // by instance, and by kind/namespace/name
	asked []Report
}

// Consumer is a resource as it is reported.
type Consumer struct {
	Kind, Namespace, Name  string
	Paths                  []string
	State, Version, Synced string
}

// Report is one request.
type Report struct {
	Cluster, Instance string
	Reset             bool
	Resources         []Consumer
}

// SetReports has the server take reports as a Strongroom does, or forget all that it took and answer as Vault does.
func (s *Server) SetReports(taken bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reports = reports{taken: taken, held: make(map[string]map[string]Consumer)}
}

// LoseReports forgets what was reported, as a change of the active node does.
func (s *Server) LoseReports() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.reports.held)
}

// Reports are the requests so far.
func (s *Server) Reports() []Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.reports.asked)
}

// Consumers are the resources that were reported, and of whom no later report said that they are gone: KIND/NAMESPACE/NAME.
func (s *Server) Consumers() map[string]Consumer {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]Consumer)
	for _, held := range s.reports.held {
		for name, c := range held {
			all[name] = c
		}
	}
	return all
}

func (s *Server) report(w http.ResponseWriter, r *http.Request, bearer *token) {
	var report Report
	if err := json.NewDecoder(r.Body).Decode(&report); err != nil {
		refuse(w, http.StatusBadRequest, "failed to parse JSON input")
		return
	}
	s.reports.asked = append(s.reports.asked, report)
	held := s.reports.held[report.Instance]
	if report.Reset {
		held = make(map[string]Consumer)
		s.reports.held[report.Instance] = held
	}
	if held == nil {
		answer(w, http.StatusOK, map[string]any{"data": map[string]any{"known": false}})
		return
	}
	for _, c := range report.Resources {
		name := strings.Join([]string{c.Kind, c.Namespace, c.Name}, "/")
		delete(held, name)
		if c.Paths = slices.DeleteFunc(c.Paths, func(path string) bool { return !bearer.may(path) }); len(c.Paths) > 0 {
			held[name] = c
		}
	}
	answer(w, http.StatusOK, map[string]any{"data": map[string]any{"known": true, "renew_seconds": 300}})
}
