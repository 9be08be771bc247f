package dynamodb

import (
	"bytes"
	"context"
	"errors"
	"time"

	"brume/internal/kv"
	"brume/internal/service/dynamodb/item"
)

// A change log holds what items were before each change. So a table can be read as it was at any moment since its log
// began: an item was what its first change after that moment replaced, and one without a later change is what it is now.
// Point-in-time recovery keeps a log for as long as one may go back; a backup has one kept until it has copied the table, so
// that it shows one moment however long that takes.
//
// The moment of a change is the time of its transaction. No transaction sees the changes of one with a later time, so that
// all changes up to a moment are always a state that the table could have had.

// A hold keeps the change log of a table from a moment on.
type hold struct {
	ID uint64
	At time.Time
}

// A recovery is point-in-time recovery that is enabled.
type recovery struct {
	Since time.Time
	Days  int
}

// earliest is the moment from which on the table can be restored.
func (r *recovery) earliest(now time.Time) time.Time {
	if first := now.AddDate(0, 0, -r.Days); first.After(r.Since) {
		return first
	}
	return r.Since
}

// latest is the moment until which the table can be restored. Transactions under way may be older than now.
func (r *recovery) latest(now time.Time) time.Time {
	if last := now.Add(-recoveryLag); last.After(r.Since) {
		return last
	}
	return r.Since
}

const (
	// recoveryLag is how far the latest restorable moment lies behind; in AWS it is about five minutes.
	recoveryLag     = 5 * time.Second
	maxRecoveryDays = 35
)

// setLog begins the change log of a table that needs one, and ends it where nothing does any more.
func (row *tableRow) setLog(tx kv.Tx) error {
	needed := row.Recovery != nil || len(row.Holds) > 0
	switch {
	case needed && row.Log == 0:
		row.Log = newTableID()
	case !needed && row.Log != 0:
		id := row.Log
		row.Log = 0
		return errors.Join(tx.Set(trashKey(logPrefix(id)), nil), tx.Set(trashKey(logTimePrefix(id)), nil))
	}
	return nil
}

func (row *tableRow) hold(tx kv.Tx, at time.Time) (id uint64, err error) {
	id = newTableID()
	row.Holds = append(append([]hold(nil), row.Holds...), hold{id, at})
	return id, row.setLog(tx)
}

func (row *tableRow) release(tx kv.Tx, id uint64) error {
	var rest []hold
	for _, h := range row.Holds {
		if h.ID != id {
			rest = append(rest, h)
		}
	}
	row.Holds = rest
	return row.setLog(tx)
}

// logChange notes what an item was. suffix is its key behind that of the table.
func (t *table) logChange(tx *writeTx, suffix []byte, old item.Encoded) error {
	now := moment(tx.Now())
	key := logKey(t.Log, suffix, now)
	// Of several changes at one moment the first replaced what was there before the moment.
	if _, ok, err := tx.Get(key); err != nil || ok {
		return err
	}
	tx.sequence(t.Log)
	return errors.Join(tx.Set(key, old), tx.Set(logTimeKey(t.Log, now, suffix), nil))
}

func moment(t time.Time) uint64 { return sequenceAt(t) }

// stateAt returns items of a table as they were at a moment, with their keys behind that of the table: some of those from a
// key on, and the key to go on from, nil if they were the last. All are of one transaction, but other calls may come later,
// whatever is written in between.
func (t *table) stateAt(r kv.Reader, at time.Time, from []byte) (items []kv.Pair, next []byte, err error) {
	prefix, logged := itemPrefix(t.ID), logPrefix(t.Log)
	var (
		bound []byte // the last key looked at, nil if it is the end
		size  int
	)
	rng := kv.Prefix(prefix)
	rng.Start, rng.Limit = append(bytes.Clone(prefix), from...), jobStep
	for pair, err := range r.Scan(rng) {
		if err != nil {
			return nil, nil, err
		}
		items = append(items, kv.Pair{Key: pair.Key[len(prefix):], Value: pair.Value})
		if size += len(pair.Value); size > jobStepSize || len(items) == jobStep {
			bound = items[len(items)-1].Key
			break
		}
	}
	// What was changed later, from one changed item to the next.
	before := map[string][]byte{}
	cursor := append(bytes.Clone(logged), from...)
	var last []byte // changed item that was looked at
	size = 0
	for n := 0; ; n++ {
		suffix, err := t.nextLogged(r, cursor)
		if err != nil {
			return nil, nil, err
		}
		if suffix == nil || bound != nil && bytes.Compare(suffix, bound) > 0 {
			break
		}
		if n == jobStep || size > jobStepSize {
			bound = last // of items behind it the changes are not known
			break
		}
		last = suffix
		all := append(bytes.Clone(logged), suffix...)
		first := kv.Range{Start: logKey(t.Log, suffix, moment(at)+1), End: kv.PrefixEnd(all), Limit: 1}
		for pair, err := range r.Scan(first) {
			if err != nil {
				return nil, nil, err
			}
			before[string(suffix)] = pair.Value
			size += len(pair.Value)
		}
		cursor = kv.PrefixEnd(all)
	}
	var out []kv.Pair
	for _, it := range items {
		if bound != nil && bytes.Compare(it.Key, bound) > 0 {
			break
		}
		if _, ok := before[string(it.Key)]; !ok {
			out = append(out, it)
		}
	}
	for suffix, old := range before {
		if len(old) > 0 {
			out = append(out, kv.Pair{Key: []byte(suffix), Value: old})
		}
	}
	if bound == nil {
		return out, nil, nil
	}
	// No key is a prefix of another, so that this is before the next item and behind all changes of this one.
	return out, kv.PrefixEnd(bound), nil
}

// nextLogged returns the key, behind that of the table, of the first changed item at or after a key of the log.
func (t *table) nextLogged(r kv.Reader, cursor []byte) ([]byte, error) {
	prefix := logPrefix(t.Log)
	for pair, err := range r.Scan(kv.Range{Start: cursor, End: kv.PrefixEnd(prefix), Limit: 1}) {
		if err != nil {
			return nil, err
		}
		return parseLogKey(t.Log, pair.Key)
	}
	return nil, nil
}

// trimLogs removes from the change logs of all tables what nobody can go back to any more.
func (s *Service) trimLogs(ctx context.Context) error {
	type log struct {
		id   uint64
		from time.Time
	}
	var logs []log
	err := s.view(ctx, func(r kv.Reader) error {
		logs = logs[:0]
		for pair, err := range r.Scan(kv.Prefix(rows(tagTable))) {
			if err != nil {
				return err
			}
			sc, name, err := parseTableKey(pair.Key)
			if err != nil {
				return err
			}
			t, err := s.findTable(r, sc, name)
			if err != nil {
				return err
			}
			if t.Log == 0 {
				continue
			}
			from := r.Now()
			if t.Recovery != nil {
				from = t.Recovery.earliest(r.Now())
			}
			for _, h := range t.Holds {
				if h.At.Before(from) {
					from = h.At
				}
			}
			logs = append(logs, log{t.Log, from})
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, l := range logs {
		for from := logTimePrefix(l.id); from != nil; {
			if from, err = s.trimLog(ctx, l.id, from, l.from); err != nil {
				return err
			}
		}
	}
	return nil
}

// trimLog removes some changes, from a key on and up to a moment, and returns where there may be more, nil for nowhere.
func (s *Service) trimLog(ctx context.Context, id uint64, from []byte, until time.Time) (next []byte, err error) {
	err = s.update(ctx, func(tx kv.Tx) error {
		next = nil
		var keys [][]byte
		rng := kv.Range{Start: from, End: logTimeKey(id, moment(until)+1, nil), Limit: chunk}
		for pair, err := range tx.Scan(rng) {
			if err != nil {
				return err
			}
			keys = append(keys, bytes.Clone(pair.Key))
		}
		if len(keys) == chunk {
			next = keys[chunk-1] // what is removed is stepped over no more
		}
		for _, key := range keys {
			at, suffix, err := parseLogTimeKey(id, key)
			if err != nil {
				return err
			}
			if err := errors.Join(tx.Delete(logKey(id, suffix, at)), tx.Delete(key)); err != nil {
				return err
			}
		}
		return nil
	})
	return next, err
}
