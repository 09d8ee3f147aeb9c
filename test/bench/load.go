package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// load is one measurement: every connection sends its requests in turn, each after the answer to the last, for warmup plus length; longer,
// up to patience, until one request a connection and at least fewest were measured: on a busy machine none may begin in a short length.
type load struct {
	addr     string // host:port
	conns    int
	warmup   time.Duration
	length   time.Duration
	requests func(conn int) [][]byte // whole HTTP/1.1 requests
	cpu      func() (time.Duration, error)
}

// figures are what a load found between the end of its warm-up and its own.
type figures struct {
	Requests int           `json:"requests"`
	All      int           `json:"-"`                        // with those of the warm-up
	Entries  float64       `json:"raft_entries_per_request"` // of all
	Rate     float64       `json:"requests_per_second"`
	P50      time.Duration `json:"p50_ns"`
	P99      time.Duration `json:"p99_ns"`
	CPU      time.Duration `json:"server_cpu_per_request_ns"` // user and system time of all server processes, of all
}

// What bounds the wait for figures that say something.
const (
	patience = time.Minute
	fewest   = 32
)

// The phases of a load; workers look at them before each request.
const (
	warming int32 = iota
	measuring
	over
)

// run sends the load and measures. Any answer but 2xx ends it with an error that shows the answer.
func (l load) run(ctx context.Context) (figures, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var phase atomic.Int32
	latencies, sent := make([][]time.Duration, l.conns), make([]int, l.conns)
	// CPU is of all requests, whole: were it of a part of the run, requests that lie across its ends, which are most where each waits
	// for a disk, would be charged to others.
	cpu, err := l.cpu()
	if err != nil {
		return figures{}, err
	}
	var measured atomic.Int64
	enough := make(chan struct{}) // closed at the measured request that makes a figure
	answered := func() {
		if measured.Add(1) == int64(max(l.conns, fewest)) {
			close(enough)
		}
	}
	var done sync.WaitGroup
	for i := range l.conns {
		done.Go(func() {
			var err error
			if latencies[i], sent[i], err = l.worker(ctx, i, &phase, answered); err != nil {
				cancel(err)
			}
		})
	}
	wait := func(d time.Duration) {
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
	}
	wait(l.warmup)
	start := time.Now()
	phase.Store(measuring)
	wait(l.length)
	select {
	case <-enough:
	case <-time.After(patience):
	case <-ctx.Done():
	}
	phase.Store(over)
	elapsed := time.Since(start)
	done.Wait()
	cpuAfter, err := l.cpu()
	if err != nil {
		cancel(err)
	}
	if err := context.Cause(ctx); err != nil {
		return figures{}, err
	}
	all := slices.Concat(latencies...)
	if len(all) == 0 {
		return figures{}, errors.New("no request was answered in time")
	}
	slices.Sort(all)
	total := 0
	for _, n := range sent {
		total += n
	}
	return figures{
		All:      total,
		Requests: len(all), Rate: float64(len(all)) / elapsed.Seconds(),
		P50: all[len(all)/2], P99: all[len(all)*99/100], CPU: (cpuAfter - cpu) / time.Duration(total),
	}, nil
}

// worker is one connection. It speaks just enough HTTP/1.1 to cost little beside the server it measures.
func (l load) worker(ctx context.Context, i int, phase *atomic.Int32, answered func()) (found []time.Duration, sent int, err error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", l.addr)
	if err != nil {
		return nil, 0, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	requests, r := l.requests(i), bufio.NewReaderSize(conn, 16<<10)
	for ; phase.Load() != over; sent++ {
		measured := phase.Load() == measuring
		start := time.Now()
		if _, err := conn.Write(requests[sent%len(requests)]); err != nil {
			return nil, sent, err
		}
		if err := readAnswer(r); err != nil {
			return nil, sent, err
		}
		if measured {
			found = append(found, time.Since(start))
			answered()
		}
	}
	return found, sent, nil
}

// readAnswer reads one HTTP/1.1 answer with a Content-Length, or none in a 204.
func readAnswer(r *bufio.Reader) error {
	status, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if len(status) < 12 {
		return fmt.Errorf("not HTTP: %q", status)
	}
	ok, empty := status[9] == '2', string(status[9:12]) == "204"
	code := string(status[9:12])
	length := -1
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if line = bytes.TrimRight(line, "\r\n"); len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(": "))
		if bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(value)); err != nil {
				return err
			}
		}
	}
	switch {
	case empty:
		return nil
	case length < 0:
		return fmt.Errorf("status %s without a Content-Length", code)
	case !ok:
		body := make([]byte, min(length, 500))
		_, err := io.ReadFull(r, body)
		return errors.Join(fmt.Errorf("status %s: %s", code, body), err)
	}
	_, err = r.Discard(length)
	return err
}

// rawRequest is a request as it goes over the wire.
func rawRequest(method, addr, path, token string, body []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s /v1/%s HTTP/1.1\r\nHost: %s\r\nX-Vault-Request: true\r\n", method, path, addr)
	if token != "" {
		fmt.Fprintf(&b, "X-Vault-Token: %s\r\n", token)
	}
	if method != http.MethodGet {
		fmt.Fprintf(&b, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}
