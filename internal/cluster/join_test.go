package cluster

import (
	"bytes"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"strongroom/internal/secret"
)

// gate is a challenger with a CA of its own.
type gate struct {
	*Challenger
	ca *CA
}

func (g gate) Verify(a Answer) (*Welcome, error) { return g.Challenger.Verify(a, g.ca, Only(g.ca)) }

func exchange(t testing.TB) (gate, secret.Bytes) {
	t.Helper()
	key := secret.NewKey()
	return gate{NewChallenger(key), newCA(t)}, key
}

func answer(t testing.TB, c gate, key secret.Bytes) (*Joiner, *Answer) {
	t.Helper()
	ch, err := c.Issue()
	if err != nil {
		t.Fatal(err)
	}
	j, a, err := AnswerChallenge(key, *ch, "n2", "n2.example:8201", false)
	if err != nil {
		t.Fatal(err)
	}
	return j, a
}

func TestJoin(t *testing.T) {
	c, key := exchange(t)
	ch, err := c.Issue()
	if err != nil {
		t.Fatal(err)
	}
	j, a, err := AnswerChallenge(key, reencode(t, *ch), "n2", "n2.example:8201", false)
	if err != nil {
		t.Fatal(err)
	}
	w, err := c.Verify(reencode(t, *a))
	if err != nil {
		t.Fatal(err)
	}
	id, err := j.Accept(reencode(t, *w))
	if err != nil || id.NodeID != "n2" {
		t.Fatalf("accept: %+v, %v", id, err)
	}
	if _, err := c.Verify(*a); !errors.Is(err, ErrAnswer) {
		t.Fatalf("an answer was good twice: %v", err)
	}
}

// reencode sends v through JSON, as the API does.
func reencode[T any](t testing.TB, v T) (out T) {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestLessonJoinAnswersCountOnce(t *testing.T) {
	c, key := exchange(t)
	_, a := answer(t, c, key)
	var mu sync.Mutex
	var group sync.WaitGroup
	good := 0
	for range 8 {
		group.Go(func() {
			if _, err := c.Verify(*a); err == nil {
				mu.Lock()
				good++
				mu.Unlock()
			}
		})
	}
	group.Wait()
	if good != 1 {
		t.Fatalf("one answer was good %d times", good)
	}
}

func TestChallengeEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, key := exchange(t)
		_, early := answer(t, c, key)
		_, late := answer(t, c, key)
		time.Sleep(challengeLife - time.Millisecond)
		if _, err := c.Verify(*early); err != nil {
			t.Fatalf("just in time: %v", err)
		}
		time.Sleep(time.Millisecond)
		if _, err := c.Verify(*late); !errors.Is(err, ErrAnswer) {
			t.Fatalf("too late: %v", err)
		}
		_, a := answer(t, c, key)
		if _, err := c.Verify(*a); err != nil {
			t.Fatal(err)
		}
		if len(c.used) != 1 {
			t.Errorf("%d used nonces are remembered after they ended", len(c.used)-1)
		}
	})
}

func TestLessonJoinsWithoutTheKeyCostNothing(t *testing.T) {
	c, key := exchange(t)
	wrong := secret.NewKey()
	ch, err := c.Issue()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := AnswerChallenge(wrong, *ch, "n2", "a:1", false); !errors.Is(err, secret.ErrOpen) {
		t.Fatalf("a challenge opened with another key: %v", err)
	}
	// An attacker who learns a nonce still cannot answer.
	_, a := answer(t, c, key)
	a.MAC = a.mac(wrong)
	if _, err := c.Verify(*a); !errors.Is(err, ErrAnswer) {
		t.Fatalf("answered with another key: %v", err)
	}
	// A challenge of another active node, or of this one before a restart.
	other := gate{NewChallenger(key), newCA(t)}
	_, a = answer(t, other, key)
	if _, err := c.Verify(*a); !errors.Is(err, ErrAnswer) {
		t.Fatalf("another challenger's nonce: %v", err)
	}
	if len(c.used) != 0 {
		t.Errorf("%d nonces are remembered that nobody could answer", len(c.used))
	}
}

// Whoever carries the messages can change any bit of them and gains nothing.
func TestInTheMiddle(t *testing.T) {
	c, key := exchange(t)
	for name, change := range map[string]func(*Answer){
		"node id":     func(a *Answer) { a.NodeID = "evil" },
		"address":     func(a *Answer) { a.ClusterAddr = "evil.example:1" },
		"boundary":    func(a *Answer) { a.NodeID, a.ClusterAddr = a.NodeID+a.ClusterAddr[:1], a.ClusterAddr[1:] },
		"request":     func(a *Answer) { _, a.CSR, _ = NewCSR("n2") },
		"nonce":       func(a *Answer) { a.Nonce[0] ^= 1 },
		"short nonce": func(a *Answer) { a.Nonce = a.Nonce[:8] },
		"mac":         func(a *Answer) { a.MAC[31] ^= 1 },
		"no mac":      func(a *Answer) { a.MAC = nil },
	} {
		_, a := answer(t, c, key)
		change(a)
		if _, err := c.Verify(*a); !errors.Is(err, ErrAnswer) {
			t.Errorf("answer with another %s: %v", name, err)
		}
	}
	for name, change := range map[string]func(*Welcome){
		"ca":   func(w *Welcome) { w.CA = newCA(t).CertPEM() },
		"cert": func(w *Welcome) { w.Cert = append(bytes.Clone(w.Cert), '\n') },
		"mac":  func(w *Welcome) { w.MAC[0] ^= 1 },
	} {
		j, a := answer(t, c, key)
		w, err := c.Verify(*a)
		if err != nil {
			t.Fatal(err)
		}
		change(w)
		if _, err := j.Accept(*w); !errors.Is(err, ErrAnswer) {
			t.Errorf("welcome with another %s: %v", name, err)
		}
	}
	// A welcome for one join is none for another.
	j1, a1 := answer(t, c, key)
	j2, a2 := answer(t, c, key)
	w1, err1 := c.Verify(*a1)
	_, err2 := c.Verify(*a2)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if _, err := j2.Accept(*w1); !errors.Is(err, ErrAnswer) {
		t.Errorf("a replayed welcome: %v", err)
	}
	if _, err := j1.Accept(*w1); err != nil {
		t.Error(err)
	}
}

// Even a holder of the key cannot have an id certified other than the one it
// answers with.
func TestAnswerNamesItself(t *testing.T) {
	c, key := exchange(t)
	_, a := answer(t, c, key)
	_, a.CSR, _ = NewCSR("n1")
	a.MAC = a.mac(key)
	if _, err := c.Verify(*a); err == nil {
		t.Fatal("a request for n1's certificate was signed in n2's answer")
	}
}

func FuzzAnswer(f *testing.F) {
	c, key := exchange(f)
	_, a := answer(f, c, key)
	seed, err := json.Marshal(a)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte(`{"nonce":"AA==","node_id":"n","csr":"","mac":""}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var a Answer
		if json.Unmarshal(b, &a) != nil || bytes.Equal(a.MAC, a.mac(key)) {
			return // malformed, or the genuine one in another spelling
		}
		if _, err := c.Verify(a); !errors.Is(err, ErrAnswer) {
			t.Fatalf("admitted: %v", err)
		}
		a.MAC = a.mac(key) // past the MAC, as a confused node would be
		_, _ = c.Verify(a) // must not panic
	})
}

func FuzzSignRequest(f *testing.F) {
	ca := newCA(f)
	_, csr, err := NewCSR("n1")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(csr)
	f.Fuzz(func(t *testing.T, b []byte) {
		cert, err := ca.Sign(b)
		if err != nil {
			return
		}
		_, certs, err := parsePEM(cert)
		if err != nil || len(certs) != 1 || certs[0].IsCA || checkNodeID(certs[0].Subject.CommonName) != nil {
			t.Fatalf("signed %q", b)
		}
	})
}

func FuzzWelcome(f *testing.F) {
	c, key := exchange(f)
	j, a := answer(f, c, key)
	w, err := c.Verify(*a)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(w.Cert, w.CA)
	f.Fuzz(func(t *testing.T, cert, ca []byte) {
		w := Welcome{Cert: cert, CA: ca}
		w.MAC = w.mac(key, j.nonce)
		if id, err := j.Accept(w); err == nil && id.NodeID != "n2" {
			t.Fatalf("accepted the identity of %q", id.NodeID)
		}
	})
}
