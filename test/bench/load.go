package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// result is what one load measured.
type result struct {
	name      string
	perSecond float64
	cpu       time.Duration // of the server process, per request
	p50, p99  time.Duration
}

// rawRequest is a request as it goes over the wire, made once and sent many times, so that the client costs little.
func rawRequest(r *http.Request, body []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", r.Method, r.URL.RequestURI(), r.URL.Host, len(body))
	for name, values := range r.Header {
		for _, v := range values {
			fmt.Fprintf(&b, "%s: %s\r\n", name, v)
		}
	}
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}

// load sends requests to addr in turn, and divides the CPU time that the process pid spent by their number. Every answer
// must be 200. The first second warms up and is not counted.
func (b *bench) load(name string, pid int, requests [][]byte, addr string) (result, error) {
	warm := time.Now().Add(time.Second)
	end := warm.Add(b.duration)
	var mu sync.Mutex
	var all []time.Duration
	var firstErr error
	var wg sync.WaitGroup
	for w := range b.workers {
		wg.Go(func() {
			latencies, err := loadOne(requests, addr, w, warm, end)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, latencies...)
			if err != nil && firstErr == nil {
				firstErr = err
			}
		})
	}
	time.Sleep(time.Until(warm))
	before, err := cpuTime(pid)
	if err != nil {
		return result{}, err
	}
	time.Sleep(time.Until(end))
	after, err := cpuTime(pid)
	if err != nil {
		return result{}, err
	}
	wg.Wait()
	if firstErr != nil {
		return result{}, fmt.Errorf("%s: %w", name, firstErr)
	}
	if len(all) == 0 {
		return result{}, fmt.Errorf("%s: no request was answered in %s", name, b.duration)
	}
	slices.Sort(all)
	n := len(all)
	return result{
		name: name, perSecond: float64(n) / b.duration.Seconds(), cpu: (after - before) / time.Duration(n),
		p50: all[n/2], p99: all[n*99/100],
	}, nil
}

func loadOne(requests [][]byte, addr string, first int, warm, end time.Time) ([]time.Duration, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	r := bufio.NewReaderSize(conn, 64<<10)
	var latencies []time.Duration
	for i := first * 61; ; i++ {
		start := time.Now()
		if start.After(end) {
			return latencies, nil
		}
		if _, err := conn.Write(requests[i%len(requests)]); err != nil {
			return latencies, err
		}
		if err := readResponse(r); err != nil {
			return latencies, err
		}
		if start.After(warm) {
			latencies = append(latencies, time.Since(start))
		}
	}
}

// readResponse reads a response with a Content-Length, which all that is measured here have.
func readResponse(r *bufio.Reader) error {
	status, err := r.ReadString('\n')
	if err != nil {
		return err
	}
	length := -1
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		if name, value, ok := bytes.Cut(line, []byte(":")); ok && bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		}
	}
	if length < 0 {
		return fmt.Errorf("no Content-Length in the response %q", status)
	}
	if !strings.HasPrefix(status, "HTTP/1.1 200") {
		body := make([]byte, length)
		if _, err := io.ReadFull(r, body); err != nil {
			return err
		}
		return fmt.Errorf("%s %s", strings.TrimSpace(status), body)
	}
	_, err = r.Discard(length)
	return err
}

// cpuTime is the user and system time of a process, without its children.
// https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
func cpuTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The second field, the name, may hold blanks; the rest follows its parenthesis.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100, nil
}

// rssBytes is the resident set of a process.
func rssBytes(pid int) (int64, error) {
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, err
	}
	pages, err := strconv.ParseInt(strings.Fields(string(statm))[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}

// startEcho starts this program as an echo server, in a process of its own so that its CPU time can be told.
func startEcho() (*exec.Cmd, string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	cmd := exec.Command(self, echoArg)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	if err := cmd.Start(); err != nil {
		return nil, "", err
	}
	addr, err := bufio.NewReader(out).ReadString('\n')
	return cmd, strings.TrimSpace(addr), err
}

func serveEcho() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Write(body)
	}))
}
