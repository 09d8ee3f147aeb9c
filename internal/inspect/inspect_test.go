package inspect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
)

func TestFlights(t *testing.T) {
	var f Flights
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			f.Begin(fmt.Sprint(i), Flight{Path: fmt.Sprint("/v1/", i)})
			if i%2 == 0 {
				f.End(fmt.Sprint(i))
			}
		})
	}
	all.Wait()
	if got := f.All(); len(got) != 50 || f.Len() != 50 || got["7"].Path != "/v1/7" {
		t.Errorf("%d under way: %v", f.Len(), got)
	}
	var none *Flights
	none.Begin("", Flight{})
	none.End("")
	if none.Len() != 0 || len(none.All()) != 0 {
		t.Error("a nil Flights holds something")
	}
}

// TestLevels: each logger has a level of its own, whenever it was made.
func TestLevels(t *testing.T) {
	var out bytes.Buffer
	logs, root := NewLogs(hclog.New(&hclog.LoggerOptions{Output: &out, Level: hclog.Info}), hclog.Info)
	raft := root.Named("raft").With("peer", 1)
	said := func(want string) {
		t.Helper()
		out.Reset()
		root.Debug("root debug")
		raft.Debug("raft debug")
		raft.Named("log").Info("log info")
		var got []string
		for line := range strings.Lines(out.String()) {
			_, line, _ = strings.Cut(line, "] ")
			got = append(got, strings.TrimSpace(line))
		}
		if text := strings.Join(got, "|"); text != want {
			t.Errorf("got %q, want %q", text, want)
		}
	}
	said("raft.log: log info: peer=1")
	if !logs.SetLevel("raft", hclog.Debug) {
		t.Error("there is no raft")
	}
	said("raft: raft debug: peer=1|raft.log: log info: peer=1")
	if !raft.IsDebug() || root.IsDebug() || raft.GetLevel() != hclog.Debug {
		t.Error("loggers do not know their levels")
	}
	logs.SetLevel("", hclog.Error)
	said("")
	logs.SetLevel("core", hclog.Debug)
	said("root debug")
	if got := fmt.Sprint(logs.Levels()); got != "map[core:debug raft:error raft.log:error]" {
		t.Error(got)
	}
	logs.SetLevel("", hclog.NoLevel)
	said("raft.log: log info: peer=1")
	if logs.SetLevel("none", hclog.Debug) {
		t.Error("a logger that was never made has a level")
	}
	out.Reset()
	root.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}).Print("forced")
	root.StandardLogger(nil).Print("standard")
	if got := out.String(); strings.Contains(got, "forced") || !strings.Contains(got, "[INFO]  standard") {
		t.Error(got)
	}
}

// TestRead: a reader has its own level and format, sees the arguments of With,
// and leaves nothing behind; the server's own log is as it was.
func TestRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out, text, lines bytes.Buffer
		logs, root := NewLogs(hclog.New(&hclog.LoggerOptions{Output: &out}), hclog.Warn)
		done := make(chan struct{})
		go logs.Read(done, &text, hclog.Debug, false)
		go logs.Read(done, &lines, hclog.Info, true)
		synctest.Wait()
		root.Named("raft").With("peer", 1).Debug("hello", "n", 2)
		root.Info("there")
		synctest.Wait()
		if got := text.String(); !strings.Contains(got, "[DEBUG] raft: hello: peer=1 n=2\n") || !strings.Contains(got, "[INFO]  there\n") {
			t.Error(got)
		}
		if got := lines.String(); strings.Contains(got, "hello") || !strings.Contains(got, `"@message":"there"`) {
			t.Error(got)
		}
		close(done)
		synctest.Wait()
		root.Info("unheard")
		if strings.Contains(text.String(), "unheard") || out.Len() != 0 || root.IsInfo() {
			t.Errorf("read on: %s; written: %s", text.String(), out.String())
		}
	})
}

// TestSlowReader: who does not read holds nobody up, and who fails ends.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logs, root := NewLogs(hclog.NewNullLogger(), hclog.Warn)
		r, w := io.Pipe()
		ended := make(chan error)
		go func() { ended <- logs.Read(nil, w, hclog.Info, false) }()
		synctest.Wait()
		for range 10_000 {
			root.Info("more than anybody reads")
		}
		r.Close()
		if err := <-ended; !errors.Is(err, io.ErrClosedPipe) {
			t.Error(err)
		}
	})
}

func TestProfile(t *testing.T) {
	for _, name := range []string{"heap", "goroutine", "cmdline"} {
		if body, kind, err := Profile(t.Context(), name, 1, 0); err != nil || len(body) == 0 || !strings.HasPrefix(kind, "text/plain") {
			t.Errorf("%s: %s %v", name, kind, err)
		}
	}
	if body, kind, err := Profile(t.Context(), "profile", 0, 50*time.Millisecond); err != nil || !bytes.HasPrefix(body, []byte{0x1f, 0x8b}) || kind != "application/octet-stream" {
		t.Errorf("profile: %d bytes, %s, %v", len(body), kind, err)
	}
	if _, _, err := Profile(t.Context(), "../secret", 0, 0); !errors.Is(err, ErrProfile) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := Profile(ctx, "trace", 0, time.Hour); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
