package eventsource

import (
	"context"
	"encoding/json"
	"slices"
	"time"
)

// A call says how a batch is made an event, and what becomes of a response.
type call struct {
	shard   string
	payload func(records []Record) []byte
	// done is told of the response to a batch that was dealt with. nil does not want to know.
	done func(response []byte)
}

// plainPayload is the event that holds records and nothing else.
func plainPayload(records []Record) []byte {
	size := 16
	for _, r := range records {
		size += len(r.Event) + 1
	}
	return append(appendRecords(append(make([]byte, 0, size), '{'), records), '}')
}

func appendRecords(b []byte, records []Record) []byte {
	b = append(b, `"Records":[`...)
	for i, r := range records {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, r.Event...)
	}
	return append(b, ']')
}

// deliver calls the function with a batch until all of it was dealt with, which it says, or ctx ends.
// https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html
func (p *poller) deliver(ctx context.Context, c *call, batch []Record) bool {
	tries := 0
	var last *Outcome
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		var ok bool
		if batch, ok = p.discardOld(ctx, c, batch, tries, last); !ok || len(batch) == 0 {
			return ok
		}
		outcome, err := p.host.Invoke(ctx, c.payload(batch))
		switch {
		case ctx.Err() != nil:
			return false
		case err != nil: // it was not called: this is no try
			p.host.Processed(ctx, ResultFailed)
			if !sleep(ctx, pause) {
				return false
			}
			continue
		}
		failed := 0
		if !outcome.Failed {
			if failed = p.firstFailed(outcome.Response, batch); failed < 0 {
				if c.done != nil {
					c.done(outcome.Response)
				}
				p.host.Processed(ctx, ResultOK)
				return true
			}
		}
		p.host.Processed(ctx, ResultFailed)
		last = outcome
		switch {
		case failed > 0: // what comes before it is done with, and what is left is another batch
			if c.done != nil {
				c.done(outcome.Response)
			}
			if batch, tries, pause = batch[failed:], 0, minPause; p.Bisect {
				continue // so it was cut already, which is no retry
			}
		case p.Bisect && len(batch) > 1:
			half := len(batch) / 2
			return p.deliver(ctx, c, batch[:half]) && p.deliver(ctx, c, batch[half:])
		}
		if tries++; p.Retries >= 0 && tries > p.Retries {
			return p.discard(ctx, &Discarded{Shard: c.shard, Condition: RetryAttemptsExhausted, Count: tries, Outcome: last, Records: batch})
		}
		if !sleep(ctx, pause) {
			return false
		}
	}
}

// discardOld gives up the records that are too old, and returns the others.
func (p *poller) discardOld(ctx context.Context, c *call, batch []Record, tries int, last *Outcome) ([]Record, bool) {
	if p.Age <= 0 {
		return batch, true
	}
	old := 0
	for old < len(batch) && time.Since(batch[old].Time) > p.Age {
		old++
	}
	if old == 0 {
		return batch, true
	}
	ok := p.discard(ctx, &Discarded{Shard: c.shard, Condition: RecordAgeExceeded, Count: tries, Outcome: last, Records: batch[:old]})
	return batch[old:], ok
}

func (p *poller) discard(ctx context.Context, d *Discarded) bool {
	return p.insist(ctx, func() error { return p.host.Discard(ctx, d) })
}

// firstFailed is the index of the first record that the function reports as failed, -1 if it reports none. A report that
// names no record of the batch means all of it.
// https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
func (p *poller) firstFailed(response []byte, batch []Record) int {
	if !p.Report || len(response) == 0 || string(response) == "null" {
		return -1
	}
	var report struct {
		Failures *[]struct {
			ID *string `json:"itemIdentifier"`
		} `json:"batchItemFailures"`
	}
	if err := json.Unmarshal(response, &report); err != nil {
		return 0
	}
	if report.Failures == nil || len(*report.Failures) == 0 {
		return -1
	}
	first := len(batch)
	for _, f := range *report.Failures {
		i := -1
		if f.ID != nil {
			i = slices.IndexFunc(batch, func(r Record) bool { return r.Sequence == *f.ID })
		}
		if i < 0 {
			return 0
		}
		first = min(first, i)
	}
	return first
}
