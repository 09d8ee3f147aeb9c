package chaos

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// subnet holds the addresses on the wire; it exists only in the namespaces of a run.
const subnet = "10.77.0."

// wire is the network between some namespaces: one point in each, a TUN device, and this process carries the packets. So a link, in one
// direction, can be cut, lossy, slow or out of order, without tc's netem, which many kernels are built without, and with losses that come
// from the run's seed.
type wire struct {
	points []*point
	mu     sync.RWMutex
	links  map[[2]int]link // by from and to; absent: a good link
	rng    *rand.Rand      // under mu
	closed atomic.Bool
	done   sync.WaitGroup

	carried, dropped atomic.Int64
}

// link is what happens to packets from one point to another.
type link struct {
	cut           bool
	loss          float64       // 0 to 1
	delay, jitter time.Duration // jitter comes on top, so that packets overtake each other
	twice         float64       // 0 to 1: how many come twice
}

type point struct {
	tun   *os.File
	space *os.File // the network namespace, which lives as long as something holds it
}

func host(i int) string { return fmt.Sprint(subnet, i+1) }

// newWire makes a wire with n points, each in a namespace of its own, and one more in this process's, which comes last.
func newWire(t *testing.T, n int, seed uint64) *wire {
	t.Helper()
	w := &wire{links: map[[2]int]link{}, rng: rand.New(rand.NewPCG(seed, 1))}
	t.Cleanup(w.close)
	for i := range n + 1 {
		p, err := newPoint(host(i), i < n)
		if err != nil {
			t.Fatal("wire: ", err)
		}
		w.points = append(w.points, p)
	}
	for i := range w.points {
		w.done.Go(func() { w.carry(i) })
	}
	return w
}

func newPoint(addr string, fresh bool) (p *point, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good: the thread ends with the goroutine, and its namespace is nobody else's
		p, err = openPoint(addr, fresh)
	}()
	<-done
	return p, err
}

func openPoint(addr string, fresh bool) (*point, error) {
	if fresh {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return nil, err
		}
	}
	space, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, err
	}
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/net/tun: %w", err)
	}
	req, err := unix.NewIfreq("wire0")
	if err != nil {
		return nil, err
	}
	req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		return nil, fmt.Errorf("TUN device: %w", err)
	}
	err = errors.Join(ip("link set lo up"), ip("addr add "+addr+"/24 dev wire0"), ip("link set wire0 up"))
	return &point{os.NewFile(uintptr(fd), "wire0"), space}, err // a File that does not block can be closed while it is read
}

// enter is the command that runs another in the namespace of point i.
func (w *wire) enter(i int) []string {
	return []string{"nsenter", fmt.Sprintf("--net=/proc/%d/fd/%d", os.Getpid(), w.points[i].space.Fd()), "--"}
}

func (w *wire) close() {
	w.closed.Store(true)
	for _, p := range w.points {
		p.tun.Close()
		p.space.Close()
	}
	w.done.Wait()
}

// carry takes what point i sends, until the wire is closed.
func (w *wire) carry(i int) {
	buffer := make([]byte, 65536)
	for {
		n, err := w.points[i].tun.Read(buffer)
		if err != nil {
			if !w.closed.Load() {
				panic(fmt.Sprintf("wire: point %d: %v", i, err))
			}
			return
		}
		packet := buffer[:n]
		if n < 20 || packet[0]>>4 != 4 || packet[19] == 0 || int(packet[19]) > len(w.points) {
			continue // not IPv4, or to nobody
		}
		w.send(i, int(packet[19])-1, packet)
	}
}

func (w *wire) send(from, to int, packet []byte) {
	w.mu.RLock()
	l, bad := w.links[[2]int{from, to}]
	w.mu.RUnlock()
	if !bad {
		w.deliver(to, packet)
		return
	}
	w.mu.Lock()
	lost, again, late := w.rng.Float64() < l.loss, w.rng.Float64() < l.twice, l.delay+time.Duration(w.rng.Float64()*float64(l.jitter))
	w.mu.Unlock()
	if l.cut || lost {
		w.dropped.Add(1)
		return
	}
	if again {
		w.deliver(to, packet)
	}
	if late == 0 {
		w.deliver(to, packet)
		return
	}
	packet = append([]byte(nil), packet...)
	time.AfterFunc(late, func() { w.deliver(to, packet) })
}

// deliver ignores errors: as on a real network, a packet that does not arrive is lost.
func (w *wire) deliver(to int, packet []byte) {
	if _, err := w.points[to].tun.Write(packet); err != nil {
		w.dropped.Add(1)
		return
	}
	w.carried.Add(1)
}

// set makes the link from one point to another what l says.
func (w *wire) set(from, to int, l link) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.links[[2]int{from, to}] = l
}

// heal makes all links good.
func (w *wire) heal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.links)
}
