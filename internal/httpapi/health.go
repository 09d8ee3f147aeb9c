package httpapi

import (
	"net/http"
	"strconv"
	"time"

	"strongroom/internal/sys"
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
	out := sys.Health{Initialized: st.Initialized, Sealed: st.Sealed, Standby: !st.Active, Time: time.Now().Unix(), Version: st.Version,
		PerformanceMode: "disabled", DRMode: "disabled"}
	if !st.Sealed {
		out.ClusterName, out.ClusterID = st.ClusterName, st.ClusterID
	}
	if removed || st.Initialized && st.HA {
		out.Removed = &removed
	}
	if st.Initialized && !st.Sealed && !st.Active {
		out.Connected = &healthy
	}
	writeJSON(w, code, out)
}

func (h *Handler) leader(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		writeErrors(w, http.StatusMethodNotAllowed, "unsupported operation")
		return
	}
	st := h.node.State()
	out := sys.Leader{HA: st.HA, Self: st.Active, CommittedIndex: st.CommittedIndex, AppliedIndex: st.AppliedIndex}
	if l, ok := h.node.Leader(); ok && !st.Sealed {
		out.APIAddr = l.APIAddr
		if l.ClusterAddr != "" {
			out.ClusterAddr = "https://" + l.ClusterAddr
		}
		if l.Self && !l.Since.IsZero() {
			out.ActiveTime = l.Since.Format(time.RFC3339Nano)
		}
	}
	writeJSON(w, http.StatusOK, out)
}
