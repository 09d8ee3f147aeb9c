package inspect

import (
	"cmp"
	"io"
	"log"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
)

// Logs decides how much is written of a server's log, logger by logger, and
// lets others read along. Safe for concurrent use.
type Logs struct {
	normal atomic.Int32 // hclog.Level, as configured

	mu      sync.Mutex // of who changes the following
	levels  atomic.Pointer[map[string]hclog.Level]
	readers atomic.Pointer[[]hclog.SinkAdapter]
}

// NewLogs has out, which must write everything it is given, write at level and above.
func NewLogs(out hclog.Logger, level hclog.Level) (*Logs, hclog.Logger) {
	l := new(Logs)
	l.normal.Store(int32(level))
	out.SetLevel(hclog.Trace)
	l.levels.Store(&map[string]hclog.Level{})
	l.readers.Store(&[]hclog.SinkAdapter{})
	return l, l.wrap(out)
}

// mostLoggers bounds how many loggers are known by name.
const mostLoggers = 1000

func (l *Logs) wrap(out hclog.Logger) hclog.Logger {
	name := out.Name()
	if _, known := (*l.levels.Load())[name]; !known {
		l.change(func(levels map[string]hclog.Level) {
			if _, known := levels[name]; !known && len(levels) < mostLoggers {
				levels[name] = hclog.NoLevel
			}
		})
	}
	return logger{out, l}
}

func (l *Logs) change(do func(map[string]hclog.Level)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := maps.Clone(*l.levels.Load())
	do(next)
	l.levels.Store(&next)
}

func (l *Logs) level(name string) hclog.Level {
	if level := (*l.levels.Load())[name]; level != hclog.NoLevel {
		return level
	}
	return hclog.Level(l.normal.Load())
}

// Configure makes level what loggers have that were given none of their own.
func (l *Logs) Configure(level hclog.Level) { l.normal.Store(int32(level)) }

// rootName is what the logger without a name is called by the API.
const rootName = "core"

func apiName(name string) string { return cmp.Or(name, rootName) }

// Levels are the levels of all loggers there have been, by name.
func (l *Logs) Levels() map[string]string {
	out := map[string]string{}
	if l == nil {
		return out
	}
	for name := range *l.levels.Load() {
		out[apiName(name)] = l.level(name).String()
	}
	return out
}

// SetLevel sets the level of the logger called name, "" for all of them, until
// the server ends; NoLevel puts the configured one back. It says whether there
// is such a logger.
func (l *Logs) SetLevel(name string, level hclog.Level) bool {
	if l == nil {
		return false
	}
	found := false
	l.change(func(levels map[string]hclog.Level) {
		for have := range levels {
			if name == "" || apiName(have) == name {
				levels[have], found = level, true
			}
		}
	})
	return found
}

// ParseLevel reads a level as the API takes it.
func ParseLevel(text string) (hclog.Level, bool) {
	text = strings.ToLower(strings.TrimSpace(text))
	switch text {
	case "warning":
		return hclog.Warn, true
	case "err":
		return hclog.Error, true
	case "notice":
		return hclog.Info, true
	}
	level := hclog.LevelFromString(text)
	return level, level != hclog.NoLevel && level != hclog.Off
}

// Read writes to out what is logged at level and above until done is closed.
// Who reads too slowly misses lines: the server never waits.
func (l *Logs) Read(done <-chan struct{}, out io.Writer, level hclog.Level, json bool) error {
	lines := make(lineQueue, 512)
	sink := hclog.NewSinkAdapter(&hclog.LoggerOptions{Level: level, Output: lines, JSONFormat: json})
	l.readerList(func(all []hclog.SinkAdapter) []hclog.SinkAdapter { return append(slices.Clone(all), sink) })
	defer l.readerList(func(all []hclog.SinkAdapter) []hclog.SinkAdapter {
		return slices.DeleteFunc(slices.Clone(all), func(s hclog.SinkAdapter) bool { return s == sink })
	})
	for {
		select {
		case <-done:
			return nil
		case line := <-lines:
			if _, err := out.Write(line); err != nil {
				return err
			}
		}
	}
}

func (l *Logs) readerList(next func([]hclog.SinkAdapter) []hclog.SinkAdapter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := next(*l.readers.Load())
	l.readers.Store(&list)
}

// lineQueue takes lines until it is full, and then drops them.
type lineQueue chan []byte

// Write implements io.Writer.
func (q lineQueue) Write(b []byte) (int, error) {
	select {
	case q <- slices.Clone(b):
	default:
	}
	return len(b), nil
}

// logger is an hclog.Logger whose level Logs decides.
type logger struct {
	hclog.Logger
	logs *Logs
}

// Log implements hclog.Logger.
func (l logger) Log(level hclog.Level, msg string, args ...any) {
	if level >= l.GetLevel() {
		l.Logger.Log(level, msg, args...)
	}
	readers := *l.logs.readers.Load()
	if len(readers) == 0 {
		return
	}
	args = append(slices.Clone(l.ImpliedArgs()), args...)
	for _, r := range readers {
		r.Accept(l.Name(), level, msg, args...)
	}
}

func (l logger) Trace(msg string, args ...any) { l.Log(hclog.Trace, msg, args...) }
func (l logger) Debug(msg string, args ...any) { l.Log(hclog.Debug, msg, args...) }
func (l logger) Info(msg string, args ...any)  { l.Log(hclog.Info, msg, args...) }
func (l logger) Warn(msg string, args ...any)  { l.Log(hclog.Warn, msg, args...) }
func (l logger) Error(msg string, args ...any) { l.Log(hclog.Error, msg, args...) }

// is says whether something at level goes anywhere.
func (l logger) is(level hclog.Level) bool {
	return level >= l.GetLevel() || len(*l.logs.readers.Load()) > 0
}

func (l logger) IsTrace() bool { return l.is(hclog.Trace) }
func (l logger) IsDebug() bool { return l.is(hclog.Debug) }
func (l logger) IsInfo() bool  { return l.is(hclog.Info) }
func (l logger) IsWarn() bool  { return l.is(hclog.Warn) }
func (l logger) IsError() bool { return l.is(hclog.Error) }

func (l logger) With(args ...any) hclog.Logger       { return l.logs.wrap(l.Logger.With(args...)) }
func (l logger) Named(name string) hclog.Logger      { return l.logs.wrap(l.Logger.Named(name)) }
func (l logger) ResetNamed(name string) hclog.Logger { return l.logs.wrap(l.Logger.ResetNamed(name)) }
func (l logger) GetLevel() hclog.Level               { return l.logs.level(l.Name()) }
func (l logger) SetLevel(level hclog.Level)          { l.logs.SetLevel(apiName(l.Name()), level) }
func (l logger) StandardLogger(o *hclog.StandardLoggerOptions) *log.Logger {
	return log.New(l.StandardWriter(o), "", 0)
}

// StandardWriter implements hclog.Logger; lines come at the level that is forced, or else Info.
func (l logger) StandardWriter(o *hclog.StandardLoggerOptions) io.Writer {
	level := hclog.Info
	if o != nil && o.ForceLevel != hclog.NoLevel {
		level = o.ForceLevel
	}
	return standard{l, level}
}

type standard struct {
	to    logger
	level hclog.Level
}

// Write implements io.Writer.
func (s standard) Write(b []byte) (int, error) {
	s.to.Log(s.level, strings.TrimRight(string(b), " \t\n"))
	return len(b), nil
}
