package cluster

import (
	"sync"

	"github.com/hashicorp/raft"
)

// pipeline closes itself when an answer makes Raft read no further one: a failure, a refusal or a newer term. Raft would otherwise wait for ever
// to send into it (hashicorp/raft 1.8: pipelineSend looks at nothing else), so that a node that has lost its leadership could not shut down.
type pipeline struct {
	raft.AppendPipeline
	answers chan raft.AppendFuture
	closed  chan struct{}
	once    sync.Once
}

func newPipeline(inner raft.AppendPipeline) *pipeline {
	p := &pipeline{AppendPipeline: inner, answers: make(chan raft.AppendFuture), closed: make(chan struct{})}
	go p.pass() // ends with Close
	return p
}

// pass hands answers on.
func (p *pipeline) pass() {
	for {
		select {
		case f := <-p.AppendPipeline.Consumer():
			select {
			case p.answers <- f:
			case <-p.closed:
				return
			}
			if f.Error() != nil || !f.Response().Success || f.Response().Term > f.Request().Term {
				_ = p.Close()
				return
			}
		case <-p.closed:
			return
		}
	}
}

// Consumer implements raft.AppendPipeline.
func (p *pipeline) Consumer() <-chan raft.AppendFuture { return p.answers }

// Close implements raft.AppendPipeline.
func (p *pipeline) Close() error {
	p.once.Do(func() { close(p.closed) })
	return p.AppendPipeline.Close()
}
