// Package logs is Amazon CloudWatch Logs: groups, streams, events, retention, tags and filtering by patterns.
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

	api "brume/internal/api/logs"
	"brume/internal/awserr"
	"brume/internal/call"
	"brume/internal/kv"
)

// Service implements the operations. Create it with New.
type Service struct {
	api.Unimplemented
	store kv.Store
	log   *slog.Logger
	// work tells Run that something was deleted.
	work chan struct{}
}

var _ api.Service = (*Service)(nil)

// New returns the service over store.
func New(store kv.Store, log *slog.Logger) *Service {
	return &Service{store: store, log: log, work: make(chan struct{}, 1)}
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
