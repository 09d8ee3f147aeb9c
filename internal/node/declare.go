package node

import (
	"context"
	"errors"
	"sync"
	"time"

	"strongroom/internal/declare"
	"strongroom/internal/secret"
)

// declaring is what applies the plan while this node is active. The loop's alone.
type declaring struct {
	stop context.CancelFunc
	done sync.WaitGroup
}

func (d *declaring) end() {
	if d.stop != nil {
		d.stop()
		d.done.Wait()
	}
}

// declareAgain is the pause after an interruption that decided nothing.
const declareAgain = time.Second

// startDeclaring has s make the declared requests, beside serving.
func (n *Node) startDeclaring(m *member, s Session) {
	ctx, stop := context.WithCancel(n.ctx)
	n.declaring.stop = stop
	logger := n.logger.Named("initialize")
	n.declaring.done.Go(func() {
		for {
			err := n.config.Declared.Run(ctx, m.barrier, s, logger)
			if _, failed := errors.AsType[*declare.Failure](err); failed && ctx.Err() == nil {
				logger.Error("the initialize stanzas could not be applied", "error", err)
				return
			}
			if err == nil || ctx.Err() != nil {
				return
			}
			logger.Warn("the initialize stanzas were interrupted; trying again", "error", err)
			if !pause(ctx, declareAgain, nil) {
				return
			}
		}
	})
}

// foundAfter is for how long a node that may found its cluster alone looks for
// one that exists, where retry_join names other nodes.
const foundAfter = 10 * time.Second

// initAlone initializes a new cluster that declares what is in it and needs
// nobody to unseal it. No root token is made, and the recovery key is
// forgotten: who may do what is for the declared requests to say.
func (n *Node) initAlone(ctx context.Context) {
	if !n.config.Founder {
		if n.member.Load() == nil {
			n.logger.Info("initialize stanzas: this node waits for another to found the cluster, the one that every node's first retry_join names")
		}
		return
	}
	for since := time.Now(); ; {
		if n.member.Load() != nil || n.pending.Load() != nil {
			return
		}
		if len(n.config.RetryJoin) < 2 || time.Since(since) > foundAfter {
			res, err := n.Init(ctx, InitRequest{RecoveryShares: 1, RecoveryThreshold: 1, alone: true})
			if err == nil {
				for _, share := range res.Shares {
					secret.Bytes(share).Zero()
				}
				return
			}
			if ctx.Err() == nil && n.member.Load() == nil {
				n.logger.Error("cannot initialize this cluster by itself; trying again", "error", err)
			}
		}
		if !pause(ctx, time.Second, nil) {
			return
		}
	}
}
