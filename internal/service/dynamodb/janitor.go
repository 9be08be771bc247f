package dynamodb

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"brume/internal/kv"
)

const (
	// cleanInterval is how often Run looks for what has expired.
	cleanInterval = time.Minute
	// chunk is how many rows Run touches in one transaction, so that it never holds up others for long.
	chunk = 1000
)

// Run does, until ctx ends, what is to be done in the background: it takes jobs forward, removes
// expired items, gives back the room of what was
// deleted or is too old, and counts the items of large tables.
func (s *Service) Run(ctx context.Context) {
	var loops sync.WaitGroup
	loops.Go(func() { s.runJobs(ctx) })
	loops.Go(func() { s.expireItems(ctx) })
	loops.Go(func() { s.clean(ctx) })
	loops.Wait()
}

func (s *Service) clean(ctx context.Context) {
	for {
		for _, job := range [...]struct {
			name string
			run  func(context.Context) error
		}{
			{"removing deleted tables", s.emptyTrash},
			{"removing expired tokens", s.expire},
			{"removing old stream records", s.trimStreams},
			{"removing old changes", s.trimLogs},
			{"removing old backups", s.dropOldBackups},
			{"counting items", s.count},
		} {
			if err := job.run(ctx); err != nil && ctx.Err() == nil {
				s.log.LogAttrs(ctx, slog.LevelError, job.name, slog.String("error", err.Error()))
			}
		}
		if !s.work.wait(ctx, cleanInterval) {
			return
		}
	}
}

// emptyTrash removes the rows of deleted tables.
func (s *Service) emptyTrash(ctx context.Context) error {
	for {
		var trash, prefix []byte
		err := s.view(ctx, func(r kv.Reader) error {
			for pair, err := range r.Scan(kv.Prefix(rows(tagTrash))) {
				if err != nil {
					return err
				}
				trash = bytes.Clone(pair.Key)
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
		if err := s.update(ctx, func(tx kv.Tx) error { return tx.Delete(trash) }); err != nil {
			return err
		}
	}
}

// removeRange removes all rows of r, a chunk at a time. Nobody writes to them any more.
func (s *Service) removeRange(ctx context.Context, r kv.Range) error {
	r.Limit = chunk
	for {
		var keys [][]byte
		err := s.update(ctx, func(tx kv.Tx) error {
			keys = keys[:0]
			for pair, err := range tx.Scan(r) {
				if err != nil {
					return err
				}
				keys = append(keys, bytes.Clone(pair.Key))
			}
			for _, key := range keys {
				if err := tx.Delete(key); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || len(keys) < chunk {
			return err
		}
		// What is removed is stepped over no more.
		r.Start = keys[len(keys)-1]
	}
}

// expire forgets the tokens whose time is over.
func (s *Service) expire(ctx context.Context) error {
	for from := rows(tagExpiry); from != nil; {
		var next []byte
		err := s.update(ctx, func(tx kv.Tx) error {
			next = nil
			now := tx.Now()
			var expired []kv.Pair
			for pair, err := range tx.Scan(kv.Range{Start: from, End: expiryKey(now, nil), Limit: chunk}) {
				if err != nil {
					return err
				}
				expired = append(expired, pair)
			}
			if len(expired) == chunk {
				next = bytes.Clone(expired[chunk-1].Key) // what is removed is stepped over no more
			}
			for _, pair := range expired {
				if err := expireToken(tx, pair.Key, now); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		from = next
	}
	return nil
}

// expireToken removes what an expiry row names, unless it was given a later expiry since.
func expireToken(tx kv.Tx, expiry []byte, now time.Time) error {
	_, key, err := parseExpiryKey(expiry)
	if err != nil {
		return err
	}
	raw, ok, err := tx.Get(key)
	if err != nil {
		return err
	}
	if ok {
		var row tokenRow
		if err := json.Unmarshal(raw, &row); err != nil {
			return err
		}
		if !row.Expires.After(now) {
			if err := tx.Delete(bytes.Clone(key)); err != nil {
				return err
			}
		}
	}
	return tx.Delete(bytes.Clone(expiry))
}

// trimStreams removes records that are too old, and streams that were switched off so long ago that they have none.
func (s *Service) trimStreams(ctx context.Context) error {
	type stream struct {
		key  []byte
		id   uint64
		gone bool
	}
	var (
		streams []stream
		cutoff  uint64
	)
	err := s.view(ctx, func(r kv.Reader) error {
		streams, cutoff = streams[:0], trimmed(r.Now())
		for pair, err := range r.Scan(kv.Prefix(rows(tagStream))) {
			if err != nil {
				return err
			}
			row, err := decodeStream(pair.Value)
			if err != nil {
				return err
			}
			streams = append(streams, stream{bytes.Clone(pair.Key), row.ID, row.gone(r.Now())})
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, x := range streams {
		old := kv.Range{Start: recordPrefix(x.id), End: recordKey(x.id, cutoff)}
		if x.gone {
			old = kv.Prefix(recordPrefix(x.id))
		}
		// What is removed is noted first: nobody may take a gap for the beginning.
		if err := s.update(ctx, func(tx kv.Tx) error { return markTrimmed(tx, x.key, old) }); err != nil {
			return err
		}
		if err := s.removeRange(ctx, old); err != nil {
			return err
		}
		if x.gone {
			if err := s.update(ctx, func(tx kv.Tx) error { return tx.Delete(x.key) }); err != nil {
				return err
			}
		}
	}
	return nil
}

// markTrimmed notes in the row of a stream that the records of a range are to be removed.
func markTrimmed(tx kv.Tx, key []byte, old kv.Range) error {
	data, ok, err := tx.Get(key)
	if err != nil || !ok {
		return err
	}
	row, err := decodeStream(data)
	if err != nil {
		return err
	}
	old.Reverse, old.Limit = true, 1
	for pair, err := range tx.Scan(old) {
		if err != nil {
			return err
		}
		if row.Trimmed, err = parseRecordKey(row.ID, pair.Key); err != nil {
			return err
		}
		return putStream(tx, bytes.Clone(key), row)
	}
	return nil
}
