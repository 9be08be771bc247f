// Package dispatch is the one way into an operation. Whoever calls, the wire or another service of this process, the
// input is validated, the caller authorised and the handler run, in this order; an operation for which the service
// declares no permissions is not run at all.
package dispatch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"brume/internal/awserr"
	"brume/internal/call"
	"brume/internal/obs"
	"brume/internal/policy"
	"brume/internal/schema"
)

// Checks maps the input of an operation to the permissions that it needs. mapped is false for an operation that the
// service does not implement.
type Checks func(ctx context.Context, operation string, in schema.Struct) (checks []policy.Check, mapped bool, err error)

// A Policies finds the policies that apply to a principal.
type Policies interface {
	PoliciesFor(ctx context.Context, p *call.Principal) (*policy.Policies, error)
}

// Accesses is told what callers ask for, as authorisation decides it.
type Accesses interface {
	// RecordAccess is told the permissions that the caller of info asks for, whether they are given or not. It must be
	// quick, and keep neither of its arguments.
	RecordAccess(info *call.Info, checks []policy.Check)
}

// A Trail keeps records of calls.
type Trail interface {
	// Records says, once for each operation, whether calls of it are recorded. Those of others cost nothing.
	Records(svc *schema.Service, op *schema.Operation) bool
	// Record is told of each such call when it is over, whatever came of it and before it is answered.
	Record(ctx context.Context, done *Done)
}

// Done is a call that is over.
type Done struct {
	Service   *schema.Service
	Operation *schema.Operation
	In        schema.Struct
	// Out is nil where Err is not.
	Out schema.Struct
	// Checks are the permissions that the call needed, as far as it came to them.
	Checks []policy.Check
	Err    error
}

// An Operation is an operation that can be called.
type Operation struct {
	Service *schema.Service
	Schema  *schema.Operation

	handler   schema.Handler
	checks    Checks
	validator *schema.Validator
	recorded  bool
}

// New makes an empty input for the operation.
func (op *Operation) New() schema.Struct { return op.handler.New() }

// Checks are the permissions that a call with in needs. mapped is false for an operation that is not implemented.
func (op *Operation) Checks(ctx context.Context, in schema.Struct) (checks []policy.Check, mapped bool, err error) {
	return op.checks(ctx, op.Schema.Name, in)
}

// A Dispatcher holds the operations of all services. It is built once, by Add, before its first use.
type Dispatcher struct {
	policies Policies
	metrics  *obs.Metrics
	trail    Trail
	accesses Accesses
	services map[string]map[string]*Operation
}

// New returns a dispatcher without services.
func New(policies Policies, metrics *obs.Metrics) *Dispatcher {
	return &Dispatcher{policies: policies, metrics: metrics, services: map[string]map[string]*Operation{}}
}

// SetTrail makes t keep records of the calls to services that are added afterwards.
func (d *Dispatcher) SetTrail(t Trail) { d.trail = t }

// SetAccesses makes a hear of what callers ask for. It must be set before the first call.
func (d *Dispatcher) SetAccesses(a Accesses) { d.accesses = a }

// Add adds a service. handlers belong to the operations of svc, in their order.
func (d *Dispatcher) Add(svc *schema.Service, handlers []schema.Handler, checks Checks) {
	validator := schema.NewValidator(svc)
	ops := make(map[string]*Operation, len(svc.Operations))
	for i := range svc.Operations {
		ops[svc.Operations[i].Name] = &Operation{
			Service: svc, Schema: &svc.Operations[i], handler: handlers[i], checks: checks, validator: validator,
			recorded: d.trail != nil && d.trail.Records(svc, &svc.Operations[i]),
		}
	}
	d.services[svc.Name] = ops
}

// Operation returns an operation by the names of package schema, nil if there is none.
func (d *Dispatcher) Operation(service, name string) *Operation { return d.services[service][name] }

// Call runs op on in for the caller of ctx. An error that is no awserr.Error is a fault of ours; whoever answers a client
// logs it.
func (d *Dispatcher) Call(ctx context.Context, op *Operation, in schema.Struct) (out schema.Struct, err error) {
	out, checks, err := d.run(ctx, op, in)
	if op.recorded {
		d.trail.Record(ctx, &Done{Service: op.Service, Operation: op.Schema, In: in, Out: out, Checks: checks, Err: err})
	}
	return out, err
}

func (d *Dispatcher) run(ctx context.Context, op *Operation, in schema.Struct) (out schema.Struct, checks []policy.Check, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in %s of %s: %v\n%s", op.Schema.Name, op.Service.Name, p, debug.Stack())
		}
	}()
	if err := op.validator.Validate(op.Schema.Input, in); err != nil {
		return nil, nil, err
	}
	if checks, err = d.authorize(ctx, op, in); err != nil {
		return nil, checks, err
	}
	out, err = op.handler.Call(ctx, in)
	return out, checks, err
}

// authorize lets a call through if its caller may do all that it needs.
func (d *Dispatcher) authorize(ctx context.Context, op *Operation, in schema.Struct) ([]policy.Check, error) {
	checks, mapped, err := op.Checks(ctx, in)
	if err != nil {
		return nil, err
	}
	if !mapped {
		return nil, awserr.NotImplemented(op.Schema.Name)
	}
	return checks, d.Authorize(ctx, checks)
}

// Authorize decides checks for the caller of ctx that no operation asks for, but a data plane does.
func (d *Dispatcher) Authorize(ctx context.Context, checks []policy.Check) error {
	info := call.From(ctx)
	policies, err := d.policies.PoliciesFor(ctx, &info.Principal)
	if err != nil {
		return err
	}
	if d.accesses != nil {
		d.accesses.RecordAccess(info, checks)
	}
	return policy.Authorize(info, policies, checks)
}

// Run calls an operation from inside the process, for the caller of ctx, and counts it as a call.
func Run[Out any](ctx context.Context, d *Dispatcher, service, operation string, in schema.Struct) (*Out, error) {
	op := d.Operation(service, operation)
	if op == nil {
		return nil, fmt.Errorf("dispatch: no operation %s of %s", operation, service)
	}
	info := *call.From(ctx)
	info.Service, info.Operation = service, operation
	start := time.Now()
	out, err := d.Call(call.With(ctx, &info), op, in)
	status, code := Outcome(op, err)
	d.metrics.Call(service, operation, status, code, time.Since(start))
	if err != nil {
		return nil, err
	}
	typed, ok := out.(any).(*Out)
	if !ok {
		return nil, fmt.Errorf("dispatch: %s of %s returns a %T", operation, service, out)
	}
	return typed, nil
}

// Outcome is the status and the error code of a call, for metrics and logs.
func Outcome(op *Operation, err error) (status int, code string) {
	var known awserr.Error
	switch {
	case err == nil:
		if op.Schema.Status != 0 {
			return op.Schema.Status, ""
		}
		return http.StatusOK, ""
	case errors.As(err, &known):
		return known.HTTPStatus(), known.ErrorCode()
	}
	return http.StatusInternalServerError, "InternalFailure"
}
