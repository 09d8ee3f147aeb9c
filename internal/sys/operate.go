package sys

import (
	"context"

	"strongroom/engine"
)

func (d *Deps) operateRoutes() []engine.Route {
	nothing := engine.Answers{engine.Update: engine.Nothing{}}
	return []engine.Route{
		{Path: "seal", Help: "Seal this node.", Answers: nothing, Sudo: true, External: true, Write: func(ctx context.Context, _ *engine.Request) (*engine.Response, error) {
			return nil, d.Node.Seal(ctx)
		}},
		{Path: "step-down", Help: "Give leadership to another node.", Answers: nothing, Sudo: true, External: true, Write: func(ctx context.Context, _ *engine.Request) (*engine.Response, error) {
			return nil, d.Node.StepDown(ctx)
		}},
	}
}
