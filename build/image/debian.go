package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// deb is one Debian package.
type deb struct {
	name, version, arch string
	source              string            // name and version of its source package
	builtUsing          string            // sources of what is linked into it
	files               map[string][]byte // regular files by path, without the leading slash
}

// apt is apt-get with state of its own: it reads the machine's sources and
// keyrings, so it trusts what the machine trusts, and changes nothing outside
// dir: neither dpkg's architectures nor the machine's package lists.
type apt struct{ dir string }

// listsAge is how long package lists serve before they are read again. A
// package that has left the mirror meanwhile has them read sooner.
const listsAge = 24 * time.Hour

// openApt prepares the state in the user's cache, for packages of the given architectures.
// Whoever uses it at the same time is waited for until close.
func openApt(architectures []string) (a apt, close func() error, err error) {
	for _, program := range []string{"apt-get", "dpkg-deb"} {
		if _, err := exec.LookPath(program); err != nil {
			return a, nil, fmt.Errorf("%w: busybox and the CA certificates of the image are Debian packages; build on Debian or Ubuntu, "+
				"or with docker build, which does", err)
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return a, nil, fmt.Errorf("where to keep Debian packages: %w; set HOME or XDG_CACHE_HOME", err)
	}
	architectures = slices.Sorted(slices.Values(architectures))
	a.dir = filepath.Join(cache, "strongroom", "debian", strings.Join(architectures, "-"))
	for _, dir := range []string{"state/lists/partial", "cache/archives/partial", "packages"} {
		if err := os.MkdirAll(filepath.Join(a.dir, dir), 0o755); err != nil {
			return a, nil, err
		}
	}
	lock, err := os.OpenFile(filepath.Join(a.dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return a, nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return a, nil, errors.Join(fmt.Errorf("lock %s: %w", lock.Name(), err), lock.Close())
	}
	// Read after the machine's own configuration, whose hooks would clean up the machine's caches.
	config := fmt.Sprintf(`#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear APT::Architectures;
APT::Architectures { "%s"; };
APT::Sandbox::User "";
Acquire::Languages "none";
Dir::State %q;
Dir::State::status %q;
Dir::Cache %q;
Dir::Cache::pkgcache "pkgcache.bin";
Dir::Cache::srcpkgcache "srcpkgcache.bin";
`, strings.Join(architectures, `"; "`), a.dir+"/state", a.dir+"/status", a.dir+"/cache")
	return a, lock.Close, errors.Join(
		os.WriteFile(a.dir+"/status", nil, 0o644), // nothing is installed here
		os.WriteFile(a.dir+"/apt.conf", []byte(config), 0o644))
}

func (a apt) get(ctx context.Context, dir string, args ...string) (string, error) {
	return output(ctx, dir, "apt-get", append(args, "-q", "-c", a.dir+"/apt.conf")...)
}

// update reads the package lists, unless they are of today.
func (a apt) update(ctx context.Context, force bool) error {
	stamp := filepath.Join(a.dir, "updated")
	if info, err := os.Stat(stamp); err == nil && time.Since(info.ModTime()) < listsAge && !force {
		return nil
	}
	if _, err := a.get(ctx, a.dir, "update"); err != nil {
		return err
	}
	return os.WriteFile(stamp, nil, 0o644)
}

// fetch returns the packages of the given names, which may be qualified as
// NAME:ARCHITECTURE. apt has checked the lists' signatures, and the lists hold
// the packages' sums.
func (a apt) fetch(ctx context.Context, names ...string) ([]deb, error) {
	if err := a.update(ctx, false); err != nil {
		return nil, err
	}
	var debs []deb
	for _, name := range names {
		d, err := a.download(ctx, name)
		if err != nil { // perhaps gone since the lists were read
			if err := a.update(ctx, true); err != nil {
				return nil, err
			}
			d, err = a.download(ctx, name)
		}
		if err != nil {
			return nil, fmt.Errorf("%w\nDo the apt sources of this machine serve the package %s? Their mirror may not carry that architecture "+
				"(Ubuntu's is at another address): build for this machine's only, or add a source", err, name)
		}
		debs = append(debs, d)
	}
	return debs, nil
}

var aptURI = regexp.MustCompile(`(?m)^'[^']*' (\S+) \d+ SHA256:([0-9a-f]{64})$`)

// download gets one package, unless it is there. (apt names no address for a file in the working directory.)
func (a apt) download(ctx context.Context, name string) (deb, error) {
	listed, err := a.get(ctx, a.dir, "download", "--print-uris", name)
	if err != nil {
		return deb{}, err
	}
	uri := aptURI.FindStringSubmatch(listed)
	if uri == nil {
		return deb{}, fmt.Errorf("apt-get does not say where to get %s, but:\n%s", name, listed)
	}
	packages := filepath.Join(a.dir, "packages")
	file := filepath.Join(packages, uri[1])
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) || err == nil && sum(content) != uri[2] {
		if _, err := a.get(ctx, packages, "download", name); err != nil {
			return deb{}, err
		}
		content, err = os.ReadFile(file)
	}
	if err != nil {
		return deb{}, err
	}
	if sum(content) != uri[2] {
		return deb{}, fmt.Errorf("%s is not what the signed package list says: remove it and try again", file)
	}
	return unpack(ctx, file)
}

func sum(content []byte) string {
	hash := sha256.Sum256(content)
	return hex.EncodeToString(hash[:])
}

// unpack reads a package's description and its files.
func unpack(ctx context.Context, file string) (deb, error) {
	fields, err := output(ctx, "", "dpkg-deb", "--show", "--showformat",
		"${Package}\n${Version}\n${Architecture}\n${source:Package} ${source:Version}\n${Built-Using}\n.", file)
	if err != nil {
		return deb{}, err
	}
	lines := strings.Split(fields, "\n")
	d := deb{name: lines[0], version: lines[1], arch: lines[2], source: lines[3], builtUsing: lines[4], files: map[string][]byte{}}
	content, err := capture(ctx, "", "dpkg-deb", "--fsys-tarfile", file)
	if err != nil {
		return deb{}, err
	}
	for archive := tar.NewReader(bytes.NewReader(content)); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return d, nil
		}
		if err != nil {
			return deb{}, fmt.Errorf("%s: %w", file, err)
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			return deb{}, fmt.Errorf("%s: %w", file, err)
		}
		d.files[strings.TrimPrefix(header.Name, "./")] = content
	}
}

// file returns the content of the first of paths that d has.
func (d deb) file(paths ...string) ([]byte, error) {
	for _, path := range paths {
		if content, ok := d.files[path]; ok {
			return content, nil
		}
	}
	return nil, fmt.Errorf("package %s %s of Debian has no /%s", d.name, d.version, strings.Join(paths, " and no /"))
}

// certificates are the certificate authorities of the package ca-certificates,
// in one file, as update-ca-certificates makes it on a machine that trusts them
// all. The machine's own file is not taken: it may trust who the image must not.
func (d deb) certificates() ([]byte, error) {
	var bundle bytes.Buffer
	for _, path := range slices.Sorted(maps.Keys(d.files)) {
		if ok, _ := filepath.Match("usr/share/ca-certificates/mozilla/*.crt", path); ok {
			bundle.Write(bytes.TrimSpace(d.files[path]))
			bundle.WriteByte('\n')
		}
	}
	if bundle.Len() == 0 {
		return nil, fmt.Errorf("package %s %s of Debian holds no certificates", d.name, d.version)
	}
	return bundle.Bytes(), nil
}
