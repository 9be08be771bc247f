package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	api "brume/internal/api/lambda"
	"brume/internal/kv"
	"brume/internal/outbox"
	"brume/internal/service/lambda/environment"
)

// EventQueue is the queue of asynchronous invocations.
const EventQueue = "lambda.event"

// EventConcurrency is how many asynchronous invocations are under way at one time. Each also counts for the limits of its
// function and its account.
const EventConcurrency = 256

// How asynchronous invocations are tried again.
// https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
const (
	// maxEventAge is how long an event is tried to be delivered at all.
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
	// Failures are the runs that failed, Hindrances the deliveries that did not become runs since then.
	Failures   int `json:"failures,omitempty"`
	Hindrances int `json:"hindrances,omitempty"`
}

// enqueue stores an asynchronous invocation.
func (s *Service) enqueue(ctx context.Context, r ref, inv *environment.Invocation) error {
	payload, err := json.Marshal(&eventJob{
		Account: r.account, Region: r.region, Name: r.name, Qualifier: r.qualifier,
		RequestID: inv.RequestID, Payload: inv.Payload, ClientContext: inv.ClientContext,
	})
	if err != nil {
		return err
	}
	return s.store.Update(ctx, func(tx kv.Tx) error {
		// What the function is then is decided when it runs.
		if _, err := s.resolve(tx, r); err != nil {
			return err
		}
		_, err := outbox.Enqueue(tx, outbox.Job{Queue: EventQueue, Payload: payload})
		return err
	})
}

// DeliverEvent is the handler of EventQueue. A process that dies during a run delivers the event again, so a function may
// get it twice, as in Lambda.
func (s *Service) DeliverEvent(ctx context.Context, d outbox.Delivery) error {
	job := &eventJob{}
	if err := json.Unmarshal(d.Payload, job); err != nil {
		return fmt.Errorf("lambda: an event of the queue: %w", err)
	}
	r := ref{scope{job.Account, job.Region}, job.Name, job.Qualifier}
	c, err := s.callable(ctx, r)
	if _, gone := errors.AsType[*api.ResourceNotFoundException](err); gone {
		return nil // the function was deleted, and its events with it
	}
	if err != nil {
		return err
	}
	result, err := s.run(ctx, c, &environment.Invocation{
		RequestID: job.RequestID, FunctionARN: r.arn(), Payload: job.Payload, ClientContext: job.ClientContext,
	})
	if errors.Is(err, environment.ErrClosed) || ctx.Err() != nil {
		return errors.Join(err, ctx.Err()) // cut short: the next process delivers it
	}
	wait, again := job.next(result, err)
	switch {
	case !again:
		return nil
	case time.Since(d.EnqueuedAt)+wait > maxEventAge:
		s.log.WarnContext(ctx, "an asynchronous event was too old to be delivered again", "function", r.arn(), "request_id", job.RequestID)
		return nil
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

// next counts how a delivery ended, and says whether and when there is to be another one.
func (j *eventJob) next(result *environment.Result, err error) (wait time.Duration, again bool) {
	if err != nil {
		wait = maxEventPause
		if j.Hindrances < 9 { // 2^9 seconds are more than that
			wait = min(minEventPause<<j.Hindrances, maxEventPause)
		}
		j.Hindrances++
		return wait - time.Duration(rand.Int64N(int64(wait/4))), true // not all at once
	}
	if !result.Failed || j.Failures == eventRetries {
		return 0, false
	}
	j.Failures++
	j.Hindrances = 0
	return time.Duration(j.Failures) * time.Minute, true
}
