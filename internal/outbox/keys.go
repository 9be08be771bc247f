package outbox

import (
	"encoding/binary"
	"errors"
	"time"

	"brume/internal/kv/tuple"
)

// The rows of a job: its contents by its id, and nothing by its queue and time.
//
//	outbox 'j' id                 → version enqueued due attempts failures queue [lane] payload
//	outbox 'd' queue due id lane  → (empty)
const (
	space   = "outbox"
	jobKind = 'j'
	dueKind = 'd'
)

type jobID [16]byte

func jobKey(id jobID) []byte {
	k := tuple.AppendByte(tuple.AppendString(make([]byte, 0, 32), space), jobKind)
	return append(k, id[:]...)
}

// duePrefix begins the keys of all jobs of a queue.
func duePrefix(queue string) []byte {
	k := tuple.AppendByte(tuple.AppendString(make([]byte, 0, 48+len(queue)), space), dueKind)
	return tuple.AppendString(k, queue)
}

func dueKey(queue string, due time.Time, id jobID, lane string) []byte {
	return append(append(tuple.AppendTime(duePrefix(queue), due), id[:]...), lane...)
}

// readDueKey reads what stands behind the prefix in the key of a job. lane shares memory with it.
func readDueKey(rest []byte) (due time.Time, id jobID, lane []byte, err error) {
	r := tuple.NewReader(rest)
	due = r.Time()
	if err := r.Err(); err != nil {
		return due, id, nil, err
	}
	rest = r.Rest()
	if len(rest) < len(id) {
		return due, id, nil, tuple.ErrMalformed
	}
	return due, jobID(rest[:len(id)]), rest[len(id):], nil
}

// A row is the contents of a job.
type row struct {
	queue, lane   string
	enqueued, due time.Time
	attempts      int // recorded
	failures      int // in a row
	payload       []byte
}

// The versions of rows: of those without a lane, and of those with one.
const (
	rowVersion     = 1
	rowLaneVersion = 2
)

func (r row) encode() []byte {
	b := make([]byte, 0, 48+len(r.queue)+len(r.lane)+len(r.payload))
	if r.lane == "" {
		b = append(b, rowVersion)
	} else {
		b = append(b, rowLaneVersion)
	}
	b = tuple.AppendTime(b, r.enqueued)
	b = tuple.AppendTime(b, r.due)
	b = binary.AppendUvarint(b, uint64(r.attempts))
	b = binary.AppendUvarint(b, uint64(r.failures))
	b = tuple.AppendString(b, r.queue)
	if r.lane != "" {
		b = tuple.AppendString(b, r.lane)
	}
	return append(b, r.payload...)
}

var errRow = errors.New("outbox: the row of a job is damaged")

// decodeRow reads a row, whose payload shares memory with b.
func decodeRow(b []byte) (row, error) {
	r := tuple.NewReader(b)
	version := r.Byte()
	if version != rowVersion && version != rowLaneVersion {
		return row{}, errRow
	}
	var job row
	job.enqueued, job.due = r.Time(), r.Time()
	rest := r.Rest()
	for _, n := range []*int{&job.attempts, &job.failures} {
		v, size := binary.Uvarint(rest)
		if size <= 0 || v > 1<<31 {
			return row{}, errRow
		}
		*n = int(v)
		rest = rest[size:]
	}
	r = tuple.NewReader(rest)
	job.queue = r.String()
	if version == rowLaneVersion {
		job.lane = r.String()
	}
	if r.Err() != nil || job.queue == "" || version == rowLaneVersion && job.lane == "" {
		return row{}, errRow
	}
	job.payload = r.Rest()
	return job, nil
}
