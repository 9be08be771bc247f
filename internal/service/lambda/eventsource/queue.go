package eventsource

import (
	"context"
	"encoding/json"
	"sync"
	"time"
)

// A Queue holds messages that come back until they are deleted. It sees to that itself, and to those that come back too
// often.
type Queue interface {
	// Check returns an awserr.Error if the reader may not receive from the queue, or if there is none. Reader.StreamARN is
	// the queue's.
	Check(ctx context.Context, r Reader) error
	// Receive returns up to limit messages, and waits for the first one, at most so long.
	Receive(ctx context.Context, r Reader, limit int, wait time.Duration) ([]Message, error)
	// Delete removes messages for good.
	Delete(ctx context.Context, r Reader, messages []Message) error
}

// A Message is one of a queue.
type Message struct {
	ID, Receipt string
	// Event is the message in JSON, as functions get it.
	Event []byte
}

// pollWait is how long a queue is asked to wait for a message.
const pollWait = 20 * time.Second

// RunQueue reads a queue until ctx ends, with as many batches at one time as the mapping says. What a function fails on is
// left to the queue, and what the filters do not let through is deleted, as in Lambda.
// https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
func RunQueue(ctx context.Context, m *Mapping, queue Queue, host Host) {
	p := &queuePoller{poller: poller{Mapping: m, host: host}, queue: queue}
	var wg sync.WaitGroup
	for range m.Parallel {
		wg.Go(func() {
			pause := minPause
			for ctx.Err() == nil {
				if p.batch(ctx) {
					pause = minPause
				} else if sleep(ctx, pause) {
					pause = min(2*pause, maxPause)
				}
			}
		})
	}
	wg.Wait()
}

type queuePoller struct {
	poller
	queue Queue
}

// batch deals with one batch, and says whether the function could be called.
func (p *queuePoller) batch(ctx context.Context) bool {
	batch, ok := p.gather(ctx)
	if len(batch) == 0 {
		return ok
	}
	records := make([]Record, len(batch))
	for i, m := range batch {
		records[i] = Record{Sequence: m.ID, Event: m.Event}
	}
	outcome, err := p.host.Invoke(ctx, plainPayload(records))
	switch {
	case ctx.Err() != nil:
		return true
	case err != nil:
		p.host.Processed(ctx, ResultFailed)
		return false
	}
	done := batch
	if outcome.Failed {
		done = nil
	} else if p.Report {
		done = succeeded(outcome.Response, batch)
	}
	if len(done) < len(batch) {
		p.host.Processed(ctx, ResultFailed)
	} else {
		p.host.Processed(ctx, ResultOK)
	}
	return len(done) == 0 || p.delete(ctx, done)
}

// gather receives a batch: as many messages as there are, and for as long as the batching window lasts.
func (p *queuePoller) gather(ctx context.Context) (batch []Message, ok bool) {
	wait, size := pollWait, 0
	var deadline time.Time
	for len(batch) < p.BatchSize && size < maxBytes {
		got, err := p.queue.Receive(ctx, p.Reader, min(p.BatchSize-len(batch), maxReceive), wait)
		if err != nil {
			if ctx.Err() == nil {
				p.host.Processed(ctx, "PROBLEM: "+err.Error())
			}
			return batch, false // what was received before goes on
		}
		var dropped []Message
		for _, m := range got {
			if p.lets(Record{Event: m.Event}) {
				batch, size = append(batch, m), size+len(m.Event)
			} else {
				dropped = append(dropped, m)
			}
		}
		if len(dropped) > 0 && !p.delete(ctx, dropped) {
			return batch, false
		}
		if deadline.IsZero() && len(batch) > 0 {
			deadline = time.Now().Add(p.Window)
		}
		if wait = max(time.Until(deadline), 0); len(got) == 0 && (len(batch) == 0 || wait == 0) {
			break
		}
		if len(batch) == 0 {
			wait = pollWait
		}
	}
	return batch, true
}

// maxReceive is how many messages a queue gives out at one time.
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
const maxReceive = 10

func (p *queuePoller) delete(ctx context.Context, messages []Message) bool {
	// What was dealt with is deleted even when all is to end.
	err := p.queue.Delete(context.WithoutCancel(ctx), p.Reader, messages)
	if err != nil {
		p.host.Processed(ctx, "PROBLEM: "+err.Error())
	}
	return err == nil
}

// succeeded are the messages of a batch that the function does not report as failed. A report that names no message of the
// batch means all of it.
// https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
func succeeded(response []byte, batch []Message) []Message {
	if len(response) == 0 || string(response) == "null" {
		return batch
	}
	var report struct {
		Failures []struct {
			ID string `json:"itemIdentifier"`
		} `json:"batchItemFailures"`
	}
	if err := json.Unmarshal(response, &report); err != nil {
		return nil
	}
	failed := map[string]bool{}
	for _, f := range report.Failures {
		failed[f.ID] = true
	}
	var out []Message
	found := 0
	for _, m := range batch {
		if failed[m.ID] {
			found++
		} else {
			out = append(out, m)
		}
	}
	if found < len(failed) {
		return nil
	}
	return out
}
