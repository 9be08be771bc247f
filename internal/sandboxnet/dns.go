package sandboxnet

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	// maxQuery is the longest query that is read: one UDP message without extensions.
	// https://www.rfc-editor.org/rfc/rfc1035#section-4.2.1
	maxQuery = 512
	// ttl is short: an answer costs nothing, and nothing else should outlive the sandbox in a cache.
	ttl = 60
	// maxLookups is how many names a sandbox may look up at a time.
	maxLookups = 32
)

// A Resolver answers DNS queries for Names with one address, and looks other names up.
type Resolver struct {
	names Names
	addr  netip.Addr
	world *World // nil if there are no other names
}

// NewResolver returns a Resolver that leads names to addr, an IPv4 address, and other names to where world has them. Without
// world, nil, they do not exist.
func NewResolver(names Names, addr netip.Addr, world *World) *Resolver {
	return &Resolver{names: names, addr: addr.Unmap(), world: world}
}

// Answer appends the response to query to buf. It returns nil where a server must not answer: to a message that is no
// query, or has no header at all.
//
// A name of Names has the address as its A record and no other record; every other name does not exist (NXDOMAIN), or is as
// the World has it.
func (r *Resolver) Answer(ctx context.Context, buf, query []byte) []byte {
	var p dnsmessage.Parser
	h, err := p.Start(query)
	if err != nil || h.Response {
		return nil
	}
	reply := dnsmessage.Header{
		ID:                 h.ID,
		Response:           true,
		OpCode:             h.OpCode,
		RecursionDesired:   h.RecursionDesired,
		RecursionAvailable: true,
	}
	if h.OpCode != 0 {
		reply.RCode = dnsmessage.RCodeNotImplemented
		return finish(dnsmessage.NewBuilder(buf, reply), nil, nil)
	}
	q, err := p.Question()
	if err != nil {
		reply.RCode = dnsmessage.RCodeFormatError
		return finish(dnsmessage.NewBuilder(buf, reply), nil, nil)
	}
	named := r.names.Has(q.Name.String())
	if q.Class == dnsmessage.ClassINET && !named && r.world != nil {
		return r.world.answer(ctx, buf, reply, &q)
	}
	if q.Class != dnsmessage.ClassINET || !named {
		reply.RCode = dnsmessage.RCodeNameError
		return finish(dnsmessage.NewBuilder(buf, reply), &q, nil)
	}
	reply.Authoritative = true
	b := dnsmessage.NewBuilder(buf, reply)
	if q.Type != dnsmessage.TypeA && q.Type != dnsmessage.TypeALL {
		return finish(b, &q, nil)
	}
	return finish(b, &q, &dnsmessage.AResource{A: r.addr.As4()})
}

// looksUp says whether the answer to a query takes a look into the world.
func (r *Resolver) looksUp(query []byte) bool {
	if r.world == nil {
		return false
	}
	var p dnsmessage.Parser
	if _, err := p.Start(query); err != nil {
		return false
	}
	q, err := p.Question()
	return err == nil && !r.names.Has(q.Name.String())
}

// finish completes a message with what it is given. The builder refuses nothing that Answer gives it, for names come out
// of a parsed message; if it ever does, silence is the answer and the client asks again.
func finish(b dnsmessage.Builder, q *dnsmessage.Question, a *dnsmessage.AResource) []byte {
	b.EnableCompression()
	if q != nil {
		if b.StartQuestions() != nil || b.Question(*q) != nil {
			return nil
		}
	}
	if a != nil {
		h := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: ttl}
		if b.StartAnswers() != nil || b.AResource(h, *a) != nil {
			return nil
		}
	}
	msg, err := b.Finish()
	if err != nil {
		return nil
	}
	return msg
}

// Serve answers the queries that arrive on conn until it is closed, which is no error, or the context ends.
func (r *Resolver) Serve(ctx context.Context, conn net.PacketConn) error {
	stop := context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	var lookups sync.WaitGroup
	defer lookups.Wait()
	busy := make(chan struct{}, maxLookups)
	query := make([]byte, maxQuery)
	reply := make([]byte, 0, maxQuery)
	for {
		n, from, err := conn.ReadFrom(query)
		switch {
		case errors.Is(err, net.ErrClosed) || ctx.Err() != nil:
			return nil
		case err != nil:
			// An ICMP error for an earlier reply is reported here; only a socket that keeps failing is broken.
			var ne net.Error
			if errors.As(err, &ne) && ne.Timeout() {
				continue
			}
			return err
		}
		if r.looksUp(query[:n]) {
			// Others need not wait for it. What comes while there are too many is lost, and the client asks again.
			select {
			case busy <- struct{}{}:
				query := bytes.Clone(query[:n])
				lookups.Go(func() {
					defer func() { <-busy }()
					if msg := r.Answer(ctx, nil, query); msg != nil {
						_, _ = conn.WriteTo(msg, from) // as below
					}
				})
			default:
			}
			continue
		}
		if msg := r.Answer(ctx, reply, query[:n]); msg != nil {
			if _, err := conn.WriteTo(msg, from); errors.Is(err, net.ErrClosed) {
				return nil
			}
			// A reply that cannot be sent is like one that was lost: the client asks again.
		}
	}
}
