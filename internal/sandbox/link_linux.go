//go:build linux && (amd64 || arm64)

package sandbox

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// The link of a sandbox is a pair of virtual Ethernet interfaces in its own network namespace: one has the address and the
// default route, and a packet socket on the other, which only we have, carries what is sent. Unlike a TUN device it takes no
// device file, which an ordinary user may not be allowed to open.

// linkSteps begins the names of the steps.
const linkSteps = "link"

const (
	linkIndex = 2 // 1 is the loopback
	peerIndex = 3
	peerName  = "brume0"
	// vethInfoPeer is VETH_INFO_PEER of linux/veth.h.
	vethInfoPeer = 1
	etherIPv4    = 0x0800
)

// link makes the link and returns the descriptor of its other end.
func (s *script) link() int {
	fd := s.callFD("link netlink", unix.SYS_SOCKET, num(unix.AF_NETLINK), num(unix.SOCK_RAW|unix.SOCK_CLOEXEC), num(unix.NETLINK_ROUTE))
	msg := newLink()
	s.call("link interfaces", unix.SYS_SENDTO, num(fd), s.bytes(msg), num(len(msg)), num(0), num(0), num(0)).want = int64(len(msg))
	s.close(fd)

	fd = s.callFD("link socket", unix.SYS_SOCKET, num(unix.AF_INET), num(unix.SOCK_DGRAM|unix.SOCK_CLOEXEC), num(0))
	// A failure of the request above shows here: there is no such interface.
	s.call("link up", unix.SYS_IOCTL, num(fd), num(unix.SIOCSIFFLAGS), s.bytes(ifreq(peerName, flags(unix.IFF_UP))))
	s.call("link address", unix.SYS_IOCTL, num(fd), num(unix.SIOCSIFADDR), s.bytes(ifreq(LinkName, inet(LinkAddress))))
	s.call("link mask", unix.SYS_IOCTL, num(fd), num(unix.SIOCSIFNETMASK), s.bytes(ifreq(LinkName, inet("255.255.255.252"))))
	// Nobody answers ARP, and nobody needs to.
	s.call("link up", unix.SYS_IOCTL, num(fd), num(unix.SIOCSIFFLAGS), s.bytes(ifreq(LinkName, flags(unix.IFF_UP|unix.IFF_NOARP))))
	s.call("link route", unix.SYS_IOCTL, num(fd), num(unix.SIOCADDRT), s.bytes(defaultRoute()))
	s.close(fd)

	end := s.callFD("link end", unix.SYS_SOCKET, num(unix.AF_PACKET), num(unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK), num(0))
	sll := make([]byte, unix.SizeofSockaddrLinklayer)
	binary.NativeEndian.PutUint16(sll, unix.AF_PACKET)
	binary.BigEndian.PutUint16(sll[2:], etherIPv4)
	binary.NativeEndian.PutUint32(sll[4:], peerIndex)
	s.call("link end", unix.SYS_BIND, num(end), s.bytes(sll), num(len(sll)))
	return end
}

// newLink is the request for both interfaces, see rtnetlink(7).
func newLink() []byte {
	ifinfo := func(index int) []byte {
		b := make([]byte, unix.SizeofIfInfomsg)
		binary.NativeEndian.PutUint32(b[4:], uint32(index))
		return b
	}
	mtu := attr(unix.IFLA_MTU, binary.NativeEndian.AppendUint32(nil, LinkMTU))
	name := func(s string) []byte { return attr(unix.IFLA_IFNAME, append([]byte(s), 0)) }
	peer := slices.Concat(ifinfo(peerIndex), name(peerName), mtu)
	body := slices.Concat(ifinfo(linkIndex), name(LinkName), mtu)
	body = append(body, attr(unix.IFLA_LINKINFO, append(
		attr(unix.IFLA_INFO_KIND, []byte("veth")),
		attr(unix.IFLA_INFO_DATA, attr(vethInfoPeer, peer))...))...)
	head := make([]byte, unix.SizeofNlMsghdr)
	binary.NativeEndian.PutUint32(head, uint32(len(head)+len(body)))
	binary.NativeEndian.PutUint16(head[4:], unix.RTM_NEWLINK)
	binary.NativeEndian.PutUint16(head[6:], unix.NLM_F_REQUEST|unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	return append(head, body...)
}

// attr is a netlink attribute, with its padding.
func attr(typ int, data []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(data)))
	b = binary.NativeEndian.AppendUint16(b, uint16(typ))
	b = append(b, data...)
	return append(b, make([]byte, -len(b)&3)...)
}

// ifreq is a struct ifreq, see netdevice(7).
func ifreq(name string, value []byte) []byte {
	b := make([]byte, 40)
	copy(b, name)
	copy(b[16:], value)
	return b
}

func flags(f uint16) []byte { return binary.NativeEndian.AppendUint16(nil, f) }

// inet is the address as a struct sockaddr_in, with no port.
func inet(addr string) []byte {
	_, sa := sockaddr(netip.AddrPortFrom(netip.MustParseAddr(addr), 0))
	return sa
}

// defaultRoute is a struct rtentry, see linux/route.h: dst, gateway and mask at 8, 24 and 40, flags at 56.
func defaultRoute() []byte {
	b := make([]byte, 120)
	copy(b[8:], inet("0.0.0.0"))
	copy(b[24:], inet(LinkGateway))
	copy(b[40:], inet("0.0.0.0"))
	binary.NativeEndian.PutUint16(b[56:], unix.RTF_UP|unix.RTF_GATEWAY)
	return b
}
