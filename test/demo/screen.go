package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

const (
	bold  = "\x1b[1m"
	dim   = "\x1b[2m"
	green = "\x1b[32m"
	cyan  = "\x1b[36m"
	red   = "\x1b[31m"
	reset = "\x1b[0m"
	// clearLine returns to the line's beginning and empties it.
	clearLine = "\r\x1b[K"

	margin = "    "
)

// screen is what the demo shows: numbered sections, commands and their output.
// It has colours and a moving line only on a terminal.
type screen struct {
	mu      sync.Mutex
	w       io.Writer
	fd      int
	tty     bool
	section int
}

func newScreen(out *os.File) *screen {
	fd := int(out.Fd())
	return &screen{w: out, fd: fd, tty: term.IsTerminal(fd) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

func (s *screen) paint(colour, text string) string {
	if !s.tty {
		return text
	}
	return colour + text + reset
}

func (s *screen) printf(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.w, format, args...)
}

// begin starts the next numbered section.
func (s *screen) begin(title string) {
	s.section++
	s.printf("\n%s\n\n", s.paint(bold, fmt.Sprintf("%2d  %s", s.section, title)))
}

// note is a sentence or more of explanation.
func (s *screen) note(text string) { s.output(text, dim) }

// command shows what is about to run, after the name of where it does.
func (s *screen) command(where, text string) {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	s.printf("%s%s %s\n", margin, s.paint(cyan, where+" $"), s.paint(bold, lines[0]))
	for _, line := range lines[1:] {
		s.printf("%s%s\n", margin, s.paint(bold, line))
	}
}

// output shows text with a margin, in a colour, which may be "".
func (s *screen) output(text, colour string) {
	text = strings.TrimRight(text, "\n")
	if text == "" {
		return
	}
	for line := range strings.SplitSeq(text, "\n") {
		if colour != "" && line != "" {
			line = s.paint(colour, line)
		}
		s.printf("%s\n", strings.TrimRight(margin+line, " "))
	}
}

// gap is an empty line.
func (s *screen) gap() { s.printf("\n") }

// fact is a line of two columns.
func (s *screen) fact(name, format string, args ...any) {
	s.printf("%s%-14s %s\n", margin, name, fmt.Sprintf(format, args...))
}

// during runs work, which may take long, and shows how long it takes: as a
// moving line on a terminal, and else as a line now and then.
func (s *screen) during(name, doing string, work func() (result string, err error)) error {
	began := time.Now()
	done := make(chan struct{})
	var ticking sync.WaitGroup
	ticking.Go(func() { s.tick(name, doing, began, done) })
	result, err := work()
	close(done)
	ticking.Wait()
	if err == nil {
		s.fact(name, "%-40s %s", result, s.paint(dim, fmt.Sprintf("%5.1f s", time.Since(began).Seconds())))
	}
	return err
}

func (s *screen) tick(name, doing string, began time.Time, done <-chan struct{}) {
	every := 15 * time.Second
	if s.tty {
		every = 200 * time.Millisecond
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-done:
			if s.tty {
				s.printf(clearLine)
			}
			return
		case <-tick.C:
			line := fmt.Sprintf("%s%-14s %s … %.0f s", margin, name, doing, time.Since(began).Seconds())
			if s.tty {
				s.printf("%s%s", clearLine, s.paint(dim, s.fit(line)))
			} else {
				s.printf("%s\n", line)
			}
		}
	}
}

// fit cuts a line that would not fit on the terminal, where it could not be overwritten.
func (s *screen) fit(line string) string {
	width, _, err := term.GetSize(s.fd)
	if letters := []rune(line); err == nil && width > 0 && len(letters) >= width {
		return string(letters[:width-1])
	}
	return line
}

// Write shows what others report, such as a build its progress.
func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := ""
	if s.tty {
		before = clearLine
	}
	for line := range strings.SplitSeq(strings.TrimRight(string(p), "\n"), "\n") {
		if _, err := fmt.Fprintf(s.w, "%s%s%s\n", before, margin, s.paint(dim, line)); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}
