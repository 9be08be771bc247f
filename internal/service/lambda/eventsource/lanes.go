package eventsource

import (
	"context"
	"hash/maphash"
	"sync"
)

// minAhead is how many records at least may lie behind the checkpoint of a shard that is read in several lanes. A restart hands
// those over again that were dealt with.
const minAhead = 1000

// A pending record was read, and the checkpoint is not behind it.
type pending struct {
	Record
	done bool
}

// lanes are the batches of a shard that are under way at one time. The records of an item are all in one lane.
type lanes struct {
	*poller
	shard string
	order []*pending   // in the order of the stream
	size  int          // of the events in order, in bytes
	wait  [][]*pending // by lane, without those under way
	busy  []bool       // by lane
	ended chan finished
}

// finished is a batch that was dealt with.
type finished struct {
	lane  int
	batch []*pending
}

// spread reads a shard for a function that takes as many batches of it at one time as the mapping says. A lane that is held up
// by a failing record holds up the others only when they are far ahead. It says whether the end of the shard was reached.
func (p *poller) spread(ctx context.Context, id string, at *Checkpoint, wake <-chan struct{}) bool {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	l := &lanes{poller: p, shard: id, wait: make([][]*pending, p.Parallel), busy: make([]bool, p.Parallel), ended: make(chan finished)}
	more, read := make(chan struct{}, 1), make(chan *collected)
	last := &collected{next: at.Position, ended: at.Ended}
	wg.Go(func() { p.read(ctx, id, last.next, wake, more, read) })
	for reading := false; !at.Ended; {
		l.start(ctx, &wg)
		if !reading && !last.ended && l.room() {
			more <- struct{}{}
			reading = true
		}
		select {
		case last = <-read:
			reading = false
			l.add(last.records)
		case f := <-l.ended:
			l.finish(f)
		case <-ctx.Done():
			return false
		}
		now := Checkpoint{Position: last.next, Ended: last.ended}
		if len(l.order) > 0 {
			now = Checkpoint{Position: l.order[0].Sequence}
		}
		if now.Position != at.Position || now.Ended {
			if *at = now; !p.save(ctx, id, now) {
				return false
			}
		}
	}
	return true
}

// read collects records from a position on, each time that it is asked for more, until the end of the shard or of ctx.
func (p *poller) read(ctx context.Context, id, position string, wake, more <-chan struct{}, read chan<- *collected) {
	for {
		select {
		case <-more:
		case <-ctx.Done():
			return
		}
		c := p.collect(ctx, id, position, wake)
		if c == nil {
			return
		}
		position = c.next
		select {
		case read <- c:
		case <-ctx.Done():
			return
		}
		if c.ended || c.drained && !p.news(ctx, wake, look) {
			return
		}
	}
}

// room says whether more may be read.
func (l *lanes) room() bool {
	if l.Parallel == 1 {
		return len(l.order) == 0
	}
	return len(l.order) <= max(2*l.BatchSize*l.Parallel, minAhead) && l.size <= maxBytes*l.Parallel
}

// add puts records into their lanes.
func (l *lanes) add(records []Record) {
	for _, r := range records {
		r := &pending{Record: r}
		lane := 0
		if l.Parallel > 1 {
			lane = int(maphash.String(l.seed, r.Key) % uint64(l.Parallel))
		}
		l.order, l.size = append(l.order, r), l.size+len(r.Event)
		l.wait[lane] = append(l.wait[lane], r)
	}
}

// start has the function called with a batch of each lane that is not busy.
func (l *lanes) start(ctx context.Context, wg *sync.WaitGroup) {
	for lane, wait := range l.wait {
		if l.busy[lane] || len(wait) == 0 {
			continue
		}
		records := make([]Record, min(len(wait), l.BatchSize))
		for i := range records {
			records[i] = wait[i].Record
		}
		n := l.cut(records)
		l.busy[lane], l.wait[lane] = true, wait[n:]
		wg.Go(func() {
			if !l.deliver(ctx, &call{shard: l.shard, payload: plainPayload}, records[:n]) {
				return // ctx has ended
			}
			select {
			case l.ended <- finished{lane, wait[:n]}:
			case <-ctx.Done():
			}
		})
	}
}

// finish takes note of a batch that was dealt with.
func (l *lanes) finish(f finished) {
	l.busy[f.lane] = false
	for _, r := range f.batch {
		l.size -= len(r.Event)
		r.done, r.Event = true, nil
	}
	n := 0
	for n < len(l.order) && l.order[n].done {
		n++
	}
	l.order = l.order[n:]
}
