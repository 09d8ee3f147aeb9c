package kubetest

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"
)

// reportEvery is how often a long build says that it is still at it.
const reportEvery = 10 * time.Second

// reportBuild reads what `go build -v` prints until it ends, and tells progress
// about it every few seconds. It returns what is neither the name of a compiled
// package nor of a downloaded module: the errors.
func reportBuild(output io.Reader, progress io.Writer, what string) (problems string) {
	lines := make(chan string)
	go func() { // ends with the output
		defer close(lines)
		for scanner := bufio.NewScanner(output); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	var kept strings.Builder
	began, compiled, downloaded := time.Now(), 0, 0
	for {
		select {
		case line, ok := <-lines:
			switch {
			case !ok:
				return kept.String()
			case strings.HasPrefix(line, "go: downloading "):
				downloaded++
			case line != "" && !strings.ContainsAny(line, " \t#"):
				compiled++
			default:
				fmt.Fprintln(&kept, line)
			}
		case <-tick.C:
			fmt.Fprintf(progress, "%s: %.0f s so far, %d modules downloaded, %d packages compiled\n",
				what, time.Since(began).Seconds(), downloaded, compiled)
		}
	}
}
