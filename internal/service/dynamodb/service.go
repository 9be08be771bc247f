// Package dynamodb is Amazon DynamoDB: tables, their secondary indexes, items, streams and backups.
//
// An acknowledged write is durable, and it, its index entries and its conditions are one transaction: reads of tables and
// of indexes, consistent or not, see all of a write or nothing; its stream records are part of it too. A page of a Query or
// Scan shows one moment. A deleted table is gone at once, its name free; the room that it takes is given back by Run, in the
// background. What takes long, such as filling a new index or restoring a table, goes on there too, over restarts, while
// the tables can be used.
//
// What a value is and how an item is stored is the business of package item, numbers that of package number, and
// expressions that of package expression; package partiql takes statements apart, which become expressions here. This
// package knows tables.
//
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/Welcome.html
package dynamodb

import (
	"context"
	"errors"
	"log/slog"

	api "brume/internal/api/dynamodb"
	"brume/internal/awserr"
	"brume/internal/call"
	"brume/internal/kv"
)

// Service implements the operations. Create it with New.
type Service struct {
	api.Unimplemented
	store  kv.Store
	log    *slog.Logger
	tables tableCache
	counts counter
	// sequences are those of stream records.
	sequences sequencer
	policies  policyHint
	// principals is nil if nobody knows whom policies name.
	principals Principals
	// work tells Run that there is something to remove or to count, jobs that a job was begun, expiries that items may expire.
	work, jobs, expiries bell
}

var _ api.Service = (*Service)(nil)

// New returns the service over store.
func New(store kv.Store, log *slog.Logger) *Service {
	return &Service{store: store, log: log, work: make(bell, 1), jobs: make(bell, 1), expiries: make(bell, 1)}
}

// scope is whose state a call acts on.
type scope struct{ account, region string }

func scopeOf(ctx context.Context) scope {
	info := call.From(ctx)
	return scope{info.Account, info.Region}
}

// view and update run transactions. What is no answer to the client is a fault of ours, which DynamoDB has its own name
// for; SDKs try again on it.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
func (s *Service) view(ctx context.Context, fn func(kv.Reader) error) error {
	return fault(s.store.View(ctx, fn))
}

func (s *Service) update(ctx context.Context, fn func(kv.Tx) error) error {
	return fault(s.store.Update(ctx, fn))
}

func fault(err error) error {
	if _, ok := errors.AsType[awserr.Error](err); ok || err == nil {
		return err
	}
	return &awserr.Generic{
		Code: "InternalServerError", Message: "Internal server error", Status: 500, Cause: err,
	}
}

// invalid is the error for most of what is wrong with a request.
func invalid(format string, args ...any) error {
	return awserr.Validation("One or more parameter values were invalid: "+format, args...)
}

// message is the sentence of an error that is to become part of another.
func message(err error) string {
	if e, ok := err.(awserr.Error); ok {
		return e.ErrorMessage()
	}
	return err.Error()
}

func (s *Service) wake() { s.work.wake() }

// deref returns what p points to, the zero value if nil.
func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
