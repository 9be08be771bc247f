package cloudtrail

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"brume/internal/kv"
)

const (
	// maxQueue is how many events wait at most; further calls wait until there is room.
	maxQueue = 1024
	// maxBatch is how many events one transaction writes.
	maxBatch = 256
	// writeDelay is how long an event that nobody waits for may wait for others to be written with.
	writeDelay = 100 * time.Millisecond
	// pruneInterval is how often expired events are looked for.
	pruneInterval = time.Hour
	// chunk is how many events one transaction removes.
	chunk = 500
)

// An entry is an event on its way to the store.
type entry struct {
	event *Event
	// done is closed when the event is durable, or lost; nil if nobody waits for that.
	done chan struct{}
}

// put queues an event, and waits until it is written if asked to.
func (s *Service) put(e *Event, wait bool) {
	in := entry{event: e}
	if wait {
		in.done = make(chan struct{})
	}
	select {
	case s.queue <- in:
	case <-s.stopped:
		return
	}
	if wait {
		select {
		case <-in.done:
		case <-s.stopped:
		}
	}
}

// usage is how much the trail holds.
type usage struct{ Events, Bytes int64 }

// write is the writer: the only one that writes to this part of the store, so that its transactions conflict with none.
// It writes a batch as soon as somebody waits for one of its events.
func (s *Service) write() {
	defer close(s.stopped)
	ctx := context.Background()
	prune := time.NewTicker(pruneInterval)
	defer prune.Stop()
	s.prune(ctx)
	timer := time.NewTimer(0)
	defer timer.Stop()
	var batch []entry
	add := func(e entry) (urgent bool) {
		batch = append(batch, e)
		return e.done != nil || len(batch) == maxBatch
	}
	for open := true; open; {
		batch = batch[:0]
		urgent := false
		select {
		case e := <-s.queue:
			urgent = add(e)
		case <-prune.C:
			s.prune(ctx)
			continue
		case <-s.quit:
			open = false
		}
		timer.Reset(writeDelay)
		for open && !urgent {
			select {
			case e := <-s.queue:
				urgent = add(e)
			case <-timer.C:
				urgent = true
			case <-s.quit:
				open = false
			}
		}
		for more := true; more; {
			select {
			case e := <-s.queue:
				if add(e); len(batch) >= maxBatch {
					s.flush(ctx, batch)
					batch = batch[:0]
				}
			default:
				more = false
			}
		}
		s.flush(ctx, batch)
	}
}

// flush writes a batch. What cannot be written is lost: the calls that it tells of are over.
func (s *Service) flush(ctx context.Context, batch []entry) {
	if len(batch) == 0 {
		return
	}
	var full bool
	err := s.store.Update(ctx, func(tx kv.Tx) error {
		u, err := readUsage(tx)
		if err != nil {
			return err
		}
		events := make([]*Event, len(batch))
		for i, in := range batch {
			events[i] = in.event
			size, err := insert(tx, in.event)
			if err != nil {
				return err
			}
			u.Events++
			u.Bytes += size
		}
		full = u.Bytes > s.maxBytes
		if s.follow != nil {
			if err := s.follow(tx, events); err != nil {
				return err
			}
		}
		return writeUsage(tx, u)
	})
	if err != nil {
		s.lost(ctx, len(batch), err)
	}
	for _, in := range batch {
		if in.done != nil {
			close(in.done)
		}
	}
	if full {
		s.prune(ctx)
	}
}

func (s *Service) lost(ctx context.Context, n int, err error) {
	s.log.LogAttrs(ctx, slog.LevelError, "records of the audit trail are lost", slog.Int("records", n),
		slog.String("error", err.Error()))
}

// maxIndexed is the longest value that events are looked up by.
// https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupAttribute.html
const maxIndexed = 2000

// index calls yield with every attribute of e.
func (e *Event) index(yield func(a attribute, value string) error) error {
	type pair struct {
		a     attribute
		value string
	}
	pairs := []pair{
		{anyEvent, ""}, {eventID, e.ID}, {eventName, e.Name}, {readOnly, strconv.FormatBool(e.ReadOnly)}, {username, e.Username},
		{eventSource, e.Source}, {accessKeyID, e.AccessKey},
	}
	types := map[string]bool{}
	for _, r := range e.Resources {
		if !types[r.Type] {
			types[r.Type] = true
			pairs = append(pairs, pair{resourceType, r.Type})
		}
		pairs = append(pairs, pair{resourceName, r.Name})
	}
	for _, p := range pairs {
		if p.value == "" && p.a != anyEvent || len(p.value) > maxIndexed {
			continue
		}
		if err := yield(p.a, p.value); err != nil {
			return err
		}
	}
	return nil
}

func (e *Event) position() position { return position{e.Time, e.ID} }

// insert writes e and its index, and says how many bytes that takes.
func insert(tx kv.Tx, e *Event) (size int64, err error) {
	row, err := encode(e)
	if err != nil {
		return 0, err
	}
	at, sc := e.position(), scope{e.Account, e.Region}
	key := eventKey(at)
	if err := tx.Set(key, row); err != nil {
		return 0, err
	}
	size = int64(len(key) + len(row))
	return size, e.index(func(a attribute, value string) error {
		key := indexKey(sc, a, value, at)
		size += int64(len(key))
		return tx.Set(key, nil)
	})
}

// remove takes away what insert wrote.
func remove(tx kv.Tx, e *Event, row kv.Pair) (size int64, err error) {
	if err := tx.Delete(row.Key); err != nil {
		return 0, err
	}
	size = int64(len(row.Key) + len(row.Value))
	return size, e.index(func(a attribute, value string) error {
		key := indexKey(scope{e.Account, e.Region}, a, value, e.position())
		size += int64(len(key))
		return tx.Delete(key)
	})
}

// prune removes events that are too old, and the oldest ones while there are too many.
func (s *Service) prune(ctx context.Context) {
	for more := true; more; {
		err := s.store.Update(ctx, func(tx kv.Tx) (err error) {
			more, err = s.pruneChunk(tx)
			return err
		})
		if err != nil {
			s.log.LogAttrs(ctx, slog.LevelError, "removing old records of the audit trail", slog.String("error", err.Error()))
			return
		}
	}
}

func (s *Service) pruneChunk(tx kv.Tx) (more bool, err error) {
	u, err := readUsage(tx)
	if err != nil {
		return false, err
	}
	oldest := tx.Now().Add(-Retention)
	stays := func(row kv.Pair) (bool, error) {
		at, err := parseEventKey(row.Key)
		return !at.time.Before(oldest) && u.Bytes <= s.maxBytes, err
	}
	r := kv.Prefix(table(tagEvent))
	r.Limit = chunk
	var rows []kv.Pair
	for row, err := range tx.Scan(r) {
		if err != nil {
			return false, err
		}
		if len(rows) == 0 { // nearly always the oldest stays, and the others need not be read
			if stay, err := stays(row); stay || err != nil {
				return false, err
			}
		}
		rows = append(rows, row)
	}
	for _, row := range rows {
		if stay, err := stays(row); err != nil {
			return false, err
		} else if stay {
			return false, writeUsage(tx, u)
		}
		e, err := parseRow(row.Key, row.Value)
		if err != nil {
			return false, err
		}
		size, err := remove(tx, e, row)
		if err != nil {
			return false, err
		}
		u.Events--
		u.Bytes -= size
	}
	if len(rows) == 0 {
		return false, nil
	}
	return len(rows) == chunk, writeUsage(tx, u)
}

func parseRow(key, value []byte) (*Event, error) {
	e := new(Event)
	if err := json.Unmarshal(value, e); err != nil {
		return nil, fmt.Errorf("cloudtrail: row %q: %w", key, err)
	}
	return e, nil
}

func readUsage(r kv.Reader) (u usage, err error) {
	data, ok, err := r.Get(usageKey())
	if err != nil || !ok {
		return u, err
	}
	return u, json.Unmarshal(data, &u)
}

func writeUsage(tx kv.Tx, u usage) error {
	data, err := json.Marshal(u)
	if err != nil {
		return err
	}
	return tx.Set(usageKey(), data)
}
