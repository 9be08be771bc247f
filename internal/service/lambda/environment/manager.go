package environment

import (
	"cmp"
	"context"
	"runtime"
	"slices"
	"sync"
	"time"

	"brume/internal/sandbox"
	"brume/internal/telemetry"
)

// maxTelemetryBytes is what all environments together hold for extensions that have subscribed to it.
const maxTelemetryBytes = 64 << 20

// A Manager runs functions. Its methods may be called from any goroutine.
type Manager struct {
	c         Config
	features  sandbox.Features
	shipper   *shipper
	creds     credentialCache
	starts    chan struct{} // one for each environment that may be starting
	slots     *slots
	telemetry *telemetry.Budget

	// Whoever starts something waits for it: environments, and the ends of invocations that go on after their answer.
	environments sync.WaitGroup
	endings      sync.WaitGroup
	reaper       sync.WaitGroup
	stopReaper   chan struct{}

	// life ends when everything is to end at once. It stands in for the contexts of callers: an invocation goes on when
	// its caller goes away, as it does in Lambda.
	life    context.Context
	endLife context.CancelFunc

	mu      sync.Mutex
	closed  bool
	drained chan struct{} // closed when closed and nothing runs any more
	running int           // invocations
	pools   map[poolKey]*pool
	usage   map[functionKey]int // invocations of functions with a number of their own
	shared  map[scopeKey]int    // those of all others
	all     map[*environment]struct{}
	// provisions are what Provision was called with.
	provisions map[poolKey]*provision
	provider   sync.WaitGroup
	lacking    chan struct{} // holds one: a provision may be short of environments
}

type scopeKey struct{ account, region string }

type functionKey struct {
	scopeKey
	name string
}

type poolKey struct {
	functionKey
	version string
}

func (f *Function) scope() scopeKey  { return scopeKey{f.Account, f.Region} }
func (f *Function) key() functionKey { return functionKey{f.scope(), f.Name} }
func (f *Function) poolKey() poolKey { return poolKey{f.key(), f.Version} }

// A pool holds the environments of one version that wait for an invocation.
type pool struct {
	generation int64          // the newest that was seen
	idle       []*environment // of that generation; the one used last is at the end
	busy       int            // environments that start or have an invocation
	// waiting are those who would take an environment of that generation that becomes idle, before their own starts; there is
	// none while one is idle.
	waiting []chan *environment
}

// New returns a Manager. It must be closed.
func New(c Config) *Manager {
	if c.IdleTimeout == 0 {
		c.IdleTimeout = DefaultIdleTimeout
	}
	if c.InitTimeout == 0 {
		c.InitTimeout = DefaultInitTimeout
	}
	if c.SessionDuration == 0 {
		c.SessionDuration = DefaultSessionDuration
	}
	m := &Manager{
		c:          c,
		features:   c.Driver.Features(),
		telemetry:  telemetry.NewBudget(maxTelemetryBytes),
		shipper:    newShipper(c.Logs, c.Logger),
		starts:     make(chan struct{}, startsPerCPU*runtime.GOMAXPROCS(0)),
		stopReaper: make(chan struct{}),
		drained:    make(chan struct{}),
		pools:      make(map[poolKey]*pool),
		usage:      make(map[functionKey]int),
		shared:     make(map[scopeKey]int),
		all:        make(map[*environment]struct{}),
		provisions: make(map[poolKey]*provision),
		lacking:    make(chan struct{}, 1),
	}
	m.life, m.endLife = context.WithCancel(context.Background())
	m.creds.sessions = make(map[sessionKey]*session)
	each := c.Prebooted
	if each == 0 {
		each = DefaultPrebooted
	}
	if !m.features.Attach {
		each = 0
	}
	m.slots = newSlots(m, each)
	m.reaper.Go(m.reap)
	m.provider.Go(m.provide)
	return m
}

// Close waits until the invocations under way have ended, at most as long as the context, and then ends everything.
// Invoke fails with ErrClosed from the beginning.
func (m *Manager) Close(ctx context.Context) {
	m.mu.Lock()
	if !m.closed {
		m.closed = true
		close(m.stopReaper)
		if m.running == 0 {
			close(m.drained)
		}
	}
	m.mu.Unlock()
	select {
	case <-m.drained:
	case <-ctx.Done():
	}
	m.reaper.Wait()
	m.slots.close()
	m.endLife()
	m.provider.Wait()
	m.mu.Lock()
	for e := range m.all {
		e.end()
	}
	m.mu.Unlock()
	<-m.drained
	m.endings.Wait()
	m.environments.Wait()
	m.shipper.close()
}

// begin counts an invocation, unless that is over a limit. Each begin that succeeds is followed by one finish.
func (m *Manager) begin(f *Function, l Limits) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	if l.Reserved >= 0 {
		if m.usage[f.key()] >= l.Reserved {
			return &ThrottledError{"ReservedFunctionConcurrentInvocationLimitExceeded"}
		}
		m.usage[f.key()]++
	} else {
		if m.shared[f.scope()] >= l.Unreserved {
			return &ThrottledError{"ConcurrentInvocationLimitExceeded"}
		}
		m.shared[f.scope()]++
	}
	m.running++
	return nil
}

func (m *Manager) finish(f *Function, l Limits) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l.Reserved >= 0 {
		decrement(m.usage, f.key())
	} else {
		decrement(m.shared, f.scope())
	}
	if m.running--; m.running == 0 && m.closed {
		close(m.drained)
	}
}

func decrement[K comparable](counts map[K]int, k K) {
	if counts[k]--; counts[k] == 0 {
		delete(counts, k)
	}
}

// take returns an idle environment for f, the one used last, or nil if the caller has to start one. Either way the pool
// counts one busy environment more, until put or drop.
func (m *Manager) take(f *Function) *environment {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.pools[f.poolKey()]
	if p == nil {
		p = &pool{generation: f.Generation}
		m.pools[f.poolKey()] = p
	}
	p.busy++
	m.retire(p, f.Generation)
	if f.Generation != p.generation {
		return nil // the caller has read it before it was changed
	}
	return p.take()
}

// take removes the idle environment that was used last; nil if there is none. The manager's lock is held.
func (p *pool) take() *environment {
	now := time.Now()
	for len(p.idle) > 0 {
		e := p.idle[len(p.idle)-1]
		p.idle[len(p.idle)-1] = nil
		p.idle = p.idle[:len(p.idle)-1]
		if e.fresh(now) {
			return e
		}
		e.end()
	}
	return nil
}

// await returns where an environment for f comes when one becomes idle, for who has called take in vain. It is followed by
// awaitNoMore unless one has come.
func (m *Manager) await(f *Function) chan *environment {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.pools[f.poolKey()]
	if f.Generation != p.generation {
		return nil
	}
	c := make(chan *environment, 1)
	if e := p.take(); e != nil {
		c <- e
	} else {
		p.waiting = append(p.waiting, c)
	}
	return c
}

// awaitNoMore ends the waiting, and returns what has come meanwhile.
func (m *Manager) awaitNoMore(f *Function, c chan *environment) *environment {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.pools[f.poolKey()]
	if i := slices.Index(p.waiting, c); i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
	}
	select {
	case e := <-c:
		return e
	default:
		return nil
	}
}

// reserve is take for a caller that starts an environment in any case.
func (m *Manager) reserve(f *Function) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.pools[f.poolKey()]
	if p == nil {
		p = &pool{generation: f.Generation}
		m.pools[f.poolKey()] = p
	}
	p.busy++
	m.retire(p, f.Generation)
}

// put gives back an environment that waits for its next invocation.
func (m *Manager) put(e *environment) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.pools[e.fn.poolKey()]
	p.busy--
	if m.closed || e.gone || e.lost || e.fn.Generation != p.generation {
		e.end()
		m.tidy(e.fn.poolKey(), p)
		return
	}
	e.lastUsed = time.Now()
	if len(p.waiting) > 0 && e.fresh(e.lastUsed) {
		p.waiting[0] <- e
		p.waiting = slices.Delete(p.waiting, 0, 1)
		return
	}
	p.idle = append(p.idle, e)
	e.freezer.rest(e)
}

// drop gives back nothing: the environment is not to be used again, or there never was one.
func (m *Manager) drop(f *Function, e *environment) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e != nil {
		e.end()
	}
	p := m.pools[f.poolKey()]
	p.busy--
	m.tidy(f.poolKey(), p)
}

// tidy forgets a pool that holds nothing. m.mu is held.
func (m *Manager) tidy(k poolKey, p *pool) {
	if p.busy == 0 && len(p.idle) == 0 {
		delete(m.pools, k)
	}
}

// Retire ends the environments of a function whose generation is lower than the given one: those that are idle at once,
// the others after their invocation. An empty version stands for all of them.
func (m *Manager) Retire(account, region, name, version string, generation int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	fk := functionKey{scopeKey{account, region}, name}
	if version != "" {
		if p := m.pools[poolKey{fk, version}]; p != nil {
			m.retire(p, generation)
			m.tidy(poolKey{fk, version}, p)
		}
		return
	}
	for k, p := range m.pools {
		if k.functionKey == fk {
			m.retire(p, generation)
			m.tidy(k, p)
		}
	}
}

// retire makes generation the pool's, if it is newer. m.mu is held.
func (m *Manager) retire(p *pool, generation int64) {
	if generation <= p.generation {
		return
	}
	p.generation = generation
	for _, e := range p.idle {
		e.end()
	}
	p.idle, p.waiting = nil, nil
}

// remember adds an environment whose process has started.
func (m *Manager) remember(e *environment) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all[e] = struct{}{}
	if m.life.Err() != nil {
		e.end()
	}
}

// fresh says whether the credentials of e last for one more invocation.
func (e *environment) fresh(now time.Time) bool { return now.Add(e.fn.Timeout).Before(e.recycle) }

// forget removes an environment whose process has ended.
func (m *Manager) forget(e *environment) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e.gone = true
	delete(m.all, e)
	m.release(e)
	k := e.fn.poolKey()
	p := m.pools[k]
	if p == nil {
		return
	}
	for i := range p.idle {
		if p.idle[i] == e {
			p.idle = append(p.idle[:i], p.idle[i+1:]...)
			break
		}
	}
	m.tidy(k, p)
}

// lose ends an environment whose runtime has ended, if it is idle. Otherwise whoever has it finds out.
func (m *Manager) lose(e *environment) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e.lost = true
	k := e.fn.poolKey()
	p := m.pools[k]
	if p == nil {
		return
	}
	if i := slices.Index(p.idle, e); i >= 0 {
		p.idle = slices.Delete(p.idle, i, i+1)
		e.reason = "failure"
		e.end()
		m.tidy(k, p)
	}
}

// end ends an environment; watch does the rest. If it has extensions, runtime and extensions get the time to finish. m.mu is held.
func (e *environment) end() {
	ending := e.gone
	e.gone = true
	if ending || e.api == nil || !e.api.HasExtensions() {
		e.proc.Kill()
		return
	}
	reason := cmp.Or(e.reason, "spindown")
	e.manager.endings.Go(func() {
		e.freezer.wake(e)
		e.shutDown(reason)
		e.proc.Kill()
	})
}

// because says why e is going to end.
func (m *Manager) because(e *environment, reason string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e.reason = reason
}

// kill ends an environment that is not idle.
func (m *Manager) kill(e *environment) {
	if e.proc == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	e.gone = true
	e.proc.Kill()
}

// reap ends environments that were idle for too long.
func (m *Manager) reap() {
	ticker := time.NewTicker(min(max(m.c.IdleTimeout/4, 10*time.Millisecond), pressureInterval))
	defer ticker.Stop()
	looked := time.Now()
	for {
		select {
		case <-m.stopReaper:
			return
		case now := <-ticker.C:
			m.reapIdle(now.Add(-m.c.IdleTimeout))
			if now.Sub(looked) >= pressureInterval {
				looked = now
				if memoryIsShort() {
					m.relieve()
				}
			}
			m.creds.prune(now)
			m.slots.prune(now)
		}
	}
}

// reapIdle ends the environments that were not used after the given time, or whose credentials end.
func (m *Manager) reapIdle(before time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for k, p := range m.pools {
		kept := p.idle[:0]
		for _, e := range p.idle {
			if (e.provision != nil || e.lastUsed.After(before)) && e.fresh(now) {
				kept = append(kept, e)
			} else {
				e.end()
			}
		}
		clear(p.idle[len(kept):])
		p.idle = kept
		m.tidy(k, p)
	}
}

// busy says whether an invocation is under way.
func (m *Manager) busy() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.running > 0
}

// Environments says how many environments there are, and how many of them are idle.
func (m *Manager) Environments() (all, idle int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.pools {
		idle += len(p.idle)
	}
	return len(m.all), idle
}
