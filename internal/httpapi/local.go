package httpapi

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"strongroom/engine"
	"strongroom/internal/cluster"
)

// The paths in this file are answered in every state of the node, without a
// token (https://developer.hashicorp.com/vault/api-docs/system).

func (h *Handler) sealStatus(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		writeErrors(w, http.StatusMethodNotAllowed, "unsupported operation")
		return
	}
	h.writeSealStatus(w)
}

func (h *Handler) writeSealStatus(w http.ResponseWriter) {
	st := h.node.State()
	out := map[string]any{
		"type": st.SealType, "initialized": st.Initialized, "sealed": st.Sealed, "t": st.Threshold, "n": st.Shares, "progress": st.Progress,
		"nonce": st.Nonce, "version": st.Version, "build_date": st.BuildDate, "migration": false, "recovery_seal": false,
		"storage_type": st.StorageType, "removed_from_cluster": false,
	}
	if !st.Sealed {
		out["cluster_name"], out["cluster_id"] = st.ClusterName, st.ClusterID
	}
	writeJSON(w, http.StatusOK, out)
}

// health answers with the code that the state has, or that the query gives it.
func (h *Handler) health(w http.ResponseWriter, r *http.Request) {
	st, q := h.node.State(), r.URL.Query()
	truthy := func(name string) bool { v := q.Get(name); return q.Has(name) && v != "false" && v != "0" }
	code, err := http.StatusOK, error(nil)
	pick := func(param string, normal int) {
		code = normal
		if v := q.Get(param); v != "" {
			if code, err = strconv.Atoi(v); err == nil && (code < 200 || code > 599) {
				err = strconv.ErrRange
			}
		}
	}
	switch standby := !st.Active; {
	case !st.Initialized:
		pick("uninitcode", http.StatusNotImplemented)
	case st.Sealed:
		pick("sealedcode", http.StatusServiceUnavailable)
	case standby && !truthy("standbyok"):
		pick("standbycode", http.StatusTooManyRequests)
	default:
		pick("activecode", http.StatusOK)
	}
	if err != nil {
		writeErrors(w, http.StatusBadRequest, "a health code in the query must be a number from 200 to 599")
		return
	}
	if r.Method == http.MethodHead {
		w.WriteHeader(code)
		return
	}
	out := map[string]any{
		"initialized": st.Initialized, "sealed": st.Sealed, "standby": !st.Active, "performance_standby": false,
		"replication_performance_mode": "disabled", "replication_dr_mode": "disabled", "server_time_utc": time.Now().Unix(),
		"version": st.Version, "enterprise": false, "echo_duration_ms": 0, "clock_skew_ms": 0, "replication_primary_canary_age_ms": 0,
	}
	if !st.Sealed {
		out["cluster_name"], out["cluster_id"] = st.ClusterName, st.ClusterID
	}
	writeJSON(w, code, out)
}

func (h *Handler) leader(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		writeErrors(w, http.StatusMethodNotAllowed, "unsupported operation")
		return
	}
	st := h.node.State()
	out := map[string]any{"ha_enabled": st.HA, "is_self": st.Active, "leader_address": "", "leader_cluster_address": "", "performance_standby": false,
		"performance_standby_last_remote_wal": 0, "raft_committed_index": st.CommittedIndex, "raft_applied_index": st.AppliedIndex}
	if l, ok := h.node.Leader(); ok && !st.Sealed {
		out["leader_address"], out["leader_cluster_address"] = l.APIAddr, "https://"+l.ClusterAddr
		if l.Self && !l.Since.IsZero() {
			out["active_time"] = l.Since.Format(time.RFC3339Nano)
		}
	}
	writeJSON(w, http.StatusOK, out)
}

// initRequest is the body of sys/init.
type initRequest struct {
	SecretShares      int      `json:"secret_shares"`
	SecretThreshold   int      `json:"secret_threshold"`
	RecoveryShares    int      `json:"recovery_shares"`
	RecoveryThreshold int      `json:"recovery_threshold"`
	StoredShares      int      `json:"stored_shares"`
	PGPKeys           []string `json:"pgp_keys"`
	RecoveryPGPKeys   []string `json:"recovery_pgp_keys"`
	RootTokenPGPKey   string   `json:"root_token_pgp_key"`
}

func (h *Handler) init(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		writeJSON(w, http.StatusOK, map[string]any{"initialized": h.node.State().Initialized})
		return
	}
	if !isWrite(r.Method) {
		writeErrors(w, http.StatusMethodNotAllowed, "unsupported operation")
		return
	}
	var req initRequest
	if !decodeBody(w, r, &req) {
		return
	}
	if len(req.PGPKeys)+len(req.RecoveryPGPKeys) > 0 || req.RootTokenPGPKey != "" {
		writeErrors(w, http.StatusBadRequest, "PGP encryption of the unseal keys is not in this release: leave the PGP keys out")
		return
	}
	res, err := h.node.Init(r.Context(), req.SecretShares, req.SecretThreshold)
	if err != nil {
		h.respondError(w, "init", err)
		return
	}
	hexes, b64 := []string{}, []string{}
	for _, s := range res.Shares {
		hexes, b64 = append(hexes, hex.EncodeToString(s)), append(b64, base64.StdEncoding.EncodeToString(s))
	}
	writeJSON(w, http.StatusOK, map[string]any{"keys": hexes, "keys_base64": b64, "root_token": string(res.RootToken)})
}

func (h *Handler) unseal(w http.ResponseWriter, r *http.Request) {
	if !isWrite(r.Method) {
		writeErrors(w, http.StatusMethodNotAllowed, "unsupported operation")
		return
	}
	var req struct {
		Key     string `json:"key"`
		Reset   bool   `json:"reset"`
		Migrate bool   `json:"migrate"`
	}
	if !decodeBody(w, r, &req) {
		return
	}
	switch {
	case req.Migrate:
		writeErrors(w, http.StatusBadRequest, "seal migration is not in this release")
		return
	case req.Reset:
		h.node.ResetUnseal()
	case req.Key == "":
		writeErrors(w, http.StatusBadRequest, "'key' must be specified in request body as JSON, or 'reset' set to true")
		return
	default:
		share, err := decodeShare(req.Key)
		if err == nil {
			err = h.node.Unseal(r.Context(), share)
		}
		if err != nil {
			h.respondError(w, "unseal", err)
			return
		}
	}
	h.writeSealStatus(w)
}

// decodeShare reads hexadecimal, else base64.
func decodeShare(text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	if b, err := hex.DecodeString(text); err == nil {
		return b, nil
	}
	if b, err := base64.StdEncoding.DecodeString(text); err == nil {
		return b, nil
	}
	return nil, engine.Invalidf("'key' must be a valid hex or base64 string")
}

func decodeBody(w http.ResponseWriter, r *http.Request, out any) bool {
	if err := json.NewDecoder(r.Body).Decode(out); err != nil {
		writeErrors(w, http.StatusBadRequest, "failed to parse JSON input: the body must be a JSON object of the documented fields")
		return false
	}
	return true
}

// bootstrap serves a node that wants to join; the proof it gives stands for a token.
func (h *Handler) bootstrap(x *exchange) error {
	if !isWrite(x.r.Method) {
		return engine.ErrUnsupported
	}
	switch strings.TrimPrefix(x.path, "sys/storage/raft/bootstrap/") {
	case "challenge":
		out, err := h.node.Challenge(x.r.Context())
		if err != nil {
			return err
		}
		writeJSON(x.w, http.StatusOK, map[string]any{"data": out})
	case "answer":
		var answer cluster.Answer
		if err := json.Unmarshal(x.body, &answer); err != nil {
			return engine.Invalidf("the answer to a join challenge is malformed")
		}
		out, err := h.node.Admit(x.r.Context(), answer)
		if err != nil {
			return err
		}
		writeJSON(x.w, http.StatusOK, map[string]any{"data": out})
	default:
		return engine.Errorf(engine.NotFound, "unsupported path")
	}
	return nil
}
