package lambda

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	api "brume/internal/api/lambda"
	"brume/internal/outbox"
	"brume/internal/service/lambda/environment"
)

func TestEventInvocation(t *testing.T) {
	f := newFixture(t)
	f.create("f")
	ctx := root()
	out, err := do[api.InvokeOutput](f, ctx, "Invoke", &api.InvokeInput{FunctionName: new("f"), InvocationType: new("Event"), Payload: []byte(`{"n":1}`), LogType: new("Tail")})
	must(t, err)
	if *out.StatusCode != 202 || out.Payload != nil || out.LogResult != nil || out.ExecutedVersion != nil {
		t.Errorf("%+v", out)
	}
	if len(f.envs.runs) != 0 {
		t.Error("it ran before it was acknowledged")
	}
	f.runOutbox()
	eventually(t, "it ran", func() bool {
		f.envs.mu.Lock()
		defer f.envs.mu.Unlock()
		return len(f.envs.runs) == 1
	})
	if inv := f.envs.runs[0]; string(inv.Payload) != `{"n":1}` || len(inv.RequestID) != 36 || inv.Tail || inv.FunctionARN != fnARN+"f" {
		t.Errorf("%+v", inv)
	}
}

// A function that fails runs again after a minute, and once more two minutes later.
// https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
func TestFailedEventsAreTriedAgain(t *testing.T) {
	job := &eventJob{}
	failed := &environment.Result{Failed: true}
	for i, want := range []time.Duration{time.Minute, 2 * time.Minute} {
		if wait, again := job.next(failed, nil); wait != want || !again {
			t.Errorf("failure %d: %v, %v", i+1, wait, again)
		}
	}
	if _, again := job.next(failed, nil); again {
		t.Error("a third failure is not the last one")
	}
	if _, again := (&eventJob{}).next(&environment.Result{}, nil); again {
		t.Error("a success is tried again")
	}
}

// What keeps a function from running is waited for longer and longer, and does not count as a failure.
func TestHinderedEventsWait(t *testing.T) {
	job := &eventJob{Failures: 1}
	last := time.Duration(0)
	for i := range 80 {
		wait, again := job.next(nil, &environment.ThrottledError{})
		full := min(time.Second<<min(i, 20), 5*time.Minute)
		if !again || wait > full || wait < full*3/4 {
			t.Errorf("hindrance %d: %v, %v", i+1, wait, again)
		}
		if i < 9 && wait <= last*3/4 {
			t.Errorf("hindrance %d: %v after %v", i+1, wait, last)
		}
		last = wait
	}
	if job.Failures != 1 {
		t.Errorf("%+v", job)
	}
}

func TestDeliverEvent(t *testing.T) {
	f := newFixture(t)
	f.create("f")
	now := time.Now()
	run := func(job *eventJob, enqueued time.Time) error {
		payload, err := json.Marshal(job)
		must(t, err)
		return f.DeliverEvent(t.Context(), outbox.Delivery{Payload: payload, EnqueuedAt: enqueued})
	}
	job := &eventJob{Account: account, Region: region, Name: "f", RequestID: "r", Payload: []byte("1")}
	must(t, run(job, now))
	failing := func(*environment.Function, *environment.Invocation) (*environment.Result, error) {
		return &environment.Result{Failed: true}, nil
	}
	f.envs.run = failing
	if err := run(job, now); err == nil || !strings.Contains(err.Error(), "deliver again at "+time.Now().Add(time.Minute).String()[:16]) {
		t.Errorf("after the first failure: %v", err)
	}
	job.Failures = 2
	must(t, run(job, now)) // the last one
	job.Failures = 0
	must(t, run(job, now.Add(-maxEventAge))) // too old
	if err := run(job, now.Add(-maxEventAge+2*time.Minute)); err == nil {
		t.Error("given up too early")
	}
	f.envs.run = func(*environment.Function, *environment.Invocation) (*environment.Result, error) {
		return nil, &environment.ThrottledError{Reason: "ConcurrentInvocationLimitExceeded"}
	}
	if err := run(job, now); err == nil || !strings.Contains(err.Error(), "deliver again") {
		t.Errorf("throttled: %v", err)
	}
	f.envs.run = func(*environment.Function, *environment.Invocation) (*environment.Result, error) {
		return nil, environment.ErrClosed
	}
	if err := run(job, now); !errors.Is(err, environment.ErrClosed) {
		t.Errorf("cut short: %v", err)
	}
	before := len(f.envs.runs)
	job.Name = "nobody"
	must(t, run(job, now))
	if len(f.envs.runs) != before {
		t.Error("a function that was deleted ran")
	}
}
