package outbox

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"brume/internal/kv"
)

// A Job is something to be done after a transaction has committed.
type Job struct {
	// Queue names the handler.
	Queue string
	// Lane groups jobs of a queue that are not to hold up those of other lanes; at most MaxLaneName bytes.
	Lane string
	// Payload is at most MaxPayload bytes.
	Payload []byte
	// NotBefore is when the job is due; the zero time, or one in the past, means at once.
	NotBefore time.Time
}

// Enqueue adds a job to the transaction and returns its id. If the closure runs again, so does Enqueue, and the id differs.
func Enqueue(tx kv.Tx, j Job) (id string, err error) {
	if j.Queue == "" || len(j.Queue) > MaxQueueName {
		return "", fmt.Errorf("outbox: %q is no name of a queue", j.Queue)
	}
	if len(j.Lane) > MaxLaneName {
		return "", fmt.Errorf("outbox: %q is no name of a lane", j.Lane)
	}
	if len(j.Payload) > MaxPayload {
		return "", fmt.Errorf("outbox: a payload of %d bytes: %w", len(j.Payload), kv.ErrTooLarge)
	}
	var raw jobID
	if _, err := rand.Read(raw[:]); err != nil {
		return "", err
	}
	now := tx.Now()
	row := row{queue: j.Queue, lane: j.Lane, enqueued: now, due: now, payload: j.Payload}
	if j.NotBefore.After(now) {
		row.due = j.NotBefore
	}
	return hex.EncodeToString(raw[:]), write(tx, raw, row)
}

// Waiting counts the jobs of a queue that are not done.
func Waiting(r kv.Reader, queue string) (n int, err error) {
	for _, err := range r.Scan(kv.Prefix(duePrefix(queue))) {
		if err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

// Cancel takes a job out of its queue. It is no error if the job is done already; if it is running, it runs to its end and
// is not delivered again.
func Cancel(tx kv.Tx, id string) error {
	var raw jobID
	if len(id) != hex.EncodedLen(len(raw)) {
		return fmt.Errorf("outbox: %q is no id of a job", id)
	}
	if _, err := hex.Decode(raw[:], []byte(id)); err != nil {
		return fmt.Errorf("outbox: %q is no id of a job", id)
	}
	row, ok, err := read(tx, raw)
	if err != nil || !ok {
		return err
	}
	return remove(tx, raw, row)
}

// A retry is the error that RetryAt returns.
type retry struct {
	at      time.Time
	payload []byte
}

func (r *retry) Error() string { return fmt.Sprintf("outbox: deliver again at %v", r.at) }

// RetryAt returns an error with which a handler asks for another delivery at that time, which is no failure. A payload
// that is not nil takes the place of the job's, so that state goes along.
func RetryAt(at time.Time, payload []byte) error { return &retry{at, payload} }

// finish records the outcome of a delivery and returns when the next one is; zero if there is none.
func (o *Outbox) finish(tx kv.Tx, id jobID, delivered row, failure error) (next time.Time, err error) {
	job, ok, err := read(tx, id)
	if err != nil || !ok {
		return time.Time{}, err // canceled
	}
	if err := remove(tx, id, job); err != nil || failure == nil {
		return time.Time{}, err
	}
	now := tx.Now()
	job.attempts++
	if again, ok := errors.AsType[*retry](failure); ok {
		job.failures = 0
		job.due = again.at
		if again.payload != nil {
			job.payload = again.payload
		}
	} else {
		job.failures++
		job.due = now.Add(o.backoff(job.failures))
	}
	if job.due.Before(now) {
		job.due = now
	}
	if job.due.Equal(delivered.due) {
		job.due = job.due.Add(1) // the queue knows a delivery by its key
	}
	return job.due, write(tx, id, job)
}

// remove deletes both rows of a job.
func remove(tx kv.Tx, id jobID, r row) error {
	return errors.Join(tx.Delete(jobKey(id)), tx.Delete(dueKey(r.queue, r.due, id, r.lane)))
}

// write sets both rows of a job.
func write(tx kv.Tx, id jobID, r row) error {
	return errors.Join(tx.Set(jobKey(id), r.encode()), tx.Set(dueKey(r.queue, r.due, id, r.lane), nil))
}

// read returns the row of a job. Its payload belongs to the transaction.
func read(r kv.Reader, id jobID) (row, bool, error) {
	v, ok, err := r.Get(jobKey(id))
	if err != nil || !ok {
		return row{}, false, err
	}
	job, err := decodeRow(v)
	return job, err == nil, err
}
