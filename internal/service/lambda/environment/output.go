//go:build unix

package environment

import (
	"bytes"
	"errors"
	"os"
	"sync"
	"syscall"
)

const (
	// maxLine is the longest line that becomes one log event, in bytes. Longer ones are cut into several.
	// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
	maxLine = 256<<10 - 26
	// readSize is how much is read at a time. Every environment has a buffer of this size.
	readSize = 8 << 10
	// pipeSize is what a pipe holds.
	pipeSize = 64 << 10
)

// output is the reading end of the pipe that a function writes its log to. What arrives is cut into lines.
//
// The pipe is read in the background, and by Drain: both read without blocking and hand on what they read while they
// hold the lock, so that lines keep their order, and Drain has seen everything that was written before it began.
type output struct {
	file *os.File
	raw  syscall.RawConn
	done chan struct{} // closed when the background reader has ended

	mu   sync.Mutex
	buf  []byte
	line []byte       // a line that has no end yet
	emit func([]byte) // gets each line with its line feed, if it has one, and must not keep it
	eof  bool
}

// newPipe makes a pipe whose writing end is for a process that expects its writes to wait.
func newPipe() (r, w *os.File, err error) {
	r, w, err = os.Pipe() // both ends do not block
	if err != nil {
		return nil, nil, err
	}
	raw, err := w.SyscallConn()
	if err == nil {
		e := raw.Control(func(fd uintptr) { err = syscall.SetNonblock(int(fd), false) })
		err = errors.Join(err, e)
	}
	if err != nil {
		return nil, nil, errors.Join(err, r.Close(), w.Close())
	}
	return r, w, nil
}

// collect makes a pipe whose reading end is an output.
func collect(emit func(line []byte)) (o *output, writing *os.File, err error) {
	reading, writing, err := newPipe()
	if err != nil {
		return nil, nil, err
	}
	if o, err = readOutput(reading, emit); err != nil {
		return nil, nil, errors.Join(err, reading.Close(), writing.Close())
	}
	return o, writing, nil
}

// readOutput reads r, which it owns, until the other end is closed.
func readOutput(r *os.File, emit func(line []byte)) (*output, error) {
	raw, err := r.SyscallConn()
	if err != nil {
		return nil, err
	}
	o := &output{file: r, raw: raw, done: make(chan struct{}), emit: emit, buf: make([]byte, readSize)}
	go o.run()
	return o, nil
}

func (o *output) run() {
	defer close(o.done)
	// Read calls the function whenever the pipe may be readable, until it returns true. The error is that of a file that
	// was closed.
	_ = o.raw.Read(func(fd uintptr) bool {
		for {
			// The poller tells of a change only once: only after a read that found nothing may one wait.
			if n, end := o.next(fd); end || n == 0 {
				return end
			}
		}
	})
	o.mu.Lock()
	o.flush()
	o.mu.Unlock()
	o.file.Close() // of a pipe that was only read
}

// close ends the background reader, whether the pipe has other writers or not, and waits for it.
func (o *output) close() {
	if o == nil {
		return
	}
	o.file.Close() // if the reader has closed it already, the better
	<-o.done
}

// next hands on what one read gives, and says how much that was, and whether the pipe has ended.
func (o *output) next(fd uintptr) (n int, end bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for !o.eof {
		n, err := syscall.Read(int(fd), o.buf)
		switch {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return 0, false
		case err != nil || n == 0:
			o.eof = true
		default:
			o.split(o.buf[:n])
			return n, false
		}
	}
	return 0, true
}

// A nil output has nothing to drain or to close.
//
// drain hands on everything that was written to the pipe before the call, the beginning of an unfinished line included.
func (o *output) drain() {
	if o == nil {
		return
	}
	// The error is that of a file that was closed: then the background reader has taken everything.
	_ = o.raw.Control(func(fd uintptr) {
		// What is behind that much was not there when drain began: a function may write faster than it is read.
		for taken := 0; taken < pipeSize; {
			n, _ := o.next(fd)
			taken += n
			if n < readSize {
				break
			}
		}
	})
	o.mu.Lock()
	o.flush()
	o.mu.Unlock()
}

func (o *output) flush() {
	if len(o.line) > 0 {
		o.emit(o.line)
		o.line = o.line[:0]
	}
	if cap(o.line) > pipeSize {
		o.line = nil
	}
}

func (o *output) split(data []byte) {
	for len(data) > 0 {
		n := bytes.IndexByte(data, '\n') + 1
		whole := n > 0
		if !whole {
			n = len(data)
		}
		n = min(n, maxLine-len(o.line))
		part := data[:n]
		data = data[n:]
		switch {
		case whole && part[n-1] == '\n' || len(o.line)+n == maxLine:
			if len(o.line) == 0 {
				o.emit(part)
				continue
			}
			o.line = append(o.line, part...)
			o.emit(o.line)
			o.line = o.line[:0]
		default:
			o.line = append(o.line, part...)
		}
	}
}
