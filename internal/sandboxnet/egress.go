package sandboxnet

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// An Egress says which addresses of the world functions reach. The zero value lets them reach the Internet: every IPv4
// address that is globally reachable and not this machine's. It is by address, whatever name led to it, so names that
// change their address (DNS rebinding) change nothing.
type Egress struct {
	// Allowed are reached although they would not be.
	Allowed []netip.Prefix
	// Denied are not reached in any case.
	Denied []netip.Prefix

	mu    sync.Mutex
	own   []netip.Addr // this machine's addresses
	asked time.Time
}

// ownLife is how long this machine's addresses are taken to be the same.
const ownLife = 10 * time.Second

// smtp is the port that Lambda blocks, so that functions send no spam.
// https://repost.aws/knowledge-center/lambda-smtp-port-25
const smtp = 25

// special are the addresses that do not lead to the Internet, or are not to be reached directly.
// https://www.iana.org/assignments/iana-ipv4-special-registry
var special = prefixes(
	"0.0.0.0/8",       // this network
	"10.0.0.0/8",      // private
	"100.64.0.0/10",   // shared by carriers; some clouds have their metadata there
	"127.0.0.0/8",     // loopback
	"169.254.0.0/16",  // link-local, and with it the metadata of clouds
	"172.16.0.0/12",   // private
	"192.0.0.0/24",    // protocol assignments
	"192.0.2.0/24",    // documentation
	"192.88.99.0/24",  // 6to4 relays
	"192.168.0.0/16",  // private
	"198.18.0.0/15",   // benchmarks
	"198.51.100.0/24", // documentation
	"203.0.113.0/24",  // documentation
	"224.0.0.0/4",     // multicast
	"240.0.0.0/4",     // reserved, and broadcast
)

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

func within(list []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
}

// Permits says whether functions reach an address.
func (e *Egress) Permits(a netip.Addr) bool {
	a = a.Unmap()
	switch {
	case within(e.Denied, a):
		return false
	case within(e.Allowed, a):
		return true
	case !a.Is4() || within(special, a):
		return false
	}
	return !slices.Contains(e.machine(), a)
}

// permits is Permits for a port.
func (e *Egress) permits(a netip.AddrPort) bool {
	return e.Permits(a.Addr()) && (a.Port() != smtp || within(e.Allowed, a.Addr().Unmap()))
}

// machine returns this machine's addresses: what listens at a public one may still be meant for the neighbours alone.
func (e *Egress) machine() []netip.Addr {
	e.mu.Lock()
	defer e.mu.Unlock()
	if now := time.Now(); now.Sub(e.asked) > ownLife {
		addrs, err := net.InterfaceAddrs()
		if err != nil {
			return e.own // those of before
		}
		e.own, e.asked = nil, now
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				e.own = append(e.own, p.Addr().Unmap())
			}
		}
	}
	return e.own
}
