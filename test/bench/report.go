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
	Rows      []row   `json:"rows"`
}

// markdown writes the report as a table, for a page or a terminal.
func (r report) markdown(w io.Writer) {
	fmt.Fprintf(w, "%s, %d cores, all processes on this machine. The disk says \"safe\" %.0f times per second (4 KiB and fsync, one writer).\n", r.Go, r.Cores, r.SyncsPerS)
	fmt.Fprint(w, "The limit is a bare net/http handler that answers the same bytes, from the same client. CPU is user and system time of all server processes, per request.\n\n")
	fmt.Fprintln(w, "| request | servers | conns | limit req/s | server req/s | ratio | limit p50 / p99 | server p50 / p99 | limit CPU | server CPU | ratio |")
	fmt.Fprintln(w, "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
	for _, row := range r.Rows {
		l, s := row.Limit, row.Server
		fmt.Fprintf(w, "| %s | %s | %d | %.0f | %.0f | %.2f | %s / %s | %s / %s | %s | %s | %.1f |\n", row.Workload, row.Servers, row.Conns,
			l.Rate, s.Rate, s.Rate/l.Rate, short(l.P50), short(l.P99), short(s.P50), short(s.P99), short(l.CPU), short(s.CPU), float64(s.CPU)/float64(max(1, l.CPU)))
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
