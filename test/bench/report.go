package main

import (
	"fmt"
	"io"
	"time"
)

// row is one line of the table: a workload at a number of connections, on the limit and on the server.
type row struct {
	Workload string  `json:"workload"`
	Servers  string  `json:"servers"`
	Conns    int     `json:"connections"`
	Limit    figures `json:"limit"`
	Server   figures `json:"server"`
}

// report is all that a run found.
type report struct {
	Cores     int     `json:"cores"`
	Go        string  `json:"go"`
	SyncsPerS float64 `json:"fsyncs_per_second"`
	Rows      []row   `json:"rows,omitempty"`

	Raft  []raftRow `json:"raw_raft,omitempty"`
	Scale []scaled  `json:"scale,omitempty"`
	Churn []left    `json:"churn,omitempty"`
}

// raftRow sets the server's KV writes beside what Raft, its log and the state can do at most.
type raftRow struct {
	Servers string  `json:"servers"`
	Writers int     `json:"writers"`
	Entry   int     `json:"entry_bytes"`
	Limit   float64 `json:"raw_raft_writes_per_second"`
	Server  float64 `json:"server_writes_per_second"`
}

// markdown writes the report as a table, for a page or a terminal.
func (r report) markdown(w io.Writer) {
	fmt.Fprintf(w, "%s, %d cores, all processes on this machine. The disk says \"safe\" %.0f times per second (4 KiB and fsync, one writer).\n", r.Go, r.Cores, r.SyncsPerS)
	switch {
	case len(r.Scale) > 0:
		r.scale(w)
		return
	case len(r.Churn) > 0:
		r.churn(w)
		return
	}
	fmt.Fprint(w, "The limit is a bare net/http handler that answers the same bytes, from the same client. CPU is user and system time of all server processes, per request; entries are those of Raft's log, per request.\n\n")
	fmt.Fprintln(w, "| request | servers | conns | limit req/s | server req/s | ratio | limit p50 / p99 | server p50 / p99 | limit CPU | server CPU | ratio | entries |")
	fmt.Fprintln(w, "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
	for _, row := range r.Rows {
		l, s := row.Limit, row.Server
		fmt.Fprintf(w, "| %s | %s | %d | %.0f | %.0f | %.2f | %s / %s | %s / %s | %s | %s | %.1f | %.2f |\n", row.Workload, row.Servers, row.Conns,
			l.Rate, s.Rate, s.Rate/l.Rate, short(l.P50), short(l.P99), short(s.P50), short(s.P99), short(l.CPU), short(s.CPU), float64(s.CPU)/float64(max(1, l.CPU)), s.Entries)
	}
	fmt.Fprint(w, "\nKV v2 writes beside raw hashicorp/raft with raft-wal and Pebble: entries of the same size, no HTTP, no TLS, no encryption.\n\n")
	fmt.Fprintln(w, "| servers | writers | entry | raw Raft writes/s | server writes/s | ratio |")
	fmt.Fprintln(w, "|---|---:|---:|---:|---:|---:|")
	for _, r := range r.Raft {
		fmt.Fprintf(w, "| %s | %d | %d B | %.0f | %.0f | %.2f |\n", r.Servers, r.Writers, r.Entry, r.Limit, r.Server, r.Server/r.Limit)
	}
}

// scale writes what much data costs.
func (r report) scale(w io.Writer) {
	fmt.Fprint(w, "One server. Start is from exec of the process to its first answer as the active node, three unseal requests included.\n\n")
	fmt.Fprintln(w, "| leases | secrets | disk | start to answering | start to active | the same after SIGKILL | resident memory |")
	fmt.Fprintln(w, "|---:|---:|---:|---:|---:|---:|---:|")
	for _, s := range r.Scale {
		fmt.Fprintf(w, "| %d | %d | %d MiB | %s | %s | %s | %d MiB |\n", s.Leases, s.Secrets, s.Disk>>20, short(s.Process), short(s.Clean), short(s.Killed), s.Memory>>20)
	}
}

// churn writes what tokens leave that were revoked.
func (r report) churn(w io.Writer) {
	fmt.Fprint(w, "One server. Disk is what its files hold, memory what is resident, when its background work is done.\n\n")
	fmt.Fprintln(w, "| tokens made and revoked | disk | resident memory |")
	fmt.Fprintln(w, "|---:|---:|---:|")
	for _, l := range r.Churn {
		fmt.Fprintf(w, "| %d | %d MiB | %d MiB |\n", l.Tokens, l.Disk>>20, l.Memory>>20)
	}
}

// short is d with three digits or so.
func short(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%.1f ms", d.Seconds()*1000)
	}
	return fmt.Sprintf("%d ms", d.Milliseconds())
}
