package cluster

import (
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

// A peer that takes nothing is given up long before Raft would.
func TestPeerThatTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		c := &peerConn{Conn: ours, of: &streams{open: map[*peerConn]struct{}{}}}
		defer c.Close()
		for _, tt := range []struct {
			raft, want time.Duration
		}{{5 * time.Hour, stallLimit}, {0, stallLimit}, {5 * time.Second, 5 * time.Second}} {
			from := time.Now()
			deadline := time.Time{}
			if tt.raft > 0 {
				deadline = from.Add(tt.raft)
			}
			if err := c.SetDeadline(deadline); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(from) != tt.want {
				t.Errorf("Raft gives it %v: %v after %v, want %v", tt.raft, err, time.Since(from), tt.want)
			}
		}
	})
}

// The end of Raft's part of the port ends what is being sent.
func TestCloseEndsWhatIsBeingSent(t *testing.T) {
	ca := newCA(t)
	peer := listen(t, Config{Identity: issue(t, ca, "n1")})
	port := listen(t, Config{Identity: issue(t, ca, "n2")})
	layer := port.StreamLayer()
	conn, err := layer.Dial(raft.ServerAddress("n1@"+peer.Advertise()), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := conn.Write(make([]byte, 64<<20)) // more than any buffer takes
		done <- err
	}()
	select {
	case err := <-done:
		t.Fatalf("64 MiB were written to a peer that does not read: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	if err := layer.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		if err == nil {
			t.Error("written although closed")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it is still being sent")
	}
	if _, err := layer.Dial(raft.ServerAddress("n1@"+peer.Advertise()), 10*time.Second); !errors.Is(err, net.ErrClosed) {
		t.Errorf("dialed after Close: %v", err)
	}
}
