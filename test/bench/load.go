package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
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

	"golang.org/x/sys/unix"
)

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

// A request sends the i-th request of a load and waits for its answer, which must be a success.
type request func(i int) error

// raw sends requests in turn over a connection for each worker. A response with the status refused is as good as one with
// 200.
func (b *bench) raw(addr string, requests [][]byte, refused ...int) func() (request, func() error, error) {
	return func() (request, func() error, error) {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return nil, nil, err
		}
		r := bufio.NewReaderSize(conn, 64<<10)
		return func(i int) error {
			return exchange(conn, r, requests[i%len(requests)], refused...)
		}, conn.Close, nil
	}
}

// exchange sends a request and reads the answer, through a buffer that belongs to the connection.
func exchange(conn net.Conn, r *bufio.Reader, request []byte, refused ...int) error {
	if _, err := conn.Write(request); err != nil {
		return err
	}
	return readResponse(r, refused...)
}

// noEcho is the cost of an echo where there is none to compare with.
const noEcho = time.Hour

// A sample is what a load showed.
type sample struct {
	cpu       time.Duration // of the server, per request
	perSecond float64
	p50, p99  time.Duration
}

// load takes a sample, and prints it beside the echo's. A load that was not asked for is left out.
func (b *bench) load(name string, pid, perSecond int, connect func() (request, func() error, error)) error {
	if b.echo != 0 && !b.loads.MatchString(name) {
		return nil
	}
	s, err := b.sample(pid, perSecond, connect)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	b.echo = cmp.Or(b.echo, s.cpu)
	b.print(name, s)
	return nil
}

func (b *bench) print(name string, s sample) {
	ratio := ""
	if b.echo != noEcho {
		ratio = fmt.Sprintf("%.2f", s.cpu.Seconds()/b.echo.Seconds())
	}
	fmt.Printf("%-40s %10.0f %9.1f µs %10s %6.2f ms %6.2f ms\n", name, s.perSecond, s.cpu.Seconds()*1e6, ratio, s.p50.Seconds()*1e3, s.p99.Seconds()*1e3)
}

// sample lets all workers send requests, and divides the CPU time that the process pid spent by their number. With a
// perSecond they keep to that many requests in a second. For half that time before, nothing is counted.
func (b *bench) sample(pid, perSecond int, connect func() (request, func() error, error)) (sample, error) {
	begin := time.Now()
	warm := begin.Add(b.duration / 2)
	end := warm.Add(b.duration)
	var mu sync.Mutex
	var all []time.Duration
	var failed error
	var wg sync.WaitGroup
	for w := range b.workers {
		wg.Go(func() {
			latencies, err := b.loadOne(connect, w, perSecond, begin, warm, end)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, latencies...)
			failed = cmp.Or(failed, err)
		})
	}
	time.Sleep(time.Until(warm))
	before, err := cpuTime(pid)
	if err != nil {
		return sample{}, err
	}
	time.Sleep(time.Until(end))
	after, err := cpuTime(pid)
	if err != nil {
		return sample{}, err
	}
	wg.Wait()
	if failed != nil {
		return sample{}, failed
	}
	if len(all) == 0 {
		return sample{}, fmt.Errorf("no request was answered in %s", b.duration)
	}
	slices.Sort(all)
	n := len(all)
	return sample{(after - before) / time.Duration(n), float64(n) / b.duration.Seconds(), all[n/2], all[n*99/100]}, nil
}

// compareRounds is how often two loads are measured that are compared.
const compareRounds = 3

// compare measures two loads of Brume in turn, as other work on the machine comes and goes, and prints the median of each. It
// returns their CPU time per request; 0 if they were not asked for.
func (b *bench) compare(perSecond int, one, other string, oneRequests, otherRequests [][]byte) (oneCPU, otherCPU time.Duration, err error) {
	if !b.loads.MatchString(one) && !b.loads.MatchString(other) {
		return 0, 0, nil
	}
	var samples [2][]sample
	for range compareRounds {
		for i, requests := range [][][]byte{oneRequests, otherRequests} {
			s, err := b.sample(b.server.PID(), perSecond, b.raw(b.address(), requests))
			if err != nil {
				return 0, 0, fmt.Errorf("%s: %w", []string{one, other}[i], err)
			}
			samples[i] = append(samples[i], s)
		}
	}
	var cpu [2]time.Duration
	for i, name := range []string{one, other} {
		slices.SortFunc(samples[i], func(a, b sample) int { return cmp.Compare(a.cpu, b.cpu) })
		median := samples[i][compareRounds/2]
		b.print(name, median)
		cpu[i] = median.cpu
	}
	return cpu[0], cpu[1], nil
}

func (b *bench) loadOne(connect func() (request, func() error, error), worker, perSecond int, begin, warm, end time.Time) (latencies []time.Duration, err error) {
	send, closeIt, err := connect()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeIt()) }()
	due := begin
	const late = 50 * time.Millisecond // what comes later than that is not made up for: it would be another load
	if perSecond > 0 {
		due = begin.Add(time.Duration(worker) * time.Second / time.Duration(perSecond))
	}
	for n := 0; ; n++ {
		if perSecond > 0 {
			time.Sleep(time.Until(due))
			if now := time.Now(); now.Sub(due) > late {
				due = now
			}
			due = due.Add(time.Duration(b.workers) * time.Second / time.Duration(perSecond))
		}
		start := time.Now()
		if start.After(end) {
			return latencies, nil
		}
		if err := send(worker*61 + n); err != nil {
			return latencies, err
		}
		if start.After(warm) {
			latencies = append(latencies, time.Since(start))
		}
	}
}

// readResponse reads a response with a Content-Length, which all that is measured here have.
func readResponse(r *bufio.Reader, refused ...int) error {
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
	good := func(code int) bool { return strings.HasPrefix(status, fmt.Sprint("HTTP/1.1 ", code)) }
	if !good(http.StatusOK) && !slices.ContainsFunc(refused, good) {
		body := make([]byte, length)
		if _, err := io.ReadFull(r, body); err != nil {
			return err
		}
		return fmt.Errorf("%s %s", strings.TrimSpace(status), body)
	}
	_, err = r.Discard(length)
	return err
}

// cpuTime is the user and system time of a process, without its children, in nanoseconds: its clock is the one that
// clock_getcpuclockid(3) finds.
func cpuTime(pid int) (time.Duration, error) {
	const sched = 2 // CPUCLOCK_SCHED of linux/posix-timers.h
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|sched), &t); err != nil {
		return 0, os.NewSyscallError("clock_gettime", err)
	}
	return time.Duration(t.Nano()), nil
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
func startEcho(ctx context.Context) (*exec.Cmd, string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	cmd := exec.CommandContext(ctx, self, echoArg)
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
