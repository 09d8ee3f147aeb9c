package httpapi_test

import (
	"net/http"
	"testing"
)

// The questions of a pod's probes, by GET and HEAD: one that the server lives is answered well in every state, one that it is ready only when it serves.
func TestProbes(t *testing.T) {
	const lives, ready = "sys/health?standbyok=true&sealedcode=204&uninitcode=204", "sys/health?standbyok=true&perfstandbyok=true"
	peers := cluster(t, 2)
	ask := func(state string, p *peer, wantLives, wantReady int) {
		t.Helper()
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			for question, want := range map[string]int{lives: wantLives, ready: wantReady} {
				if code, _, body := p.send(method, question, "", nil); code != want || code == http.StatusNoContent && len(body) > 0 {
					t.Errorf("%s: %s %s: %d %s, want %d", state, method, question, code, body, want)
				}
			}
		}
	}
	ask("new", peers[0], 204, 501)
	shares, root := peers[0].initialize()
	ask("sealed", peers[0], 204, 503)
	peers[0].unseal(shares)
	ask("active", peers[0], 200, 200)
	eventually(t, "the invitation", func() bool { return peers[1].node.State().Initialized })
	ask("about to join", peers[1], 204, 503)
	peers[1].unseal(shares)
	eventually(t, "two voters", func() bool { return voters(peers[0], root) == 2 })
	ask("standby", peers[1], 200, 200)
}
