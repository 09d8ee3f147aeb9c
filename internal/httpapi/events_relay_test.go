package httpapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"strongroom/engine"
	"strongroom/internal/events"
	"strongroom/internal/storage"
)

// client is an audience that takes so many messages.
type client struct {
	takes int
	got   []string
	ended string
}

func (c *client) send(_ context.Context, m message) error {
	if len(c.got) == c.takes {
		return context.DeadlineExceeded
	}
	c.got = append(c.got, fmt.Sprint(m.kind, " ", string(m.data)))
	return nil
}

func (c *client) end(code websocket.StatusCode, reason string) {
	c.ended = fmt.Sprint(int(code), " ", reason)
}

// TestRelay: a client of a standby is told what the leader sends, message by
// message, and how it ended; a stream that breaks off is never a silent end.
func TestRelay(t *testing.T) {
	w := httptest.NewRecorder()
	h := &Handler{config: Config{EventWait: time.Second}}
	stream, err := h.beginRelay(w)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []message{{websocket.MessageText, []byte("{}")}, {websocket.MessageBinary, []byte{}}} {
		if err := stream.send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	whole := len(w.Body.Bytes())
	stream.end(why(events.ErrSlow))
	sent := w.Body.Bytes()
	moved := fmt.Sprint("1012 ", movedReason)
	for n := range len(sent) + 1 {
		c := &client{takes: 9}
		c.end(passOn(t.Context(), bytes.NewReader(sent[:n]), c))
		want := moved
		if n == len(sent) {
			want = fmt.Sprint("1013 ", slowReason)
		}
		if c.ended != want || n >= whole && fmt.Sprint(c.got) != "[MessageText {} MessageBinary ]" {
			t.Errorf("%d of %d bytes: %v, %s", n, len(sent), c.got, c.ended)
		}
	}
	slow := &client{takes: 1}
	slow.end(passOn(t.Context(), bytes.NewReader(sent), slow))
	if slow.ended != fmt.Sprint("1013 ", slowReason) {
		t.Errorf("a slow client: %s", slow.ended)
	}
}

func FuzzRelayFrame(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 2, '{', '}'})
	f.Add([]byte{8, 0, 0, 0, 1, 3})
	f.Add([]byte{2, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		c := &client{takes: 100}
		code, _ := passOn(t.Context(), bytes.NewReader(b), c)
		if kind, data, err := readFrame(bytes.NewReader(b)); err == nil && kind != closeFrame && (len(c.got) == 0 || len(data) > len(b)) {
			t.Errorf("kind %d of %d bytes was not passed on, code %d", kind, len(data), code)
		}
	})
}

// TestWhy: each end has its code, and a reason that fits into a close frame.
func TestWhy(t *testing.T) {
	for err, want := range map[error]websocket.StatusCode{
		events.ErrSlow: 1013, events.ErrClosed: 1012, storage.ErrNotLeader: 1012, io.ErrUnexpectedEOF: 1012,
		engine.ErrDenied: 1008, fmt.Errorf("token: %w", engine.ErrDenied): 1008, context.Canceled: 1000, errors.New("x"): 1012,
	} {
		code, reason := why(err)
		if code != want || len(reason) > 123 || (code != 1000 && !strings.Contains(reason, " ")) {
			t.Errorf("%v: %d %q (%d bytes), want %d", err, code, reason, len(reason), want)
		}
	}
}
