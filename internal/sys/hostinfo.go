package sys

import (
	"context"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/disk"
	"github.com/shirou/gopsutil/v4/host"
	"github.com/shirou/gopsutil/v4/mem"

	"strongroom/engine"
)

// hostRoutes serve sys/host-info
// (https://developer.hashicorp.com/vault/api-docs/system/host-info): the machine
// of the active node. What cannot be read is left out, with a warning.
func (d *Deps) hostRoutes() []engine.Route {
	return []engine.Route{{Path: "host-info", Help: "The machine that this server runs on.", Sudo: true,
		Answers: engine.Answers{engine.Read: engine.TopLevel{Data: map[string]any{}}}, Read: hostInfo}}
}

func hostInfo(ctx context.Context, _ *engine.Request) (*engine.Response, error) {
	data := map[string]any{"timestamp": time.Now().UTC().Format(time.RFC3339Nano)}
	var warnings []string
	add := func(name string, read func() (any, error)) {
		v, err := read()
		if err != nil {
			warnings = append(warnings, "cannot read "+name+": "+err.Error())
			return
		}
		data[name] = v
	}
	add("cpu", func() (any, error) { return cpu.InfoWithContext(ctx) })
	add("cpu_times", func() (any, error) { return cpu.TimesWithContext(ctx, true) })
	add("memory", func() (any, error) { return mem.VirtualMemoryWithContext(ctx) })
	add("host", func() (any, error) { return host.InfoWithContext(ctx) })
	add("disk", func() (any, error) {
		parts, err := disk.PartitionsWithContext(ctx, false)
		if err != nil {
			return nil, err
		}
		usage := []*disk.UsageStat{}
		for _, p := range parts {
			u, err := disk.UsageWithContext(ctx, p.Mountpoint)
			if err != nil {
				warnings = append(warnings, "cannot read disk "+p.Mountpoint+": "+err.Error())
				continue
			}
			usage = append(usage, u)
		}
		return usage, nil
	})
	return &engine.Response{TopLevel: true, Data: data, Warnings: warnings}, nil
}
