package inspect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/pprof"
	"runtime/trace"
	"slices"
	"strings"
	"time"
)

// ErrProfile: there is no such profile, or it cannot be made now.
var ErrProfile = errors.New("inspect: no such profile")

// Profiles are the names of those that Profile makes at once, sorted.
func Profiles() []string {
	names := []string{"cmdline"}
	for _, p := range pprof.Profiles() {
		names = append(names, p.Name())
	}
	slices.Sort(names)
	return names
}

// Profile makes the profile called name, as net/http/pprof does below
// /debug/pprof/: "profile" (of the CPU) and "trace" watch the process for so
// long, or until ctx ends; the others tell of the moment, as text if debug is
// more than 0. It returns the content type too.
func Profile(ctx context.Context, name string, debug int, length time.Duration) (body []byte, kind string, err error) {
	const binary, text = "application/octet-stream", "text/plain; charset=utf-8"
	var b bytes.Buffer
	switch name {
	case "cmdline": // the name alone: arguments may hold what is not for everybody
		return []byte(os.Args[0]), text, nil
	case "profile":
		err = watch(ctx, length, func() error { return pprof.StartCPUProfile(&b) }, pprof.StopCPUProfile)
		return b.Bytes(), binary, err
	case "trace":
		err = watch(ctx, length, func() error { return trace.Start(&b) }, trace.Stop)
		return b.Bytes(), binary, err
	}
	p := pprof.Lookup(name)
	if p == nil {
		return nil, "", fmt.Errorf("%w: %q; there are profile, trace, %s", ErrProfile, name, strings.Join(Profiles(), ", "))
	}
	kind = binary
	if debug > 0 {
		kind = text
	}
	err = p.WriteTo(&b, debug)
	return b.Bytes(), kind, err
}

func watch(ctx context.Context, length time.Duration, start func() error, stop func()) error {
	if err := start(); err != nil {
		return fmt.Errorf("%w: another one is being made: %v", ErrProfile, err)
	}
	defer stop()
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
