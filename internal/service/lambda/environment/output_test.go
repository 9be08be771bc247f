package environment

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// lines collects what an output emits.
type lines struct {
	mu  sync.Mutex
	got []string
}

func (l *lines) add(line []byte) {
	l.mu.Lock()
	l.got = append(l.got, string(line))
	l.mu.Unlock()
}

func (l *lines) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	got := l.got
	l.got = nil
	return got
}

func startOutput(t testing.TB) (*output, *os.File, *lines) {
	t.Helper()
	r, w, err := os.Pipe()
	must(t, err)
	l := &lines{}
	o, err := readOutput(r, l.add)
	must(t, err)
	t.Cleanup(func() {
		w.Close()
		<-o.done
	})
	return o, w, l
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestDrainSeesWhatWasWrittenBefore(t *testing.T) {
	o, w, l := startOutput(t)
	for i := range 500 {
		want := fmt.Sprintf("line %d\n", i)
		_, err := w.WriteString(want)
		must(t, err)
		o.drain()
		if got := l.take(); len(got) != 1 || got[0] != want {
			t.Fatalf("after %q: %q", want, got)
		}
	}
	_, err := w.WriteString("no end")
	must(t, err)
	o.drain()
	if got := l.take(); len(got) != 1 || got[0] != "no end" {
		t.Fatalf("%q", got)
	}
	full := strings.Repeat("x", pipeSize-1) + "\n" // a pipe holds no more
	_, err = w.WriteString(full)
	must(t, err)
	o.drain()
	if got := l.take(); len(got) != 1 || got[0] != full {
		t.Fatalf("%d lines", len(got))
	}
}

func TestOutputIsReadWithoutDrain(t *testing.T) {
	o, w, l := startOutput(t)
	big := bytes.Repeat([]byte("0123456789abcde\n"), 64<<10) // 1 MiB: far more than a pipe holds
	_, err := w.Write(append(big, "the end"...))
	must(t, err)
	w.Close()
	select {
	case <-o.done:
	case <-time.After(10 * time.Second):
		t.Fatal("the reader does not end")
	}
	got := l.take()
	if len(got) != 64<<10+1 || strings.Join(got, "") != string(big)+"the end" {
		t.Errorf("%d lines", len(got))
	}
	o.drain() // after the end it does nothing
}

func TestOutputCutsLongLines(t *testing.T) {
	for _, tt := range []struct{ in, want []int }{
		{[]int{maxLine - 1}, []int{maxLine}}, // with its line feed exactly one event
		{[]int{maxLine}, []int{maxLine, 1}},  // the line feed is over
		{[]int{2*maxLine - 1}, []int{maxLine, maxLine}},
		{[]int{10, 20}, []int{11, 21}},
	} {
		var got []int
		o := &output{emit: func(b []byte) { got = append(got, len(b)) }}
		for _, n := range tt.in {
			data := append(bytes.Repeat([]byte("x"), n), '\n')
			for part := range slices.Chunk(data, readSize) {
				o.split(part)
			}
		}
		o.flush()
		if !slices.Equal(got, tt.want) {
			t.Errorf("lines of %v become events of %v, want %v", tt.in, got, tt.want)
		}
	}
}

func FuzzOutputSplit(f *testing.F) {
	f.Add([]byte("a\nb\n\nc"), uint16(2))
	f.Add(bytes.Repeat([]byte("x"), 100), uint16(7))
	f.Fuzz(func(t *testing.T, data []byte, chunk uint16) {
		var got []byte
		o := &output{emit: func(b []byte) {
			if len(b) == 0 || len(b) > maxLine || bytes.IndexByte(b[:len(b)-1], '\n') >= 0 {
				t.Fatalf("event %q", b)
			}
			got = append(got, b...)
		}}
		for part := range slices.Chunk(data, int(chunk)+1) {
			o.split(part)
		}
		o.flush()
		if !bytes.Equal(got, data) {
			t.Fatalf("%q became %q", data, got)
		}
	})
}
