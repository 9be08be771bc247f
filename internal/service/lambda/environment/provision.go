package environment

import (
	"bufio"
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// provisionPause is how long a version is left alone whose environment did not start.
const provisionPause = 30 * time.Second

// A provision is a number of environments that one version has ready. All of it is guarded by Manager.mu.
type provision struct {
	fn     *Function
	want   int
	have   int // environments, those that start included
	ready  int // of these, the ones that have started
	reason string
	paused time.Time // when to try again
}

// A ProvisionStatus says how far a provision is.
type ProvisionStatus struct {
	Requested, Allocated int
	// Available are the environments without an invocation.
	Available int
	// Reason says why an environment could not be started, if that is so.
	Reason string
}

// Provision keeps n environments of a version initialised, from now on until it is called with another number. They are
// used for invocations before others are started, and replaced when they end.
// https://docs.aws.amazon.com/lambda/latest/dg/provisioned-concurrency.html
func (m *Manager) Provision(f *Function, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := f.poolKey()
	pr := m.provisions[k]
	if pr != nil && pr.fn.Generation != f.Generation {
		m.letGo(pr)
		delete(m.provisions, k)
		pr = nil
	}
	if n <= 0 {
		if pr != nil {
			m.letGo(pr)
			delete(m.provisions, k)
		}
		return
	}
	if pr == nil {
		g := *f
		g.initialization = provisionedConcurrency
		pr = &provision{fn: &g}
		m.provisions[k] = pr
	}
	pr.want, pr.paused = n, time.Time{}
	for e := range m.all {
		if e.provision == pr && pr.have > pr.want {
			m.release(e) // and it is one like others, which ends when it is not used
		}
	}
	m.lack()
}

// Provisioned says how far Provision has come.
func (m *Manager) Provisioned(account, region, name, version string) ProvisionStatus {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := poolKey{functionKey{scopeKey{account, region}, name}, version}
	pr := m.provisions[k]
	if pr == nil {
		return ProvisionStatus{}
	}
	s := ProvisionStatus{Requested: pr.want, Allocated: pr.ready, Reason: pr.reason}
	if p := m.pools[k]; p != nil {
		for _, e := range p.idle {
			if e.provision == pr {
				s.Available++
			}
		}
	}
	return s
}

// letGo makes the environments of a provision ones like others. m.mu is held.
func (m *Manager) letGo(pr *provision) {
	pr.want = 0
	for e := range m.all {
		if e.provision == pr {
			m.release(e)
		}
	}
}

// release takes an environment from its provision, if it has one. m.mu is held.
func (m *Manager) release(e *environment) {
	if e.provision != nil {
		e.provision.have--
		e.provision.ready--
		e.provision = nil
		m.lack()
	}
}

// lack wakes provide.
func (m *Manager) lack() {
	select {
	case m.lacking <- struct{}{}:
	default:
	}
}

// provide starts what provisions lack, one environment after the other.
func (m *Manager) provide() {
	for {
		pr, wait := m.shortest()
		if pr == nil {
			select {
			case <-m.lacking:
			case <-wait:
			case <-m.stopReaper:
				return
			}
			continue
		}
		select {
		case <-m.stopReaper:
			return
		default:
			m.provideOne(pr)
		}
	}
}

// shortest is the provision that lacks most, and otherwise wait says when to look again.
func (m *Manager) shortest() (best *provision, wait <-chan time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for _, pr := range m.provisions {
		switch {
		case pr.have >= pr.want:
		case now.Before(pr.paused):
			wait = time.After(pr.paused.Sub(now))
		case best == nil || pr.want-pr.have > best.want-best.have:
			best = pr
		}
	}
	if best != nil {
		best.have++
	}
	return best, wait
}

func (m *Manager) provideOne(pr *provision) {
	m.reserve(pr.fn)
	var e *environment
	var fail *failure
	t, err := m.startTurn()
	if err == nil {
		e, _, _, fail, err = m.coldStart(pr.fn, t)
	}
	if fail != nil {
		err = fmt.Errorf("%s: %s", fail.errorType, cmp.Or(fail.message, string(fail.payload)))
	}
	if err != nil {
		if e != nil && e.proc != nil {
			m.kill(e)
		}
		m.drop(pr.fn, nil)
		m.mu.Lock()
		pr.have--
		pr.reason, pr.paused = err.Error(), time.Now().Add(provisionPause)
		m.mu.Unlock()
		return
	}
	m.mu.Lock()
	switch {
	case e.gone, pr.want < pr.have:
		pr.have--
	default:
		pr.ready++
		pr.reason = ""
		e.provision = pr
	}
	m.mu.Unlock()
	m.put(e)
}

// What is left of the machine's memory when environments that nobody uses make room.
const (
	pressureInterval = 5 * time.Second
	shortMemory      = 256 << 20
	shortShare       = 20 // one part of so many
)

// memoryIsShort says whether the machine has little memory left. Where that cannot be found out it has enough.
func memoryIsShort() bool {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return false
	}
	defer f.Close()
	var total, available int64
	for s := bufio.NewScanner(f); s.Scan() && available == 0; {
		for name, to := range map[string]*int64{"MemTotal:": &total, "MemAvailable:": &available} {
			if rest, ok := strings.CutPrefix(s.Text(), name); ok {
				if _, err := fmt.Sscan(rest, to); err != nil {
					return false
				}
			}
		}
	}
	return available > 0 && available<<10 < max(shortMemory, total<<10/shortShare)
}

// relieve ends half of the idle environments, those first that were used least lately.
func (m *Manager) relieve() {
	m.mu.Lock()
	defer m.mu.Unlock()
	var idle []*environment
	for _, p := range m.pools {
		for _, e := range p.idle {
			if e.provision == nil {
				idle = append(idle, e)
			}
		}
	}
	slices.SortFunc(idle, func(a, b *environment) int { return a.lastUsed.Compare(b.lastUsed) })
	for _, e := range idle[:(len(idle)+1)/2] {
		p := m.pools[e.fn.poolKey()]
		p.idle = slices.DeleteFunc(p.idle, func(other *environment) bool { return other == e })
		e.end()
		m.tidy(e.fn.poolKey(), p)
	}
}
