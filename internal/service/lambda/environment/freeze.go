package environment

import (
	"sync"
	"time"
)

// freezeDelay is how long an environment runs on after an invocation. Freezing takes longer than many an invocation, so
// environments under load are left alone between two.
const freezeDelay = 100 * time.Millisecond

// A freezer stops an environment between invocations, as Lambda does: what a function has left running in the background
// goes on with the next one.
// https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-invoke
type freezer struct {
	mu     sync.Mutex
	timer  *time.Timer // runs freeze
	idle   bool
	frozen bool
}

// rest says that e has no invocation.
func (z *freezer) rest(e *environment) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.idle = true
	if z.timer == nil {
		z.timer = time.AfterFunc(freezeDelay, func() { z.freeze(e) })
	} else {
		z.timer.Reset(freezeDelay)
	}
}

func (z *freezer) freeze(e *environment) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if !z.idle || z.frozen {
		return
	}
	e.hub.Pause()
	if err := e.proc.Freeze(); err != nil {
		e.manager.c.Logger.Warn("an idle environment could not be frozen", "function", e.fn.ARN, "error", err)
	}
	z.frozen = true // if only in part
}

// stop says that e has ended.
func (z *freezer) stop() {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.idle = false
	if z.timer != nil {
		z.timer.Stop()
	}
}

// wake says that e has an invocation.
func (z *freezer) wake(e *environment) {
	z.stop()
	z.mu.Lock()
	defer z.mu.Unlock()
	if !z.frozen {
		return
	}
	z.frozen = false
	if err := e.proc.Thaw(); err != nil {
		e.manager.c.Logger.Warn("an environment could not be thawed", "function", e.fn.ARN, "error", err)
	}
	e.hub.Resume()
}
