package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"strongroom/test/cluster"
)

// scaled is what a server with that much in it costs to start and to keep.
type scaled struct {
	Leases  int           `json:"leases"`
	Secrets int           `json:"secrets"`
	Disk    int64         `json:"disk_bytes"`
	Clean   time.Duration `json:"start_to_active_ns"`            // after SIGTERM: from exec to the first answer as the active node
	Killed  time.Duration `json:"start_to_active_after_kill_ns"` // the same after SIGKILL
	Process time.Duration `json:"start_to_answering_ns"`         // of Clean: until the process answers, sealed
	Memory  int64         `json:"resident_bytes"`                // then, and after reads of a thousand secrets
}

// measureScale fills one server and starts it again; nothing in it is what a new server costs.
func (b *bench) measureScale(ctx context.Context, leases, secrets int) (s scaled, err error) {
	s.Leases, s.Secrets = leases, secrets
	dir := filepath.Join(b.dir, fmt.Sprintf("scale-%d", leases))
	t, err := startTarget(ctx, dir, setting{nodes: 1}, b.log, b.review)
	if err != nil {
		return s, err
	}
	defer t.Stop()
	fmt.Fprintf(b.log, "bench: storing %d leases and %d secrets\n", leases, secrets)
	if err := t.fill(ctx, leases, "auth/token/create", func(int) string { return `{"policies":["bench"],"ttl":"700h"}` }); err != nil {
		return s, err
	}
	body, err := json.Marshal(map[string]any{"data": secretData})
	if err != nil {
		return s, err
	}
	if err := t.fill(ctx, secrets, "secret/data/s/%d", func(int) string { return string(body) }); err != nil {
		return s, err
	}
	n := t.Nodes[0]
	if err := n.Terminate(); err != nil {
		return s, err
	}
	if s.Disk, err = diskUse(n.Data); err != nil {
		return s, err
	}
	if s.Process, s.Clean, err = restart(ctx, t.Cluster, n); err != nil {
		return s, err
	}
	n.Kill()
	if _, s.Killed, err = restart(ctx, t.Cluster, n); err != nil {
		return s, err
	}
	for i := range min(1000, secrets) {
		if err := t.get(ctx, fmt.Sprintf("secret/data/s/%d", i)); err != nil {
			return s, err
		}
	}
	s.Memory, err = resident(n.PID())
	return s, err
}

// restart starts n and unseals it; process is the time until it answers at all.
func restart(ctx context.Context, c *cluster.Cluster, n *cluster.Node) (process, whole time.Duration, err error) {
	start := time.Now()
	if err := n.Restart(ctx); err != nil {
		return 0, 0, err
	}
	process = time.Since(start)
	if err := c.Unseal(ctx, n); err != nil {
		return 0, 0, err
	}
	for {
		resp, err := http.Get(n.Addr + "/v1/sys/health")
		if err != nil {
			return 0, 0, err
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return process, time.Since(start), nil
		}
		if ctx.Err() != nil || time.Since(start) > time.Minute {
			return 0, 0, fmt.Errorf("the server is not active a minute after its start: %s", resp.Status)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// fill posts count bodies over 64 connections; a %d in path is their number.
func (t *target) fill(ctx context.Context, count int, path string, body func(i int) string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var done sync.WaitGroup
	for range 64 {
		done.Go(func() {
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", t.addr)
			if err != nil {
				cancel(err)
				return
			}
			defer conn.Close()
			defer context.AfterFunc(ctx, func() { conn.Close() })()
			r := bufio.NewReader(conn)
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= count {
					return
				}
				to := path
				if strings.Contains(path, "%d") {
					to = fmt.Sprintf(path, i)
				}
				if _, err = conn.Write(rawRequest(http.MethodPost, t.addr, to, t.Keys.Root, []byte(body(i)))); err == nil {
					err = readAnswer(r)
				}
				if err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	done.Wait()
	return context.Cause(ctx)
}

func (t *target) get(ctx context.Context, path string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+t.addr+"/v1/"+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("X-Vault-Token", t.Keys.Root)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s, %v", path, resp.Status, err)
	}
	return nil
}

// resident is the memory of a process, in bytes (VmRSS of /proc/PID/status).
func resident(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		var kib int64
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kib); n == 1 {
			return kib << 10, nil
		}
	}
	return 0, fmt.Errorf("/proc/%d/status has no VmRSS", pid)
}

// diskUse is what the files below dir hold, in bytes.
func diskUse(dir string) (sum int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	return sum, err
}
