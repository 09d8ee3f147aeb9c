// Package kubernetes owns the auth method with which pods log in: a service
// account's token is shown to the cluster's TokenReview API, and what that
// answers is compared with a role. It keeps no answer: every login asks anew, so
// a deleted service account is refused as soon as the API server refuses it
// (which remembers a token for ten seconds). It never decides by what a token
// says of itself, except to refuse it early, or where it is told to believe the
// cluster's signature (local_token_verification).
//
// https://developer.hashicorp.com/vault/api-docs/auth/kubernetes
package kubernetes

import (
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"strongroom/auth"
	"strongroom/engine"
	"strongroom/internal/kube"
	"strongroom/internal/storage"
)

// Method is one mounted Kubernetes auth method.
type Method struct {
	pod     kube.Pod
	mount   engine.Mount
	timeout time.Duration // of one TokenReview

	configs *storage.Cache[*config]
	roles   *auth.Stored[role]
	reviews singleflight.Group // of questions under way

	mu        sync.Mutex
	client    *client                  // for the configuration in use
	keys      *published               // by which tokens are verified here; nil: not yet
	roundTrip func() http.RoundTripper // nil but in tests
}

// Factory makes the method for a mount, with what the server's own pod has.
func Factory(env engine.Env) (engine.Engine, error) { return New(env, kube.InPod()), nil }

// New makes the method for a mount with the pod's files elsewhere.
func New(env engine.Env, pod kube.Pod) *Method {
	return &Method{
		pod: pod, mount: env.Mount, timeout: reviewTimeout,
		configs: storage.NewCache[*config](1), roles: auth.NewStored(roleFolder, "name", auth.FromJSON[role]("kubernetes role")),
	}
}

// Routes implements engine.Engine.
func (m *Method) Routes() []engine.Route {
	return []engine.Route{
		{
			Path: "config", Help: "How to reach the Kubernetes API server that reviews tokens.",
			Answers: engine.Answers{engine.Read: configInfo{}, engine.Update: engine.Nothing{}},
			Fields:  configFields, Read: m.readConfig, Write: m.writeConfig,
		},
		{Path: "role", Help: "List the roles.", List: m.roles.List, Fields: auth.ListFields(), Answers: engine.Answers{engine.List: engine.Keys{}}},
		{
			Path: "role/{name}", Help: "Which service accounts may log in, and what token they get.",
			Answers: engine.Answers{engine.Read: roleInfo{}, engine.Update: engine.Nothing{}, engine.Delete: engine.Nothing{}},
			Fields:  roleFields, Exists: m.roles.Exists, Read: m.readRole, Write: m.writeRole, Delete: m.roles.Delete,
		},
		{
			Path: "login", Help: "Log in with a service account's token.", Public: true, Answers: engine.Answers{engine.Update: engine.Envelope{}},
			Fields: []engine.Field{
				{Name: "role", Type: engine.Name, Help: "Name of the role to log in as."},
				{Name: "jwt", Help: "The service account's token."},
			},
			Write: m.login,
		},
	}
}
