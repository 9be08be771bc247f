package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	api "brume/internal/api/lambda"
	"brume/internal/awserr"
	"brume/internal/call"
	"brume/internal/outbox"
	"brume/internal/service/lambda/environment"
)

func TestEventInvocation(t *testing.T) {
	f := newFixture(t)
	f.create("f")
	ctx := root()
	call.From(ctx).TraceID = "Root=1-5759e988-bd862e3fe1be46a994272793"
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
	if inv := f.envs.runs[0]; string(inv.Payload) != `{"n":1}` || len(inv.RequestID) != 36 || inv.Tail || inv.FunctionARN != fnARN+"f" || !strings.HasPrefix(inv.TraceID, "Root=1-5759e988-bd862e3fe1be46a994272793;Lineage=") {
		t.Errorf("%+v", inv)
	}
}

// A function that fails runs again after a minute, and once more two minutes later.
// https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
func TestFailedEventsAreTriedAgain(t *testing.T) {
	job := &eventJob{}
	failed := &environment.Result{Failed: true}
	for i, want := range []time.Duration{time.Minute, 2 * time.Minute} {
		if wait, again := job.next(failed, nil, 2); wait != want || !again {
			t.Errorf("failure %d: %v, %v", i+1, wait, again)
		}
	}
	if _, again := job.next(failed, nil, 2); again {
		t.Error("a third failure is not the last one")
	}
	if _, again := (&eventJob{}).next(failed, nil, 0); again {
		t.Error("a failure is tried again though the configuration says no")
	}
}

// What keeps a function from running is waited for longer and longer, and does not count as a failure.
func TestHinderedEventsWait(t *testing.T) {
	job := &eventJob{Failures: 1}
	last := time.Duration(0)
	for i := range 80 {
		wait, again := job.next(nil, &environment.ThrottledError{}, 2)
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

// fakeDestinations keeps what it is sent. Functions are all it knows, and those whose names begin with "no" refuse.
type fakeDestinations struct {
	mu   sync.Mutex
	sent []Message
	err  error
}

func (d *fakeDestinations) Supports(service string) bool {
	return service == "lambda" || service == "sqs"
}

func (d *fakeDestinations) Check(_ context.Context, m *Message) error {
	if strings.Contains(m.Target, ":no") {
		return awserr.New("AccessDenied", "no")
	}
	return nil
}

func (d *fakeDestinations) Send(ctx context.Context, m *Message) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return d.err
	}
	d.sent = append(d.sent, *m)
	return nil
}

func (d *fakeDestinations) all() []Message {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.sent)
}

// https://docs.aws.amazon.com/lambda/latest/api/API_PutFunctionEventInvokeConfig.html
func TestEventInvokeConfigs(t *testing.T) {
	f := newFixture(t)
	f.create("f")
	get := &api.GetFunctionEventInvokeConfigInput{FunctionName: new("f")}
	refused[api.FunctionEventInvokeConfig](f, "GetFunctionEventInvokeConfig", get, "ResourceNotFoundException", "The function "+fnARN+"f:$LATEST doesn't have an EventInvokeConfig")
	refused[api.FunctionEventInvokeConfig](f, "UpdateFunctionEventInvokeConfig", &api.UpdateFunctionEventInvokeConfigInput{FunctionName: new("f"), MaximumRetryAttempts: new(int32(1))}, "ResourceNotFoundException", "doesn't have")
	for _, in := range []*api.PutFunctionEventInvokeConfigInput{
		{MaximumRetryAttempts: new(int32(3))}, {MaximumRetryAttempts: new(int32(-1))}, {MaximumEventAgeInSeconds: new(int32(59))}, {MaximumEventAgeInSeconds: new(int32(21601))},
	} {
		in.FunctionName = new("f")
		refused[api.FunctionEventInvokeConfig](f, "PutFunctionEventInvokeConfig", in, "ValidationException", "failed to satisfy constraint")
	}
	to := func(success, failure string) *api.DestinationConfig {
		return &api.DestinationConfig{OnSuccess: &api.OnSuccess{Destination: &success}, OnFailure: &api.OnFailure{Destination: &failure}}
	}
	put := func(c *api.DestinationConfig) *api.PutFunctionEventInvokeConfigInput {
		return &api.PutFunctionEventInvokeConfigInput{FunctionName: new("f"), DestinationConfig: c}
	}
	refused[api.FunctionEventInvokeConfig](f, "PutFunctionEventInvokeConfig", put(to("arn:aws:sns:eu-central-1:123456789012:t", "")), "InvalidParameterValueException", "Brume has no Amazon SNS yet")
	refused[api.FunctionEventInvokeConfig](f, "PutFunctionEventInvokeConfig", put(to("arn:aws:s3:::bucket", "")), "InvalidParameterValueException", "only for failures")
	refused[api.FunctionEventInvokeConfig](f, "PutFunctionEventInvokeConfig", put(to("", fnARN+"no")), "InvalidParameterValueException", "The function's execution role does not have permissions to call InvokeFunction on "+fnARN+"no")
	in := put(to(fnARN+"g", fnARN+"h"))
	in.MaximumRetryAttempts, in.MaximumEventAgeInSeconds = new(int32(0)), new(int32(60))
	c := ok[api.FunctionEventInvokeConfig](f, "PutFunctionEventInvokeConfig", in)
	if *c.FunctionArn != fnARN+"f:$LATEST" || *c.MaximumRetryAttempts != 0 || *c.DestinationConfig.OnFailure.Destination != fnARN+"h" {
		t.Errorf("%+v", c)
	}
	c = ok[api.FunctionEventInvokeConfig](f, "UpdateFunctionEventInvokeConfig", &api.UpdateFunctionEventInvokeConfigInput{FunctionName: new("f"), MaximumRetryAttempts: new(int32(2))})
	if *c.MaximumRetryAttempts != 2 || *c.MaximumEventAgeInSeconds != 60 || *c.DestinationConfig.OnSuccess.Destination != fnARN+"g" {
		t.Errorf("%+v", c)
	}
	c = ok[api.FunctionEventInvokeConfig](f, "PutFunctionEventInvokeConfig", &api.PutFunctionEventInvokeConfigInput{FunctionName: new("f"), Qualifier: new("$LATEST"), MaximumRetryAttempts: new(int32(1))})
	if c.MaximumEventAgeInSeconds != nil || c.DestinationConfig.OnSuccess.Destination != nil {
		t.Errorf("Put replaces: %+v", c)
	}
	if l := ok[api.ListFunctionEventInvokeConfigsOutput](f, "ListFunctionEventInvokeConfigs", &api.ListFunctionEventInvokeConfigsInput{FunctionName: new("f")}); len(l.FunctionEventInvokeConfigs) != 1 {
		t.Errorf("%+v", l)
	}
	ok[api.DeleteFunctionEventInvokeConfigOutput](f, "DeleteFunctionEventInvokeConfig", &api.DeleteFunctionEventInvokeConfigInput{FunctionName: new("f")})
	refused[api.FunctionEventInvokeConfig](f, "GetFunctionEventInvokeConfig", get, "ResourceNotFoundException", "doesn't have")
}

// pass lets virtual time go by, and all that is to happen in it happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// What becomes of events, in virtual time: the retries, their pauses, the conditions, the records and dead letters.
// https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
func TestEventsEndAtTheirDestinations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.runOutbox()
		in := f.input("f")
		in.DeadLetterConfig = &api.DeadLetterConfig{TargetArn: new("arn:aws:sqs:eu-central-1:123456789012:q")}
		ok[api.FunctionConfiguration](f, "CreateFunction", in)
		config := &api.PutFunctionEventInvokeConfigInput{FunctionName: new("f"), DestinationConfig: &api.DestinationConfig{
			OnSuccess: &api.OnSuccess{Destination: new(fnARN + "won")}, OnFailure: &api.OnFailure{Destination: new(fnARN + "lost")},
		}}
		ok[api.FunctionEventInvokeConfig](f, "PutFunctionEventInvokeConfig", config)
		invoke := func() {
			ok[api.InvokeOutput](f, "Invoke", &api.InvokeInput{FunctionName: new("f"), InvocationType: new("Event"), Payload: []byte(`{"n":1}`)})
		}
		check := func(what string, i int, target, condition string, count int, response string) {
			t.Helper()
			sent := slices.DeleteFunc(f.to.all(), func(m Message) bool { return m.Attributes != nil })
			if len(sent) <= i {
				t.Fatalf("%s: only %d messages", what, len(sent))
			}
			var rec struct {
				Version        string
				RequestContext struct {
					RequestID, FunctionArn, Condition string
					Count                             int `json:"approximateInvokeCount"`
				}
				RequestPayload  json.RawMessage
				ResponseContext *struct {
					StatusCode                     int
					ExecutedVersion, FunctionError string
				}
				ResponsePayload json.RawMessage
			}
			must(t, json.Unmarshal(sent[i].Body, &rec))
			if sent[i].Target != fnARN+target || rec.Version != "1.0" || rec.RequestContext.Condition != condition || rec.RequestContext.Count != count ||
				rec.RequestContext.FunctionArn != fnARN+"f:$LATEST" || string(rec.RequestPayload) != `{"n":1}` || string(rec.ResponsePayload) != response {
				t.Errorf("%s: %s %s", what, sent[i].Target, sent[i].Body)
			}
		}
		invoke()
		pass(time.Second)
		check("success", 0, "won", "Success", 1, `{"n":1}`)

		began := time.Now()
		var runs []time.Duration
		f.envs.run = func(*environment.Function, *environment.Invocation) (*environment.Result, error) {
			runs = append(runs, time.Since(began).Round(time.Second))
			return &environment.Result{Failed: true, Payload: []byte(`{"errorMessage":"oh","errorType":"E"}`)}, nil
		}
		invoke()
		pass(5 * time.Minute)
		if fmt.Sprint(runs) != "[0s 1m0s 3m0s]" {
			t.Errorf("it ran after %v", runs)
		}
		check("exhausted", 1, "lost", "RetriesExhausted", 3, `{"errorMessage":"oh","errorType":"E"}`)
		dead := slices.DeleteFunc(f.to.all(), func(m Message) bool { return m.Attributes == nil })[0]
		if dead.Target != "arn:aws:sqs:eu-central-1:123456789012:q" || string(dead.Body) != `{"n":1}` || dead.Attributes["ErrorMessage"] != "oh" || dead.Attributes["RequestID"] == "" {
			t.Errorf("the dead letter is %+v", dead)
		}

		config.MaximumEventAgeInSeconds = new(int32(90))
		ok[api.FunctionEventInvokeConfig](f, "PutFunctionEventInvokeConfig", config)
		invoke()
		pass(5 * time.Minute)
		check("too old", 2, "lost", "EventAgeExceeded", 2, `{"errorMessage":"oh","errorType":"E"}`)

		config.MaximumEventAgeInSeconds = nil
		ok[api.FunctionEventInvokeConfig](f, "PutFunctionEventInvokeConfig", config)
		f.envs.run = func(*environment.Function, *environment.Invocation) (*environment.Result, error) {
			return nil, &environment.ThrottledError{Reason: "ConcurrentInvocationLimitExceeded"}
		}
		invoke()
		pass(5 * time.Hour)
		if n := len(f.to.all()); n != 5 {
			t.Errorf("a throttled event was given up after 5 hours: %d", n)
		}
		pass(2 * time.Hour)
		check("throttled for 6 hours", 3, "lost", "EventAgeExceeded", 0, "")

		ok[api.Concurrency](f, "PutFunctionConcurrency", &api.PutFunctionConcurrencyInput{FunctionName: new("f"), ReservedConcurrentExecutions: new(int32(0))})
		invoke()
		pass(time.Second)
		check("no concurrency", 4, "lost", "ZeroReservedConcurrency", 0, "")

		// A target that is down is waited for, one that refuses is not.
		f.to.mu.Lock()
		f.to.err = errors.New("down")
		f.to.mu.Unlock()
		invoke()
		pass(time.Hour)
		f.to.mu.Lock()
		f.to.err = nil
		f.to.mu.Unlock()
		pass(10 * time.Minute)
		if n := len(f.to.all()); n != 11 {
			t.Errorf("%d messages", n)
		}
		f.to.mu.Lock()
		f.to.err = awserr.New("AccessDenied", "no")
		f.to.mu.Unlock()
		invoke()
		pass(time.Second)
		f.to.mu.Lock()
		f.to.err = nil
		f.to.mu.Unlock()
		pass(7 * time.Hour)
		if n := len(f.to.all()); n != 11 {
			t.Errorf("%d messages", n)
		}
	})
}

// An event that comes back to a function too often is stopped.
// https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html
func TestRecursiveLoops(t *testing.T) {
	f := newFixture(t)
	f.create("f")
	ok[api.FunctionEventInvokeConfig](f, "PutFunctionEventInvokeConfig", &api.PutFunctionEventInvokeConfigInput{FunctionName: new("f"), DestinationConfig: &api.DestinationConfig{
		OnSuccess: &api.OnSuccess{Destination: new(fnARN + "f")}, OnFailure: &api.OnFailure{Destination: new(fnARN + "lost")},
	}})
	if out := ok[api.GetFunctionRecursionConfigOutput](f, "GetFunctionRecursionConfig", &api.GetFunctionRecursionConfigInput{FunctionName: new("f")}); *out.RecursiveLoop != "Terminate" {
		t.Errorf("%s", *out.RecursiveLoop)
	}
	deliver := func(times int) {
		payload, err := json.Marshal(&eventJob{Account: account, Region: region, Name: "f", RequestID: "r", Payload: []byte("1"), TraceID: "Lineage=" + ancestor(account, region, "f") + ":" + fmt.Sprint(times)})
		must(t, err)
		must(t, f.DeliverEvent(t.Context(), outbox.Delivery{ID: strings.Repeat("0", 32), Payload: payload, EnqueuedAt: time.Now()}))
	}
	deliver(15)
	if len(f.envs.runs) != 1 {
		t.Error("the sixteenth run was stopped")
	}
	deliver(16)
	if len(f.envs.runs) != 1 {
		t.Error("the loop goes on")
	}
	ok[api.PutFunctionRecursionConfigOutput](f, "PutFunctionRecursionConfig", &api.PutFunctionRecursionConfigInput{FunctionName: new("f"), RecursiveLoop: new("Allow")})
	deliver(16)
	if len(f.envs.runs) != 2 {
		t.Error("the loop was allowed, and stopped")
	}
	// What is sent carries on how often the event was here.
	f.runOutbox()
	eventually(t, "three records", func() bool { return len(f.to.all()) == 3 })
	for _, m := range f.to.all() {
		if m.Target == fnARN+"lost" && (!strings.HasSuffix(m.TraceID, ":17") || !strings.Contains(string(m.Body), "RecursiveInvocationDetected")) {
			t.Errorf("%+v", m)
		}
	}
}

// Slow events of one function hold up nobody else's, and a function gets no more at a time than it may run.
// https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
func TestEventsOfFunctionsAreIndependent(t *testing.T) {
	f := newFixture(t)
	var mu sync.Mutex
	running, most := map[string]int{}, map[string]int{}
	over := make(chan struct{})
	f.envs.during = func(fn *environment.Function) {
		mu.Lock()
		running[fn.Name]++
		most[fn.Name] = max(most[fn.Name], running[fn.Name])
		mu.Unlock()
		if fn.Name != "quick" {
			<-over
		}
		mu.Lock()
		running[fn.Name]--
		mu.Unlock()
	}
	for _, name := range []string{"slow", "reserved", "quick"} {
		f.create(name)
	}
	_, err := do[api.Concurrency](f, root(), "PutFunctionConcurrency", &api.PutFunctionConcurrencyInput{FunctionName: new("reserved"), ReservedConcurrentExecutions: new(int32(2))})
	must(t, err)
	send := func(name string, n int) {
		for range n {
			_, err := do[api.InvokeOutput](f, root(), "Invoke", &api.InvokeInput{FunctionName: new(name), InvocationType: new("Event")})
			must(t, err)
		}
	}
	alone := f.EventLanes().Shared/2 + 1
	send("slow", alone+20)
	send("reserved", 10)
	f.runOutbox()
	eventually(t, "the slow ones run", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return running["slow"] == alone && running["reserved"] == 2
	})
	send("quick", 30)
	ran := func(name string) (n int) {
		f.envs.mu.Lock()
		defer f.envs.mu.Unlock()
		for _, fn := range f.envs.ran {
			if fn.Name == name {
				n++
			}
		}
		return n
	}
	eventually(t, "the quick ones ran", func() bool { return ran("quick") == 30 })
	if ran("slow")+ran("reserved") != 0 {
		t.Error("the slow ones are over")
	}
	close(over)
	eventually(t, "all ran", func() bool { return ran("slow") == alone+20 && ran("reserved") == 10 })
	if most["reserved"] != 2 || most["slow"] > alone {
		t.Errorf("at a time ran %v", most)
	}
	if n, err := f.laneLimit(nil, "old"); n != 1 || err != nil {
		t.Errorf("without a lane: %d, %v", n, err)
	}
}
