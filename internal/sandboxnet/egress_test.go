package sandboxnet

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

func TestEgress(t *testing.T) {
	e := &Egress{
		Allowed: prefixes("10.1.0.0/16", "203.0.113.5/32", "2001:db8::/32"),
		Denied:  prefixes("10.1.2.0/24", "8.8.4.4/32"),
	}
	addrs, err := net.InterfaceAddrs()
	must(t, err)
	for _, a := range addrs {
		p := netip.MustParsePrefix(a.String())
		if e.Permits(p.Addr()) {
			t.Errorf("%s, this machine's own, is permitted", p.Addr())
		}
	}
	for addr, want := range map[string]bool{
		"8.8.8.8": true, "8.8.4.4": false, "1.1.1.1": true, "9.255.255.255": true, "11.0.0.0": true,
		"0.0.0.0": false, "10.0.0.1": false, "10.1.0.1": true, "10.1.2.3": false, "100.64.0.1": false, "100.100.100.200": false,
		"100.128.0.0": true, "127.0.0.1": false, "127.255.255.255": false, "169.254.169.254": false, "169.254.76.2": false,
		"172.15.255.255": true, "172.16.0.0": false, "172.31.255.255": false, "172.32.0.0": true, "192.168.0.1": false,
		"192.0.2.1": false, "198.18.0.1": false, "198.20.0.1": true, "203.0.113.4": false, "203.0.113.5": true,
		"224.0.0.1": false, "255.255.255.255": false, "240.0.0.1": false,
		"::1": false, "fe80::1": false, "fd00:ec2::254": false, "2606:4700::1111": false, "2001:db8::1": true,
		"::ffff:127.0.0.1": false, "::ffff:10.1.0.1": true, "::ffff:8.8.8.8": true,
	} {
		if got := e.Permits(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %v", addr, got)
		}
	}
	for target, want := range map[string]bool{"8.8.8.8:25": false, "8.8.8.8:587": true, "10.1.0.1:25": true} {
		if got := e.permits(netip.MustParseAddrPort(target)); got != want {
			t.Errorf("%s: %v", target, got)
		}
	}
}

type lookup struct{}

func (lookup) LookupNetIP(_ context.Context, network, host string) ([]netip.Addr, error) {
	switch {
	case network != "ip4":
		return nil, &net.DNSError{Err: "wrong network"}
	case host == "many.test.":
		var all []netip.Addr
		for i := range 200 {
			all = append(all, netip.AddrFrom4([4]byte{9, 9, 9, byte(i)}))
		}
		return all, nil
	case host == "good.test.":
		return []netip.Addr{netip.MustParseAddr("9.9.9.9"), netip.MustParseAddr("192.168.0.1"), netip.MustParseAddr("::ffff:9.9.9.10")}, nil
	case host == "slow.test.":
		return nil, &net.DNSError{Err: "timeout", IsTimeout: true}
	}
	return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
}

func (lookup) LookupTXT(_ context.Context, name string) ([]string, error) {
	return []string{"v=1", strings.Repeat("t", 300)}, nil
}

func (lookup) LookupMX(context.Context, string) ([]*net.MX, error) {
	return []*net.MX{{Host: "mail.test.", Pref: 10}}, nil
}

func (lookup) LookupSRV(_ context.Context, service, proto, name string) (string, []*net.SRV, error) {
	return name, []*net.SRV{{Target: "host.test.", Port: 27017, Priority: 1, Weight: 2}}, nil
}

// Names of the world come with the addresses that functions may reach, whatever the world says.
func TestWorld(t *testing.T) {
	r := NewResolver(Names{}, loopback, &World{Egress: &Egress{}, Lookup: lookup{}})
	ask := func(name string, typ dnsmessage.Type) (m dnsmessage.Message) {
		t.Helper()
		msg := r.Answer(t.Context(), nil, query(t, name, typ, dnsmessage.ClassINET))
		if len(msg) > maxReply {
			t.Errorf("%s: %d bytes", name, len(msg))
		}
		must(t, m.Unpack(msg))
		return m
	}
	if m := ask("good.test.", dnsmessage.TypeA); len(m.Answers) != 2 || m.Answers[0].Body.GoString() != (&dnsmessage.AResource{A: [4]byte{9, 9, 9, 9}}).GoString() {
		t.Errorf("%+v", m)
	}
	if m := ask("good.test.", dnsmessage.TypeAAAA); len(m.Answers) != 0 || m.RCode != dnsmessage.RCodeSuccess {
		t.Errorf("%+v", m)
	}
	if m := ask("many.test.", dnsmessage.TypeA); len(m.Answers) < 20 {
		t.Errorf("%d answers", len(m.Answers))
	}
	if m := ask("missing.test.", dnsmessage.TypeAAAA); m.RCode != dnsmessage.RCodeNameError {
		t.Errorf("%+v", m)
	}
	if m := ask("slow.test.", dnsmessage.TypeA); m.RCode != dnsmessage.RCodeServerFailure {
		t.Errorf("%+v", m)
	}
	if m := ask("s3.amazonaws.com.", dnsmessage.TypeA); len(m.Answers) != 1 || m.Answers[0].Body.GoString() != (&dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}}).GoString() {
		t.Errorf("%+v", m)
	}
	for typ, want := range map[dnsmessage.Type]int{dnsmessage.TypeTXT: 2, dnsmessage.TypeMX: 1, dnsmessage.TypeSRV: 1, dnsmessage.TypeNS: 0} {
		if m := ask("good.test.", typ); len(m.Answers) != want || m.RCode != dnsmessage.RCodeSuccess {
			t.Errorf("%v: %+v", typ, m)
		}
	}
}
