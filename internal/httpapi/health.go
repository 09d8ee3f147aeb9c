package httpapi

import (
	"net/http"
	"strconv"
	"time"
)

// health answers with the code that the state has, or that the query gives it
// (https://developer.hashicorp.com/vault/api-docs/system/health). A standby here
// serves reads as Enterprise's performance standby does, and is called a standby all
// the same, as in Vault's community edition: perfstandbyok counts like standbyok.
func (h *Handler) health(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		writeErrors(w, http.StatusMethodNotAllowed, "unsupported operation")
		return
	}
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
	removed, healthy := h.node.Removed(), true
	if _, ok := h.node.Leader(); !ok && !st.Active {
		healthy = false
	}
	switch standby := !st.Active; {
	case removed:
		pick("removedcode", 530)
	case !st.Initialized:
		pick("uninitcode", http.StatusNotImplemented)
	case st.Sealed:
		pick("sealedcode", http.StatusServiceUnavailable)
	case standby && !healthy:
		pick("haunhealthycode", 474)
	case standby && !truthy("standbyok") && !truthy("perfstandbyok"):
		pick("standbycode", http.StatusTooManyRequests)
	default:
		pick("activecode", http.StatusOK)
	}
	for _, other := range []string{"drsecondarycode", "performancestandbycode"} { // no node is ever in these states; their numbers are checked all the same
		if err == nil && q.Has(other) {
			normal := code
			pick(other, normal)
			code = normal
		}
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
	if removed || st.Initialized && st.HA {
		out["removed_from_cluster"] = removed
	}
	if st.Initialized && !st.Sealed && !st.Active {
		out["ha_connection_healthy"] = healthy
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
		out["leader_address"] = l.APIAddr
		if l.ClusterAddr != "" {
			out["leader_cluster_address"] = "https://" + l.ClusterAddr
		}
		if l.Self && !l.Since.IsZero() {
			out["active_time"] = l.Since.Format(time.RFC3339Nano)
		}
	}
	writeJSON(w, http.StatusOK, out)
}
