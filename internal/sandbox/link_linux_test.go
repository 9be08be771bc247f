//go:build linux && (amd64 || arm64)

package sandbox

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"net"
	"testing"
	"time"
)

func init() {
	roles["link"] = func([]string) int {
		addrs, err := net.InterfaceAddrs()
		for _, a := range addrs {
			if ip := a.(*net.IPNet).IP; ip.To4() != nil {
				fmt.Println(a, err)
			}
		}
		c, err := net.Dial("udp", "203.0.113.9:4000")
		if err != nil {
			panic(err)
		}
		fmt.Println(c.Write([]byte("out")))
		c.SetReadDeadline(time.Now().Add(10 * time.Second))
		b := make([]byte, 100)
		n, err := c.Read(b)
		fmt.Println(string(b[:n]), err)
		return 0
	}
}

// What the function sends comes out at the link as frames, and what we send there reaches it.
func TestLink(t *testing.T) {
	d := openLinux(t)
	defer d.Close()
	if !d.Features().Link {
		t.Skip(d.noLink)
	}
	before := belongings(t, d)
	c := roleConfig(t, d, "link")
	c.Link = true
	p := start(t, d, c)
	frame := make([]byte, 64<<10)
	p.Link().SetReadDeadline(time.Now().Add(10 * time.Second))
	n, err := p.Link().Read(frame)
	if err != nil {
		t.Fatal(err)
	}
	frame = frame[:n]
	ip := frame[14:]
	if binary.BigEndian.Uint16(frame[12:]) != etherIPv4 || ip[9] != 17 || net.IP(ip[12:16]).String() != LinkAddress ||
		net.IP(ip[16:20]).String() != "203.0.113.9" || !bytes.HasSuffix(frame, []byte("out")) {
		t.Fatalf("%x", frame)
	}
	// Back to where it came from: addresses and ports change places, which leaves the checksums as they are. There is none
	// over UDP.
	answer := bytes.Clone(frame)
	copy(answer[len(answer)-3:], "in!")
	copy(answer[14+12:], ip[16:20])
	copy(answer[14+16:], ip[12:16])
	copy(answer[14+20:], ip[22:24])
	copy(answer[14+22:], ip[20:22])
	copy(answer[14+26:], []byte{0, 0})
	if _, err := p.Link().Write(answer); err != nil {
		t.Fatal(err)
	}
	if out := p.ok(t); out != "127.0.0.1/8 <nil>\n"+LinkAddress+"/30 <nil>\n3 <nil>\nin! <nil>\n" {
		t.Errorf("%q", out)
	}
	if _, err := p.Link().Write(answer); err == nil {
		t.Error("the link outlives the sandbox")
	}
	if after := belongings(t, d); !maps.Equal(after, before) {
		t.Errorf("left: %v, before: %v", after, before)
	}
}
