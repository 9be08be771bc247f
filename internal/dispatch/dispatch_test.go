package dispatch

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	dynamodbapi "brume/internal/api/dynamodb"
	stsapi "brume/internal/api/sts"
	"brume/internal/awserr"
	"brume/internal/call"
	"brume/internal/obs"
	"brume/internal/policy"
	"brume/internal/schema"
)

// recorder is DynamoDB, its permissions and the policies, and notes in which order they are asked.
type recorder struct {
	dynamodbapi.Unimplemented
	steps []string

	mapped    bool
	checks    []policy.Check
	checksErr error
	policies  policy.Policies
	policyErr error
	describe  func() (*dynamodbapi.DescribeTableOutput, error)
	info      *call.Info
}

func (r *recorder) DescribeTable(ctx context.Context, _ *dynamodbapi.DescribeTableInput) (*dynamodbapi.DescribeTableOutput, error) {
	r.steps = append(r.steps, "call")
	r.info = call.From(ctx)
	return r.describe()
}

func (r *recorder) check(_ context.Context, _ string, in schema.Struct) ([]policy.Check, bool, error) {
	if in, ok := in.(*dynamodbapi.DescribeTableInput); !ok || in.TableName == nil {
		panic("permissions of an input that was not validated")
	}
	r.steps = append(r.steps, "checks")
	return r.checks, r.mapped, r.checksErr
}

func (r *recorder) PoliciesFor(_ context.Context, p *call.Principal) (*policy.Policies, error) {
	r.steps = append(r.steps, "policies of "+p.Name)
	return &r.policies, r.policyErr
}

const resource = "arn:aws:dynamodb:us-east-1:123456789012:table/t"

func newRecorder() *recorder {
	return &recorder{
		mapped: true, checks: []policy.Check{{Action: "dynamodb:DescribeTable", Resource: resource}},
		describe: func() (*dynamodbapi.DescribeTableOutput, error) { return &dynamodbapi.DescribeTableOutput{}, nil },
	}
}

func (r *recorder) dispatcher() (*Dispatcher, *obs.Metrics) {
	metrics := obs.NewMetrics()
	d := New(r, metrics)
	d.Add(dynamodbapi.Schema(), dynamodbapi.Handlers(r), r.check)
	return d, metrics
}

func callerOf(t *testing.T, p call.Principal) context.Context {
	return call.With(t.Context(), &call.Info{
		RequestID: "id", Account: "123456789012", Region: "us-east-1", Principal: p, Time: time.Now(), Secure: true,
	})
}

var (
	user = call.Principal{Type: call.User, Account: "123456789012", ARN: "arn:aws:iam::123456789012:user/u", ID: "AIDA", Name: "u"}
	root = call.Principal{Type: call.Account, Account: "123456789012", ARN: "arn:aws:iam::123456789012:root", ID: "123456789012"}
)

func code(err error) string {
	var known awserr.Error
	if errors.As(err, &known) {
		return known.ErrorCode()
	}
	return ""
}

func TestOrder(t *testing.T) {
	allow, err := policy.Parse(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"dynamodb:Describe*","Resource":"*"}}`, policy.Identity)
	if err != nil {
		t.Fatal(err)
	}
	table := &dynamodbapi.DescribeTableInput{TableName: new("table")}
	invalid := &dynamodbapi.DescribeTableInput{TableName: new(strings.Repeat("x", 2000))}
	tests := []struct {
		name   string
		set    func(r *recorder)
		caller call.Principal
		in     *dynamodbapi.DescribeTableInput
		steps  string
		code   string
	}{
		{"allowed", func(r *recorder) { r.policies.Identity = []*policy.Document{allow} }, user, table, "checks, policies of u, call", ""},
		{"root", func(*recorder) {}, root, table, "checks, policies of , call", ""},
		{"no permission needed", func(r *recorder) { r.checks = nil }, user, table, "checks, policies of u, call", ""},
		{"invalid", func(*recorder) {}, root, invalid, "", "ValidationException"},
		{"invalid, and not allowed either", func(*recorder) {}, user, invalid, "", "ValidationException"},
		{"denied", func(*recorder) {}, user, table, "checks, policies of u", "AccessDenied"},
		{"allowed one of two", func(r *recorder) {
			r.policies.Identity = []*policy.Document{allow}
			r.checks = append(r.checks, policy.Check{Action: "dynamodb:PutItem", Resource: resource})
		}, user, table, "checks, policies of u", "AccessDenied"},
		{"not mapped", func(r *recorder) { r.mapped = false }, root, table, "checks", "NotImplemented"},
		{"refused by the service", func(r *recorder) { r.checksErr = awserr.New("ResourceNotFoundException", "") }, root, table, "checks", "ResourceNotFoundException"},
		{"policies that cannot be read", func(r *recorder) { r.policyErr = errors.New("disk") }, root, table, "checks, policies of ", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRecorder()
			tt.set(r)
			d, _ := r.dispatcher()
			out, err := d.Call(callerOf(t, tt.caller), d.Operation("dynamodb", "DescribeTable"), tt.in)
			if steps := strings.Join(r.steps, ", "); steps != tt.steps {
				t.Errorf("%q, want %q", steps, tt.steps)
			}
			called := slices.Contains(r.steps, "call")
			if code(err) != tt.code || (err == nil) != called || (out != nil) != called {
				t.Errorf("%v, %v", out, err)
			}
		})
	}
}

// keeper is a trail that holds what it was told.
type keeper struct {
	done []*Done
	info *call.Info
}

func (k *keeper) Records(_ *schema.Service, op *schema.Operation) bool { return op.Name != "GetItem" }
func (k *keeper) Record(ctx context.Context, done *Done) {
	k.done, k.info = append(k.done, done), call.From(ctx)
}

// Every call leaves a record before it is answered, whatever came of it; those that the trail does not want leave none.
func TestTrail(t *testing.T) {
	in := &dynamodbapi.DescribeTableInput{TableName: new("table")}
	invalid := &dynamodbapi.DescribeTableInput{TableName: new(strings.Repeat("x", 2000))}
	for name, tt := range map[string]struct {
		set    func(r *recorder)
		caller call.Principal
		in     *dynamodbapi.DescribeTableInput
		code   string
		checks int
	}{
		"done":            {func(*recorder) {}, root, in, "", 1},
		"invalid":         {func(*recorder) {}, root, invalid, "ValidationException", 0},
		"denied":          {func(*recorder) {}, user, in, "AccessDenied", 1},
		"not implemented": {func(r *recorder) { r.mapped = false }, root, in, "NotImplemented", 0},
		"failed": {func(r *recorder) {
			r.describe = func() (*dynamodbapi.DescribeTableOutput, error) { return nil, &dynamodbapi.ResourceNotFoundException{} }
		}, root, in, "ResourceNotFoundException", 1},
		"panic": {func(r *recorder) { r.describe = func() (*dynamodbapi.DescribeTableOutput, error) { panic("x") } }, root, in, "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			r, k := newRecorder(), &keeper{}
			tt.set(r)
			d := New(r, obs.NewMetrics())
			d.SetTrail(k)
			d.Add(dynamodbapi.Schema(), dynamodbapi.Handlers(r), r.check)
			ctx := callerOf(t, tt.caller)
			out, err := d.Call(ctx, d.Operation("dynamodb", "DescribeTable"), tt.in)
			if len(k.done) != 1 || k.info.Principal.ARN != tt.caller.ARN {
				t.Fatalf("%d records", len(k.done))
			}
			done := k.done[0]
			if done.Err != err || done.Out != out || done.In != schema.Struct(tt.in) || code(done.Err) != tt.code ||
				len(done.Checks) != tt.checks || done.Operation.Name != "DescribeTable" || done.Service.Name != "dynamodb" {
				t.Errorf("recorded %+v of %v, %v", done, out, err)
			}
			_, _ = d.Call(ctx, d.Operation("dynamodb", "GetItem"), &dynamodbapi.GetItemInput{})
			if len(k.done) != 1 {
				t.Error("a call is recorded that the trail does not want")
			}
		})
	}
}

// A handler that panics is a fault of ours, whose cause says where.
func TestPanics(t *testing.T) {
	r := newRecorder()
	r.describe = func() (*dynamodbapi.DescribeTableOutput, error) { panic("half way") }
	d, metrics := r.dispatcher()
	ctx := callerOf(t, root)
	_, err := d.Call(ctx, d.Operation("dynamodb", "DescribeTable"), &dynamodbapi.DescribeTableInput{TableName: new("table")})
	if err == nil || code(err) != "" || !strings.Contains(err.Error(), "panic in DescribeTable of dynamodb: half way") ||
		!strings.Contains(err.Error(), "dispatch_test.go") {
		t.Errorf("%v", err)
	}
	_, err = Run[dynamodbapi.DescribeTableOutput](ctx, d, "dynamodb", "DescribeTable", &dynamodbapi.DescribeTableInput{TableName: new("table")})
	if err == nil {
		t.Error("Run takes a panic for success")
	}
	if n := count(t, metrics, "InternalFailure"); n != 1 {
		t.Errorf("%v failures counted", n)
	}
}

// A call without a caller is a programming error, and never goes through as anybody's.
func TestNoCaller(t *testing.T) {
	r := newRecorder()
	d, _ := r.dispatcher()
	out, err := d.Call(t.Context(), d.Operation("dynamodb", "DescribeTable"), &dynamodbapi.DescribeTableInput{TableName: new("table")})
	if out != nil || err == nil || !strings.Contains(err.Error(), "context carries no caller") || slices.Contains(r.steps, "call") {
		t.Errorf("%v, %v after %v", out, err, r.steps)
	}
}

func TestRun(t *testing.T) {
	r := newRecorder()
	d, metrics := r.dispatcher()
	ctx := callerOf(t, root)
	in := &dynamodbapi.DescribeTableInput{TableName: new("table")}
	out, err := Run[dynamodbapi.DescribeTableOutput](ctx, d, "dynamodb", "DescribeTable", in)
	if out == nil || err != nil {
		t.Errorf("%v, %v", out, err)
	}
	if r.info.Service != "dynamodb" || r.info.Operation != "DescribeTable" || r.info.RequestID != "id" || r.info.Principal.ARN != root.ARN {
		t.Errorf("called as %+v", r.info)
	}
	if call.From(ctx).Operation != "" {
		t.Error("the caller's own Info was changed")
	}
	gone := &dynamodbapi.ResourceNotFoundException{Message: new("gone")}
	r.describe = func() (*dynamodbapi.DescribeTableOutput, error) { return nil, gone }
	if _, err := Run[dynamodbapi.DescribeTableOutput](ctx, d, "dynamodb", "DescribeTable", in); !errors.Is(err, gone) {
		t.Errorf("%v", err)
	}
	if n := count(t, metrics, "ResourceNotFoundException"); n != 1 {
		t.Errorf("%v failures counted", n)
	}
	r.describe = newRecorder().describe
	if _, err := Run[stsapi.GetCallerIdentityOutput](ctx, d, "dynamodb", "DescribeTable", in); err == nil {
		t.Error("an output of another operation is no error")
	}
	for _, name := range [][2]string{{"dynamodb", "Fly"}, {"sqs", "SendMessage"}} {
		if _, err := Run[dynamodbapi.DescribeTableOutput](ctx, d, name[0], name[1], in); err == nil {
			t.Errorf("%v runs", name)
		}
	}
}

func TestOutcome(t *testing.T) {
	d, _ := newRecorder().dispatcher()
	op := d.Operation("dynamodb", "DescribeTable")
	created := &Operation{Service: op.Service, Schema: &schema.Operation{Status: http.StatusCreated}}
	for _, tt := range []struct {
		op     *Operation
		err    error
		status int
		code   string
	}{
		{op, nil, 200, ""}, {created, nil, 201, ""}, {created, awserr.New("Bad", ""), 400, "Bad"},
		{op, awserr.NotImplemented("X"), 501, "NotImplemented"}, {op, errors.New("x"), 500, "InternalFailure"},
	} {
		if status, code := Outcome(tt.op, tt.err); status != tt.status || code != tt.code {
			t.Errorf("%v: %d %q", tt.err, status, code)
		}
	}
}

// count is how many failures with a code the metrics hold.
func count(t *testing.T, metrics *obs.Metrics, code string) float64 {
	t.Helper()
	families, err := metrics.Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "brume_errors_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "code" && l.GetValue() == code {
					return m.GetCounter().GetValue()
				}
			}
		}
	}
	return 0
}
