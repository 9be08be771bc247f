// Package eventsource reads streams and queues for functions: it cuts what it reads into batches, has functions called with them, and
// keeps how far it has come.
//
// It promises:
//
//   - Each record that the filters let through is handed to the function at least once, unless it became too old or was
//     retried too often: then it was discarded first, which the Host is told.
//   - The records of one item are handed over in their order, whatever the parallelization: a batch is over, or discarded,
//     before the next one with the same item begins.
//   - The checkpoint is saved as soon as it moves, and moves over what was dealt with up to the first record that was not. After
//     a crash a poller begins there.
//   - A failing function is called with longer and longer pauses, and an empty stream is not looked at until it has news.
//
// https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
package eventsource

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"brume/internal/eventpattern"
)

// A Stream is a sequence of records in shards.
type Stream interface {
	// Shards returns the shards of a stream, parents before their children.
	Shards(ctx context.Context, r Reader) ([]Shard, error)
	// Read returns up to limit records of a shard from a position on, none if there are none at present. It returns
	// ErrTrimmed if records between the position and the oldest one left were lost; from there on FromTrimHorizon leads.
	Read(ctx context.Context, r Reader, shard, position string, limit int) (*Batch, error)
	// Watch calls wake whenever Read may find something new in a stream, the end included. wake may run at any time until
	// stop has returned, from several goroutines at once, and must return at once.
	Watch(ctx context.Context, r Reader, wake func()) (stop func(), err error)
}

// A Reader says who reads what.
type Reader struct {
	RoleARN, SessionName string // of the function
	Account, Region      string // of the function
	StreamARN            string
}

// Where to begin in a shard; everywhere else a position is a batch's Next, or a record's sequence.
const (
	FromTrimHorizon = "TRIM_HORIZON" // the oldest record that is left
	FromLatest      = "LATEST"       // what comes from now on
)

// A Shard is a part of a stream, with an order of its own. No item's records are in two shards at once.
type Shard struct {
	ID, Parent string // a parent is to be read to its end first
}

// A Record is one change.
type Record struct {
	Sequence string    // grows, also as text
	Time     time.Time // of the change, to the second
	// Key identifies the item within the stream: records with one Key must be dealt with in their order.
	Key string
	// Event is the record in JSON, as functions get it.
	Event []byte
}

// A Batch is what was read.
type Batch struct {
	Records []Record
	// Next is the position behind the records, good over restarts until the record there is trimmed; empty at the end.
	Next string
	// End says that nothing comes after these records any more.
	End bool
}

// ErrTrimmed is for a position whose records were kept for their time and are gone.
var ErrTrimmed = errors.New("eventsource: the position is behind the trim horizon")

// A Mapping says how a stream is read for a function. It does not change.
type Mapping struct {
	Reader
	Start     string // FromTrimHorizon or FromLatest
	BatchSize int
	Window    time.Duration // how long a batch is waited for that is not full
	Parallel  int           // batches of a shard at one time
	// Filters let a record through if one of them matches; none let all through.
	Filters []*eventpattern.Pattern
	Bisect  bool // batches that fail are halved
	Report  bool // the function says which records failed
	Retries int  // negative: without end
	Age     time.Duration
	// Tumbling is the length of the windows over which the function aggregates, 0 if it does not.
	Tumbling time.Duration
}

// A Host is what a poller works for.
type Host interface {
	// Invoke calls the function. An error says that it could not be called.
	Invoke(ctx context.Context, payload []byte) (*Outcome, error)
	// Load returns how far a shard was read, and false if it was not yet.
	Load(ctx context.Context, shard string) (Checkpoint, bool, error)
	// Save keeps that. It is durable when Save returns.
	Save(ctx context.Context, shard string, c Checkpoint) error
	// Discard is told of records that are given up, and sends word of them where the mapping says. What is to be sent is
	// durable when Discard returns.
	Discard(ctx context.Context, d *Discarded) error
	// Processed is told how the last try went, in the words of LastProcessingResult.
	Processed(ctx context.Context, result string)
}

// An Outcome is how a call of the function went.
type Outcome struct {
	RequestID string
	Version   string
	Response  []byte
	Failed    bool
}

// A Checkpoint is how far a shard was read.
type Checkpoint struct {
	Position string `json:"position"`
	// Ended says that the shard was read to its end.
	Ended bool `json:"ended,omitempty"`
	// Window and State are those of the tumbling window that is open.
	Window time.Time       `json:"window,omitzero"`
	State  json.RawMessage `json:"state,omitempty"`
}

// Discarded are records that were given up.
type Discarded struct {
	Shard     string
	Condition string // "RetryAttemptsExhausted" or "RecordAgeExceeded"
	Count     int    // calls of the function with them
	Outcome   *Outcome
	Records   []Record
}

// Conditions of Discarded.
// https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html
const (
	RetryAttemptsExhausted = "RetryAttemptsExhausted"
	RecordAgeExceeded      = "RecordAgeExceeded"
)

// What Processed is told.
const (
	ResultOK     = "OK"
	ResultFailed = "PROBLEM: Function call failed"
)
