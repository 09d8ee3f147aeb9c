package audit

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// lookEvery is how often a file device looks whether its file was moved away.
const lookEvery = time.Second

// file appends to a file, which it opens at the first write. Nothing is synced:
// as with Vault, what the operating system has taken is recorded.
type file struct {
	path    string
	mode    fs.FileMode // 0: as it is
	trusted bool        // the configuration chose the path
	denied  []string    // folders

	f      *os.File
	plain  bool // f is a regular file
	looked time.Time
	torn   bool // the last write broke off: the next begins a line
}

// stream is a device on something that is open already: stdout.
type stream struct{ to io.Writer }

func (s stream) write(records []byte, _ []int, _ time.Time) error {
	_, err := s.to.Write(records)
	return err
}
func (stream) reopen()      {}
func (stream) close() error { return nil }

func (l *Log) fileSink(o *options, trusted bool) sink {
	path, mode := o.text("file_path", o.text("path", "")), o.mode()
	switch path {
	case "":
		o.fail("file_path is needed, the file to append to, or \"stdout\"")
		return nil
	case "stdout", "/dev/stdout":
		return stream{l.options.Stdout}
	case "/dev/stderr":
		return stream{os.Stderr}
	case "discard":
		return stream{io.Discard}
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		o.fail("file_path: %w", err)
	}
	return &file{path: absolute, mode: mode, trusted: trusted, denied: programFolders(l.options.Forbidden)}
}

// programFolders are where no record goes, wherever the path comes from: a file
// that grows there could one day be run, or read as configuration or data.
func programFolders(more []string) []string {
	folders := slices.Concat(more, filepath.SplitList(os.Getenv("PATH")),
		[]string{"/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/libexec", "/etc", "/boot", "/proc", "/sys"})
	if self, err := os.Executable(); err == nil {
		folders = append(folders, filepath.Dir(self))
	}
	return folders
}

// check refuses a path in a denied folder, links followed.
func (f *file) check() error {
	folder, err := filepath.EvalSymlinks(filepath.Dir(f.path))
	if err != nil {
		return fmt.Errorf("the folder of file_path cannot be used: %w", cause(err))
	}
	target := filepath.Join(folder, filepath.Base(f.path))
	if info, err := os.Lstat(target); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		if !f.trusted {
			return errors.New("file_path is a symbolic link, which only the server's configuration may use")
		}
		if target, err = filepath.EvalSymlinks(target); err != nil {
			return fmt.Errorf("file_path: %w", cause(err))
		}
	}
	for _, d := range f.denied {
		if resolved, err := filepath.EvalSymlinks(d); err == nil {
			d = resolved
		}
		if d, err = filepath.Abs(d); err == nil && (target == d || strings.HasPrefix(target, strings.TrimSuffix(d, "/")+"/")) {
			return errors.New("file_path is in a folder of programs, configuration or the server's data: choose a folder of its own, such as /var/log/strongroom")
		}
	}
	return nil
}

// cause is err without the path, which its reader has given.
func cause(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

func (f *file) open() error {
	if err := f.check(); err != nil {
		return err
	}
	flags := os.O_APPEND | os.O_CREATE | os.O_WRONLY
	if !f.trusted {
		flags |= syscall.O_NOFOLLOW | syscall.O_NONBLOCK // nor wait for the reader of a pipe
	}
	mode := f.mode
	if mode == 0 {
		mode = 0o600
	}
	opened, err := os.OpenFile(f.path, flags, mode)
	if err != nil {
		return fmt.Errorf("file_path cannot be appended to: %w", cause(err))
	}
	if err := f.accept(opened, mode); err != nil {
		opened.Close()
		return err
	}
	f.f, f.looked = opened, time.Now()
	return nil
}

// accept looks at the file that was opened.
func (f *file) accept(opened *os.File, mode fs.FileMode) error {
	info, err := opened.Stat()
	if err != nil {
		return err
	}
	f.plain = info.Mode().IsRegular()
	switch {
	case info.Mode().IsRegular() && info.Mode()&0o111 != 0:
		return errors.New("file_path is an executable file: a log is not appended to a program")
	case f.trusted:
	case !f.plain:
		return errors.New("file_path is no ordinary file, which only the server's configuration may use")
	default:
		if err := looksLikeLog(f.path, info.Size()); err != nil {
			return err
		}
	}
	if f.mode != 0 && f.plain && info.Mode().Perm() != mode {
		if err := opened.Chmod(mode); err != nil {
			return fmt.Errorf("mode cannot be set: %w", cause(err))
		}
	}
	return nil
}

// looksLikeLog refuses to append to what was not begun by an audit device, when
// the API chose the path: records hold texts of clients' choice, and much on a
// machine reads what is in its files.
func looksLikeLog(path string, size int64) error {
	if size == 0 {
		return nil
	}
	in, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("file_path holds something already, which cannot be read: %w", cause(err))
	}
	defer in.Close()
	head := make([]byte, 512)
	n, err := in.Read(head)
	if err != nil {
		return err
	}
	for _, begin := range []string{`{"time":"`, `{"type":"re`, `{"auth":{`, `{"request":{`} { // ours, Vault's and OpenBao's
		if strings.Contains(string(head[:n]), begin) {
			return nil
		}
	}
	return errors.New("file_path holds something that is no audit log: name another file")
}

func (f *file) write(records []byte, _ []int, _ time.Time) error {
	f.look()
	if f.f == nil {
		if err := f.open(); err != nil {
			return err
		}
	}
	if f.torn {
		if _, err := f.f.WriteString("\n"); err != nil {
			return cause(err)
		}
		f.torn = false
	}
	n, err := f.f.Write(records)
	if err == nil {
		return nil
	}
	if f.torn = n > 0 && records[n-1] != '\n'; !f.plain {
		f.drop() // a pipe whose reader has gone, for example
	}
	return cause(err)
}

// look gives the file up if another or none is at its path.
func (f *file) look() {
	if f.f == nil || !f.plain || time.Since(f.looked) < lookEvery {
		return
	}
	f.looked = time.Now()
	there, err := os.Stat(f.path)
	mine, merr := f.f.Stat()
	if err != nil || merr != nil || !os.SameFile(there, mine) {
		f.drop()
	}
}

// reopen makes the new file at once, as what rotates files expects. If that
// fails, so does the next write.
func (f *file) reopen() {
	f.drop()
	_ = f.open()
}

func (f *file) drop() {
	if f.f != nil {
		f.f.Close() // what was written was checked
	}
	f.f, f.torn = nil, false
}

func (f *file) close() error {
	f.drop()
	return nil
}

// probe opens the file, as the first write would.
func (f *file) probe() error {
	if f.f != nil {
		return nil
	}
	return f.open()
}
