package environment

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"brume/internal/runtimes"
	"brume/internal/sandbox"
	"brume/internal/service/lambda/code"
)

// Cold starts are fast because their slow half is over when they begin: for each kind of environment that is in use a few
// sandboxes are kept with the interpreter up, waiting on its connection to the Runtime API to be told whose function it is.
// A cold start takes one, attaches the code, and sends the environment variables.
//
// A function sees no difference. Whatever an interpreter looks at only when it starts is the same in the sandbox that waits
// (the kind), or else the function is started from the beginning (variables that change the interpreter, wrappers).
const (
	// DefaultPrebooted is how many sandboxes of each kind wait.
	DefaultPrebooted = 2
	// maxShelves is how many kinds are kept, those used last.
	maxShelves = 6
	// shelfLife is how long a kind is kept that nobody uses.
	shelfLife = time.Hour
	// maxUnpacks is for how many functions code may wait to be unpacked.
	maxUnpacks = 16
	// bootTimeout bounds how long an interpreter may take until it waits.
	bootTimeout = 20 * time.Second
	// bootPause is how long a kind is left alone whose sandbox did not start.
	bootPause = 30 * time.Second
	// attachTimeout bounds how long an interpreter may take to read what it is told.
	attachTimeout = 5 * time.Second
)

// A slotKind is what an interpreter has to be started for: all that cannot be changed afterwards.
type slotKind struct {
	runtime         string
	memoryMB, tmpMB int
	layers          bool
	// sdk says that the AWS SDK is loaded already.
	sdk bool
}

// A slot is a sandbox that waits.
type slot struct {
	kind    slotKind
	runtime *runtimes.Runtime
	proc    sandbox.Process
	output  *os.File // the reading end of its output
	conn    net.Conn // the interpreter's connection to the Runtime API
	loaded  []string // top-level modules that it has loaded for the function's benefit, sorted
	taken   chan struct{}
}

// A shelf has the slots of one kind.
type shelf struct {
	kind   slotKind
	slots  []*slot
	used   time.Time
	paused time.Time // when its sandboxes may be tried again
}

// slots are all shelves, and the goroutine that fills them.
type slots struct {
	m    *Manager
	each int           // how many slots of a kind
	wake chan struct{} // holds one
	life context.Context
	stop context.CancelFunc
	work sync.WaitGroup
	// code holds functions whose code is to be unpacked before they are invoked.
	code chan *Function

	mu      sync.Mutex
	shelves map[slotKind]*shelf
	closed  bool
}

func newSlots(m *Manager, each int) *slots {
	s := &slots{m: m, each: each, wake: make(chan struct{}, 1), shelves: make(map[slotKind]*shelf), code: make(chan *Function, maxUnpacks)}
	s.life, s.stop = context.WithCancel(context.Background())
	s.work.Go(s.unpack)
	if s.each > 0 {
		s.work.Go(s.fill)
	}
	return s
}

// close ends everything that waits.
func (s *slots) close() {
	s.stop()
	s.mu.Lock()
	s.closed = true
	for k := range s.shelves {
		s.remove(k)
	}
	s.mu.Unlock()
	s.work.Wait()
}

// Prepare has the code of f unpacked, and a sandbox ready for the first invocation of it or of another function like it.
func (m *Manager) Prepare(f *Function) {
	select {
	case m.slots.code <- f:
	default: // who creates so many at one time does not invoke them all at once
	}
	if kind, ok := m.slots.kindOf(f); ok {
		m.slots.want(kind)
	}
}

// unpack has code unpacked, one package after the other. Then it can be told whether a sandbox should have the SDK loaded.
func (s *slots) unpack() {
	for {
		select {
		case f := <-s.code:
			dir, err := s.m.c.Code.Acquire(s.life, f.Code)
			if err != nil { // the first invocation, if there is one, says so to whom it concerns
				s.m.c.Logger.Debug("code could not be unpacked ahead", "function", f.ARN, "error", err)
				continue
			}
			s.wantSDK(f, dir)
			dir.Release()
		case <-s.life.Done():
			return
		}
	}
}

// startupVariables are the environment variables, or the beginnings of their names, that interpreters and libraries look at
// when they start.
var startupVariables = []string{
	"PYTHON", "NODE_", "LD_", "LC_", "MALLOC_", "OPENSSL_", "UV_", "GLIBC_", "GCONV_", "SSL_CERT_", "LANG", "TZ", "PATH",
	"AWS_LAMBDA_EXEC_WRAPPER", "RUBY", "GEM_", "BUNDLE_", "JAVA_", "JDK_", "_JAVA_", "CLASSPATH",
}

// kindOf returns the kind of slot, without SDK, that can become an environment of f.
func (s *slots) kindOf(f *Function) (slotKind, bool) {
	if s.each <= 0 || !runtimes.CanWait(f.Runtime) {
		return slotKind{}, false
	}
	for name := range f.Variables {
		if slices.ContainsFunc(startupVariables, func(p string) bool { return strings.HasPrefix(name, p) }) {
			return slotKind{}, false
		}
	}
	return slotKind{runtime: f.Runtime, memoryMB: f.MemoryMB, tmpMB: f.TmpMB, layers: len(f.Layers) > 0}, true
}

// wantSDK makes sure that there is a shelf with the SDK, if f, whose code is in dir, uses that.
func (s *slots) wantSDK(f *Function, dir *code.Dir) {
	kind, ok := s.kindOf(f)
	if !ok {
		return
	}
	r, err := s.m.c.Runtimes.Find(s.life, f.Runtime)
	if err == nil && r.PreloadsSDK() && usesSDK(f, dir.Path) { // an error shows when f is invoked
		kind.sdk = true
		s.want(kind)
	}
}

// want makes sure that there is a shelf.
func (s *slots) want(kind slotKind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shelf(kind)
}

// shelf returns the shelf of a kind, and sees to it that it gets filled. s.mu is held.
func (s *slots) shelf(kind slotKind) *shelf {
	sh := s.shelves[kind]
	if sh == nil {
		sh = &shelf{kind: kind}
		if s.closed {
			return sh
		}
		if len(s.shelves) >= maxShelves {
			oldest := kind
			for k, other := range s.shelves {
				if oldest == kind || other.used.Before(s.shelves[oldest].used) {
					oldest = k
				}
			}
			s.remove(oldest)
		}
		s.shelves[kind] = sh
	}
	sh.used = time.Now()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return sh
}

// remove clears a shelf away. s.mu is held.
func (s *slots) remove(kind slotKind) {
	for _, sl := range s.shelves[kind].slots {
		sl.proc.Kill() // and its watcher does the rest
	}
	delete(s.shelves, kind)
}

// prune removes the shelves that nobody uses.
func (s *slots) prune(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, sh := range s.shelves {
		if now.Sub(sh.used) > shelfLife {
			s.remove(k)
		}
	}
}

// take returns a slot for f, or nil: then the environment is started from the beginning.
func (s *slots) take(f *Function, r *runtimes.Runtime, dir, layers *code.Dir) *slot {
	kind, ok := s.kindOf(f)
	if !ok || len(extensions(layers)) > 0 { // which are started together with the interpreter
		return nil
	}
	if r.PreloadsSDK() && usesSDK(f, dir.Path) {
		withSDK := kind
		withSDK.sdk = true
		sl := s.pop(withSDK, r, func(sl *slot) bool { return !shadows(dir, layers, r, sl.loaded) })
		if sl != nil {
			return sl
		}
	}
	return s.pop(kind, r, func(*slot) bool { return true })
}

func (s *slots) pop(kind slotKind, r *runtimes.Runtime, fits func(*slot) bool) *slot {
	s.mu.Lock()
	defer s.mu.Unlock()
	sh := s.shelf(kind)
	for len(sh.slots) > 0 {
		sl := sh.slots[0]
		if sl.runtime != r { // the interpreter was installed anew
			sh.slots = sh.slots[1:]
			sl.proc.Kill()
			continue
		}
		if !fits(sl) {
			return nil
		}
		sh.slots = sh.slots[1:]
		close(sl.taken)
		return sl
	}
	return nil
}

// fill starts one sandbox after the other. While invocations run it takes a quarter of one processor at most.
func (s *slots) fill() {
	for s.life.Err() == nil {
		kind, ok, wait := s.next()
		if !ok {
			select {
			case <-s.wake:
			case <-wait:
			case <-s.life.Done():
			}
			continue
		}
		began := time.Now()
		sl, err := s.boot(kind)
		if err != nil && s.life.Err() == nil {
			s.m.c.Logger.Warn("no sandbox can be kept ready", "runtime", kind.runtime, "error", err)
		}
		s.put(kind, sl)
		if s.m.busy() {
			select {
			case <-time.After(min(3*time.Since(began), time.Second)):
			case <-s.life.Done():
			}
		}
	}
}

// next chooses a shelf that is not full: the one with the fewest slots, and of these the one used last. wait says when to
// look again.
func (s *slots) next() (kind slotKind, ok bool, wait <-chan time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	var best *shelf
	for _, sh := range s.shelves {
		switch {
		case len(sh.slots) >= s.each:
		case now.Before(sh.paused):
			wait = time.After(sh.paused.Sub(now))
		case best == nil || cmp.Or(cmp.Compare(len(sh.slots), len(best.slots)), best.used.Compare(sh.used)) < 0:
			best = sh
		}
	}
	if best == nil {
		return kind, false, wait
	}
	return best.kind, true, nil
}

// put adds what boot made to its shelf.
func (s *slots) put(kind slotKind, sl *slot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sh := s.shelves[kind]
	switch {
	case sl == nil && sh != nil:
		sh.paused = time.Now().Add(bootPause)
	case sl == nil:
	case sh == nil || s.closed:
		sl.proc.Kill()
	default:
		sh.slots = append(sh.slots, sl)
	}
}

// boot starts a sandbox of a kind and waits until its interpreter waits.
func (s *slots) boot(kind slotKind) (_ *slot, err error) {
	m := s.m
	ctx, cancel := context.WithTimeout(s.life, bootTimeout)
	defer cancel()
	r, err := m.c.Runtimes.Find(ctx, kind.runtime)
	if err != nil {
		return nil, err
	}
	f := &Function{Runtime: kind.runtime, MemoryMB: kind.memoryMB, TmpMB: kind.tmpMB}
	if kind.layers {
		f.Layers = []string{""} // which ones they are is not known yet
	}
	config := m.sandboxBase(f, r)
	config.Later = []string{runtimes.TaskRoot, runtimes.LayerRoot}
	config.Listen = listen()
	options := m.options(f, config)
	config.Command = r.Command(options)
	env := m.baseVariables(r.Env(options), "http://"+httpAddress)
	env["AWS_LAMBDA_RUNTIME_API"] = runtimeAPIAddress
	env[runtimes.WaitVariable] = "1"
	if kind.sdk {
		env[runtimes.WaitVariable] = "sdk"
	}
	config.Env = environ(env)

	reading, writing, err := newPipe()
	if err != nil {
		return nil, err
	}
	defer writing.Close() // the process has its own
	config.Stdout, config.Stderr = writing, writing
	sl := &slot{kind: kind, runtime: r, output: reading, taken: make(chan struct{})}
	if sl.proc, err = m.c.Driver.Start(ctx, config); err != nil {
		reading.Close()
		return nil, err
	}
	s.work.Go(func() { s.watch(sl) })
	stop := context.AfterFunc(ctx, sl.proc.Kill) // which closes the listener
	defer stop()
	if sl.conn, err = sl.proc.Sockets()[0].Listener.Accept(); err == nil {
		err = sl.wait(ctx)
	}
	if err != nil {
		sl.proc.Kill()
		return nil, fmt.Errorf("environment: %s does not come up: %w", r.Interpreter, err)
	}
	return sl, nil
}

// wait reads what the interpreter says when it is ready.
func (sl *slot) wait(ctx context.Context) error {
	deadline, _ := ctx.Deadline()
	if err := sl.conn.SetReadDeadline(deadline); err != nil {
		return err
	}
	line, err := bufio.NewReaderSize(sl.conn, 64<<10).ReadSlice('\n')
	if err != nil {
		return err
	}
	if err := json.Unmarshal(line, &sl.loaded); err != nil {
		return err
	}
	slices.Sort(sl.loaded)
	return sl.conn.SetReadDeadline(time.Time{})
}

// watch takes a slot that has ended from its shelf, unless it is an environment's by then.
func (s *slots) watch(sl *slot) {
	select {
	case <-sl.taken:
		return
	case <-sl.proc.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-sl.taken: // the environment has found out, or will
		return
	default:
	}
	if sh := s.shelves[sl.kind]; sh != nil {
		sh.slots = slices.DeleteFunc(sh.slots, func(other *slot) bool { return other == sl })
	}
	sl.release()
}

// release closes what a slot holds besides its process.
func (sl *slot) release() {
	sl.output.Close()
	if sl.conn != nil {
		sl.conn.Close()
	}
}

// attach shows the function's code in the sandbox. layers is nil if it has none.
func (sl *slot) attach(dir, layers *code.Dir) error {
	binds := []sandbox.Bind{{Source: dir.Path, Target: runtimes.TaskRoot}}
	if layers != nil {
		binds = append(binds, sandbox.Bind{Source: layers.Path, Target: runtimes.LayerRoot})
	}
	return sl.proc.Attach(binds)
}

// tell sends the variables to the interpreter, in the form of an answer of the Runtime API.
func (sl *slot) tell(variables map[string]string) error {
	body, err := json.Marshal(variables)
	if err != nil {
		return err
	}
	if err := sl.conn.SetWriteDeadline(time.Now().Add(attachTimeout)); err != nil {
		return err
	}
	_, err = fmt.Fprintf(sl.conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	return errors.Join(err, sl.conn.SetWriteDeadline(time.Time{}))
}

// A primedListener is a listener that has accepted a connection already.
type primedListener struct {
	net.Listener
	mu    sync.Mutex
	first net.Conn
}

func (l *primedListener) Accept() (net.Conn, error) {
	if c := l.takeFirst(); c != nil {
		return c, nil
	}
	return l.Listener.Accept()
}

func (l *primedListener) takeFirst() net.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.first
	l.first = nil
	return c
}

func (l *primedListener) Close() error {
	if c := l.takeFirst(); c != nil {
		c.Close()
	}
	return l.Listener.Close()
}

// How much of a function is searched for the name of the SDK.
const (
	sdkFiles = 64
	sdkBytes = 1 << 20
)

// usesSDK says whether a Python function mentions the SDK in the files beside its handler. That it is loaded changes nothing
// but the time and the memory that this takes, so a guess is good enough.
func usesSDK(f *Function, dir string) bool {
	root := filepath.Join(dir, filepath.FromSlash(filepath.Dir(filepath.Clean("/"+f.Handler))))
	entries, err := os.ReadDir(root)
	if err != nil {
		return false
	}
	files, left := 0, int64(sdkBytes)
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || filepath.Ext(e.Name()) != ".py" || info.Size() > left || files == sdkFiles {
			continue
		}
		files++
		left -= info.Size()
		if b, err := os.ReadFile(filepath.Join(root, e.Name())); err == nil && bytes.Contains(b, []byte("boto3")) {
			return true
		}
	}
	return false
}

// shadows says whether a function or its layers bring a module with one of the given names: then they must get their own.
func shadows(dir, layers *code.Dir, r *runtimes.Runtime, names []string) bool {
	roots := []string{dir.Path}
	if layers != nil {
		for _, p := range r.LayerPaths() {
			roots = append(roots, filepath.Join(layers.Path, strings.TrimPrefix(p, runtimes.LayerRoot)))
		}
	}
	for _, root := range roots {
		entries, err := os.ReadDir(root)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return true // who knows
		}
		for _, e := range entries {
			module, _, _ := strings.Cut(e.Name(), ".")
			if _, found := slices.BinarySearch(names, module); found {
				return true
			}
		}
	}
	return false
}
