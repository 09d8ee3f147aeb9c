// Package registration keeps the labels of a server's pod true to what the server is, so that Kubernetes Services can select the active one. It
// owns what the labels are called and when they are sent; it neither reads them nor decides anything by them.
package registration

import (
	"context"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
)

const (
	// An API server that does not take the labels is asked again after firstWait, then after twice as long, up to longestWait.
	firstWait   = 250 * time.Millisecond
	longestWait = 30 * time.Second
	// refresh is how often labels that should be right are sent all the same: someone may have removed them, or the last word of a pod's
	// forerunner of the same name may have come late. A patch that changes nothing costs the API server no write.
	refresh = time.Minute
	// attempt bounds one request.
	attempt = 5 * time.Second
)

// State is what the labels say.
type State struct{ Initialized, Sealed, Active, PerfStandby bool }

// Labeler labels pods.
type Labeler interface {
	// Label sets labels of this server's pod.
	Label(ctx context.Context, labels map[string]string) error
	// Supersede takes the label vault-active from the pods of all other servers: one that lost its node, or the network, cannot do it itself, and
	// the Service of the active server would lead there until Kubernetes gives the pod up.
	Supersede(ctx context.Context) error
}

// Labels are the labels of state, as Vault documents them
// (developer.hashicorp.com/vault/docs/configuration/service-registration/kubernetes).
func Labels(state State, version string) map[string]string {
	return map[string]string{
		"vault-initialized":  strconv.FormatBool(state.Initialized),
		"vault-sealed":       strconv.FormatBool(state.Sealed),
		"vault-active":       strconv.FormatBool(state.Active),
		"vault-perf-standby": strconv.FormatBool(state.PerfStandby),
		"vault-version":      labelValue(version),
	}
}

var notInLabels = regexp.MustCompile(`[^A-Za-z0-9._-]`)

// labelValue is what of s may be a label's value.
func labelValue(s string) string {
	s = notInLabels.ReplaceAllString(s, "-")
	return strings.Trim(s[:min(len(s), 63)], "._-")
}

// Registration keeps one pod's labels.
type Registration struct {
	pod     Labeler
	version string
	watch   func() (State, <-chan struct{})
	logger  hclog.Logger

	stop context.CancelFunc
	done chan struct{}
}

// Start keeps the labels of pod true to watch until Stop. watch returns the present state and a channel that is closed once there is another.
func Start(pod Labeler, version string, watch func() (State, <-chan struct{}), logger hclog.Logger) *Registration {
	ctx, cancel := context.WithCancel(context.Background())
	r := &Registration{pod: pod, version: version, watch: watch, logger: logger, stop: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.run(ctx)
	}()
	return r
}

// run sends the labels whenever they change, and again until they are taken.
func (r *Registration) run(ctx context.Context) {
	wait, said := firstWait, ""
	alone := false // since this server is active, no other is labelled so
	for ctx.Err() == nil {
		state, changed := r.watch()
		pause := refresh
		err := r.send(ctx, state)
		if err == nil && state.Active && !alone {
			err = r.supersede(ctx)
		}
		alone = state.Active && (alone || err == nil)
		switch {
		case err == nil:
			if said != "" {
				r.logger.Info("the labels of the servers' pods are right again")
			}
			wait, said = firstWait, ""
		case ctx.Err() == nil:
			if text := err.Error(); text != said { // once, not at every attempt
				said = text
				r.logger.Warn("cannot set the labels of the servers' pods, by which Services find it; trying again", "error", err)
			}
			pause, wait = wait, min(2*wait, longestWait)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

func (r *Registration) send(ctx context.Context, state State) error {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	return r.pod.Label(ctx, Labels(state, r.version))
}

func (r *Registration) supersede(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	return r.pod.Supersede(ctx)
}

// Stop ends the watch and says, until ctx ends, that there is no server in the pod any more: not active, not initialized, sealed.
func (r *Registration) Stop(ctx context.Context) error {
	r.stop()
	<-r.done
	wait := firstWait
	for {
		err := r.send(ctx, State{Sealed: true})
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
			wait *= 2
		}
	}
}
