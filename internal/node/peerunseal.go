package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"strongroom/internal/barrier"
	"strongroom/internal/cluster"
	"strongroom/internal/kube"
	"strongroom/internal/secret"
	"strongroom/internal/storage/raftstore"
)

// How a restarted member is unsealed by its peers (docs/adr/0011): over the
// cluster port, where its certificate has said which node it is, it shows its
// pod's service account token to a peer that is unsealed. The peer asks the
// Kubernetes API whose that is, and hands over the root key only if the token is
// bound to the one pod that this node runs in. Nothing of it is stored.

const (
	unsealPath    = "/cluster/v1/unseal"
	maxToken      = 32 << 10         // bytes of a token
	unsealLimit   = 20 * time.Second // of one request to a peer, which asks Kubernetes twice
	unsealGap     = time.Second      // between two requests of one node to one peer, at least
	firstAsk      = time.Second      // between rounds of asking; it doubles
	longestAsk    = 5 * time.Second  // … while no peer is unsealed
	longestDenied = 30 * time.Second // … while peers refuse
)

// TokenReviewer says whose a token is; *kube.Client is one.
type TokenReviewer interface {
	ReviewToken(ctx context.Context, bearer, token string, audiences ...string) (kube.Review, error)
}

// PeerUnseal makes a node hand the root key to its peers, and take it from them.
type PeerUnseal struct {
	Reviewer TokenReviewer
	Token    func() (string, error) // this node's own, bound to its pod; asked at every use
	Audience string                 // of the tokens; "": the API server's

	// What a peer must be; "" is what this node itself is, by its own token.
	Namespace, ServiceAccount, StatefulSet string
	// PodByAddress binds a node to its pod by the host name of its cluster
	// address (vault-0.vault-internal) instead of by its node id.
	PodByAddress bool
}

// pod is who a token says its bearer is.
type pod struct{ Namespace, ServiceAccount, Name, UID string }

// unsealer is what a node remembers of peer unseal.
type unsealer struct {
	mu   sync.Mutex
	last map[string]time.Time // when a member asked last; members only, so it stays small
}

// errRefused: the peer is not who it has to be. The wrapped text has no secrets.
var errRefused = errors.New("refused")

var errTooOften = errors.New("asked too often")

func refuseUnseal(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errRefused, fmt.Sprintf(format, args...))
}

// identify asks Kubernetes whose token is.
func (p *PeerUnseal) identify(ctx context.Context, token string) (pod, error) {
	var audiences []string
	if p.Audience != "" {
		audiences = []string{p.Audience}
	}
	r, err := p.Reviewer.ReviewToken(ctx, "", token, audiences...)
	if err != nil {
		return pod{}, err
	}
	one := func(key string) string {
		if v := r.User.Extra[key]; len(v) == 1 {
			return v[0]
		}
		return ""
	}
	account, err := kube.ParseUsername(r.User.Username)
	who := pod{account.Namespace, account.Name, one(kube.ExtraPodName), one(kube.ExtraPodUID)}
	switch {
	case !r.Authenticated || r.Error != "":
		return pod{}, refuseUnseal("Kubernetes does not accept the token: it may have expired, be for another audience, or its pod or service account is gone")
	case p.Audience != "" && !slices.Contains(r.Audiences, p.Audience): // an API server that knows nothing of audiences
		return pod{}, refuseUnseal("Kubernetes did not confirm the token's audience %q", p.Audience)
	case err != nil:
		return pod{}, refuseUnseal("the token is not a service account's")
	case who.Name == "" || who.UID == "":
		return pod{}, refuseUnseal("the token is not bound to a pod: use the pod's own, projected one (Kubernetes 1.21 or later)")
	}
	return who, nil
}

// wanted is what a peer must be: Name is the StatefulSet's.
func (p *PeerUnseal) wanted(ctx context.Context) (pod, error) {
	want := pod{Namespace: p.Namespace, ServiceAccount: p.ServiceAccount, Name: p.StatefulSet}
	if want.Namespace != "" && want.ServiceAccount != "" && want.Name != "" {
		return want, nil
	}
	token, err := p.Token()
	if err != nil {
		return pod{}, err
	}
	own, err := p.identify(ctx, token)
	if err != nil {
		return pod{}, fmt.Errorf("this node's own token: %w", err)
	}
	set, ok := statefulSet(own.Name)
	if !ok && want.Name == "" {
		return pod{}, refuseUnseal("this node's own pod %q is no StatefulSet's: set statefulset", own.Name)
	}
	return pod{Namespace: orOwn(want.Namespace, own.Namespace), ServiceAccount: orOwn(want.ServiceAccount, own.ServiceAccount), Name: orOwn(want.Name, set)}, nil
}

func orOwn(configured, own string) string {
	if configured != "" {
		return configured
	}
	return own
}

// statefulSet is the StatefulSet that a pod's name says it belongs to.
func statefulSet(podName string) (set string, ok bool) {
	i := strings.LastIndexByte(podName, '-')
	if i < 1 {
		return "", false
	}
	ordinal, err := strconv.ParseUint(podName[i+1:], 10, 31)
	return podName[:i], err == nil && strconv.FormatUint(ordinal, 10) == podName[i+1:]
}

// check refuses who is not the pod of the member.
func (p *PeerUnseal) check(who, want pod, member raftstore.Server) error {
	set, ok := statefulSet(who.Name)
	host, _, _ := net.SplitHostPort(member.Address)
	label, _, _ := strings.Cut(host, ".")
	switch {
	case who.Namespace != want.Namespace:
		return refuseUnseal("the token is of the namespace %q, not %q", who.Namespace, want.Namespace)
	case who.ServiceAccount != want.ServiceAccount:
		return refuseUnseal("the token is of the service account %q, not %q", who.ServiceAccount, want.ServiceAccount)
	case !ok || set != want.Name:
		return refuseUnseal("the pod %q is none of the StatefulSet %q", who.Name, want.Name)
	case p.PodByAddress && label != who.Name:
		return refuseUnseal("the pod %q is not the one at the node's cluster address %s", who.Name, member.Address)
	case !p.PodByAddress && member.ID != who.Name:
		return refuseUnseal("the pod %q is not the one of the node %q: node_id has to be the pod's name (or say node_id_is_pod_name = false)", who.Name, member.ID)
	}
	return nil
}

// unsealRequest is what a sealed node sends.
type unsealRequest struct {
	Token string `json:"token"`
}

// readUnsealRequest returns the token in a request's body.
func readUnsealRequest(body io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(body, maxToken+1))
	if err != nil {
		return "", err
	}
	var r unsealRequest
	if len(text) > maxToken || json.Unmarshal(text, &r) != nil || r.Token == "" {
		return "", refuseUnseal("the request is not {\"token\": …} of at most %d bytes", maxToken)
	}
	if strings.ContainsFunc(r.Token, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return "", refuseUnseal("the token is no token: it holds spaces or control characters")
	}
	return r.Token, nil
}

// serveUnseal answers a member that asks to be unsealed: the root key, as it is.
func (n *Node) serveUnseal(w http.ResponseWriter, r *http.Request) {
	id, _ := cluster.PeerID(r.Context())
	root, who, err := n.giveRootKey(r.Context(), id, r.Body)
	switch {
	case err == nil:
		defer root.Zero()
		n.logger.Info("handing the root key to a peer, which unseals itself", "node_id", id, "pod", who.Name, "pod_uid", who.UID,
			"namespace", who.Namespace, "service_account", who.ServiceAccount)
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Write(root)
	case errors.Is(err, errTooOften):
		http.Error(w, err.Error(), http.StatusTooManyRequests)
	case errors.Is(err, barrier.ErrSealed):
		http.Error(w, "this node is sealed", http.StatusServiceUnavailable)
	case errors.Is(err, errRefused):
		n.logger.Warn("not unsealing a peer", "node_id", id, "reason", err)
		http.Error(w, err.Error(), http.StatusForbidden)
	default:
		n.logger.Error("cannot find out whether to unseal a peer", "node_id", id, "error", err)
		http.Error(w, "cannot find out who asks: see the log of this node", http.StatusServiceUnavailable)
	}
}

// giveRootKey returns the root key for the member id, if body proves that it is
// asking from its own pod.
func (n *Node) giveRootKey(ctx context.Context, id string, body io.Reader) (secret.Bytes, pod, error) {
	p, m := n.config.PeerUnseal, n.member.Load()
	switch {
	case p == nil:
		return nil, pod{}, refuseUnseal("this node does not unseal its peers: it has no seal \"peer\" stanza")
	case m == nil || m.barrier.Sealed():
		return nil, pod{}, barrier.ErrSealed
	}
	asker, ok := find(m.store.Servers(), id)
	if !ok || id == n.config.NodeID {
		return nil, pod{}, refuseUnseal("%q is no other member of the cluster", id)
	}
	if !n.unsealer.allow(id, time.Now()) {
		return nil, pod{}, errTooOften
	}
	token, err := readUnsealRequest(body)
	if err != nil {
		return nil, pod{}, err
	}
	who, err := p.identify(ctx, token)
	if err != nil {
		return nil, pod{}, err
	}
	want, err := p.wanted(ctx)
	if err != nil {
		return nil, pod{}, err
	}
	if err := p.check(who, want, asker); err != nil {
		return nil, pod{}, err
	}
	// A peer that lags might not have heard of the asker's removal.
	if n.Leads(ctx) != nil && !n.caughtUp(m) {
		return nil, pod{}, errBehind
	}
	if _, ok := find(m.store.Servers(), id); !ok {
		return nil, pod{}, refuseUnseal("%q was removed from the cluster", id)
	}
	root, err := m.barrier.RootKey(ctx)
	return root, who, err
}

func find(servers []raftstore.Server, id string) (raftstore.Server, bool) {
	i := slices.IndexFunc(servers, func(s raftstore.Server) bool { return s.ID == id })
	if i < 0 {
		return raftstore.Server{}, false
	}
	return servers[i], true
}

// allow says whether id may ask now.
func (u *unsealer) allow(id string, now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if last, ok := u.last[id]; ok && now.Sub(last) < unsealGap {
		return false
	}
	if u.last == nil {
		u.last = map[string]time.Time{}
	}
	u.last[id] = now
	return true
}

// askPeers has this node unsealed by its peers whenever it is sealed, unless
// somebody sealed it, until ctx ends.
func (n *Node) askPeers(ctx context.Context) {
	var said string
	say := func(text string, args ...any) { // once, not every time
		if all := fmt.Sprint(text, args); all != said {
			said = all
			n.logger.Warn(text, args...)
		}
	}
	tick := time.NewTicker(lookAlone)
	defer tick.Stop()
	wait, next := firstAsk, time.Time{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		m := n.member.Load()
		switch {
		case m == nil || m.port == nil:
			continue
		case !m.barrier.Sealed():
			said, wait, next = "", firstAsk, time.Time{}
			continue
		case n.alone.byHand.Load():
			say("this node was sealed on purpose: its peers do not unseal it until it restarts; key shares do")
			continue
		case time.Now().Before(next):
			continue
		}
		limit := longestAsk
		if peer, err := n.unsealByPeers(ctx, m); err != nil && ctx.Err() == nil {
			limit = longestDenied
			say("a peer did not unseal this node; asking again now and then", "peer", peer, "error", err)
		}
		next = time.Now().Add(wait)
		wait = min(2*wait, limit)
	}
}

// unsealByPeers asks the members in turn, once; no error if none of them is
// unsealed. peer is whom err is about.
func (n *Node) unsealByPeers(ctx context.Context, m *member) (peer string, err error) {
	if _, ok, err := n.sealConfig(m); err != nil || !ok { // still catching up
		return n.config.NodeID, err
	}
	for _, s := range m.store.Servers() {
		if s.ID == n.config.NodeID {
			continue
		}
		if st, down := n.askState(ctx, s.Address); down != nil || st.Sealed {
			continue
		}
		root, refused := n.askUnseal(ctx, s.Address)
		if refused == nil {
			refused = n.openWithRoot(ctx, m, root, s.ID)
			root.Zero()
		}
		if refused == nil {
			return s.ID, nil
		}
		peer, err = s.ID, refused
	}
	return peer, err
}

// askUnseal asks the node at addr for the root key.
func (n *Node) askUnseal(ctx context.Context, addr string) (secret.Bytes, error) {
	token, err := n.config.PeerUnseal.Token()
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(unsealRequest{token})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, unsealLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+addr+unsealPath, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := n.Peer(addr).RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, readAnswer(resp, nil)
	}
	defer resp.Body.Close()
	root := make(secret.Bytes, secret.KeySize)
	if _, err := io.ReadFull(resp.Body, root); err != nil {
		root.Zero()
		return nil, fmt.Errorf("the peer's answer is not a key: %w", err)
	}
	return root, nil
}

// openWithRoot opens the barrier with the root key that peer has handed over,
// unless shares have already, or somebody has sealed this node meanwhile.
func (n *Node) openWithRoot(ctx context.Context, m *member, root secret.Bytes, peer string) error {
	end, err := n.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	seals := n.alone.seals.Load()
	if !m.barrier.Sealed() || n.alone.byHand.Load() {
		return nil
	}
	if err := n.openBarrier(ctx, m, root); err != nil { // nobody is served before the root key is found right
		return fmt.Errorf("the root key from the peer does not open this node's data; it may have to catch up first: %w", err)
	}
	if n.alone.seals.Load() != seals { // on purpose, between the look and now
		return n.Seal(ctx)
	}
	n.ceremony.Reset()
	n.logger.Info("unsealed by a peer", "node_id", n.config.NodeID, "peer", peer)
	return nil
}
