// Command image builds the container images of the server and of the operator, without a container engine and without a
// registry: it compiles both programs, takes busybox and the CA certificates from Debian's packages, and writes OCI
// archives that `ctr images import`, `k3s ctr images import` and `podman load` take (`docker load` where Docker keeps
// its images in containerd), with a list of what is in them (CycloneDX) beside each. The same commit and packages give the same bytes.
//
//	go run ./build/image -version 0.1.0 -arch amd64,arm64 -out dist
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o, err := parse(os.Args[1:], os.Stderr)
	if err == nil {
		err = o.build(ctx, os.Stdout)
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	version       string
	architectures []string
	out           string
	rootfs        bool
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	var architectures string
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.version, "version", "", "`version` of the programs, and tag of the images")
	flags.StringVar(&architectures, "arch", "amd64,arm64", "`architectures` to build for, separated by commas")
	flags.StringVar(&o.out, "out", "dist", "`directory` to write to")
	flags.BoolVar(&o.rootfs, "rootfs", false, "write the images' files as plain tar files instead, of one architecture; the Dockerfile does")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	o.architectures = strings.Split(architectures, ",")
	slices.Sort(o.architectures)
	for _, arch := range o.architectures {
		if arch != "amd64" && arch != "arm64" {
			return o, fmt.Errorf("-arch %q is not amd64 or arm64", arch)
		}
	}
	switch {
	case o.version == "":
		return o, errors.New("say which version: -version 0.1.0")
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q; see -h", flags.Arg(0))
	case len(slices.Compact(slices.Clone(o.architectures))) != len(o.architectures):
		return o, fmt.Errorf("-arch %s names one twice", architectures)
	case o.rootfs && len(o.architectures) != 1:
		return o, errors.New("-rootfs is for one architecture: give it by -arch")
	}
	return o, nil
}

// contents is what was made for one image.
type contents struct {
	kind
	images   map[string]v1.Image // by architecture
	programs []program
	debs     []deb
}

// build makes both images and says on progress what it wrote.
func (o options) build(ctx context.Context, progress io.Writer) error {
	src, err := findSource(ctx, o.version)
	if err != nil {
		return err
	}
	debs, err := fetchPackages(ctx, o.architectures)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	programs, err := os.MkdirTemp("", "strongroom-image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(programs)
	serverKind, operatorKind := kinds()
	server, operator := &contents{kind: serverKind, images: map[string]v1.Image{}}, &contents{kind: operatorKind, images: map[string]v1.Image{}}
	for _, arch := range o.architectures {
		fmt.Fprintf(progress, "compiling for linux/%s\n", arch)
		if err := o.buildArch(ctx, src, arch, filepath.Join(programs, arch), debs[arch], server, operator); err != nil {
			return err
		}
	}
	return errors.Join(o.write(ctx, progress, src, server), o.write(ctx, progress, src, operator))
}

// fetchPackages gets the Debian packages for each architecture.
func fetchPackages(ctx context.Context, architectures []string) (map[string]packages, error) {
	a, close, err := openApt(architectures)
	if err != nil {
		return nil, err
	}
	defer close()
	names := []string{"ca-certificates", "base-files:" + architectures[0]}
	for _, arch := range architectures {
		names = append(names, "busybox-static:"+arch)
	}
	debs, err := a.fetch(ctx, names...)
	if err != nil {
		return nil, err
	}
	found := map[string]packages{}
	for i, arch := range architectures {
		found[arch] = packages{busybox: debs[2+i], certificates: debs[0], base: debs[1]}
	}
	return found, nil
}

// buildArch adds the images of one architecture to server and operator.
func (o options) buildArch(ctx context.Context, src source, arch, dir string, debs packages, server, operator *contents) error {
	serverProgram, operatorProgram, err := src.compile(ctx, arch, dir)
	if err != nil {
		return err
	}
	serverSystem, err := debs.serverSystem()
	if err != nil {
		return err
	}
	operatorSystem, err := debs.system(operatorPasswd, operatorGroup)
	if err != nil {
		return err
	}
	serverFiles, err := src.serverProgram(ctx, serverProgram)
	if err != nil {
		return err
	}
	operatorFiles, err := src.program(ctx, operatorProgram, "strongroom-operator")
	if err != nil {
		return err
	}
	server.programs, operator.programs = append(server.programs, serverProgram), append(operator.programs, operatorProgram)
	server.debs, operator.debs = append(server.debs, debs.busybox, debs.certificates), append(operator.debs, debs.certificates)
	if server.images[arch], err = server.image(arch, o.version, src.created, serverSystem, serverFiles); err != nil {
		return err
	}
	operator.images[arch], err = operator.image(arch, o.version, src.created, operatorSystem, operatorFiles)
	return err
}

// write writes one image's archive and bill.
func (o options) write(ctx context.Context, progress io.Writer, src source, c *contents) error {
	file := filepath.Join(o.out, c.name+".tar")
	if o.rootfs {
		return writeRootFS(ctx, file, c.images[o.architectures[0]])
	}
	index := index(c.images, o.architectures)
	digest, err := index.Digest()
	if err != nil {
		return err
	}
	if err := writeArchive(file, index, c.name, o.version); err != nil {
		return err
	}
	fmt.Fprintf(progress, "%s: %s:%s for %s, %s\n", file, c.name, o.version, strings.Join(o.architectures, " and "), digest)
	return newBill(c.kind, o.version, src.created, c.programs, c.debs).write(filepath.Join(o.out, c.name+".cdx.json"))
}
