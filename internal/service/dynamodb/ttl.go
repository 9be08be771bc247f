package dynamodb

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	api "brume/internal/api/dynamodb"
	"brume/internal/awserr"
	"brume/internal/kv"
	"brume/internal/service/dynamodb/item"
)

const (
	// expireInterval is how often Run looks for expired items, if any can expire.
	expireInterval = time.Second
	// expireStep is how many of them it removes in one transaction.
	expireStep = 100
	// expireYears is how long ago an item may have expired to be removed.
	// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/howitworks-ttl.html
	expireYears = 5
)

// A timeToLive is what a table knows of its expiring items. Each has a row that is ordered by the time, so that finding
// those whose time has come costs nothing that grows with the table.
type timeToLive struct {
	ID        uint64 // of the expiry rows, another each time that it is enabled
	Attribute string
	Enabling  bool // items written before do not all have their rows yet
}

// A ttlRow says whose items have expiry rows under an id.
type ttlRow struct{ Account, Region, Table string }

// expiry is when an item expires, in seconds since 1970, and false if it does not: without the attribute, with one that is
// no number, or if that was too long ago.
func (l *timeToLive) expiry(e item.Encoded, now time.Time) (at uint64, ok bool, err error) {
	if len(e) == 0 {
		return 0, false, nil
	}
	v, err := e.Attribute(l.Attribute)
	if err != nil {
		return 0, false, err
	}
	n, ok := v.(api.N)
	if !ok {
		return 0, false, nil
	}
	whole, _, _ := strings.Cut(string(n), ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return 0, false, nil // beyond all times
	}
	return uint64(seconds), seconds > 0 && seconds > now.AddDate(-expireYears, 0, 0).Unix(), nil
}

// replaceExpiry brings the expiry row of an item in line with the change from old to encoded, empty for none. suffix is the
// item's key behind that of the table.
func (l *timeToLive) replaceExpiry(tx kv.Tx, suffix []byte, old, encoded item.Encoded) error {
	// A row of long ago is gone already; to remove it again does no harm.
	before, had, err := l.expiry(old, time.Unix(0, 0))
	if err != nil {
		return err
	}
	after, has, err := l.expiry(encoded, tx.Now())
	if err != nil {
		return err
	}
	if had && !(has && before == after) {
		if err := tx.Delete(ttlKey(l.ID, before, suffix)); err != nil {
			return err
		}
	}
	if has {
		return tx.Set(ttlKey(l.ID, after, suffix), nil)
	}
	return nil
}

// UpdateTimeToLive lets the items of a table expire, by the time in one of their attributes, or no longer.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTimeToLive.html
func (s *Service) UpdateTimeToLive(ctx context.Context, in *api.UpdateTimeToLiveInput) (*api.UpdateTimeToLiveOutput, error) {
	sc := scopeOf(ctx)
	name, err := sc.locate(in.TableName)
	if err != nil {
		return nil, err
	}
	spec := in.TimeToLiveSpecification
	var work []byte
	err = s.update(ctx, func(tx kv.Tx) (err error) {
		t, err := s.describedTable(tx, sc, name)
		if err != nil {
			return err
		}
		switch {
		case t.Status != "":
			return inUse("Attempt to change a resource which is still in use: Table is being created: %s", name)
		case t.TTL != nil && t.TTL.Attribute != *spec.AttributeName:
			return awserr.Validation("TimeToLive is active on a different AttributeName: current AttributeName is %s", t.TTL.Attribute)
		case t.TTL != nil && *spec.Enabled:
			return awserr.Validation("TimeToLive is already enabled")
		case t.TTL == nil && !*spec.Enabled:
			return awserr.Validation("TimeToLive is already disabled")
		}
		row := t.tableRow
		if *spec.Enabled {
			work, err = row.enableTTL(tx, sc, *spec.AttributeName)
		} else {
			err = row.disableTTL(tx)
		}
		if err != nil {
			return err
		}
		return setTable(tx, sc, &row)
	})
	if err != nil {
		return nil, err
	}
	s.begin(ctx, work)
	s.wake()
	s.expiries.wake()
	return &api.UpdateTimeToLiveOutput{TimeToLiveSpecification: spec}, nil
}

func (row *tableRow) enableTTL(tx kv.Tx, sc scope, attribute string) (work []byte, err error) {
	row.TTL = &timeToLive{ID: newTableID(), Attribute: attribute, Enabling: true}
	data, err := json.Marshal(ttlRow{sc.account, sc.region, row.Name})
	if err != nil {
		return nil, err
	}
	if err := tx.Set(ttlTableKey(row.TTL.ID), data); err != nil {
		return nil, err
	}
	return addJob(tx, &jobRow{Kind: jobIndexExpiry, Account: sc.account, Region: sc.region, Table: row.Name, TableID: row.ID, Source: row.TTL.ID})
}

// disableTTL lets no more items expire, also before the table is deleted.
func (row *tableRow) disableTTL(tx kv.Tx) error {
	id := row.TTL.ID
	row.TTL = nil
	return errors.Join(tx.Delete(ttlTableKey(id)), tx.Set(trashKey(ttlPrefix(id)), nil))
}

// indexExpiry makes the expiry rows of the next items that were there before.
func (t *table) indexExpiry(tx kv.Tx, j *jobRow) (done bool, err error) {
	if t.TTL == nil || t.TTL.ID != j.Source {
		return true, nil // disabled since
	}
	prefix := itemPrefix(t.ID)
	last, err := j.walk(tx, prefix, func(key, value []byte) error {
		return t.TTL.replaceExpiry(tx, key[len(prefix):], nil, value)
	})
	if err != nil || !last {
		return false, err
	}
	row := t.tableRow
	row.TTL = &timeToLive{ID: t.TTL.ID, Attribute: t.TTL.Attribute}
	return true, setTable(tx, t.scope, &row)
}

// DescribeTimeToLive tells whether the items of a table expire.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_DescribeTimeToLive.html
func (s *Service) DescribeTimeToLive(ctx context.Context, in *api.DescribeTimeToLiveInput) (*api.DescribeTimeToLiveOutput, error) {
	sc := scopeOf(ctx)
	name, err := sc.locate(in.TableName)
	if err != nil {
		return nil, err
	}
	var d *api.TimeToLiveDescription
	err = s.view(ctx, func(r kv.Reader) error {
		t, err := s.describedTable(r, sc, name)
		if err != nil {
			return err
		}
		if t.Status != "" {
			return awserr.Validation("Cannot describe time to live while table is in %s state: Current table state is %s", t.Status, t.Status)
		}
		d = t.TTL.describe()
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.DescribeTimeToLiveOutput{TimeToLiveDescription: d}, nil
}

func (l *timeToLive) describe() *api.TimeToLiveDescription {
	switch {
	case l == nil:
		return &api.TimeToLiveDescription{TimeToLiveStatus: new("DISABLED")}
	case l.Enabling:
		return &api.TimeToLiveDescription{TimeToLiveStatus: new("ENABLING"), AttributeName: new(l.Attribute)}
	}
	return &api.TimeToLiveDescription{TimeToLiveStatus: new("ENABLED"), AttributeName: new(l.Attribute)}
}

// expireItems removes items when their time has come, until ctx ends. Where none can expire it does nothing.
func (s *Service) expireItems(ctx context.Context) {
	for {
		any, err := s.sweep(ctx)
		if err != nil && ctx.Err() == nil {
			s.log.LogAttrs(ctx, slog.LevelError, "removing expired items", slog.String("error", err.Error()))
		}
		pause := cleanInterval
		if any || err != nil {
			pause = expireInterval
		}
		if !s.expiries.wait(ctx, pause) {
			return
		}
	}
}

// sweep removes the items of all tables that have expired by now, and reports whether there are any that can.
func (s *Service) sweep(ctx context.Context) (any bool, err error) {
	var due []uint64
	err = s.view(ctx, func(r kv.Reader) error {
		any, due = false, due[:0]
		for pair, err := range r.Scan(kv.Prefix(rows(tagTTLTable))) {
			if err != nil {
				return err
			}
			any = true
			id, err := parseTTLTableKey(pair.Key)
			if err != nil {
				return err
			}
			rng := expired(id, r.Now())
			rng.Limit = 1
			for _, err := range r.Scan(rng) {
				if err != nil {
					return err
				}
				due = append(due, id)
			}
		}
		return nil
	})
	if err != nil {
		return true, err
	}
	var failed error // of one table does not hold up the others
	for _, id := range due {
		err = nil
		for from := ttlPrefix(id); from != nil && err == nil; {
			from, err = s.removeExpired(ctx, id, from)
		}
		failed = errors.Join(failed, err)
	}
	return any, failed
}

// expired is the range of the expiry rows whose time is over.
func expired(id uint64, now time.Time) kv.Range {
	return kv.Range{Start: ttlPrefix(id), End: ttlKey(id, uint64(max(0, now.Unix())), nil)}
}

// removeExpired removes the items of some expiry rows from a key on, and returns where there may be more, nil for nowhere.
func (s *Service) removeExpired(ctx context.Context, id uint64, from []byte) (next []byte, err error) {
	err = s.write(ctx, func(tx *writeTx) error {
		next = nil
		tx.byService = true
		data, ok, err := tx.Get(ttlTableKey(id))
		if err != nil || !ok {
			return err
		}
		var of ttlRow
		if err := json.Unmarshal(data, &of); err != nil {
			return fmt.Errorf("dynamodb: time to live: %w", err)
		}
		t, err := s.findTable(tx, scope{account: of.Account, region: of.Region}, of.Table)
		if err != nil {
			return err
		}
		if t == nil || t.TTL == nil || t.TTL.ID != id {
			return nil
		}
		rng := expired(id, tx.Now())
		rng.Start, rng.Limit = from, expireStep
		var keys [][]byte
		for pair, err := range tx.Scan(rng) {
			if err != nil {
				return err
			}
			keys = append(keys, bytes.Clone(pair.Key))
		}
		if len(keys) == expireStep {
			next = keys[len(keys)-1] // what is removed is stepped over no more
		}
		size := 0
		for _, key := range keys {
			if err := tx.Delete(key); err != nil {
				return err
			}
			n, err := t.expire(tx, key)
			if err != nil {
				return err
			}
			if size += n; size > jobStepSize {
				next = key
				break
			}
		}
		return nil
	})
	return next, err
}

// expire removes the item of an expiry row, and returns its size.
func (t *table) expire(tx *writeTx, expiryRow []byte) (size int, err error) {
	_, suffix, err := parseTTLKey(t.TTL.ID, expiryRow)
	if err != nil {
		return 0, err
	}
	key := append(itemPrefix(t.ID), suffix...)
	old, _, err := tx.Get(key)
	if err != nil {
		return 0, err
	}
	if _, ok, err := t.TTL.expiry(old, tx.Now()); err != nil || !ok {
		return 0, err // too long ago: Brume did not run
	}
	return len(old), t.replace(tx, key, old, nil, nil, nil)
}
