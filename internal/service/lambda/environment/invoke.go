package environment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"syscall"
	"time"

	"brume/internal/runtimeapi"
	"brume/internal/telemetry"
)

// settleTime is how long an invocation waits, after its answer has come, for the runtime to ask for the next one: usually
// it does so at once, and then the environment is free when the caller has its answer. If it takes longer, the caller
// gets the answer, and the rest is done in the background.
const settleTime = 50 * time.Millisecond

// Invoke runs f once, in an idle environment or a new one. When ctx ends it returns the context's error, but the function
// runs on, as it does in Lambda when a client goes away.
//
// An error of the function is a Result; an error is returned if the function could not be run at all: a
// *ThrottledError, ErrClosed, ErrRoleDenied, a *runtimes.UnavailableError, or something unforeseen.
func (m *Manager) Invoke(ctx context.Context, f *Function, inv *Invocation) (*Result, error) {
	if err := m.begin(f, inv.Limits); err != nil {
		return nil, err
	}
	var stream *handoff
	if inv.Stream != nil {
		stream = newHandoff()
	} else if ctx.Done() == nil {
		return m.invoke(f, inv, nil)
	}
	done := make(chan answer, 1)
	go func() { // Close waits for its end, because it counts as running until then
		r, err := m.invoke(f, inv, stream)
		done <- answer{r, err}
	}()
	if stream != nil {
		return stream.serve(ctx, inv.Stream, done)
	}
	select {
	case a := <-done:
		return a.result, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type answer struct {
	result *Result
	err    error
}

// invoke is Invoke after begin, and ends what that began.
func (m *Manager) invoke(f *Function, inv *Invocation, stream *handoff) (*Result, error) {
	r := &run{manager: m, f: f, inv: inv, stream: stream, e: m.take(f)}
	var initial *failure
	if r.e == nil {
		e, t, err := m.turnOrIdle(f)
		if r.e = e; t != nil {
			r.e, r.deadline, r.spent, initial, err = m.coldStart(f, t)
		}
		if err != nil {
			m.drop(f, nil)
			m.finish(f, inv.Limits)
			return nil, err
		}
	}
	r.e.freezer.wake(r.e)
	if r.deadline.IsZero() {
		r.deadline = time.Now().Add(f.Timeout)
	}
	return r.run(initial), nil
}

// A failure is how a function failed without an answer of its own.
type failure struct {
	outcome
	message string // without the request id
	// payload is what the runtime itself said, if it did.
	payload []byte
}

// coldStart starts an environment, and ends the turn. If its init phase fails, another one is started, whose init phase is a part of the
// invocation then, and ends with it: deadline is set, and spent is how long it took. If that fails too, so does the function.
// https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-ib
func (m *Manager) coldStart(f *Function, t *turn) (e *environment, deadline time.Time, spent time.Duration, fail *failure, err error) {
	defer t.end()
	now := time.Now()
	log := m.shipper.writer(LogStream{
		Account: f.Account, Region: f.Region, Role: f.Role, FunctionName: f.Name, Group: f.LogGroup,
		Stream: now.UTC().Format("2006/01/02") + "/[" + f.Version + "]" + newID(),
	})
	e, fail, err = m.initialize(f, log, t, now.Add(m.c.InitTimeout))
	if err != nil || fail == nil {
		return e, time.Time{}, 0, nil, err
	}
	m.kill(e)
	log.phase = "invoke"
	began := time.Now()
	deadline = began.Add(f.Timeout)
	e, fail, err = m.initialize(f, log, t, deadline)
	if e != nil {
		e.init = 0 // it is in the duration
	}
	return e, deadline, time.Since(began), fail, err
}

// initialize starts an environment, in turn, and waits for the end of its init phase. With a failure e is only good for its log.
func (m *Manager) initialize(f *Function, log *logWriter, t *turn, deadline time.Time) (e *environment, fail *failure, err error) {
	began := time.Now()
	ctx, cancel := context.WithDeadline(m.life, deadline)
	defer cancel()
	e, err = m.start(ctx, f, log)
	fe, _ := errors.AsType[*functionError](err)
	switch {
	case fe != nil:
		e, fail = &environment{manager: m, fn: f, log: log}, &failure{outcome: outcome{"error", fe.typ}, message: fe.message}
	case errors.Is(err, context.DeadlineExceeded):
		e = &environment{manager: m, fn: f, log: log}
		fail = e.failed(err, f)
	case err != nil:
		if m.life.Err() != nil {
			err = ErrClosed
		}
		return nil, nil, err
	default:
		t.of(e.proc)
		fail = e.failed(e.api.Ready(ctx), f)
	}
	took := time.Since(began)
	var extensions []runtimeapi.Extension
	if fe != nil && fe.extension != nil {
		extensions = []runtimeapi.Extension{*fe.extension}
	}
	if e.api != nil {
		extensions = e.api.Extensions()
	}
	if fail == nil {
		e.init = took
		e.hub.Settle()
		e.initEnd(took, success, extensions)
		return e, nil, nil
	}
	e.drain()
	e.initEnd(took, fail.outcome, extensions)
	return e, fail, nil
}

// failed says what an error of the Runtime API means for the function.
func (e *environment) failed(err error, f *Function) *failure {
	if err == nil {
		return nil
	}
	if init, ok := errors.AsType[*runtimeapi.InitError](err); ok {
		return &failure{outcome: outcome{"error", init.Type}, payload: init.Payload}
	}
	if exit, ok := errors.AsType[*processExit](err); ok {
		typ := exit.errorType()
		if api, ok := errors.AsType[*runtimeapi.ExitError](err); ok && api.Reported != "" {
			typ = api.Reported
		}
		return &failure{outcome: outcome{"error", typ}, message: exit.Error()}
	}
	if extension, ok := errors.AsType[*runtimeapi.ExtensionError](err); ok {
		return &failure{outcome: outcome{"error", extension.Type}, message: extension.Err.Error()}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &failure{
			outcome: outcome{status: "timeout", errorType: "Sandbox.Timedout"},
			message: fmt.Sprintf("Task timed out after %.2f seconds", f.Timeout.Seconds()),
		}
	}
	return &failure{outcome: outcome{"error", "Sandbox.Failure"}, message: "The execution environment ended: " + err.Error()}
}

// response is the JSON that the caller gets.
func (f *failure) response(requestID string) []byte {
	if f.payload != nil {
		return f.payload
	}
	b, err := json.Marshal(struct {
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}{f.errorType, "RequestId: " + requestID + " Error: " + f.message})
	if err != nil {
		panic(err) // two strings can be written
	}
	return b
}

// A run is one invocation in one environment.
type run struct {
	manager  *Manager
	f        *Function
	e        *environment
	inv      *Invocation
	stream   *handoff // nil if the response is buffered
	deadline time.Time
	spent    time.Duration // on an init phase that counts as a part of the invocation
	traceID  string
	began    time.Time
	answer   *runtimeapi.Result // of the runtime, if it gave one
	done     bool               // runtimeDone was told
	ready    time.Time          // when that was
	extended bool               // extensions went on after that
	result   Result
}

// run returns the result as soon as the caller may have it. Whatever is still to do then is done in the background.
func (r *run) run(initial *failure) *Result {
	e := r.e
	if r.inv.Tail {
		e.log.startTail()
	} else {
		e.log.endTail()
	}
	r.began = time.Now()
	r.traceID = traceHeader(r.inv.TraceID, r.began)
	e.start(r.f, r.inv.RequestID, r.traceID)
	r.began = time.Now().Add(-r.spent)
	if initial != nil {
		r.fail(initial)
		return &r.result
	}
	ctx, cancel := context.WithDeadline(r.manager.life, r.deadline)
	inv := &runtimeapi.Invocation{
		RequestID:     r.inv.RequestID,
		Deadline:      r.deadline,
		FunctionARN:   r.inv.FunctionARN,
		ClientContext: r.inv.ClientContext,
		TraceID:       r.traceID,
		Payload:       r.inv.Payload,
	}
	if r.stream != nil {
		inv.Stream = r.stream
	}
	res, err := e.api.Invoke(ctx, inv)
	if err != nil {
		cancel()
		r.fail(e.failed(err, r.f))
		return &r.result
	}
	r.answer = res
	r.result.Payload, r.result.Failed = res.Payload, res.Failed

	if !r.inv.Tail {
		settle, stop := context.WithTimeout(ctx, settleTime)
		err = r.wait(settle)
		stop()
		if errors.Is(err, context.DeadlineExceeded) {
			answer := r.result // the caller's own: the rest of it is not known yet
			r.manager.endings.Go(func() {
				r.settle(r.wait(ctx))
				cancel()
			})
			return &answer
		}
	} else {
		err = r.wait(ctx)
	}
	cancel()
	r.settle(err)
	return &r.result
}

// wait waits until the runtime has finished, and then its extensions.
func (r *run) wait(ctx context.Context) error {
	if err := r.e.api.RuntimeReady(ctx); err != nil {
		return err
	}
	r.runtimeDone(success)
	r.extended = r.e.api.HasExtensions()
	return r.e.api.Ready(ctx)
}

// settle ends an invocation that was answered. err is what Ready said after it.
func (r *run) settle(err error) {
	o := success
	if err != nil {
		f := r.e.failed(err, r.f)
		o = f.outcome
		r.runtimeDone(o)
		r.logFailure(f)
		r.kill(o)
	}
	r.end(o, time.Since(r.began), err == nil)
}

// fail ends an invocation that got no answer.
func (r *run) fail(f *failure) {
	spent := time.Since(r.began)
	if f.status == "timeout" {
		spent = r.f.Timeout
	}
	r.result.Payload, r.result.Failed = f.response(r.inv.RequestID), true
	r.runtimeDone(f.outcome)
	r.kill(f.outcome)
	r.logFailure(f)
	r.end(f.outcome, spent, false)
}

// kill ends the environment, and waits until all that it wrote was read: the kernel takes some milliseconds for it. Of one with
// extensions that want to know of the end it ends the runtime's processes, and end does the rest.
// https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-shutdown
func (r *run) kill(o outcome) {
	if r.stream != nil {
		r.stream.finish() // or its connection would wait for ever
	}
	if r.e.proc == nil {
		return
	}
	if r.e.over != nil && r.e.api.Extended() {
		reason := "failure"
		if o.status == "timeout" {
			reason = "timeout"
		}
		r.manager.because(r.e, reason)
		r.e.proc.SignalCommand(syscall.SIGKILL)
	} else {
		r.manager.kill(r.e)
	}
	select {
	case <-r.e.over: // never, if it is nil
	case <-r.e.proc.Done():
	case <-time.After(time.Second):
	}
}

func (r *run) logFailure(f *failure) {
	r.e.drain()
	said := ""
	switch {
	case f.status == "timeout":
		said = telemetry.Timestamp(time.Now()) + " " + r.inv.RequestID + " " + f.message + "\n\n"
	case f.payload == nil:
		said = "RequestId: " + r.inv.RequestID + " Error: " + f.message + "\n" + f.errorType + "\n"
	}
	if said == "" {
		return
	}
	r.e.fault(said)
	if r.f.LogFormat != "JSON" { // there the report says it
		r.e.log.writeSystem(said)
	}
}

// end writes the end of the log, and gives the environment back if it can be used again.
func (r *run) end(o outcome, spent time.Duration, usable bool) {
	e, m := r.e, r.manager
	u := &r.result.Usage
	u.Duration, u.Init, u.MemoryMB = spent, e.init, r.f.MemoryMB
	u.Billed = billed(spent, e.init)
	if e.fn.initialization == provisionedConcurrency {
		u.Billed, u.Provisioned = billed(spent, 0), true // the init phase is in the price of the provision
	}
	e.init = 0
	if e.proc != nil {
		u.MaxMemory = e.maxMemory(!usable)
	}
	if m.c.Meter != nil {
		m.c.Meter.Record(r.f, u)
	}
	e.drain()
	r.report(u, o)
	if r.inv.Tail {
		r.result.LogTail = e.log.endTail()
	}
	switch {
	case usable:
		m.put(e)
	case e.proc != nil:
		m.drop(r.f, e)
	default:
		m.drop(r.f, nil)
	}
	m.finish(r.f, r.inv.Limits)
}

// memoryInterval is how old the figure for used memory may be. It takes as long to find out as a short invocation does, and
// as it is the most that was ever in use, a later invocation of a series shows what an earlier one may have missed.
const memoryInterval = 100 * time.Millisecond

// maxMemory returns the most memory that e has used at one time.
func (e *environment) maxMemory(ended bool) int64 {
	if now := time.Now(); ended || now.Sub(e.measured) > memoryInterval {
		e.measured, e.memory = now, e.proc.Stats().MaxMemoryBytes
	}
	return e.memory
}
