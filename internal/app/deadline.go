package app

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// A lazyListener accepts connections whose read deadlines cost little. net/http moves them several times for each request,
// mostly further away, and each time costs as much as the rest of reading the request's headers.
type lazyListener struct{ *net.TCPListener }

func (l lazyListener) Accept() (net.Conn, error) {
	c, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	return &lazyConn{TCPConn: c}, nil
}

// A lazyConn leaves a deadline that is too early where it is, and looks again when it has passed.
type lazyConn struct {
	*net.TCPConn
	mu sync.Mutex
	// wanted is the deadline that was asked for, set the one that the connection has; zero is none.
	wanted, set time.Time
}

// early is a deadline for connections that want none: moving it later costs nothing until it has passed.
const early = 30 * time.Second

// SetReadDeadline implements net.Conn.
func (c *lazyConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wanted = t
	now := time.Now()
	if c.set.After(now) && (t.IsZero() || !t.Before(c.set)) {
		return nil
	}
	return c.arm(now)
}

// SetDeadline implements net.Conn.
func (c *lazyConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.TCPConn.SetWriteDeadline(t))
}

// arm sets a deadline that is not after the one wanted.
func (c *lazyConn) arm(now time.Time) error {
	c.set = c.wanted
	if soon := now.Add(early); c.set.IsZero() || c.set.After(soon) {
		c.set = soon
	}
	return c.TCPConn.SetReadDeadline(c.set)
}

// Read implements net.Conn.
func (c *lazyConn) Read(p []byte) (int, error) {
	for {
		n, err := c.TCPConn.Read(p)
		if n > 0 || err == nil || !errors.Is(err, os.ErrDeadlineExceeded) || c.expired() {
			return n, err
		}
	}
}

// expired reports whether the deadline that is wanted has passed. If not, the connection can be read again.
func (c *lazyConn) expired() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	return !c.wanted.IsZero() && !now.Before(c.wanted) || c.arm(now) != nil
}
