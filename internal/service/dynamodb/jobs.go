package dynamodb

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"brume/internal/kv"
	"brume/internal/service/dynamodb/item"
)

// What takes longer than a call may, such as filling a new index, is a job: a row that a worker takes forward step by step.
// A step is one transaction, in which the row moves along with what it did, so that a job goes on after a crash where it
// was, and whoever takes the next step, the call that began it or Run, does not matter.

// The kinds of jobs.
const (
	jobFillIndex     = "fill-index"
	jobEmptyIndex    = "empty-index"
	jobIndexExpiry   = "index-expiry"
	jobBackUp        = "back-up"
	jobRestoreBackup = "restore-backup"
	jobRestorePoint  = "restore-point"
)

const (
	// jobStep is how many rows a step touches at most.
	jobStep = 500
	// jobStepSize is how many bytes of items a step reads, but for the last item.
	jobStepSize = 4 << 20
	// eagerSteps is how many steps the call takes that begins a job: small tables are done when it returns.
	eagerSteps = 2
	// jobPause is how long Run waits after a step has failed.
	jobPause = time.Second
	// jobWait is how long it waits for writes under way.
	jobWait = 50 * time.Millisecond
)

// A jobRow is what is stored of a job.
type jobRow struct {
	Kind                   string
	Account, Region, Table string
	TableID                uint64
	Index                  uint32
	// Source is the id of what the job is about besides the table.
	Source uint64
	// Backup is the id of the backup that is made, or the ARN of the one that is restored.
	Backup string
	// From is the name of the table that is restored, as it was At.
	From string
	At   time.Time
	// Cursor is where the next step begins, after the prefix of the rows it walks over; empty at the beginning.
	Cursor []byte

	limit int       // of rows in this step
	copy  *stepCopy // of this step
}

func (j *jobRow) scope() scope { return scope{account: j.Account, region: j.Region} }

// addJob adds a job to the transaction and returns the key of its row.
func addJob(tx kv.Tx, j *jobRow) (key []byte, err error) {
	key = jobKey(newTableID())
	return key, putJob(tx, key, j)
}

func putJob(tx kv.Tx, key []byte, j *jobRow) error {
	data, err := json.Marshal(j)
	if err != nil {
		return err
	}
	return tx.Set(key, data)
}

// begin takes the first steps of a job, nil for none, and leaves the rest to Run.
func (s *Service) begin(ctx context.Context, key []byte) {
	if key == nil {
		return
	}
	for range eagerSteps {
		done, err := s.step(ctx, key)
		if err != nil && err != errNotYet && ctx.Err() == nil {
			s.log.LogAttrs(ctx, slog.LevelWarn, "a job goes on in the background", slog.String("error", err.Error()))
		}
		if done || err != nil {
			break
		}
	}
	s.jobs.wake()
}

// runJobs takes jobs forward until ctx ends.
func (s *Service) runJobs(ctx context.Context) {
	for {
		pause := cleanInterval
		if err := s.finishJobs(ctx); err == errNotYet {
			pause = jobWait
		} else if err != nil {
			pause = jobPause
			if ctx.Err() == nil {
				s.log.LogAttrs(ctx, slog.LevelError, "a job of a table", slog.String("error", err.Error()))
			}
		}
		if !s.jobs.wait(ctx, pause) {
			return
		}
	}
}

// finishJobs takes all jobs to their end, each a step at a time, so that none waits for another. It returns when none is
// left that goes forward.
func (s *Service) finishJobs(ctx context.Context) error {
	for {
		var keys [][]byte
		err := s.view(ctx, func(r kv.Reader) error {
			keys = keys[:0]
			for pair, err := range r.Scan(kv.Prefix(rows(tagJob))) {
				if err != nil {
					return err
				}
				keys = append(keys, bytes.Clone(pair.Key))
			}
			return nil
		})
		if err != nil || len(keys) == 0 {
			return err
		}
		var failed error
		stuck := true
		for _, key := range keys {
			if _, err := s.step(ctx, key); err != nil {
				failed = err
			} else {
				stuck = false
			}
		}
		if stuck || ctx.Err() != nil {
			return failed
		}
	}
}

// step takes one step of a job, and reports whether it was the last.
func (s *Service) step(ctx context.Context, key []byte) (done bool, err error) {
	c, err := s.nextCopy(ctx, key)
	if err != nil {
		return false, err
	}
	var kind string
	limit := 2 * jobStep
	err = s.write(ctx, func(tx *writeTx) error {
		// Where others keep writing to the same rows, smaller and smaller steps get through.
		limit = max(1, limit/2)
		j, err := readJob(tx, key)
		if err != nil {
			return err
		}
		if j == nil {
			done = true
			return nil
		}
		if c != nil && !bytes.Equal(c.from, j.Cursor) {
			return nil // somebody else took this step
		}
		kind, j.limit, j.copy = j.Kind, limit, c
		if done, err = s.stepOf(tx, j); err != nil {
			return err
		}
		if done {
			return tx.Delete(key)
		}
		return putJob(tx, key, j)
	})
	if err != nil {
		return false, fmt.Errorf("%s: %w", kind, err)
	}
	return done, nil
}

// readJob returns a job, nil if it is done.
func readJob(r kv.Reader, key []byte) (*jobRow, error) {
	data, ok, err := r.Get(key)
	if err != nil || !ok {
		return nil, err
	}
	j := new(jobRow)
	if err := json.Unmarshal(data, j); err != nil {
		return nil, fmt.Errorf("dynamodb: job: %w", err)
	}
	return j, nil
}

// errNotYet is for a job that must wait for writes under way.
var errNotYet = errors.New("dynamodb: what is to be restored is still being written")

// A stepCopy is what a step copies of a table as it was. That does not change any more, so it is read before the step's
// transaction, which then conflicts with nobody who writes to the table.
type stepCopy struct {
	from, next []byte // cursors
	items      []kv.Pair
}

// nextCopy reads what a job copies next, nil if it is a job of another kind.
func (s *Service) nextCopy(ctx context.Context, key []byte) (c *stepCopy, err error) {
	writing := s.sequences.oldest() // before the view, which sees what is older
	waits := false
	err = s.view(ctx, func(r kv.Reader) error {
		c, waits = nil, false
		j, err := readJob(r, key)
		if err != nil || j == nil {
			return err
		}
		var from string
		switch j.Kind {
		case jobBackUp:
			from = j.Table
		case jobRestorePoint:
			if from = j.From; writing <= sequenceAt(j.At.Add(recoveryLag)) {
				waits = true
				return nil
			}
		default:
			return nil
		}
		t, err := s.table(r, j.scope(), from)
		if err != nil {
			return err
		}
		c = &stepCopy{from: j.Cursor}
		if c.items, c.next, err = t.stateAt(r, j.At, j.Cursor); err != nil {
			return err
		}
		for i := range c.items {
			it := &c.items[i]
			it.Key, it.Value = bytes.Clone(it.Key), bytes.Clone(it.Value)
		}
		return nil
	})
	if waits {
		return nil, errNotYet
	}
	return c, err
}

func (s *Service) stepOf(tx *writeTx, j *jobRow) (done bool, err error) {
	t, err := s.findTable(tx, j.scope(), j.Table)
	if err != nil {
		return false, err
	}
	if t == nil || t.ID != j.TableID {
		return true, nil // deleted since
	}
	switch j.Kind {
	case jobFillIndex:
		return t.fillIndex(tx, j)
	case jobEmptyIndex:
		return t.emptyIndex(tx, j)
	case jobIndexExpiry:
		return t.indexExpiry(tx, j)
	case jobBackUp:
		return t.backUp(tx, j)
	case jobRestoreBackup:
		return t.restoreBackup(tx, j)
	case jobRestorePoint:
		return s.restorePoint(tx, t, j)
	}
	return false, fmt.Errorf("dynamodb: unknown kind of job %q", j.Kind)
}

// walk calls visit for the next rows that begin with prefix, moves the cursor behind them, and reports whether they were
// the last.
func (j *jobRow) walk(r kv.Reader, prefix []byte, visit func(key, value []byte) error) (last bool, err error) {
	rng := kv.Prefix(prefix)
	rng.Start, rng.Limit = append(bytes.Clone(prefix), j.Cursor...), j.limit
	n, size := 0, 0
	for pair, err := range r.Scan(rng) {
		if err != nil {
			return false, err
		}
		n++
		size += len(pair.Value)
		j.Cursor = append(bytes.Clone(pair.Key[len(prefix):]), 0)
		if err := visit(pair.Key, pair.Value); err != nil {
			return false, err
		}
		if n == j.limit || size > jobStepSize {
			return false, nil
		}
	}
	return true, nil
}

// indexNumber returns the index with a number, nil if there is none.
func (row *tableRow) indexNumber(n uint32) *index {
	for i := range row.Indexes {
		if row.Indexes[i].Number == n {
			return &row.Indexes[i]
		}
	}
	return nil
}

// fillIndex makes the entries of the next items in a new index. Writes have kept it up to date since it was created, so an
// entry that is there already is the same.
func (t *table) fillIndex(tx kv.Tx, j *jobRow) (done bool, err error) {
	x := t.indexNumber(j.Index)
	if x == nil || x.Status != indexCreating {
		return true, nil // deleted since
	}
	last, err := j.walk(tx, itemPrefix(t.ID), func(_, value []byte) error {
		m, err := item.Decode(value)
		if err != nil {
			return err
		}
		key := t.indexEntry(x, m)
		if key == nil {
			return nil
		}
		entry := t.project(x, m)
		return tx.Set(key, item.Append(nil, entry, item.Size(entry)))
	})
	if err != nil || !last {
		return false, err
	}
	row := t.tableRow
	row.Indexes = append([]index(nil), t.Indexes...)
	row.indexNumber(j.Index).Status = ""
	return true, setTable(tx, t.scope, &row)
}

// emptyIndex removes the next entries of an index that goes.
func (t *table) emptyIndex(tx kv.Tx, j *jobRow) (done bool, err error) {
	last, err := j.walk(tx, indexPrefix(t.ID, j.Index), func(key, _ []byte) error { return tx.Delete(bytes.Clone(key)) })
	if err != nil || !last {
		return false, err
	}
	row := t.tableRow
	row.Indexes = nil
	for _, x := range t.Indexes {
		if x.Number != j.Index {
			row.Indexes = append(row.Indexes, x)
		}
	}
	row.pruneAttributes()
	return true, setTable(tx, t.scope, &row)
}

// A bell wakes one loop.
type bell chan struct{}

func (b bell) wake() {
	select {
	case b <- struct{}{}:
	default:
	}
}

// wait returns true when it was woken or the time has passed, false when ctx has ended.
func (b bell) wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-b:
	}
	return true
}
