package eventsource

import (
	"context"
	"errors"
	"hash/maphash"
	"sync"
	"time"
)

const (
	// maxBytes is how large the records of a batch may be together: an event for a function is at most 6 MB.
	maxBytes = 6<<20 - 64<<10
	// maxRead is how many records are read at one time.
	maxRead = 1000
	// look is how often a stream is looked at without a wake-up, in case one was missed.
	look = 30 * time.Second
	// minPause and maxPause bound the pauses after failures, which double.
	minPause = 200 * time.Millisecond
	maxPause = 30 * time.Second
)

// A poller reads one stream for one mapping.
type poller struct {
	*Mapping
	stream Stream
	host   Host
	seed   maphash.Seed
}

// Run reads a stream until ctx ends, or the stream has.
func Run(ctx context.Context, m *Mapping, stream Stream, host Host) {
	p := &poller{Mapping: m, stream: stream, host: host, seed: maphash.MakeSeed()}
	var shards []Shard
	p.insist(ctx, func() (err error) {
		shards, err = stream.Shards(ctx, m.Reader)
		return err
	})
	ended := make(map[string]chan struct{}, len(shards))
	for _, s := range shards {
		ended[s.ID] = make(chan struct{})
	}
	var wg sync.WaitGroup
	for _, s := range shards {
		wg.Go(func() {
			if parent := ended[s.Parent]; parent != nil {
				select {
				case <-parent:
				case <-ctx.Done():
					return
				}
			}
			if p.shard(ctx, s.ID) {
				close(ended[s.ID])
			}
		})
	}
	wg.Wait()
}

// insist does something until it works or ctx ends. It says whether it worked.
func (p *poller) insist(ctx context.Context, do func() error) bool {
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		err := do()
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		p.host.Processed(ctx, "PROBLEM: "+err.Error())
		if !sleep(ctx, pause) {
			return false
		}
	}
}

// sleep waits, and says whether ctx lasts.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// shard reads a shard to its end, and says whether that was reached.
func (p *poller) shard(ctx context.Context, id string) bool {
	var at Checkpoint
	known := false
	if !p.insist(ctx, func() (err error) {
		at, known, err = p.host.Load(ctx, id)
		return err
	}) {
		return false
	}
	wake := make(chan struct{}, 1)
	var stop func()
	if !p.insist(ctx, func() (err error) {
		stop, err = p.stream.Watch(ctx, p.Reader, func() {
			select {
			case wake <- struct{}{}:
			default:
			}
		})
		return err
	}) {
		return false
	}
	defer stop()
	if !known && !p.begin(ctx, id, &at) {
		return false
	}
	if p.Tumbling > 0 {
		return p.windows(ctx, id, &at, wake)
	}
	return p.spread(ctx, id, &at, wake)
}

// begin fixes where a shard is read from, so that what comes after LATEST is not lost to a crash.
func (p *poller) begin(ctx context.Context, id string, at *Checkpoint) bool {
	if at.Position = p.Start; p.Start != FromLatest {
		return true
	}
	if !p.insist(ctx, func() error {
		b, err := p.stream.Read(ctx, p.Reader, id, FromLatest, 1)
		if err == nil {
			at.Position, at.Ended = b.Next, b.End
		}
		return err
	}) {
		return false
	}
	return p.save(ctx, id, *at)
}

func (p *poller) save(ctx context.Context, id string, at Checkpoint) bool {
	return p.insist(ctx, func() error { return p.host.Save(ctx, id, at) })
}

// news waits for news of the stream, at most so long, and says whether ctx lasts.
func (*poller) news(ctx context.Context, wake <-chan struct{}, most time.Duration) bool {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-wake:
	case <-timer.C:
	case <-ctx.Done():
		return false
	}
	return true
}

// collected is what was read at one time.
type collected struct {
	records []Record // those that the filters let through
	next    string   // the position behind them
	ended   bool
	drained bool // there was nothing more to read
}

// collect reads until there is enough for full batches, or nothing more, or the batching window is over. It returns nil if
// ctx has ended.
func (p *poller) collect(ctx context.Context, id, position string, wake <-chan struct{}) *collected {
	c := &collected{next: position}
	want, size := p.BatchSize*p.Parallel, 0
	var deadline time.Time
	for {
		var b *Batch
		if !p.insist(ctx, func() (err error) {
			b, err = p.stream.Read(ctx, p.Reader, id, c.next, min(want-len(c.records), maxRead))
			if errors.Is(err, ErrTrimmed) {
				b, err = p.stream.Read(ctx, p.Reader, id, FromTrimHorizon, min(want-len(c.records), maxRead))
			}
			return err
		}) {
			return nil
		}
		for _, r := range b.Records {
			if p.lets(r) {
				c.records = append(c.records, r)
				size += len(r.Event)
			}
		}
		if c.ended = b.End; !b.End {
			c.next = b.Next
		}
		switch {
		case c.ended || len(c.records) >= want || size >= maxBytes*p.Parallel:
			return c
		case len(b.Records) > 0:
			// there may be more at once
			if len(c.records) > 0 && deadline.IsZero() {
				deadline = time.Now().Add(p.Window)
			}
		case len(c.records) == 0 || p.Window == 0 || !time.Now().Before(deadline):
			c.drained = true
			return c
		default:
			timer := time.NewTimer(time.Until(deadline))
			select {
			case <-wake:
			case <-timer.C:
			case <-ctx.Done():
			}
			timer.Stop()
			if ctx.Err() != nil {
				return nil
			}
		}
	}
}

// lets says whether a record passes the filters.
func (p *poller) lets(r Record) bool {
	if len(p.Filters) == 0 {
		return true
	}
	for _, f := range p.Filters {
		if f.MatchJSON(r.Event) {
			return true
		}
	}
	return false
}

// cut says how many records from the first on make a batch: at least one, however large it is.
func (p *poller) cut(records []Record) int {
	size := 0
	for i, r := range records {
		if size += len(r.Event) + 1; i == p.BatchSize || i > 0 && size > maxBytes {
			return i
		}
	}
	return len(records)
}
