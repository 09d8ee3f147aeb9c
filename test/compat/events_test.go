package compat

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/hashicorp/vault/api"
)

// follower is the policy that the documentation of the Vault Secrets Operator asks for, for its own paths.
const follower = `
path "kv/data/app" {
  capabilities = ["read", "list", "subscribe"]
  subscribe_event_types = ["*"]
}
path "sys/events/subscribe/kv*" {
  capabilities = ["read"]
}`

// operatorEvent is what the operator reads of an event.
type operatorEvent struct {
	Data struct {
		EventType string `json:"event_type"`
		Event     struct{ Metadata map[string]string }
		Namespace string
	}
}

// A client that does as Vault's own operator does: the address and the headers of the Go client, kv*, JSON, and modified events by their path.
func TestGoClientEvents(t *testing.T) {
	s := startDev(t)
	root := s.client(t, "root")
	if err := root.Sys().Mount("kv", &api.MountInput{Type: "kv", Options: map[string]string{"version": "2"}}); err != nil {
		t.Fatal(err)
	}
	if err := root.Sys().PutPolicy("follower", follower); err != nil {
		t.Fatal(err)
	}
	made := must[*api.Secret](t)(root.Auth().Token().Create(&api.TokenCreateRequest{Policies: []string{"follower"}, TTL: "1h"}))
	client := s.client(t, made.Auth.ClientToken)
	req := client.NewRequest("GET", "/v1/sys/events/subscribe/kv%2A")
	header := req.Headers.Clone()
	header.Set("X-Vault-Token", client.Token())
	conn, _, err := websocket.Dial(t.Context(), s.addr+"/v1/sys/events/subscribe/kv%2A?json=true", &websocket.DialOptions{HTTPHeader: header, HTTPClient: client.CloneConfig().HttpClient})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	next := func() operatorEvent {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		kind, b, err := conn.Read(ctx)
		if err != nil || kind != websocket.MessageText {
			t.Fatal(kind, err)
		}
		var e operatorEvent
		if err := json.Unmarshal(b, &e); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		return e
	}
	kv := root.KVv2("kv")
	put := func(path string) {
		t.Helper()
		if _, err := kv.Put(t.Context(), path, map[string]any{"a": "b"}); err != nil {
			t.Fatal(err)
		}
	}
	put("other") // nobody's business
	put("app")
	if e := next(); e.Data.EventType != "kv-v2/data-write" || e.Data.Namespace != "" || e.Data.Event.Metadata["path"] != "kv/data/app" ||
		e.Data.Event.Metadata["modified"] != "true" || e.Data.Event.Metadata["current_version"] != "1" || e.Data.Event.Metadata["vault_index"] == "" {
		t.Errorf("told %+v", e)
	}
	if err := kv.Delete(t.Context(), "app"); err != nil {
		t.Fatal(err)
	}
	if e := next(); e.Data.EventType != "kv-v2/data-delete" || e.Data.Event.Metadata["operation"] != "data-delete" {
		t.Errorf("told %+v", e)
	}
	if err := client.Auth().Token().RevokeSelfWithContext(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	put("app")
	if _, _, err := conn.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
		t.Errorf("a revoked token's subscription: %v", err)
	}
	if _, resp, err := websocket.Dial(t.Context(), s.addr+"/v1/sys/events/subscribe/kv*", nil); err == nil || resp.StatusCode != http.StatusForbidden {
		t.Errorf("without a token: %v %v", resp, err)
	}
}

// The command line prints events as they come, and ends well when it is told to.
func TestCommandLineEvents(t *testing.T) {
	s := startDev(t)
	root := s.client(t, "root")
	cmd := exec.Command(filepath.Join(binDir, "vault"), "events", "subscribe", "-filter=data_path == secret/data/app", "kv-v2/data-*")
	cmd.Env = append(os.Environ(), "HOME="+s.home, "VAULT_ADDR="+s.addr, "VAULT_TOKEN=root")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for in := bufio.NewScanner(out); in.Scan(); {
			lines <- in.Text()
		}
	}()
	var line string
	eventually(t, 20*time.Second, func() error { // the program takes a moment to subscribe
		for _, path := range []string{"other", "app"} {
			if _, err := root.KVv2("secret").Put(t.Context(), path, map[string]any{"a": "b"}); err != nil {
				return err
			}
		}
		select {
		case line = <-lines:
			return nil
		case <-time.After(100 * time.Millisecond):
			return context.DeadlineExceeded
		}
	})
	if !strings.HasPrefix(line, `{"id":"`) || !strings.Contains(line, `"path":"secret/data/app"`) || !strings.Contains(line, `"event_type":"kv-v2/data-write"`) {
		t.Errorf("printed %s", line)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	for range lines {
	}
	if err := cmd.Wait(); err != nil && cmd.ProcessState.ExitCode() != 130 {
		t.Errorf("interrupted: %v", err)
	}
}
