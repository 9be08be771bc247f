// Package app is the composition root: it builds every part, connects them, starts them, and stops them in the reverse
// order. Nothing else knows more than its neighbours.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"brume/internal/awserr"
	"brume/internal/obs"
)

const (
	// drainTime is how long requests under way may take after SIGTERM.
	drainTime = 20 * time.Second
	// socketTime is how long what connections of WebSocket APIs have begun may take then, $disconnect included.
	socketTime = 10 * time.Second
	// resetPatience is how long requests under way may go on when everything is to be emptied.
	resetPatience = time.Second
	// headerTime is how long a client may take to send a request's headers.
	headerTime = 20 * time.Second
	// idleTime is how long a connection may be idle.
	idleTime = 2 * time.Minute
	// heapRoom is how many bytes of garbage a small heap may hold more than it would, before they are collected.
	heapRoom = 32 << 20
	// maxHeader is the largest header block of a request, in bytes.
	maxHeader = 64 << 10
)

// Run serves until ctx ends, then drains and stops. It tells the user on stdout where the server is, and logs to stderr.
func Run(ctx context.Context, c Config, stdout, stderr io.Writer) (err error) {
	if err := c.check(); err != nil {
		return err
	}
	log, err := obs.NewLog(stderr, c.LogFormat, slog.LevelInfo)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	if c.DataDir, err = filepath.Abs(c.DataDir); err != nil {
		return err
	}
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return fmt.Errorf("the data directory cannot be made, another can be given with --data-dir: %w", err)
	}
	if err := checkWritable(c.DataDir); err != nil {
		return fmt.Errorf("the data directory cannot be written to, another can be given with --data-dir: %w", err)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("cannot listen, another address can be given with --listen: %w", err)
	}
	defer listener.Close()

	host := &host{config: c, log: log.Logger}
	if host.stack, err = newStack(ctx, c, endpointURL(listener.Addr()), log.Logger); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, host.close()) }()

	if stopAdmin, refused := host.serveAdmin(); refused != nil {
		log.Warn("brume admin works only while this server is stopped", "error", refused.Error())
	} else {
		defer func() { err = errors.Join(err, stopAdmin()) }()
	}

	// The garbage collector runs when the heap has doubled. This room, which is never touched and so takes no memory, lets
	// a small heap grow to the same size before that, and halves what collecting costs.
	room := make([]byte, heapRoom)
	defer runtime.KeepAlive(room)

	server := &http.Server{
		Handler:           host,
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	if c.Ready != nil {
		c.Ready()
	} else {
		greet(stdout, c, endpointURL(listener.Addr()), host.stack.missing)
	}
	log.Info("ready", "address", listener.Addr().String(), "data_dir", c.DataDir, "version", c.Version)

	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	log.Info("stopping: waiting for requests under way; a second signal ends them")
	host.endSessions()
	drain, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	if err := server.Shutdown(drain); err != nil {
		// What is still running is cut off; it was not acknowledged.
		log.Warn("requests were cut off", "error", err.Error())
		return server.Close()
	}
	return nil
}

// checkWritable says why nothing can be written into a directory.
func checkWritable(dir string) error {
	f, err := os.CreateTemp(dir, ".writable-")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

func greet(w io.Writer, c Config, endpoint string, missing []string) {
	flags := ""
	if dir := os.Getenv("BRUME_DATA_DIR"); dir != c.DataDir && (dir != "" || c.DataDir != DefaultDataDir()) {
		flags = " --data-dir " + c.DataDir
	}
	self := "brume"
	if strings.Contains(os.Args[0], "/") {
		self = os.Args[0]
	}
	fmt.Fprintf(w, `Brume %s is ready at %s

  In another shell, point any AWS client here:
      eval "$(%s env%s)"
  and try:
      aws sts get-caller-identity
      aws dynamodb list-tables
  The whole story, from a user to a key-protected API: make walkthrough

`, c.Version, endpoint, self, flags)
	if len(missing) > 0 {
		fmt.Fprintln(w, "  Functions run without these protections on this machine:")
		for _, line := range missing {
			fmt.Fprintln(w, "      "+line)
		}
		fmt.Fprintln(w)
	}
}

// host serves a stack, and can put a new one in its place.
type host struct {
	config Config
	log    *slog.Logger

	resetting sync.Mutex
	ordering  sync.Mutex   // held while an administrator's order is carried out
	mu        sync.RWMutex // held for reading by every request
	// stack is written with both locked, so that either will do for reading.
	stack *stack
}

func (h *host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/_brume/reset" {
		h.serveReset(w, r)
		return
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.stack == nil {
		http.Error(w, "Brume could not start again after a reset; its log says why.", http.StatusServiceUnavailable)
		return
	}
	if h.config.TestCredentials {
		ctx, cancel := context.WithCancelCause(r.Context())
		defer cancel(nil)
		defer context.AfterFunc(h.stack.requests, func() { cancel(errReset()) })()
		r = r.WithContext(ctx)
	}
	h.stack.handler.ServeHTTP(w, r)
}

// endSessions ends the requests that would go on for hours.
func (h *host) endSessions() {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.stack == nil {
		return
	}
	h.stack.logs.EndLiveTail()
	h.stack.endSockets(socketTime)
}

// errReset is for callers whose request a reset has ended. SDKs send it again.
func errReset() error {
	return &awserr.Generic{
		Code: "ServiceUnavailable", Message: "Brume is being reset.", Status: http.StatusServiceUnavailable,
	}
}

func (h *host) close() error {
	h.resetting.Lock()
	defer h.resetting.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stack == nil {
		return nil
	}
	stack := h.stack
	h.stack = nil
	return stack.close()
}

// serveReset empties everything: it waits for the requests under way, and ends those that take long, closes the stack,
// removes its state and builds a new one, while new requests wait. It needs no credentials, so it refuses what comes out
// of a browser: a page there can send a request to any address.
func (h *host) serveReset(w http.ResponseWriter, r *http.Request) {
	if !h.config.TestCredentials {
		http.Error(w, "only a server that was started with --test-credentials can be emptied", http.StatusForbidden)
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "use POST", http.StatusMethodNotAllowed)
		return
	}
	if r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "" {
		http.Error(w, "not for browsers", http.StatusForbidden)
		return
	}
	if err := h.reset(context.WithoutCancel(r.Context())); err != nil {
		h.log.Error("reset failed", "error", err.Error())
		http.Error(w, "reset failed: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	io.WriteString(w, "{\"status\":\"reset\"}\n")
}

func (h *host) reset(ctx context.Context) error {
	h.resetting.Lock()
	defer h.resetting.Unlock()
	stack := h.stack
	if stack == nil {
		return errors.New("an earlier reset failed")
	}
	defer time.AfterFunc(resetPatience, stack.endRequests).Stop()
	stack.endSockets(resetPatience)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stack = nil
	if err := stack.close(); err != nil {
		return err
	}
	for _, dir := range stateDirs {
		if err := os.RemoveAll(filepath.Join(h.config.DataDir, dir)); err != nil {
			return err
		}
	}
	stack, err := newStack(ctx, h.config, stack.endpoint, h.log)
	h.stack = stack
	return err
}
