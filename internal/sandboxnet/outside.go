package sandboxnet

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// Bounds on what one sandbox does outside.
const (
	maxFlows = 512 // connections, and UDP sockets
	// maxAllFlows bounds those of all sandboxes: each is a descriptor of ours.
	maxAllFlows = 8192
	dialTimeout = 15 * time.Second
	// udpIdle is how long a UDP flow is kept on which nothing comes. The answers that most wait for come sooner.
	udpIdle = 30 * time.Second
	// stackIdle is how long the network stack of a sandbox is kept that has no flows.
	stackIdle = time.Minute
	// handshakes are how many connections may be on their way at one time.
	handshakes = 64
	queueSize  = 512 // packets to the sandbox
	nic        = 1
	ether      = 14 // the length of an Ethernet header
	maxFrame   = ether + 64<<10
	// tcpBuffer is how much a connection holds in each direction, at most.
	tcpBuffer = 1 << 20
)

// frames are the buffers for what sandboxes send: one that sends nothing has none.
var frames = sync.Pool{New: func() any { return new([maxFrame]byte) }}

// An outside is the world as a sandbox sees it at the end of its link. TCP connections and UDP flows of the sandbox end here,
// in a network stack of our own, and go on from sockets of this machine, if Egress permits. There is a stack only while
// something is sent.
type outside struct {
	a      *attachment
	link   *os.File
	mtu    uint32
	egress *Egress
	all    chan struct{} // one for each flow of all sandboxes
	dialer net.Dialer

	mu    sync.Mutex
	world *world
	mac   [6]byte // the sandbox's own
	flows int
	timer *time.Timer // ends world
}

// A world is the stack, and the goroutine that writes what it sends.
type world struct {
	stack  *stack.Stack
	link   *channel.Endpoint
	cancel context.CancelFunc
}

// serve reads frames until the link is closed.
func (o *outside) serve() error {
	raw, err := o.link.SyscallConn()
	if err != nil {
		return err
	}
	defer o.end()
	var failed error
	// Without deadlines Read itself fails only when the link is closed, whether it waits just then or begins later; the two
	// say so in different words.
	_ = raw.Read(func(fd uintptr) bool {
		frame := frames.Get().(*[maxFrame]byte)
		defer frames.Put(frame)
		for {
			n, err := syscall.Read(int(fd), frame[:])
			switch {
			case err == syscall.EINTR, err == syscall.ENETDOWN:
			case err == syscall.EAGAIN:
				return false
			case err != nil || n <= 0:
				failed = err
				return true
			default:
				o.receive(frame[:n])
			}
		}
	})
	return failed
}

// receive handles a frame. What is not IPv4 is dropped: so is ARP, for the interface does not need it.
func (o *outside) receive(frame []byte) {
	if len(frame) < ether || frame[12] != 0x08 || frame[13] != 0x00 {
		return
	}
	w := o.ensure([6]byte(frame[:6]))
	if w == nil {
		return
	}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(frame[ether:])})
	w.link.InjectInbound(ipv4.ProtocolNumber, pkt)
	pkt.DecRef()
}

// ensure returns the stack. The interface has no neighbours to ask, so its frames are addressed to itself.
func (o *outside) ensure(mac [6]byte) *world {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.world != nil || o.a.over() {
		return o.world
	}
	o.mac = mac
	link := channel.New(queueSize, o.mtu, "")
	// Checksums that the kernel of the sandbox leaves to hardware are not there.
	link.LinkEPCapabilities |= stack.CapabilityRXChecksumOffload
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol},
	})
	send := tcpip.TCPSendBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: 64 << 10, Max: tcpBuffer}
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: 64 << 10, Max: tcpBuffer}
	sack := tcpip.TCPSACKEnabled(true)
	for _, err := range []tcpip.Error{
		s.SetTransportProtocolOption(tcp.ProtocolNumber, &send),
		s.SetTransportProtocolOption(tcp.ProtocolNumber, &receive),
		s.SetTransportProtocolOption(tcp.ProtocolNumber, &sack),
		s.CreateNIC(nic, link),
		s.SetPromiscuousMode(nic, true), // packets to all addresses are ours
		s.SetSpoofing(nic, true),        // and so are answers from them
	} {
		if err != nil {
			panic("sandboxnet: " + err.String()) // these are settings of our own
		}
	}
	s.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: nic}})
	s.SetTransportProtocolHandler(tcp.ProtocolNumber, tcp.NewForwarder(s, 0, handshakes, o.connect).HandlePacket)
	s.SetTransportProtocolHandler(udp.ProtocolNumber, udp.NewForwarder(s, o.datagram).HandlePacket)
	ctx, cancel := context.WithCancel(o.a.ctx)
	w := &world{stack: s, link: link, cancel: cancel}
	o.world = w
	o.a.serving.Go(func() { o.send(ctx, link, mac) })
	o.timer = time.AfterFunc(stackIdle, o.rest)
	return w
}

// rest ends a stack that nothing uses.
func (o *outside) rest() {
	o.mu.Lock()
	w := o.world
	if o.flows > 0 || w == nil {
		if w != nil {
			o.timer.Reset(stackIdle)
		}
		o.mu.Unlock()
		return
	}
	o.world = nil
	o.mu.Unlock()
	w.close()
}

// end ends everything.
func (o *outside) end() {
	o.mu.Lock()
	w := o.world
	o.world = nil
	if o.timer != nil {
		o.timer.Stop()
	}
	o.mu.Unlock()
	if w != nil {
		w.close()
	}
}

func (w *world) close() {
	w.cancel()
	w.stack.Close()
	w.link.Close()
	w.stack.Wait()
}

// send writes what the stack sends to the sandbox. A frame that cannot be written is lost, as on a wire.
func (o *outside) send(ctx context.Context, link *channel.Endpoint, mac [6]byte) {
	frame := make([]byte, 0, ether+int(o.mtu))
	for {
		pkt := link.ReadContext(ctx)
		if pkt == nil {
			return
		}
		// To the sandbox, from nobody in particular.
		frame = append(append(frame[:0], mac[:]...), 2, 0, 0, 0, 0, 1, 0x08, 0x00)
		for _, part := range pkt.AsSlices() {
			frame = append(frame, part...)
		}
		pkt.DecRef()
		if _, err := o.link.Write(frame); errors.Is(err, os.ErrClosed) {
			return
		}
	}
}

// begin counts a flow, unless there are too many. Each begin that succeeds is followed by one finish.
func (o *outside) begin() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.flows == maxFlows || !o.a.enter() {
		return false
	}
	select {
	case o.all <- struct{}{}:
		o.flows++
		return true
	default:
		o.a.leave()
		return false
	}
}

func (o *outside) finish() {
	o.mu.Lock()
	o.flows--
	o.mu.Unlock()
	<-o.all
	o.a.leave()
}

// target is where a flow leads.
func target(id stack.TransportEndpointID) netip.AddrPort {
	addr, _ := netip.AddrFromSlice(id.LocalAddress.AsSlice())
	return netip.AddrPortFrom(addr, id.LocalPort)
}

// connect handles a connection that the sandbox opens, in a goroutine of its own. What is not permitted is refused at once.
func (o *outside) connect(r *tcp.ForwarderRequest) {
	to := target(r.ID())
	if !o.egress.permits(to) || !o.begin() {
		r.Complete(true)
		return
	}
	defer o.finish()
	ctx, cancel := context.WithTimeout(o.a.ctx, dialTimeout)
	out, err := o.dialer.DialContext(ctx, "tcp4", to.String())
	cancel()
	if err != nil {
		r.Complete(true)
		return
	}
	defer out.Close()
	var queue waiter.Queue
	ep, terr := r.CreateEndpoint(&queue)
	r.Complete(terr != nil)
	if terr != nil {
		return
	}
	in := gonet.NewTCPConn(&queue, ep)
	defer in.Close()
	join(o.a.ctx, in, out.(*net.TCPConn))
}

// A stream is a connection of which one direction can end before the other.
type stream interface {
	net.Conn
	CloseWrite() error
}

// join copies in both directions until both have ended, or one has failed.
func join(ctx context.Context, a, b stream) {
	stop := context.AfterFunc(ctx, func() {
		a.Close()
		b.Close()
	})
	defer stop()
	var both sync.WaitGroup
	for _, d := range [][2]stream{{a, b}, {b, a}} {
		both.Go(func() {
			if _, err := io.Copy(d[0], d[1]); err != nil {
				d[0].Close() // and the other copy ends too
				d[1].Close()
				return
			}
			_ = d[0].CloseWrite() // or it has ended already
		})
	}
	both.Wait()
}

// datagram handles the first datagram of a UDP flow. What is not permitted is unreachable.
func (o *outside) datagram(r *udp.ForwarderRequest) bool {
	to := target(r.ID())
	if !o.egress.permits(to) || !o.begin() {
		return false
	}
	var queue waiter.Queue
	ep, terr := r.CreateEndpoint(&queue)
	if terr != nil {
		o.finish()
		return true
	}
	in := gonet.NewUDPConn(&queue, ep)
	go func() { // which detach waits for, as it counts as active until finish
		defer o.finish()
		defer in.Close()
		out, err := o.dialer.DialContext(o.a.ctx, "udp4", to.String())
		if err != nil {
			return
		}
		defer out.Close()
		relay(o.a.ctx, in, out)
	}()
	return true
}

// relay passes datagrams on in both directions until nothing has come for a while.
func relay(ctx context.Context, a, b net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(ctx, func() {
		a.Close()
		b.Close()
	})
	defer stop()
	idle := time.AfterFunc(udpIdle, cancel)
	defer idle.Stop()
	var both sync.WaitGroup
	for _, d := range [][2]net.Conn{{a, b}, {b, a}} {
		both.Go(func() {
			defer cancel()
			buf := make([]byte, 64<<10)
			for {
				n, err := d[1].Read(buf)
				if err != nil {
					return
				}
				idle.Reset(udpIdle)
				if _, err := d[0].Write(buf[:n]); err != nil {
					return
				}
			}
		})
	}
	both.Wait()
}
