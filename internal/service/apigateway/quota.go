package apigateway

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"brume/internal/kv"
)

// A quota is how many requests a key may make in a period.
// https://docs.aws.amazon.com/apigateway/latest/api/API_QuotaSettings.html
type quota struct {
	limit  int64
	offset int    // days by which a WEEK or a MONTH begins later
	period string // DAY, WEEK, MONTH
}

// A day counts days since 1970-01-01, in UTC.
type day int64

func dayOf(t time.Time) day { return day(t.Unix() / 86400) } // times before 1970 do not come up

func (d day) String() string { return time.Unix(int64(d)*86400, 0).UTC().Format(time.DateOnly) }

func parseDay(s string) (day, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil || t.Year() < 1970 {
		return 0, fmt.Errorf("%q is no date", s)
	}
	return dayOf(t), nil
}

// start is the first day of the period that d lies in. Weeks begin on Sunday.
func (q *quota) start(d day) day {
	switch q.period {
	case "WEEK":
		const sunday = 3 // 1970-01-04
		n := (d - sunday - day(q.offset)) % 7
		if n < 0 {
			n += 7
		}
		return d - n
	case "MONTH":
		t := time.Unix(int64(d)*86400, 0).UTC()
		first := time.Date(t.Year(), t.Month(), 1+q.offset, 0, 0, 0, 0, time.UTC)
		if first.After(t) {
			first = time.Date(t.Year(), t.Month()-1, 1+q.offset, 0, 0, 0, 0, time.UTC)
		}
		return dayOf(first)
	}
	return d
}

// A usageID names what is counted: the requests of a key under a plan.
type usageID struct {
	scope
	plan, key string
}

// historyDays is how far back a counter looks: no period is longer.
const historyDays = 31

// A counter counts the requests of one usageID.
type counter struct {
	mu      sync.Mutex
	days    map[day]int64 // what was counted, the stored part included
	unsaved map[day]int64 // the part that is not stored yet
	used    time.Time     // when it was last asked
	start   day           // of the period that total is for
	total   int64
	// extra is by how much the quota of the period that begins at extraStart is extended.
	extra      int64
	extraStart day
}

// counters count requests in memory and write what they counted once a second. A crash loses at most what was counted
// since the last write.
type counters struct{ m sync.Map } // usageID → *counter

// get returns a counter for a plan with the quota q, nil for none, reading it from the store if it is new.
func (c *counters) get(r kv.Reader, id usageID, q *quota) (*counter, error) {
	if v, ok := c.m.Load(id); ok {
		return v.(*counter), nil
	}
	n := &counter{days: make(map[day]int64), unsaved: make(map[day]int64), start: -1, extraStart: -1, used: r.Now()}
	today := dayOf(r.Now())
	rows := kv.Range{Start: usageKey(id, today-historyDays), End: kv.PrefixEnd(usagePrefix(id))}
	for pair, err := range r.Scan(rows) {
		if err != nil {
			return nil, err
		}
		d, err := parseUsageDay(pair.Key)
		if err != nil {
			return nil, err
		}
		if n.days[d], err = parseCount(pair.Value); err != nil {
			return nil, err
		}
	}
	if q != nil {
		n.extraStart = q.start(today)
		var err error
		if n.extra, err = extensionOf(r, id, n.extraStart); err != nil {
			return nil, err
		}
	}
	v, _ := c.m.LoadOrStore(id, n)
	return v.(*counter), nil
}

// take counts a request, unless its key has used up the quota. A nil quota is none.
func (n *counter) take(q *quota, now time.Time) bool {
	today := dayOf(now)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.used = now
	if q != nil {
		if start := q.start(today); start != n.start {
			n.start, n.total = start, 0
			for d, count := range n.days {
				if d >= start {
					n.total += count
				}
			}
		}
		if n.total >= q.limit+n.extension(n.start) {
			return false
		}
	}
	n.total++
	n.days[today]++
	n.unsaved[today]++
	return true
}

// extension is what is granted above the quota in the period that begins at start.
func (n *counter) extension(start day) int64 {
	if start == n.extraStart {
		return n.extra
	}
	return 0
}

// extend grants more, or less, than the quota for the period that begins at start.
func (n *counter) extend(start day, extra int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.extraStart, n.extra = start, extra
}

func (n *counter) takeUnsaved() map[day]int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.unsaved) == 0 {
		return nil
	}
	u := n.unsaved
	n.unsaved = make(map[day]int64)
	return u
}

func (n *counter) giveBack(u map[day]int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for d, count := range u {
		n.unsaved[d] += count
	}
}

// idle reports whether the counter can be dropped: everything is stored and nobody asked for a while.
func (n *counter) idle(now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.unsaved) == 0 && now.Sub(n.used) > time.Hour
}

// flushBatch is how many counters go into one transaction.
const flushBatch = 500

// flush writes what was counted since the last flush.
func (s *Service) flush(ctx context.Context) error {
	s.flushing.Lock()
	defer s.flushing.Unlock()
	type pending struct {
		id      usageID
		n       *counter
		unsaved map[day]int64
	}
	var batch []pending
	var failed error
	write := func() {
		if len(batch) == 0 {
			return
		}
		err := s.store.Update(ctx, func(tx kv.Tx) error {
			for _, p := range batch {
				for d, count := range p.unsaved {
					key := usageKey(p.id, d)
					old, ok, err := tx.Get(key)
					if err != nil {
						return err
					}
					if ok {
						stored, err := parseCount(old)
						if err != nil {
							return err
						}
						count += stored
					}
					if err := tx.Set(key, binary.BigEndian.AppendUint64(nil, uint64(count))); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			failed = err
			for _, p := range batch {
				p.n.giveBack(p.unsaved)
			}
		}
		batch = batch[:0]
	}
	now := time.Now()
	s.counters.m.Range(func(k, v any) bool {
		id, n := k.(usageID), v.(*counter)
		if u := n.takeUnsaved(); u != nil {
			if batch = append(batch, pending{id, n, u}); len(batch) == flushBatch {
				write()
			}
		} else if n.idle(now) {
			s.counters.m.Delete(id)
		}
		return true
	})
	write()
	return failed
}

// Run writes the counted usage once a second and logs as they come, until ctx ends, and then once more. It returns after
// that.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := s.flush(ctx); err != nil && ctx.Err() == nil {
				s.log.ErrorContext(ctx, "API Gateway usage could not be written; it is tried again", slog.String("error", err.Error()))
			}
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			return s.flush(last)
		}
	}
}

func parseCount(v []byte) (int64, error) {
	if len(v) != 8 {
		return 0, fmt.Errorf("apigateway: a usage row has %d bytes", len(v))
	}
	return int64(binary.BigEndian.Uint64(v)), nil
}
