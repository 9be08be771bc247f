package sandbox

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func init() {
	// counts, in itself and in a child, and prints one line for each ten milliseconds.
	roles["count"] = func(args []string) int {
		if len(args) == 0 {
			exe, err := os.Executable()
			if err != nil {
				panic(err)
			}
			child := exec.Command(exe, "child")
			child.Stdout = os.Stdout
			if err := child.Start(); err != nil {
				panic(err)
			}
		}
		for {
			fmt.Println("tick", len(args))
			time.Sleep(10 * time.Millisecond)
		}
	}
}

func testFreeze(t *testing.T, d Driver) {
	p := start(t, d, roleConfig(t, d, "count"))
	ticks := make(chan string, 1<<16)
	go func() {
		defer close(ticks)
		b := make([]byte, 1<<16)
		for {
			n, err := p.out.Read(b)
			if err != nil {
				return
			}
			for line := range strings.Lines(string(b[:n])) {
				ticks <- line
			}
		}
	}()
	both := func() {
		t.Helper()
		seen := map[string]bool{}
		for deadline := time.After(20 * time.Second); len(seen) < 2; {
			select {
			case l := <-ticks:
				seen[l] = true
			case <-deadline:
				t.Fatalf("only %v run", seen)
			}
		}
	}
	both()
	for range 3 {
		if err := p.Freeze(); err != nil {
			t.Fatal(err)
		}
		for round := 0; ; round++ { // what was under way may still come
			for len(ticks) > 0 {
				<-ticks
			}
			time.Sleep(100 * time.Millisecond)
			if len(ticks) == 0 {
				break
			}
			if round == 50 {
				t.Fatalf("%d ticks of what is frozen", len(ticks))
			}
		}
		if err := p.Thaw(); err != nil {
			t.Fatal(err)
		}
		both()
	}
	if err := p.Freeze(); err != nil {
		t.Fatal(err)
	}
	p.Kill()
	if exit := p.Wait(); exit.Code != -1 {
		t.Errorf("%+v", exit)
	}
	if err := p.Thaw(); err != nil {
		t.Error(err)
	}
	for range ticks {
	}
	p.out.Close()
}
