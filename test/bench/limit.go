package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"strongroom/test/bench/tokenreview"
)

// The program is also its own children, so that their CPU time is not the load generator's.
const (
	roleLimit  = "limit"  // the bare net/http server
	roleReview = "review" // the TokenReview server
)

// canned is what the limit answers to paths with a prefix.
type canned struct {
	Prefix string `json:"prefix"`
	Body   []byte `json:"body"`
}

// reviewer is what the review child says of itself.
type reviewer struct {
	URL    string   `json:"url"`
	CA     string   `json:"ca"`
	Tokens []string `json:"tokens"`
}

// serveLimit is the least that net/http can do: read the request, find the answer, write it with the headers the API has. It ends when in does.
func serveLimit(in io.Reader, out io.Writer) error {
	var answers []canned
	if err := json.NewDecoder(in).Decode(&answers); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() { // ends with the parent
		io.Copy(io.Discard, in)
		ln.Close()
	}()
	if err := json.NewEncoder(out).Encode(ln.Addr().String()); err != nil {
		return err
	}
	return http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		for _, a := range answers {
			if strings.HasPrefix(r.URL.Path, a.Prefix) {
				h := w.Header()
				h.Set("Cache-Control", "no-store")
				h.Set("X-Content-Type-Options", "nosniff")
				h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
				h.Set("Content-Type", "application/json")
				h.Set("Content-Length", strconv.Itoa(len(a.Body)))
				w.Write(a.Body)
				return
			}
		}
		http.NotFound(w, r)
	}))
}

// serveReview answers TokenReviews of as many tokens as in says, until in ends.
func serveReview(in io.Reader, out io.Writer) error {
	lines := bufio.NewReader(in)
	var n int
	if _, err := fmt.Fscanln(lines, &n); err != nil {
		return err
	}
	s, err := tokenreview.Start()
	if err != nil {
		return err
	}
	defer s.Close()
	me := reviewer{URL: s.URL, CA: s.CA, Tokens: make([]string, n)}
	for i := range me.Tokens {
		if me.Tokens[i], err = s.Issue(namespace, account); err != nil {
			return err
		}
	}
	if err := json.NewEncoder(out).Encode(me); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, lines)
	return err
}

// child is this program in a role, which is told and says lines of JSON.
type child struct {
	pid  int
	in   io.Writer
	out  io.Reader
	stop func()
}

// startChild runs this program in a role, gives it input and decodes the one line it says. stop ends it.
func startChild(role, input string, hello any) (pid int, stop func(), err error) {
	c, err := startTalking(role, json.RawMessage(input), hello)
	if err != nil {
		return 0, nil, err
	}
	return c.pid, c.stop, nil
}

// startTalking is startChild for one that goes on talking.
func startTalking(role string, input, hello any) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "-role="+role)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{pid: cmd.Process.Pid, in: stdin, out: bufio.NewReader(stdout), stop: func() {
		stdin.Close()
		cmd.Process.Kill()
		cmd.Wait()
	}}
	if err = json.NewEncoder(stdin).Encode(input); err == nil {
		err = json.NewDecoder(c.out).Decode(hello)
	}
	if err != nil {
		c.stop()
		return nil, fmt.Errorf("start the %s process: %w", role, err)
	}
	return c, nil
}

// cpuTime is the user and system time that processes have spent so far, from /proc/PID/stat; its grain is 10 ms.
func cpuTime(pids ...int) (time.Duration, error) {
	var ticks int64
	for _, pid := range pids {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0, fmt.Errorf("CPU time of process %d: %w", pid, err)
		}
		// The second field is the name in brackets, which may hold anything.
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		for _, i := range []int{14 - 3, 15 - 3} { // utime and stime are the 14th and 15th; these begin with the 3rd
			n, err := strconv.ParseInt(fields[i], 10, 64)
			if err != nil {
				return 0, fmt.Errorf("CPU time of process %d: %w", pid, err)
			}
			ticks += n
		}
	}
	return time.Duration(ticks) * (time.Second / 100), nil // USER_HZ is 100 on every Linux that Go runs on
}

// syncRate is how often per second the disk below dir takes 4 KiB and says it is safe.
func syncRate(dir string, length time.Duration) (float64, error) {
	f, err := os.CreateTemp(dir, "fsync-")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	block, n, start := make([]byte, 4<<10), 0, time.Now()
	for ; time.Since(start) < length; n++ {
		if _, err := f.Write(block); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
	}
	return float64(n) / time.Since(start).Seconds(), nil
}
