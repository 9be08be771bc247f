// Package logs is Amazon CloudWatch Logs: groups, streams, events, retention, tags, filtering by
// patterns, metric filters, subscriptions of functions, Live Tail, and queries of Logs Insights.
//
// An event that PutLogEvents accepted is durable. Events of a stream come back in the order of their timestamps, and
// those of one timestamp in the order they were put. A deleted group or stream is gone at once; the room that its events
// take is given back by Run, in the background, as is what retention has expired.
//
// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/Welcome.html
package logs

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	api "brume/internal/api/logs"
	"brume/internal/awserr"
	"brume/internal/call"
	"brume/internal/kv"
	"brume/internal/policy"
	"brume/internal/recent"
	"brume/internal/service/logs/pattern"
)

// Service implements the operations. Create it with New.
type Service struct {
	api.Unimplemented
	store kv.Store
	log   *slog.Logger
	// work tells Run that something was deleted.
	work chan struct{}

	patterns  *recent.Map[string, *pattern.Pattern] // of filters, by their text
	functions Functions
	// delivery is the policy of every group for the service that delivers logs.
	delivery *policy.Document
	pending  atomic.Int64 // deliveries to subscriptions that wait
	dropped  atomic.Int64 // events that subscriptions did not get
	queries  *queries
	tails    tails
	disabled sync.Map // until when nothing is delivered to a function, by its ARN
}

// Options configure a Service.
type Options struct {
	Store     kv.Store
	Log       *slog.Logger
	Functions Functions
}

var _ api.Service = (*Service)(nil)

// maxPatterns is how many compiled patterns are kept.
const maxPatterns = 1000

// New returns the service.
func New(o Options) *Service {
	return &Service{
		store: o.Store, log: o.Log, work: make(chan struct{}, 1),
		patterns: recent.NewMap[string, *pattern.Pattern](maxPatterns), functions: o.Functions, queries: newQueries(), delivery: newDeliveryPolicy(),
	}
}

// scope is whose state a call acts on.
type scope struct{ account, region string }

func scopeOf(ctx context.Context) scope {
	info := call.From(ctx)
	return scope{info.Account, info.Region}
}

func (sc scope) groupARN(group string) string {
	return fmt.Sprintf("arn:aws:logs:%s:%s:log-group:%s", sc.region, sc.account, group)
}

func (sc scope) streamARN(group, stream string) string {
	return sc.groupARN(group) + ":log-stream:" + stream
}

// newID returns an id for a group or a stream. 64 random bits do not collide among as many as one store holds.
func newID() uint64 {
	var b [8]byte
	rand.Read(b[:])
	return binary.BigEndian.Uint64(b[:])
}

// getJSON reads the row at key into v.
func getJSON(r kv.Reader, key []byte, v any) (bool, error) {
	data, ok, err := r.Get(key)
	if err != nil || !ok {
		return false, err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return false, fmt.Errorf("logs: row %q: %w", key, err)
	}
	return true, nil
}

func setJSON(tx kv.Tx, key []byte, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return tx.Set(key, data)
}

func invalidParameter(format string, args ...any) error {
	return awserr.New("InvalidParameterException", format, args...)
}

func groupNotFound() error {
	return &api.ResourceNotFoundException{Message: new("The specified log group does not exist.")}
}

func streamNotFound() error {
	return &api.ResourceNotFoundException{Message: new("The specified log stream does not exist.")}
}
