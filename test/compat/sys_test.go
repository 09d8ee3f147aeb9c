package compat

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"strongroom/test/cluster"
)

// What the Go client's Sys() asks of a running cluster of three, through a standby.
func TestGoClientSysOnACluster(t *testing.T) {
	c := cluster.NewReady(t, 3)
	leader := must[*cluster.Node](t)(c.Leader(t.Context()))
	standby := c.Nodes[0]
	if standby == leader {
		standby = c.Nodes[1]
	}
	client := must[*api.Client](t)(standby.Client(c.Keys.Root))
	sys := client.Sys()

	health := must[*api.HealthResponse](t)(sys.Health()) // the client asks for codes that make a standby no error
	if !health.Standby || health.Sealed || !health.Initialized || health.Version == "" || health.ClusterID == "" {
		t.Errorf("health of a standby: %+v", health)
	}
	status := must[*api.SealStatusResponse](t)(sys.SealStatus())
	if status.Sealed || status.Type != "shamir" || status.T != 3 || status.N != 5 || status.StorageType != "raft" || status.ClusterID != health.ClusterID {
		t.Errorf("seal status: %+v", status)
	}
	said := must[*api.LeaderResponse](t)(sys.Leader())
	if !said.HAEnabled || said.IsSelf || said.LeaderAddress != leader.Addr || said.LeaderClusterAddress != "https://"+leader.ClusterAddr || said.RaftAppliedIndex == 0 {
		t.Errorf("leader: %+v", said)
	}
	raft := must[*api.Secret](t)(client.Logical().Read("sys/storage/raft/configuration"))
	config, _ := raft.Data["config"].(map[string]any)
	servers, _ := config["servers"].([]any)
	var names []string
	leaders := 0
	for _, s := range servers {
		m := s.(map[string]any)
		names = append(names, fmt.Sprint(m["node_id"], " ", m["address"], " ", m["voter"]))
		if m["leader"] == true {
			leaders++
		}
	}
	slices.Sort(names)
	var want []string
	for _, n := range c.Nodes {
		want = append(want, n.Name+" "+n.ClusterAddr+" true")
	}
	if !slices.Equal(names, want) || leaders != 1 {
		t.Errorf("raft configuration: %v with %d leaders, want %v", names, leaders, want)
	}
	testMounts(t, sys)
	testPolicies(t, client)

	if err := sys.StepDown(); err != nil {
		t.Errorf("step-down: %v", err)
	}
	eventually(t, 20*time.Second, func() error {
		next, err := c.Leader(t.Context())
		if err == nil && next == leader {
			err = fmt.Errorf("%s still leads", leader.Name)
		}
		return err
	})
	must[*api.Secret](t)(client.Auth().Token().LookupSelf())
	if err := sys.Seal(); err != nil {
		t.Errorf("seal: %v", err)
	}
}

func testMounts(t *testing.T, sys *api.Sys) {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(sys.Mount("apps/kv", &api.MountInput{Type: "kv-v2", Description: "for apps", Config: api.MountConfigInput{DefaultLeaseTTL: "1h", MaxLeaseTTL: "2h"}}))
	m := must[map[string]*api.MountOutput](t)(sys.ListMounts())["apps/kv/"]
	if m == nil || m.Type != "kv" || m.Description != "for apps" || m.Config.DefaultLeaseTTL != 3600 || m.Options["version"] != "2" || !strings.HasPrefix(m.Accessor, "kv_") || m.UUID == "" {
		t.Fatalf("mount: %+v", m)
	}
	description := "for all"
	//lint:ignore SA1019 clients in the field still call it
	check(sys.TuneMount("apps/kv", api.MountConfigInput{Description: &description, MaxLeaseTTL: "3h"}))
	tuned := must[*api.MountConfigOutput](t)(sys.MountConfig("apps/kv"))
	if tuned.MaxLeaseTTL != 10800 || tuned.DefaultLeaseTTL != 3600 {
		t.Errorf("tuned: %+v", tuned)
	}
	refused(t, sys.Mount("apps", &api.MountInput{Type: "kv"}), 400, "path is already in use at apps/kv/")
	refused(t, sys.Mount("sys/x", &api.MountInput{Type: "kv"}), 400, `cannot mount at "sys/x/"`)
	check(sys.Unmount("apps/kv"))
	check(sys.EnableAuthWithOptions("k8s", &api.EnableAuthOptions{Type: "kubernetes", Description: "pods"}))
	auth := must[map[string]*api.AuthMount](t)(sys.ListAuth())["k8s/"]
	if auth == nil || auth.Type != "kubernetes" || auth.Description != "pods" || !strings.HasPrefix(auth.Accessor, "auth_kubernetes_") {
		t.Errorf("auth method: %+v", auth)
	}
	check(sys.DisableAuth("k8s"))
}

func testPolicies(t *testing.T, client *api.Client) {
	t.Helper()
	sys := client.Sys()
	const rules = "path \"secret/data/app\" {\n  capabilities = [\"read\", \"list\"]\n}\n"
	if err := sys.PutPolicy("Reader", rules); err != nil { // names are lower case
		t.Fatal(err)
	}
	if got := must[string](t)(sys.GetPolicy("reader")); got != rules {
		t.Errorf("policy: %q", got)
	}
	if names := must[[]string](t)(sys.ListPolicies()); !slices.Equal(names, []string{"default", "reader", "root"}) {
		t.Errorf("policies: %v", names)
	}
	if got := must[string](t)(sys.GetPolicy("none")); got != "" {
		t.Errorf("no policy: %q", got)
	}
	refused(t, sys.PutPolicy("root", rules), 400, `cannot update "root" policy`)
	refused(t, sys.DeletePolicy("default"), 400, `cannot delete "default" policy`)
	made := must[*api.Secret](t)(client.Auth().Token().Create(&api.TokenCreateRequest{Policies: []string{"reader"}})).Auth
	for path, want := range map[string]string{"secret/data/app": "[list read]", "secret/data/other": "[deny]", "auth/token/lookup-self": "[read]"} {
		got := must[[]string](t)(sys.Capabilities(made.ClientToken, path))
		slices.Sort(got)
		if fmt.Sprint(got) != want {
			t.Errorf("capabilities on %s: %v, want %s", path, got, want)
		}
	}
	if got := must[[]string](t)(sys.CapabilitiesSelf("anything")); fmt.Sprint(got) != "[root]" {
		t.Errorf("root's capabilities: %v", got)
	}
	if got := must[[]string](t)(sys.CapabilitiesAccessor(made.Accessor, "secret/data/app")); len(got) != 2 {
		t.Errorf("capabilities by accessor: %v", got)
	}
	if err := sys.DeletePolicy("reader"); err != nil {
		t.Fatal(err)
	}
}

func TestGoClientLogical(t *testing.T) {
	root := startDev(t).client(t, "root")
	l := root.Logical()
	if s := must[*api.Secret](t)(l.Write("secret/data/a", map[string]any{"data": map[string]any{"n": 12345678901234567}})); s.Data["version"] != json.Number("1") {
		t.Errorf("write: %+v", s.Data)
	}
	s := must[*api.Secret](t)(l.Read("secret/data/a"))
	if data := s.Data["data"].(map[string]any); data["n"] != json.Number("12345678901234567") || s.RequestID == "" || s.MountType != "kv" {
		t.Errorf("read: %+v", s)
	}
	s = must[*api.Secret](t)(l.ReadWithData("secret/data/a", map[string][]string{"version": {"1"}}))
	if s == nil {
		t.Error("version=1 in the query found nothing")
	}
	if s = must[*api.Secret](t)(l.Read("secret/data/none")); s != nil {
		t.Errorf("read of nothing: %+v", s)
	}
	if s = must[*api.Secret](t)(l.Delete("secret/data/a")); s != nil {
		t.Errorf("delete: %+v", s)
	}
	if s = must[*api.Secret](t)(l.List("secret/metadata/none")); s != nil {
		t.Errorf("list of nothing: %+v", s)
	}
}
