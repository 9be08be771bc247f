package environment

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"brume/internal/sandboxnet"
)

// hostAddress is an address of this machine that is not its loopback.
func hostAddress(t testing.TB) netip.Addr {
	addrs, err := net.InterfaceAddrs()
	must(t, err)
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() && !p.Addr().IsLoopback() {
			return p.Addr()
		}
	}
	t.Skip("this machine has no address but its loopback")
	panic("unreachable")
}

// fakeNames resolves names.
type fakeNames map[string][]netip.Addr

func (f fakeNames) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if a, ok := f[host]; ok {
		return a, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}
func (f fakeNames) LookupTXT(context.Context, string) ([]string, error) { return []string{"text"}, nil }
func (f fakeNames) LookupMX(context.Context, string) ([]*net.MX, error) { return nil, nil }
func (f fakeNames) LookupSRV(context.Context, string, string, string) (string, []*net.SRV, error) {
	return "", nil, nil
}

// reverse is a server that answers each connection with the digest of what comes until its end, and then a mebibyte.
func digestServer(t testing.TB, address string) (port int) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	must(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				h := sha256.New()
				io.Copy(h, c)
				fmt.Fprintf(c, "%x", h.Sum(nil))
				c.Write(bytes.Repeat([]byte("x"), 1<<20))
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

const outsidePython = `
import hashlib, socket
def tcp(host, port):
    try:
        with socket.create_connection((host, port), timeout=5) as s:
            data = b"0123456789abcdef" * 200000
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            back = b""
            while True:
                b = s.recv(1 << 16)
                if not b:
                    break
                back += b
        return [back[:64].decode() == hashlib.sha256(data).hexdigest(), len(back) - 64]
    except OSError as e:
        return type(e).__name__
def udp(host, port):
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(5)
            s.connect((host, port))
            s.send(b"ping")
            return s.recv(100).decode()
    except OSError as e:
        return type(e).__name__
def name(host):
    try:
        return sorted({a[4][0] for a in socket.getaddrinfo(host, 80, type=socket.SOCK_STREAM)})
    except OSError as e:
        return type(e).__name__
def handler(event, context):
    return [globals()[kind](*args) for kind, *args in event]
`

func (h *harness) ask(f *Function, event any) string {
	h.t.Helper()
	b, err := json.Marshal(event)
	must(h.t, err)
	return h.invoke(f, string(b))
}

// Functions reach what is permitted, by TCP and UDP, whole and in both directions, and are refused the rest at once.
func TestOutside(t *testing.T) {
	t.Parallel()
	host := hostAddress(t)
	port := digestServer(t, netip.AddrPortFrom(host, 0).String())
	loopback := digestServer(t, "127.0.0.1:0")
	pc, err := net.ListenPacket("udp", netip.AddrPortFrom(host, 0).String())
	must(t, err)
	t.Cleanup(func() { pc.Close() })
	go func() {
		b := make([]byte, 100)
		for {
			n, from, err := pc.ReadFrom(b)
			if err != nil {
				return
			}
			pc.WriteTo(append(b[:n], " pong"...), from)
		}
	}()
	udpPort := pc.LocalAddr().(*net.UDPAddr).Port
	names := fakeNames{
		"public.example.": {host}, "mixed.example.": {host, netip.MustParseAddr("10.0.0.1")},
		"rebound.example.": {netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("169.254.169.254")},
	}
	h := newOutsideHarness(t, echoRequest, &sandboxnet.Egress{Allowed: []netip.Prefix{netip.PrefixFrom(host, 32)}}, names)
	if !h.config.Driver.Features().Link {
		t.Skip("sandboxes have no links here")
	}
	f := h.python(outsidePython)
	f.Timeout = 60 * time.Second
	own := fmt.Sprintf(`["%s"]`, host)
	for _, c := range []struct {
		event []any
		want  string
	}{
		{[]any{"tcp", host, port}, "[true, 1048576]"},
		{[]any{"tcp", "public.example", port}, "[true, 1048576]"},
		{[]any{"udp", host, udpPort}, `"ping pong"`},
		{[]any{"tcp", host, 1}, `"ConnectionRefusedError"`},
		{[]any{"name", "public.example"}, own},
		{[]any{"name", "mixed.example"}, own},
		{[]any{"name", "rebound.example"}, `"gaierror"`},
		{[]any{"name", "missing.example"}, `"gaierror"`},
		{[]any{"tcp", "127.0.0.1", loopback}, `"ConnectionRefusedError"`}, // its own loopback
		{[]any{"tcp", "169.254.169.254", 80}, `"ConnectionRefusedError"`},
		{[]any{"tcp", "169.254.76.2", 80}, `"ConnectionRefusedError"`},
		{[]any{"tcp", "10.0.0.1", 80}, `"ConnectionRefusedError"`},
		{[]any{"tcp", "192.168.1.1", 80}, `"ConnectionRefusedError"`},
		{[]any{"tcp", "203.0.113.1", 80}, `"ConnectionRefusedError"`},
		{[]any{"udp", "10.0.0.1", 53}, `"ConnectionRefusedError"`},
	} {
		if got := h.ask(f, []any{c.event}); got != "["+c.want+"]" {
			t.Errorf("%v: %s, want %s", c.event, got, c.want)
		}
	}

	// Without the permission, this machine's own address is out of reach as well.
	h = newOutsideHarness(t, echoRequest, &sandboxnet.Egress{}, names)
	if got := h.ask(h.python(outsidePython), []any{[]any{"tcp", host, port}}); got != `["ConnectionRefusedError"]` {
		t.Errorf("an address of this machine: %s", got)
	}
	// With no network at all there is not even a route.
	h = newOutsideHarness(t, echoRequest, nil, nil)
	if got := h.ask(h.python(outsidePython), []any{[]any{"tcp", host, port}, []any{"name", "public.example"}}); got != `["OSError", "gaierror"]` {
		t.Errorf("no network: %s", got)
	}
}

// A server on another machine, which is a network namespace with an address that looks public.
func TestOutsideNamespace(t *testing.T) {
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		t.Skip("not root on Linux")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip(err)
	}
	name := fmt.Sprintf("brume-test-%d", os.Getpid())
	link := fmt.Sprintf("brt%d", os.Getpid()%100000)
	ip := func(args string) error {
		out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("ip %s: %w: %s", args, err, out)
		}
		return nil
	}
	if err := ip("netns add " + name); err != nil {
		t.Skip(err)
	}
	defer ip("netns del " + name)
	for _, args := range []string{
		"link add " + link + " type veth peer name " + link + "p", "link set " + link + "p netns " + name,
		"addr add 203.0.113.2/24 dev " + link, "link set " + link + " up",
		"-n " + name + " addr add 203.0.113.1/24 dev " + link + "p", "-n " + name + " addr add 198.51.100.7/24 dev " + link + "p",
		"-n " + name + " link set " + link + "p up", "-n " + name + " link set lo up",
		"route add 198.51.100.0/24 dev " + link,
	} {
		must(t, ip(args))
	}
	defer ip("link del " + link)
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip(err)
	}
	server := exec.Command("ip", "netns", "exec", name, python, "-m", "http.server", "8080", "--directory", t.TempDir())
	must(t, server.Start())
	defer func() {
		server.Process.Kill()
		server.Wait()
	}()
	for range 500 {
		c, err := net.DialTimeout("tcp", "203.0.113.1:8080", time.Second)
		if err == nil {
			c.Close()
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	h := newOutsideHarness(t, echoRequest, &sandboxnet.Egress{
		Allowed: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("198.51.100.0/24")},
		Denied:  []netip.Prefix{netip.MustParsePrefix("198.51.100.7/32")},
	}, fakeNames{"api.example.": {netip.MustParseAddr("203.0.113.1")}})
	f := h.python(`
import urllib.request
def handler(event, context):
    try:
        with urllib.request.urlopen(event, timeout=5) as r:
            return r.status
    except OSError as e:
        return str(e)
`)
	for url, want := range map[string]string{
		"http://203.0.113.1:8080/": "200", "http://api.example:8080/": "200",
		"http://198.51.100.7:8080/": `"<urlopen error [Errno 111] Connection refused>"`,
	} {
		if got := h.ask(f, url); got != want {
			t.Errorf("%s: %s", url, got)
		}
	}
}
