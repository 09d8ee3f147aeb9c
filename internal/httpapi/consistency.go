package httpapi

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"strongroom/engine"
)

// What clients may say about how current an answer must be
// (https://developer.hashicorp.com/vault/docs/enterprise/consistency). Every
// read here is linearizable without these headers; they are honoured for the
// clients that send them, and matter after a restore, when the state is one of
// the past.
const (
	indexHeader        = "X-Vault-Index"
	inconsistentHeader = "X-Vault-Inconsistent"
	forwardHeader      = "X-Vault-Forward"
	activeNode         = "active-node"
	forwardActive      = "forward-active-node"
)

var errStateMissing = engine.Errorf(engine.Precondition, "required index state not present")

// servedHere is whether a standby may answer x itself.
func (x *exchange) servedHere() bool {
	return !x.forwarded && isRead(x.r.Method) && x.r.Header.Get(forwardHeader) != activeNode
}

// mark names the state that an answered write has made, for X-Vault-Index.
func (h *Handler) mark(x *exchange) {
	if isRead(x.r.Method) {
		return
	}
	if id, index := h.node.Position(); id != "" {
		x.w.Header().Set(indexHeader, encodeIndex(id, index))
	}
}

// present returns nil if this node's state is as new as x demands.
func (h *Handler) present(x *exchange) error {
	states := x.r.Header.Values(indexHeader)
	if len(states) == 0 {
		return nil
	}
	id, index := h.node.Position()
	for _, state := range states {
		cluster, wanted, err := decodeIndex(state)
		if err != nil {
			return engine.Invalidf("%s is not a state that this server has answered: %v", indexHeader, err)
		}
		if cluster == id && wanted > index {
			return errStateMissing
		}
	}
	return nil
}

// encodeIndex writes v1:<cluster>:<index>:0: in base64. The last part is a MAC in
// Vault; here it is empty, as a client that asks for too much gets a 412 itself
// and can do no more.
func encodeIndex(cluster string, index uint64) string {
	return base64.StdEncoding.EncodeToString([]byte("v1:" + cluster + ":" + strconv.FormatUint(index, 10) + ":0:"))
}

func decodeIndex(text string) (cluster string, index uint64, err error) {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return "", 0, errors.New("it is not base64")
	}
	parts := strings.Split(string(b), ":")
	if len(parts) != 5 || parts[0] != "v1" || parts[1] == "" {
		return "", 0, errors.New("it has not the form v1:cluster:index:index:mac")
	}
	index, err = strconv.ParseUint(parts[2], 10, 64)
	if err != nil {
		return "", 0, errors.New("its index is no number")
	}
	return parts[1], index, nil
}

// forwardsInconsistent is whether the client would rather be forwarded than refused.
func forwardsInconsistent(r *http.Request) bool {
	return r.Header.Get(inconsistentHeader) == forwardActive
}
