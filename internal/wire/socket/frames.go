package socket

import (
	"bufio"
	"encoding/binary"
	"net"
	"net/http"
	"sync/atomic"

	"brume/internal/edge"
)

// A watch looks at the bytes that come from a client for frames over edge.MaxFrame, which the library has no bound for. It
// reads the headers and skips the payloads.
type watch struct {
	header [14]byte
	have   int    // bytes of header
	skip   uint64 // bytes of payload that are to come
	over   atomic.Bool
}

// see looks at the next bytes.
func (w *watch) see(p []byte) {
	for len(p) > 0 {
		if w.skip > 0 {
			n := min(w.skip, uint64(len(p)))
			w.skip -= n
			p = p[n:]
			continue
		}
		w.header[w.have] = p[0]
		w.have++
		p = p[1:]
		if w.have < 2 {
			continue
		}
		size := 2
		switch w.header[1] & 0x7f {
		case 126:
			size += 2
		case 127:
			size += 8
		}
		length := size
		if w.header[1]&0x80 != 0 {
			size += 4 // the mask
		}
		if w.have < size {
			continue
		}
		switch n := uint64(w.header[1] & 0x7f); n {
		case 126:
			w.skip = uint64(binary.BigEndian.Uint16(w.header[2:length]))
		case 127:
			w.skip = binary.BigEndian.Uint64(w.header[2:length])
		default:
			w.skip = n
		}
		w.have = 0
		if w.skip > edge.MaxFrame {
			w.over.Store(true)
		}
	}
}

// A watched is a connection whose frames are looked at.
type watched struct {
	net.Conn
	pending []byte // what came before the handshake was over
	frames  watch
}

func (c *watched) Read(p []byte) (n int, err error) {
	if len(c.pending) > 0 {
		n = copy(p, c.pending)
		c.pending = c.pending[n:]
	} else {
		n, err = c.Conn.Read(p)
	}
	c.frames.see(p[:n])
	return n, err
}

// A hijacker hands out a watched connection.
type hijacker struct {
	http.ResponseWriter
	conn *watched // nil until then
}

func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.conn = &watched{Conn: conn}
	if n := rw.Reader.Buffered(); n > 0 {
		buffered, err := rw.Reader.Peek(n)
		if err != nil {
			return nil, nil, err
		}
		h.conn.pending = append(h.conn.pending, buffered...)
	}
	rw.Reader.Reset(h.conn)
	return h.conn, rw, nil
}
