package eventsource

import (
	"context"
	"encoding/json"
	"time"
)

const (
	// maxState is how large the state of a window may become, in bytes: then the window ends early.
	// https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-windows.html
	maxState = 1 << 20
	// lateness is how long a window stays open for its last records.
	lateness = time.Second
)

// A tumblingEvent is what a function gets besides the records of a window.
type tumblingEvent struct {
	Window struct {
		Start string `json:"start"`
		End   string `json:"end"`
	} `json:"window"`
	State      json.RawMessage `json:"state"`
	Shard      string          `json:"shardId"`
	Source     string          `json:"eventSourceARN"`
	Final      bool            `json:"isFinalInvokeForWindow"`
	Terminated bool            `json:"isWindowTerminatedEarly"`
}

// windows reads a shard for a function that keeps a state, and says whether its end was reached.
func (p *poller) windows(ctx context.Context, id string, at *Checkpoint, wake <-chan struct{}) bool {
	for !at.Ended {
		c := p.collect(ctx, id, at.Position, wake)
		if c == nil || !p.aggregate(ctx, id, at, c.records) {
			return false
		}
		if at.Position != c.next || c.ended {
			at.Position, at.Ended = c.next, c.ended
			if !p.save(ctx, id, *at) {
				return false
			}
		}
		if !c.drained || at.Ended {
			continue
		}
		d := time.Duration(look)
		if !at.Window.IsZero() {
			d = min(d, max(time.Until(at.Window.Add(p.Tumbling+lateness)), 0))
		}
		if !p.news(ctx, wake, d) {
			return false
		}
	}
	return true
}

// aggregate hands records to a function that keeps a state over windows of time. The state is saved with the position up to
// which it counts, so that after a crash no record counts twice in a state that was saved.
// https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-windows.html
func (p *poller) aggregate(ctx context.Context, shard string, at *Checkpoint, records []Record) bool {
	for len(records) > 0 {
		window := records[0].Time.Truncate(p.Tumbling)
		if !at.Window.IsZero() && window.After(at.Window) && !p.close(ctx, shard, at, false) {
			return false
		}
		if at.Window.IsZero() {
			at.Window = window
		}
		n := 0
		for n < len(records) && !records[n].Time.Truncate(p.Tumbling).After(at.Window) { // one that is late counts here
			n++
		}
		n = p.cut(records[:n])
		c := &call{
			shard:   shard,
			payload: func(batch []Record) []byte { return p.tumblingPayload(shard, at, batch, false, false) },
			done:    func(response []byte) { at.State = stateOf(response) },
		}
		if !p.deliver(ctx, c, records[:n]) {
			return false
		}
		if records = records[n:]; len(records) > 0 {
			at.Position = records[0].Sequence
			if !p.save(ctx, shard, *at) {
				return false
			}
		}
		if len(at.State) > maxState && !p.close(ctx, shard, at, true) {
			return false
		}
	}
	if !at.Window.IsZero() && !time.Now().Before(at.Window.Add(p.Tumbling+lateness)) {
		return p.close(ctx, shard, at, false)
	}
	// Whatever position is saved next carries the state along; where it stays the same there was no record.
	return true
}

// close ends a window: the function is called once more, with the final state and no records.
func (p *poller) close(ctx context.Context, shard string, at *Checkpoint, early bool) bool {
	payload := p.tumblingPayload(shard, at, nil, true, early)
	tries := 0
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		outcome, err := p.host.Invoke(ctx, payload)
		if ctx.Err() != nil {
			return false
		}
		if err == nil && !outcome.Failed {
			p.host.Processed(ctx, ResultOK)
			break
		}
		p.host.Processed(ctx, ResultFailed)
		if err == nil {
			if tries++; p.Retries >= 0 && tries > p.Retries {
				break
			}
		}
		if !sleep(ctx, pause) {
			return false
		}
	}
	at.Window, at.State = time.Time{}, nil
	return p.save(ctx, shard, *at)
}

// stateOf is the state that a function returned, nil if it returned none.
func stateOf(response []byte) json.RawMessage {
	var r struct {
		State json.RawMessage `json:"state"`
	}
	if json.Unmarshal(response, &r) != nil {
		return nil
	}
	return r.State
}

func (p *poller) tumblingPayload(shard string, at *Checkpoint, records []Record, final, early bool) []byte {
	e := &tumblingEvent{State: at.State, Shard: shard, Source: p.StreamARN, Final: final, Terminated: early}
	if len(e.State) == 0 {
		e.State = json.RawMessage("{}")
	}
	e.Window.Start = at.Window.UTC().Format(time.RFC3339)
	e.Window.End = at.Window.Add(p.Tumbling).UTC().Format(time.RFC3339)
	rest, err := json.Marshal(e)
	if err != nil {
		panic(err) // the state was read as JSON
	}
	b := appendRecords([]byte{'{'}, records)
	b = append(b, ',')
	return append(b, rest[1:]...)
}
