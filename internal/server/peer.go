package server

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"

	"strongroom/internal/kube"
	"strongroom/internal/node"
)

// peerSeal is the type of the stanza by which nodes unseal their peers (docs/adr/0011). It stands beside the seal that people or a
// service open.
const peerSeal = "peer"

// peerParameters are the stanza's keys.
var peerParameters = []parameter{
	{name: "token_path"}, {name: "audience"}, {name: "namespace"}, {name: "service_account"}, {name: "statefulset"}, {name: "node_id_is_pod_name"},
}

// openPeer is how this node unseals its peers and is unsealed by them.
func openPeer(p map[string]string) (*node.PeerUnseal, error) {
	pod := kube.InPod()
	byID := true
	if text := p["node_id_is_pod_name"]; text != "" {
		var err error
		if byID, err = strconv.ParseBool(text); err != nil {
			return nil, fmt.Errorf("node_id_is_pod_name: true or false is needed here")
		}
	}
	client, err := kube.InCluster(pod) // asks with the pod's usual token, whatever it shows to its peers
	if errors.Is(err, kube.ErrNotInCluster) {
		return nil, fmt.Errorf("peers are told apart by their pods, so this works in Kubernetes only: %w", err)
	}
	if err != nil {
		return nil, err
	}
	return &node.PeerUnseal{
		Reviewer: client, Token: kube.TokenFile(cmp.Or(p["token_path"], pod.TokenFile)), Audience: p["audience"],
		Namespace: p["namespace"], ServiceAccount: p["service_account"], StatefulSet: p["statefulset"], PodByAddress: !byID,
	}, nil
}
