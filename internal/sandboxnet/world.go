package sandboxnet

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// lookupTimeout is below the five seconds after which resolvers ask again.
const lookupTimeout = 4 * time.Second

// maxReply is the longest answer: one UDP message without extensions. Records that do not fit are left out.
const maxReply = 512

// A World looks names up that are not Brume's, as this machine does, and gives out no address that Egress does not permit.
type World struct {
	Egress *Egress
	// Lookup does it; *net.Resolver for instance.
	Lookup Lookup
}

// Lookup is the part of *net.Resolver that functions make use of.
type Lookup interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	LookupTXT(ctx context.Context, name string) ([]string, error)
	LookupMX(ctx context.Context, name string) ([]*net.MX, error)
	LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)
}

// answer appends the response to q. Types that it does not know have no records.
func (w *World) answer(ctx context.Context, buf []byte, reply dnsmessage.Header, q *dnsmessage.Question) []byte {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	records, err := w.records(ctx, q)
	var de *net.DNSError
	switch {
	case err == nil:
	case errors.As(err, &de) && de.IsNotFound:
		reply.RCode = dnsmessage.RCodeNameError
	default:
		reply.RCode = dnsmessage.RCodeServerFailure
	}
	b := dnsmessage.NewBuilder(buf, reply)
	b.EnableCompression()
	if b.StartQuestions() != nil || b.Question(*q) != nil || b.StartAnswers() != nil {
		return nil
	}
	header := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: dnsmessage.ClassINET, TTL: ttl}
	size := 12 + len(q.Name.String()) + 6
	for _, r := range records {
		if size += 16 + r.size; size > maxReply {
			break
		}
		if r.add(&b, header) != nil {
			return nil
		}
	}
	msg, err := b.Finish()
	if err != nil {
		return nil
	}
	return msg
}

// A record is one of an answer, with the length of its data at most.
type record struct {
	size int
	add  func(*dnsmessage.Builder, dnsmessage.ResourceHeader) error
}

func (w *World) records(ctx context.Context, q *dnsmessage.Question) (records []record, err error) {
	name := q.Name.String()
	if !strings.HasSuffix(name, ".") {
		name += "." // so that no search domain of this machine is added
	}
	switch q.Type {
	case dnsmessage.TypeA, dnsmessage.TypeAAAA:
		// There is no way to an IPv6 address. Whether the name exists is told for both alike.
		addrs, err := w.Lookup.LookupNetIP(ctx, "ip4", name)
		if err != nil {
			return nil, err
		}
		for _, a := range addrs {
			if a = a.Unmap(); q.Type == dnsmessage.TypeA && a.Is4() && w.Egress.Permits(a) {
				records = append(records, record{4, func(b *dnsmessage.Builder, h dnsmessage.ResourceHeader) error {
					return b.AResource(h, dnsmessage.AResource{A: a.As4()})
				}})
			}
		}
	case dnsmessage.TypeTXT:
		texts, err := w.Lookup.LookupTXT(ctx, name)
		if err != nil {
			return nil, err
		}
		for _, t := range texts {
			var parts []string
			size := len(t) + len(t)/255 + 1
			for ; len(t) > 255; t = t[255:] {
				parts = append(parts, t[:255])
			}
			parts = append(parts, t)
			records = append(records, record{size, func(b *dnsmessage.Builder, h dnsmessage.ResourceHeader) error {
				return b.TXTResource(h, dnsmessage.TXTResource{TXT: parts})
			}})
		}
	case dnsmessage.TypeMX:
		all, err := w.Lookup.LookupMX(ctx, name)
		if err != nil {
			return nil, err
		}
		for _, mx := range all {
			if host, err := dnsmessage.NewName(mx.Host); err == nil {
				records = append(records, record{2 + len(mx.Host) + 1, func(b *dnsmessage.Builder, h dnsmessage.ResourceHeader) error {
					return b.MXResource(h, dnsmessage.MXResource{Pref: mx.Pref, MX: host})
				}})
			}
		}
	case dnsmessage.TypeSRV:
		_, all, err := w.Lookup.LookupSRV(ctx, "", "", name)
		if err != nil {
			return nil, err
		}
		for _, srv := range all {
			if host, err := dnsmessage.NewName(srv.Target); err == nil {
				records = append(records, record{6 + len(srv.Target) + 1, func(b *dnsmessage.Builder, h dnsmessage.ResourceHeader) error {
					return b.SRVResource(h, dnsmessage.SRVResource{Priority: srv.Priority, Weight: srv.Weight, Port: srv.Port, Target: host})
				}})
			}
		}
	}
	return records, nil
}
