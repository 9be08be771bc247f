package sandbox

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func init() {
	roles["doze"] = func([]string) int {
		fmt.Println("asleep")
		time.Sleep(time.Minute)
		return 1
	}
	// accepts and closes connections at a free port, and says which.
	roles["accept"] = func([]string) int {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		fmt.Println(l.Addr().(*net.TCPAddr).Port)
		for {
			c, err := l.Accept()
			if err != nil {
				panic(err)
			}
			c.Close()
		}
	}
	// serves one connection at a free port, and says which, until that is over.
	roles["serve"] = func([]string) int {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		fmt.Println(l.Addr().(*net.TCPAddr).Port)
		c, err := l.Accept()
		if err != nil {
			panic(err)
		}
		if _, err := io.Copy(c, c); err != nil {
			panic(err)
		}
		c.Close()
		return 0
	}
}

// companion adds a companion in a role to c, and returns a channel that gets how it ends.
func companion(c *Config, role string, args ...string) <-chan Exit {
	ended := make(chan Exit, 1)
	c.Companions = append(c.Companions, Companion{
		Command: append([]string{c.Command[0]}, args...),
		Env:     []string{roleEnv + "=" + role, raceOptions},
		Ended:   func(e Exit) { ended <- e },
	})
	return ended
}

func within(t *testing.T, ended <-chan Exit) Exit {
	t.Helper()
	select {
	case e := <-ended:
		return e
	case <-time.After(20 * time.Second):
		t.Fatal("nobody has said that it ended")
		panic("unreachable")
	}
}

// Companions have an environment and an output of their own; how each ends is told, and with the command all end.
func testCompanions(t *testing.T, d Driver) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	m := marker(t)
	c := roleConfig(t, d, "serve")
	c.CompanionOutput = w
	fails := companion(c, "exit", "3")
	killed := companion(c, "signal", strconv.Itoa(int(syscall.SIGTERM)))
	prints := companion(c, "output")
	stays := companion(c, "doze", m)
	p := start(t, d, c)
	w.Close()
	port, err := strconv.Atoi(p.line(t))
	if err != nil {
		t.Fatal(err)
	}
	if e := within(t, fails); e.Code != 3 || e.Signal != 0 {
		t.Errorf("%+v", e)
	}
	if e := within(t, killed); e.Code != -1 || e.Signal != syscall.SIGTERM {
		t.Errorf("%+v", e)
	}
	if e := within(t, prints); e.Code != 0 || e.Signal != 0 {
		t.Errorf("%+v", e)
	}
	output := bufio.NewReader(r)
	text := ""
	for !strings.Contains(text, "asleep\n") || !strings.Contains(text, "to stderr\n") {
		line, err := output.ReadString('\n')
		if err != nil {
			t.Fatalf("%q %v", text, err)
		}
		text += line
	}
	if marked(t, m) == 0 {
		t.Error("the companion that stays is not there")
	}
	nc, err := p.Dial(t.Context(), uint16(port))
	if d.Features().PrivateRoot {
		if !errors.Is(err, ErrEnded) {
			t.Errorf("a sandbox without Dial: %v", err)
		}
		p.Kill()
	} else if err != nil {
		t.Error(err)
	} else {
		nc.Close()
	}
	p.Wait()
	waitNone(t, d, m)
	select {
	case e := <-stays:
		t.Errorf("told of a companion that ended with the sandbox: %+v", e)
	default:
	}
	if out, err := io.ReadAll(output); err != nil || !strings.Contains(text, "to stdout\n") || len(out) > 0 {
		t.Errorf("%q %q %v", text, out, err)
	}
	p.out.Close()
}

// With Ended the companions live on after the command.
func testCompanionsOutlive(t *testing.T, d Driver) {
	m := marker(t)
	other := marker(t)
	c := roleConfig(t, d, "tree", other)
	companion(c, "sleep", m)
	ended := make(chan Exit, 1)
	c.Ended = func(e Exit) { ended <- e }
	p := start(t, d, c)
	p.SignalCommand(syscall.SIGWINCH) // which does nothing
	if got := p.line(t); got != "up" || marked(t, other) == 0 {
		t.Error(got)
	}
	p.SignalCommand(syscall.SIGKILL)
	if e := within(t, ended); e.Signal != syscall.SIGKILL || e.OutOfMemory {
		t.Errorf("%+v", e)
	}
	waitNone(t, d, other)
	select {
	case <-p.Done():
		t.Fatal("the companion has ended with the command")
	case <-time.After(50 * time.Millisecond):
	}
	if marked(t, m) == 0 {
		t.Error("the companion is gone")
	}
	p.Kill()
	if e := p.Wait(); e.Signal != syscall.SIGKILL {
		t.Errorf("%+v", e)
	}
	p.out.Close()
	waitNone(t, d, m)
}

// A companion that cannot be executed keeps the whole sandbox from starting.
func testCompanionMissing(t *testing.T, d Driver) {
	m := marker(t)
	c := roleConfig(t, d, "sleep", m)
	c.Companions = []Companion{{Command: []string{"/missing/program"}}}
	_, err := d.Start(t.Context(), c)
	if !errors.Is(err, os.ErrNotExist) && (err == nil || !strings.Contains(err.Error(), "no such file")) {
		t.Errorf("%v", err)
	}
	if err != nil && !strings.HasPrefix(err.Error(), "sandbox: execute /missing/program: ") {
		t.Errorf("%v", err)
	}
	waitNone(t, d, m)
	c.Companions = make([]Companion, MaxCompanions+1)
	if _, err := d.Start(t.Context(), c); err == nil {
		t.Error("more companions than there may be")
	}
}

// What listens inside is reached, what does not is refused, and what listens outside is not there.
func testDial(t *testing.T, d Driver) {
	outside, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer outside.Close()
	c := roleConfig(t, d, "serve")
	c.Dial = true
	p := start(t, d, c)
	port, err := strconv.Atoi(p.line(t))
	if err != nil {
		t.Fatal(err)
	}
	if d.Features().PrivateRoot {
		_, err := p.Dial(t.Context(), uint16(outside.Addr().(*net.TCPAddr).Port))
		if !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("outside: %v", err)
		}
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Dial(canceled, uint16(port)); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	if d.Features().PrivateRoot { // the listener has taken that connection
		p.Kill()
		p = start(t, d, c)
		if port, err = strconv.Atoi(p.line(t)); err != nil {
			t.Fatal(err)
		}
	}
	nc, err := p.Dial(t.Context(), uint16(port))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := io.WriteString(nc, "hello\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(nc).ReadString('\n'); line != "hello\n" {
		t.Errorf("%q %v", line, err)
	}
	nc.Close()
	p.ok(t)
	if _, err := p.Dial(t.Context(), uint16(port)); err == nil {
		t.Error("dialled into a sandbox that has ended")
	}
}
