package httpapi

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"

	"strongroom/engine"
	"strongroom/internal/node"
	"strongroom/internal/seal"
	"strongroom/internal/sys"
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
	out := sys.SealStatus{Type: st.SealType, Initialized: st.Initialized, Sealed: st.Sealed, T: st.Threshold, N: st.Shares, Progress: st.Progress,
		Nonce: st.Nonce, Version: st.Version, BuildDate: st.BuildDate, Migration: st.Migration, RecoverySeal: st.Recovery,
		StorageType: st.StorageType, Removed: h.node.Removed()}
	if st.Recovery {
		out.RecoverySealType = seal.Shamir
	}
	if !st.Sealed {
		out.ClusterName, out.ClusterID = st.ClusterName, st.ClusterID
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
		writeJSON(w, http.StatusOK, sys.Initialized{Initialized: h.node.State().Initialized})
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
	res, err := h.node.Init(r.Context(), node.InitRequest{Shares: req.SecretShares, Threshold: req.SecretThreshold,
		RecoveryShares: req.RecoveryShares, RecoveryThreshold: req.RecoveryThreshold,
		PGPKeys: req.PGPKeys, RecoveryPGPKeys: req.RecoveryPGPKeys, RootTokenPGPKey: req.RootTokenPGPKey})
	if err != nil {
		h.respondError(w, "init", err)
		return
	}
	hexes, b64 := []string{}, []string{}
	for _, s := range res.Shares {
		hexes, b64 = append(hexes, hex.EncodeToString(s)), append(b64, base64.StdEncoding.EncodeToString(s))
	}
	out := sys.Founded{Keys: hexes, KeysB64: b64, RootToken: string(res.RootToken)}
	if res.Recovery {
		out.Keys, out.KeysB64, out.RecoveryKeys, out.RecoveryKeysB64 = []string{}, []string{}, hexes, b64
	}
	writeJSON(w, http.StatusOK, out)
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
	case h.node.Removed(): // it would collect keys for nothing
		writeErrors(w, http.StatusBadRequest, removedText)
		return
	case req.Reset:
		h.node.ResetUnseal()
	case req.Key == "":
		writeErrors(w, http.StatusBadRequest, "'key' must be specified in request body as JSON, or 'reset' set to true")
		return
	default:
		share, err := decodeShare(req.Key)
		if err == nil {
			err = h.node.Unseal(r.Context(), share, req.Migrate)
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
