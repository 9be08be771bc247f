// Package cloudtrail keeps the audit trail: one record, in the form that CloudTrail documents, of every management call
// to any service, whether it was allowed, denied or failed. LookupEvents reads them for 90 days.
//
// What it promises:
//
//   - A call that changed something is answered after its record is durable. Records of calls that only read, or were
//     refused, are written within writeDelay; a crash may lose those of the last moment, and nothing else.
//   - Calls of the data plane (names.go) cost nothing, as in CloudTrail's event history.
//   - No secret stands in a record (parameters.go).
//   - The trail never grows beyond its limit: the oldest records make room.
//
// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/view-cloudtrail-events.html
package cloudtrail

import (
	"context"
	"log/slog"
	"sync"
	"time"

	api "brume/internal/api/cloudtrail"
	"brume/internal/awserr"
	"brume/internal/call"
	"brume/internal/kv"
)

const (
	// Retention is how long events can be looked up.
	// https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html
	Retention = 90 * 24 * time.Hour
	// DefaultMaxBytes is how large the trail grows if Options do not say otherwise.
	DefaultMaxBytes = 1 << 30
)

// Options are what a Service is made of.
type Options struct {
	Store kv.Store
	Log   *slog.Logger
	// MaxBytes bounds the trail; 0 means DefaultMaxBytes.
	MaxBytes int64
	// Follow is told of new events in the transaction that writes them, so that whoever passes them on (EventBridge, as
	// "AWS API Call via CloudTrail") does so exactly once, by rows of package outbox. It may be nil.
	Follow func(tx kv.Tx, events []*Event) error
}

// Service implements the operations and takes the records. Create it with New, end it with Close.
type Service struct {
	api.Unimplemented
	store    kv.Store
	log      *slog.Logger
	maxBytes int64
	follow   func(tx kv.Tx, events []*Event) error

	queue chan entry
	// quit asks the writer to end, stopped says that it has.
	quit    chan struct{}
	stopped chan struct{}
	close   sync.Once
}

var _ api.Service = (*Service)(nil)

// New returns the service and starts its writer.
func New(o Options) *Service {
	s := &Service{
		store: o.Store, log: o.Log, maxBytes: o.MaxBytes, follow: o.Follow,
		queue: make(chan entry, maxQueue), quit: make(chan struct{}), stopped: make(chan struct{}),
	}
	if s.maxBytes <= 0 {
		s.maxBytes = DefaultMaxBytes
	}
	go s.write()
	return s
}

// Close writes what is queued and ends the writer. Calls made after it leave no record.
func (s *Service) Close() error {
	s.close.Do(func() { close(s.quit) })
	<-s.stopped
	return nil
}

// scope is whose events a call sees.
type scope struct{ account, region string }

func scopeOf(ctx context.Context) scope {
	info := call.From(ctx)
	return scope{info.Account, info.Region}
}

// DescribeTrails tells the truth: there are no trails, for Brume has none to create.
func (s *Service) DescribeTrails(context.Context, *api.DescribeTrailsInput) (*api.DescribeTrailsOutput, error) {
	return &api.DescribeTrailsOutput{TrailList: []api.Trail{}}, nil
}

// ListTrails does likewise.
func (s *Service) ListTrails(_ context.Context, in *api.ListTrailsInput) (*api.ListTrailsOutput, error) {
	if in.NextToken != nil {
		return nil, awserr.New("InvalidTokenException", "The token is not one that ListTrails returned.")
	}
	return &api.ListTrailsOutput{Trails: []api.TrailInfo{}}, nil
}
