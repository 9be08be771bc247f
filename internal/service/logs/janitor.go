package logs

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"brume/internal/kv"
)

const (
	// retentionInterval is how often Run looks for events that their group's retention has expired. AWS removes them
	// within 72 hours.
	retentionInterval = time.Hour
	// chunk is how many rows Run removes in one transaction, so that it never holds up others for long.
	chunk = 1000
)

// Run removes the events of deleted groups and streams and those that have expired, and works on queries, until ctx ends.
func (s *Service) Run(ctx context.Context) {
	var workers sync.WaitGroup
	defer workers.Wait()
	for range queryWorkers {
		workers.Go(func() { s.runQueries(ctx) })
	}
	ticker := time.NewTicker(retentionInterval)
	defer ticker.Stop()
	for {
		if err := s.clean(ctx); err != nil && ctx.Err() == nil {
			s.log.LogAttrs(ctx, slog.LevelError, "removing deleted or expired log events", slog.String("error", err.Error()))
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-s.work:
		}
	}
}

func (s *Service) wake() {
	select {
	case s.work <- struct{}{}:
	default:
	}
}

func (s *Service) clean(ctx context.Context) error {
	if err := s.emptyTrash(ctx); err != nil {
		return err
	}
	if err := s.expire(ctx); err != nil {
		return err
	}
	return s.forgetPoints(ctx, maxPoints)
}

func (s *Service) emptyTrash(ctx context.Context) error {
	for {
		var trash, prefix []byte
		err := s.store.View(ctx, func(tx kv.Reader) error {
			for pair, err := range tx.Scan(kv.Prefix(table(tagTrash))) {
				if err != nil {
					return err
				}
				trash = append([]byte(nil), pair.Key...)
				prefix, err = parseTrashKey(trash)
				return err
			}
			return nil
		})
		if err != nil || trash == nil {
			return err
		}
		if err := s.removeRange(ctx, kv.Prefix(prefix)); err != nil {
			return err
		}
		if err := s.store.Update(ctx, func(tx kv.Tx) error { return tx.Delete(trash) }); err != nil {
			return err
		}
	}
}

// removeRange removes all rows of r, a chunk at a time.
func (s *Service) removeRange(ctx context.Context, r kv.Range) error {
	r.Limit = chunk
	for {
		n := 0
		err := s.store.Update(ctx, func(tx kv.Tx) error {
			var keys [][]byte
			for pair, err := range tx.Scan(r) {
				if err != nil {
					return err
				}
				keys = append(keys, pair.Key)
			}
			n = len(keys)
			for _, k := range keys {
				if err := tx.Delete(k); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || n < chunk {
			return err
		}
	}
}

// expire applies the retention of every group.
func (s *Service) expire(ctx context.Context) error {
	type stream struct {
		group     uint64
		name      string
		retention int32
	}
	var due []stream
	err := s.store.View(ctx, func(tx kv.Reader) error {
		now := time.Now()
		for pair, err := range tx.Scan(kv.Prefix(table(tagGroup))) {
			if err != nil {
				return err
			}
			var group groupRow
			if _, err := getJSON(tx, pair.Key, &group); err != nil {
				return err
			}
			if group.RetentionDays == 0 {
				continue
			}
			streams, err := listStreams(tx, &group, "", "")
			if err != nil {
				return err
			}
			for _, st := range streams {
				if st.FirstEvent != nil && *st.FirstEvent < expiry(now, group.RetentionDays) {
					due = append(due, stream{group.ID, st.name, group.RetentionDays})
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, st := range due {
		for more := true; more; {
			err := s.store.Update(ctx, func(tx kv.Tx) (err error) {
				more, err = expireChunk(tx, st.group, st.name, expiry(tx.Now(), st.retention))
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// expireChunk removes the first events of a stream that are older than end, and says whether there may be more.
func expireChunk(tx kv.Tx, group uint64, name string, end int64) (more bool, err error) {
	var st streamRow
	ok, err := getJSON(tx, streamKey(group, name), &st)
	if err != nil || !ok {
		return false, err
	}
	n := 0
	r := kv.Range{Start: eventPrefix(group, st.ID), End: kv.PrefixEnd(eventPrefix(group, st.ID)), Limit: chunk + 1}
	st.FirstEvent = nil
	var remove [][]byte
	for pair, err := range tx.Scan(r) {
		if err != nil {
			return false, err
		}
		e, err := parseEvent(pair)
		if err != nil {
			return false, err
		}
		if e.timestamp >= end || n == chunk {
			st.FirstEvent = new(e.timestamp)
			more = e.timestamp < end
			break
		}
		n++
		remove = append(remove, pair.Key)
		st.StoredBytes -= int64(len(e.message) + eventOverhead)
	}
	for _, k := range remove {
		if err := tx.Delete(k); err != nil {
			return false, err
		}
	}
	if st.FirstEvent == nil {
		st.LastEvent = nil
	}
	return more, setJSON(tx, streamKey(group, name), st)
}
