package active_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"strongroom/engine"
)

// Records say whom a token stands for and what that adds; of a wrapped answer,
// the token that holds it, hashed, and nothing of what it holds.
func TestRecordsOfEntitiesAndWrapping(t *testing.T) {
	s, c, _ := audited(t)
	s.must(s.root, engine.Update, "auth/token/roles/r", `{"allowed_entity_aliases":"web"}`)
	made := s.must(s.root, engine.Update, "auth/token/create/r", `{"entity_alias":"web","policies":"default"}`)
	s.must(s.root, engine.Update, "identity/entity/id/"+made.Auth.EntityID, `{"policies":"reader"}`)
	c.take()
	w := s.wrap(made.Auth.ClientToken, engine.Read, "secret/data/app/db", "")
	lines := c.take()
	if len(lines) != 2 || strings.Contains(lines[1], w) || strings.Contains(lines[1], `"data":{"data"`) {
		t.Fatalf("records of a wrapped read: %s", lines)
	}
	for _, line := range lines {
		var got struct {
			Auth struct {
				EntityID         string   `json:"entity_id"`
				Policies         []string `json:"policies"`
				TokenPolicies    []string `json:"token_policies"`
				IdentityPolicies []string `json:"identity_policies"`
			}
			Request struct {
				WrapTTL int `json:"wrap_ttl"`
			}
		}
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatal(err)
		}
		if a := got.Auth; a.EntityID != made.Auth.EntityID || fmt.Sprint(a.Policies, a.TokenPolicies, a.IdentityPolicies) != "[default reader] [default] [reader]" {
			t.Errorf("auth: %s", line)
		}
		if got.Request.WrapTTL != int(time.Minute/time.Second) {
			t.Errorf("wrap_ttl: %s", line)
		}
	}
	var answer struct {
		Response struct {
			WrapInfo struct {
				Token        string
				TTL          int
				CreationPath string `json:"creation_path"`
			} `json:"wrap_info"`
		}
	}
	if err := json.Unmarshal([]byte(lines[1]), &answer); err != nil {
		t.Fatal(err)
	}
	if i := answer.Response.WrapInfo; !strings.HasPrefix(i.Token, "hmac-sha256:") || i.TTL != 60 || i.CreationPath != "secret/data/app/db" {
		t.Errorf("wrap_info: %+v", i)
	}
	// A token whose entity is disabled is refused, and the record says whose it is.
	s.must(s.root, engine.Update, "identity/entity/id/"+made.Auth.EntityID, `{"disabled":true}`)
	c.take()
	s.fails(engine.Denied, "is disabled", made.Auth.ClientToken, engine.Read, "secret/data/app/db", "")
	if lines := c.take(); len(lines) != 2 || !strings.Contains(lines[0], made.Auth.EntityID) || !strings.Contains(lines[1], "is disabled") {
		t.Errorf("records of a refusal: %s", lines)
	}
}
