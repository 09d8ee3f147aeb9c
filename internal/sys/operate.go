package sys

import (
	"context"

	"strongroom/engine"
)

func (d *Deps) operateRoutes() []engine.Route {
	return []engine.Route{
		{Path: "seal", Help: "Seal this node.", Sudo: true, External: true, Write: func(ctx context.Context, _ *engine.Request) (*engine.Response, error) {
			return nil, d.Node.Seal(ctx)
		}},
		{Path: "step-down", Help: "Give leadership to another node.", Sudo: true, External: true, Write: func(ctx context.Context, _ *engine.Request) (*engine.Response, error) {
			return nil, d.Node.StepDown(ctx)
		}},
	}
}
