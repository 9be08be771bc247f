package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"time"

	api "brume/internal/api/lambda"
	"brume/internal/kv"
	"brume/internal/outbox"
	"brume/internal/service/lambda/environment"
)

// EventQueue is the queue of asynchronous invocations.
const EventQueue = "lambda.event"

// EventLanes say how many asynchronous invocations are under way at one time: each function has a lane of its own, as it
// has a queue of its own in Lambda, so that slow ones hold up nobody else. Each invocation also counts for the limits of
// its function and its account. Nobody waits for them, so a burst of them must not start more environments than the
// machine can: it would leave nothing for those that somebody does wait for.
// https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
func (s *Service) EventLanes() outbox.Lanes {
	alone := max(16, 8*runtime.GOMAXPROCS(0)) // invocations of a function while no other has any
	return outbox.Lanes{Shared: 2 * (alone - 1), Most: 16 * alone, Limit: s.laneLimit}
}

// laneOf is the lane of a function's events.
func laneOf(r ref) string { return r.account + "/" + r.region + "/" + r.name }

// laneLimit is how many events of a function may run at one time: more would only be throttled, and then wait longer.
func (s *Service) laneLimit(rd kv.Reader, lane string) (int, error) {
	parts := strings.SplitN(lane, "/", 3)
	if len(parts) != 3 {
		return 1, nil // events of the time before there were lanes
	}
	c, err := s.resolve(rd, ref{scope{parts[0], parts[1]}, parts[2], ""})
	if _, gone := errors.AsType[*api.ResourceNotFoundException](err); gone {
		return 1, nil // DeliverEvent drops them
	}
	if err != nil {
		return 0, err
	}
	if c.limits.Reserved >= 0 {
		return c.limits.Reserved, nil
	}
	return c.limits.Unreserved, nil
}

// How asynchronous invocations are tried again.
// https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
const (
	// maxEventAge is how long an event is tried to be delivered at all, unless the function's configuration says less.
	maxEventAge = 6 * time.Hour
	// eventRetries is how often a function that failed is run again: after a minute, and two minutes after that.
	eventRetries = 2
	// What keeps a function from running, throttling for instance, is waited for with pauses from one to five minutes.
	minEventPause = time.Second
	maxEventPause = 5 * time.Minute
)

// eventJob is an asynchronous invocation that waits. It is stored before it is acknowledged.
type eventJob struct {
	Account       string `json:"account"`
	Region        string `json:"region"`
	Name          string `json:"name"`
	Qualifier     string `json:"qualifier,omitempty"`
	RequestID     string `json:"requestId"`
	Payload       []byte `json:"payload"`
	ClientContext string `json:"clientContext,omitempty"`
	TraceID       string `json:"traceId,omitempty"`
	// Failures are the runs that failed, Hindrances the deliveries that did not become runs since then.
	Failures   int `json:"failures,omitempty"`
	Hindrances int `json:"hindrances,omitempty"`
}

// enqueue stores an asynchronous invocation.
func (s *Service) enqueue(ctx context.Context, r ref, inv *environment.Invocation) error {
	payload, err := json.Marshal(&eventJob{
		Account: r.account, Region: r.region, Name: r.name, Qualifier: r.qualifier,
		RequestID: inv.RequestID, Payload: inv.Payload, ClientContext: inv.ClientContext, TraceID: inv.TraceID,
	})
	if err != nil {
		return err
	}
	return s.store.Update(ctx, func(tx kv.Tx) error {
		// What the function is then is decided when it runs.
		if _, err := s.resolve(tx, r); err != nil {
			return err
		}
		_, err := outbox.Enqueue(tx, outbox.Job{Queue: EventQueue, Lane: laneOf(r), Payload: payload})
		return err
	})
}

// An eventPlan is how the events of a function are treated.
type eventPlan struct {
	retries              int
	age                  time.Duration
	onSuccess, onFailure string
	deadLetter, role     string
}

func (s *Service) eventPlan(ctx context.Context, r ref) (*callable, *eventPlan, error) {
	plan := &eventPlan{retries: eventRetries, age: maxEventAge}
	var c *callable
	err := s.store.View(ctx, func(rd kv.Reader) (err error) {
		if c, err = s.resolve(rd, r); err != nil {
			return err
		}
		plan.deadLetter, plan.role = c.fn.DeadLetter, c.fn.Role
		at := r
		if at.qualifier == latest {
			at.qualifier = ""
		}
		row, err := getEventConfig(rd, at)
		if err != nil || row == nil {
			return err
		}
		if row.Retries != nil {
			plan.retries = int(*row.Retries)
		}
		if row.Age != nil {
			plan.age = time.Duration(*row.Age) * time.Second
		}
		plan.onSuccess, plan.onFailure = row.OnSuccess, row.OnFailure
		return nil
	})
	return c, plan, err
}

// DeliverEvent is the handler of EventQueue. A process that dies during a run delivers the event again, so a function may
// get it twice, as in Lambda. What becomes of it in the end, a record for a destination, is stored in the same step in
// which the event is removed.
func (s *Service) DeliverEvent(ctx context.Context, d outbox.Delivery) error {
	job := &eventJob{}
	if err := json.Unmarshal(d.Payload, job); err != nil {
		return fmt.Errorf("lambda: an event of the queue: %w", err)
	}
	r := ref{scope{job.Account, job.Region}, job.Name, job.Qualifier}
	c, plan, err := s.eventPlan(ctx, r)
	if _, gone := errors.AsType[*api.ResourceNotFoundException](err); gone {
		return nil // the function was deleted, and its events with it
	}
	if err != nil {
		return err
	}
	switch {
	case c.loops(job.TraceID):
		s.log.WarnContext(ctx, "a recursive loop of invocations was stopped", "function", r.arn(), "request_id", job.RequestID)
		return s.endEvent(ctx, d, job, r, c, plan, conditionLoop, nil)
	case c.limits.Reserved == 0:
		return s.endEvent(ctx, d, job, r, c, plan, conditionZero, nil)
	case time.Since(d.EnqueuedAt) > plan.age:
		return s.endEvent(ctx, d, job, r, c, plan, conditionTooOld, nil)
	}
	result, err := s.run(ctx, c, &environment.Invocation{
		RequestID: job.RequestID, FunctionARN: r.arn(), Payload: job.Payload, ClientContext: job.ClientContext, TraceID: job.TraceID,
	})
	if errors.Is(err, environment.ErrClosed) || ctx.Err() != nil {
		return errors.Join(err, ctx.Err()) // cut short: the next process delivers it
	}
	if err == nil && !result.Failed {
		return s.endEvent(ctx, d, job, r, c, plan, conditionSuccess, result)
	}
	wait, again := job.next(result, err, plan.retries)
	switch {
	case !again:
		return s.endEvent(ctx, d, job, r, c, plan, conditionExhausted, result)
	case time.Since(d.EnqueuedAt)+wait > plan.age:
		return s.endEvent(ctx, d, job, r, c, plan, conditionTooOld, result)
	}
	if err != nil {
		if _, ok := errors.AsType[*environment.ThrottledError](err); !ok {
			s.log.WarnContext(ctx, "an asynchronous event waits: its function cannot be run", "function", r.arn(), "request_id", job.RequestID, "error", err)
		}
	}
	payload, err := json.Marshal(job)
	if err != nil {
		return err
	}
	return outbox.RetryAt(time.Now().Add(wait), payload)
}

// next counts how a delivery ended that was no success, and says whether and when there is to be another one.
func (j *eventJob) next(result *environment.Result, err error, retries int) (wait time.Duration, again bool) {
	if err != nil {
		wait = maxEventPause
		if j.Hindrances < 9 { // 2^9 seconds are more than that
			wait = min(minEventPause<<j.Hindrances, maxEventPause)
		}
		j.Hindrances++
		return wait - time.Duration(rand.Int64N(int64(wait/4))), true // not all at once
	}
	j.Failures++
	j.Hindrances = 0
	if j.Failures > retries {
		return 0, false
	}
	return time.Duration(j.Failures) * time.Minute, true
}

// endEvent removes an event and stores what is to be sent about it, in one step. result is nil if the last delivery was
// no run.
func (s *Service) endEvent(ctx context.Context, d outbox.Delivery, job *eventJob, r ref, c *callable, plan *eventPlan, condition string, result *environment.Result) error {
	target := plan.onFailure
	if condition == conditionSuccess {
		target = plan.onSuccess
	}
	deadLetter := plan.deadLetter != "" && condition != conditionSuccess
	if target == "" && !deadLetter {
		if condition != conditionSuccess {
			s.log.InfoContext(ctx, "an asynchronous event was dropped", "function", r.arn(), "request_id", job.RequestID, "condition", condition)
		}
		return nil
	}
	message := Message{Role: plan.role, Source: c.fn.ARN, Account: r.account, Region: r.region, TraceID: extendTrace(job.TraceID, c.fn)}
	var messages []Message
	if target != "" {
		body, err := job.record(r, c, condition, result)
		if err != nil {
			return err
		}
		m := message
		m.Target, m.Body = target, body
		m.DetailType = "Lambda Function Invocation Result - Failure"
		if condition == conditionSuccess {
			m.DetailType = "Lambda Function Invocation Result - Success"
		}
		messages = append(messages, m)
	}
	if deadLetter {
		m := message
		m.Target, m.Body = plan.deadLetter, job.Payload
		m.Attributes = map[string]string{"RequestID": job.RequestID, "ErrorCode": "200", "ErrorMessage": deadLetterMessage(condition, result)}
		messages = append(messages, m)
	}
	return s.store.Update(ctx, func(tx kv.Tx) error {
		if err := outbox.Cancel(tx, d.ID); err != nil {
			return err
		}
		for i := range messages {
			payload, err := json.Marshal(&messages[i])
			if err != nil {
				return err
			}
			if _, err := outbox.Enqueue(tx, outbox.Job{Queue: DestinationQueue, Payload: payload}); err != nil {
				return err
			}
		}
		return nil
	})
}

// maxErrorMessage is how much of an error message goes along with a dead letter, in bytes.
// https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html#invocation-dlq
const maxErrorMessage = 1 << 10

func deadLetterMessage(condition string, result *environment.Result) string {
	if result == nil {
		return condition
	}
	var e struct {
		Message string `json:"errorMessage"`
	}
	if json.Unmarshal(result.Payload, &e) != nil || e.Message == "" {
		return condition
	}
	return e.Message[:min(len(e.Message), maxErrorMessage)]
}

// record is what a destination gets to know of the event. A response that leaves no room in an event for a function stays
// out of it.
func (j *eventJob) record(r ref, c *callable, condition string, result *environment.Result) ([]byte, error) {
	if r.qualifier == "" {
		r.qualifier = latest
	}
	rec := &invocationRecord{
		Version: "1.0", Timestamp: time.Now().UTC().Format(recordTime),
		RequestContext: recordRequest{RequestID: j.RequestID, FunctionARN: r.arn(), Condition: condition, Count: j.Failures},
		RequestPayload: j.Payload,
	}
	if result != nil {
		rec.ResponseContext = &recordResponse{Status: 200, Version: c.fn.Version}
		if result.Failed {
			rec.ResponseContext.Function = functionError
		}
		response := json.RawMessage(result.Payload)
		if !json.Valid(response) {
			response = json.RawMessage(strconv.Quote(string(result.Payload)))
			if !json.Valid(response) {
				response = json.RawMessage("null")
			}
		}
		rec.ResponsePayload = &response
	}
	if condition == conditionSuccess {
		rec.RequestContext.Count++
	}
	body, err := json.Marshal(rec)
	if err == nil && len(body) > maxEventPayload && rec.ResponsePayload != nil {
		rec.ResponsePayload = nil
		body, err = json.Marshal(rec)
	}
	return body, err
}

// InvokeAsync is the old way to invoke a function asynchronously.
// https://docs.aws.amazon.com/lambda/latest/api/API_InvokeAsync.html
func (s *Service) InvokeAsync(ctx context.Context, in *api.InvokeAsyncInput) (*api.InvokeAsyncOutput, error) {
	out, err := s.Invoke(ctx, &api.InvokeInput{FunctionName: in.FunctionName, Payload: in.InvokeArgs, InvocationType: new(api.InvocationTypeEvent)})
	if err != nil {
		return nil, err
	}
	return &api.InvokeAsyncOutput{Status: out.StatusCode}, nil
}
