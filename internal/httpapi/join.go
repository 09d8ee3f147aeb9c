package httpapi

import (
	"net/http"
	"net/url"
	"strings"

	"strongroom/internal/node"
	"strongroom/internal/sys"
)

// joinRequest is the body of sys/storage/raft/join
// (https://developer.hashicorp.com/vault/api-docs/system/storage/raft).
type joinRequest struct {
	LeaderAPIAddr       string `json:"leader_api_addr"`
	LeaderCACert        string `json:"leader_ca_cert"` // PEM, as the next two
	LeaderClientCert    string `json:"leader_client_cert"`
	LeaderClientKey     string `json:"leader_client_key"`
	LeaderTLSServerName string `json:"leader_tls_servername"`
	AutoJoin            string `json:"auto_join"`
	AutoJoinScheme      string `json:"auto_join_scheme"`
	AutoJoinPort        int    `json:"auto_join_port"`
	Retry               bool   `json:"retry"`
	NonVoter            bool   `json:"non_voter"`
}

// join makes this node, which belongs to no cluster yet, join one. What it proves
// to the cluster stands for a token; who can reach a node without a cluster could
// initialize it as well.
func (h *Handler) join(w http.ResponseWriter, r *http.Request) {
	if !isWrite(r.Method) {
		writeErrors(w, http.StatusMethodNotAllowed, "unsupported operation")
		return
	}
	var req joinRequest
	if !decodeBody(w, r, &req) {
		return
	}
	target, problem := req.target()
	if problem != "" {
		writeErrors(w, http.StatusBadRequest, problem)
		return
	}
	joined, err := h.node.Join(r.Context(), node.JoinOrder{Target: target, NonVoter: req.NonVoter, Retry: req.Retry})
	if err != nil {
		h.respondError(w, "join", err)
		return
	}
	writeJSON(w, http.StatusOK, sys.Joined{Joined: joined})
}

// target is whom to ask; problem says what is wrong with the request.
func (q joinRequest) target() (_ node.JoinTarget, problem string) {
	t, err := node.JoinTLS(q.LeaderTLSServerName, q.LeaderCACert, q.LeaderClientCert, q.LeaderClientKey)
	if err != nil {
		return node.JoinTarget{}, err.Error()
	}
	if q.AutoJoin != "" {
		if q.LeaderAPIAddr != "" {
			return node.JoinTarget{}, "leader_api_addr and auto_join are two answers to one question: give one"
		}
		if node.AutoJoinReadsFile(q.AutoJoin) {
			return node.JoinTarget{}, "auto_join: kubeconfig names a file of the server, which only its own configuration may (retry_join)"
		}
		target, err := node.AutoJoin(q.AutoJoin, q.AutoJoinScheme, q.AutoJoinPort, t)
		if err != nil {
			return target, err.Error()
		}
		return target, ""
	}
	u, err := url.Parse(q.LeaderAPIAddr)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.User != nil {
		return node.JoinTarget{}, "leader_api_addr must be the full address of a node of the cluster, such as https://vault-0.example.com:8200"
	}
	return node.JoinTarget{LeaderAPIAddr: strings.TrimRight(q.LeaderAPIAddr, "/"), TLS: t}, ""
}
