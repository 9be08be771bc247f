package pebblekv_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"brume/internal/kv"
	"brume/internal/kv/pebblekv"
)

// crashDir is the environment variable that makes this test binary the child of TestCrash.
const crashDir = "BRUME_CRASH_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		if err := crashChild(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

const crashWorkers = 8

// crashChild writes until it is killed, and says on its standard output what was acknowledged.
func crashChild(dir string) error {
	s, err := pebblekv.Open(context.Background(), pebblekv.Options{Dir: dir})
	if err != nil {
		return err
	}
	fmt.Println("open")
	failed := make(chan error)
	for w := range crashWorkers {
		go func() {
			for {
				var next int64
				err := s.Update(context.Background(), func(tx kv.Tx) error {
					last, err := readRound(tx, w)
					if err != nil {
						return err
					}
					next = last + 1
					return writeRound(tx, w, next, rand.IntN(16<<10))
				})
				if err != nil {
					failed <- err
					return
				}
				// One write of less than a pipe holds: the lines of two workers do not mix.
				if _, err := os.Stdout.WriteString(fmt.Sprintf("ack %d %d\n", w, next)); err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	return <-failed
}

// A process is killed again and again while it writes. After each time everything acknowledged is there, and nothing is
// there in part.
func TestCrash(t *testing.T) {
	rounds := 10
	if os.Getenv("BRUME_SOAK") == "1" {
		rounds = 100
	} else if testing.Short() {
		rounds = 2
	}
	dir := t.TempDir()
	var acknowledged [crashWorkers]int64
	total := 0
	for round := range rounds {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), crashDir+"="+dir)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		child.Stderr = os.Stderr
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines := make(chan string, 1<<16)
		var read sync.WaitGroup
		read.Go(func() {
			defer close(lines)
			for in := bufio.NewScanner(out); in.Scan(); {
				lines <- in.Text()
			}
		})
		if round%4 != 3 { // otherwise it may die while it opens the store
			if line := <-lines; line != "open" {
				t.Fatalf("the child says %q", line)
			}
			if _, err := pebblekv.Open(context.Background(), pebblekv.Options{Dir: dir}); !errors.Is(err, pebblekv.ErrLocked) {
				t.Errorf("opening the store of another process: %v, want ErrLocked", err)
			}
		}
		time.Sleep(time.Duration(rand.IntN(120_000)) * time.Microsecond)
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		read.Wait()
		if err := child.Wait(); err == nil || child.ProcessState.Exited() {
			t.Fatalf("the child ended by itself: %v", child.ProcessState)
		}
		for line := range lines {
			var w int
			var n int64
			if _, err := fmt.Sscanf(line, "ack %d %d", &w, &n); err != nil {
				if line == "open" || errors.Is(err, io.ErrUnexpectedEOF) {
					continue
				}
				t.Fatalf("the child says %q: %v", line, err)
			}
			acknowledged[w] = n
			total++
		}
		s := open(t, pebblekv.Options{Dir: dir})
		err = s.View(context.Background(), func(r kv.Reader) error {
			for w := range crashWorkers {
				n, err := readRound(r, w)
				if err != nil {
					return err
				}
				if n < acknowledged[w] {
					t.Errorf("round %d: worker %d is at %d, %d was acknowledged", round, w, n, acknowledged[w])
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if total < 10*rounds {
		t.Errorf("only %d transactions in %d rounds", total, rounds)
	}
	t.Logf("%d transactions acknowledged in %d rounds", total, rounds)
}
