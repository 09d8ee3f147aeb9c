package audit

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// pause is for how long a device that could not be reached is not tried again:
// every try may cost those who wait the whole timeout.
const pause = time.Second

// socket sends each record to a TCP, UDP or Unix socket: as a line of a stream,
// or as a datagram of its own.
type socket struct {
	network, address string

	conn   net.Conn
	gone   *atomic.Bool // the other end has closed conn
	failed time.Time    // when it could not be reached
}

func socketSink(o *options) sink {
	s := &socket{network: o.text("socket_type", "tcp"), address: o.text("address", "")}
	switch s.network {
	case "tcp", "tcp4", "tcp6", "udp", "udp4", "udp6":
		if _, _, err := net.SplitHostPort(s.address); err != nil {
			o.fail("address must be host:port, such as 127.0.0.1:9090")
		}
	case "unix", "unixgram":
		if s.address == "" {
			o.fail("address must be the path of the Unix socket")
		}
	default:
		o.fail("socket_type must be tcp, udp, unix or unixgram")
	}
	return s
}

func (s *socket) datagrams() bool { return s.network[:3] == "udp" || s.network == "unixgram" }

func (s *socket) dial(deadline time.Time) error {
	if s.conn != nil && !s.gone.Load() {
		return nil
	}
	s.reopen()
	if time.Since(s.failed) < pause {
		return errors.New("the socket could not be reached a moment ago")
	}
	conn, err := (&net.Dialer{Deadline: deadline}).Dial(s.network, s.address)
	if err != nil {
		s.failed = time.Now()
		return err
	}
	s.conn, s.gone = conn, new(atomic.Bool)
	if gone := s.gone; !s.datagrams() {
		// Nothing is sent to us: a read ends when the other end does, which a
		// write would only notice one record too late. It ends with conn.
		go func() {
			_, _ = io.Copy(io.Discard, conn)
			gone.Store(true)
		}()
	}
	return nil
}

// write tries once more over a new connection: whether the old one still works
// shows only in using it. Lines that arrived before are sent twice then.
func (s *socket) write(records []byte, ends []int, deadline time.Time) error {
	var err error
	for range 2 {
		if err = s.dial(deadline); err != nil {
			return err
		}
		if err = s.send(records, ends, deadline); err == nil {
			return nil
		}
		s.reopen()
	}
	s.failed = time.Now()
	return err
}

func (s *socket) send(records []byte, ends []int, deadline time.Time) error {
	if err := s.conn.SetWriteDeadline(deadline); err != nil {
		return err
	}
	if !s.datagrams() {
		_, err := s.conn.Write(records)
		return err
	}
	start := 0
	for _, end := range ends {
		if _, err := s.conn.Write(records[start:end]); err != nil {
			return fmt.Errorf("a record of %d bytes: %w", end-start, err)
		}
		start = end
	}
	return nil
}

func (s *socket) reopen() {
	if s.conn != nil {
		s.conn.Close()
	}
	s.conn = nil
}

func (s *socket) close() error {
	s.reopen()
	return nil
}
