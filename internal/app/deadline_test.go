package app

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

func TestLazyDeadlines(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	accepted, err := lazyListener{l.(*net.TCPListener)}.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	conn := accepted.(*lazyConn)
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	buf := make([]byte, 1)
	timesOut := func(after time.Duration) {
		t.Helper()
		began := time.Now()
		if _, err := conn.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("read: %v", err)
		}
		if d := time.Since(began); d < after {
			t.Fatalf("timed out after %v, before %v", d, after)
		}
	}
	const short, long = 20 * time.Millisecond, 100 * time.Millisecond
	// One that is moved away holds where it was moved to, though the connection still has the first.
	ok(conn.SetReadDeadline(time.Now().Add(short)))
	ok(conn.SetReadDeadline(time.Now().Add(long)))
	timesOut(long - time.Millisecond)
	// One that is moved nearer holds there.
	ok(conn.SetReadDeadline(time.Now().Add(time.Hour)))
	ok(conn.SetDeadline(time.Now().Add(short)))
	timesOut(short - time.Millisecond)
	// One that has passed ends every read at once, also one under way, until another is set.
	ok(conn.SetReadDeadline(time.Time{}))
	time.AfterFunc(short, func() { conn.SetReadDeadline(time.Unix(1, 0)) })
	timesOut(short - time.Millisecond)
	timesOut(0)
	// One that is taken away leaves a read waiting, though the connection still has one.
	ok(conn.SetReadDeadline(time.Now().Add(short)))
	ok(conn.SetReadDeadline(time.Time{}))
	time.AfterFunc(long, func() { client.Write([]byte("x")) })
	began := time.Now()
	if _, err := conn.Read(buf); err != nil || time.Since(began) < long-time.Millisecond {
		t.Fatalf("read after %v: %v", time.Since(began), err)
	}
	// The other end's end is an end.
	client.Close()
	if _, err := conn.Read(buf); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read from a closed connection: %v", err)
	}
}
