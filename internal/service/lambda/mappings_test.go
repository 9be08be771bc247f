package lambda

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	api "brume/internal/api/lambda"
	"brume/internal/awserr"
	"brume/internal/service/lambda/environment"
	"brume/internal/service/lambda/eventsource"
)

// fakeStreams is one stream with one shard, which a role may read or not.
type fakeStreams struct {
	mu      sync.Mutex
	records []eventsource.Record
	wake    func()
	denied  bool
}

func (s *fakeStreams) Shards(_ context.Context, r eventsource.Reader) ([]eventsource.Shard, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.denied:
		return nil, awserr.New("AccessDenied", "no")
	case !strings.Contains(r.StreamARN, "table/t/"):
		return nil, awserr.New("ResourceNotFoundException", "no")
	}
	return []eventsource.Shard{{ID: "shard"}}, nil
}

func (s *fakeStreams) Read(_ context.Context, _ eventsource.Reader, _, position string, limit int) (*eventsource.Batch, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from := 0
	switch position {
	case eventsource.FromTrimHorizon:
	case eventsource.FromLatest:
		from = len(s.records)
	default:
		fmt.Sscan(position, &from)
	}
	to := min(len(s.records), from+limit)
	return &eventsource.Batch{Records: s.records[from:to], Next: fmt.Sprint(to)}, nil
}

func (s *fakeStreams) Watch(_ context.Context, _ eventsource.Reader, wake func()) (func(), error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wake = wake
	return func() {}, nil
}

func (s *fakeStreams) put(n int) {
	s.mu.Lock()
	for range n {
		s.records = append(s.records, eventsource.Record{Sequence: fmt.Sprint(len(s.records)), Time: time.Now(), Key: "k", Event: fmt.Appendf(nil, "%d", len(s.records))})
	}
	wake := s.wake
	s.mu.Unlock()
	if wake != nil {
		wake()
	}
}

const streamARN = "arn:aws:dynamodb:eu-central-1:123456789012:table/t/stream/2026-01-01T00:00:00.000"

func mappingInput() *api.CreateEventSourceMappingInput {
	return &api.CreateEventSourceMappingInput{FunctionName: new("f"), EventSourceArn: new(streamARN), StartingPosition: new("TRIM_HORIZON")}
}

// runMappings runs pollers until the returned function is called, or the test ends.
func (f *fixture) runMappings() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.RunMappings(ctx)
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	f.t.Cleanup(stop)
	return stop
}

func (f *fixture) state(uuid *string, want string) *api.EventSourceMappingConfiguration {
	f.t.Helper()
	var c *api.EventSourceMappingConfiguration
	eventually(f.t, want, func() bool {
		c = ok[api.EventSourceMappingConfiguration](f, "GetEventSourceMapping", &api.GetEventSourceMappingInput{UUID: uuid})
		return *c.State == want
	})
	return c
}

// https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html
func TestEventSourceMappings(t *testing.T) {
	f := newFixture(t)
	f.create("f")
	for what, c := range map[string]struct {
		change        func(in *api.CreateEventSourceMappingInput)
		code, message string
	}{
		"no function": {func(in *api.CreateEventSourceMappingInput) { in.FunctionName = new("g") }, "ResourceNotFoundException", "Function not found"},
		"no stream": {func(in *api.CreateEventSourceMappingInput) {
			in.EventSourceArn = new(strings.Replace(streamARN, "/t/", "/u/", 1))
		}, "InvalidParameterValueException", "Stream not found"},
		"queue": {func(in *api.CreateEventSourceMappingInput) {
			in.EventSourceArn = new("arn:aws:sqs:eu-central-1:123456789012:q")
		}, "InvalidParameterValueException", "Brume has no Amazon SQS yet"},
		"table": {func(in *api.CreateEventSourceMappingInput) {
			in.EventSourceArn = new("arn:aws:dynamodb:eu-central-1:123456789012:table/t")
		}, "InvalidParameterValueException", "Unrecognized event source"},
		"no position": {func(in *api.CreateEventSourceMappingInput) { in.StartingPosition = nil }, "InvalidParameterValueException", "Value null at 'startingPosition'"},
		"timestamp":   {func(in *api.CreateEventSourceMappingInput) { in.StartingPosition = new("AT_TIMESTAMP") }, "InvalidParameterValueException", "Unsupported starting position for arn type"},
		"batch 0":     {func(in *api.CreateEventSourceMappingInput) { in.BatchSize = new(int32(0)) }, "ValidationException", "batchSize"},
		"batch 10001": {func(in *api.CreateEventSourceMappingInput) { in.BatchSize = new(int32(10001)) }, "ValidationException", "batchSize"},
		"window":      {func(in *api.CreateEventSourceMappingInput) { in.MaximumBatchingWindowInSeconds = new(int32(301)) }, "ValidationException", "maximumBatchingWindowInSeconds"},
		"parallel":    {func(in *api.CreateEventSourceMappingInput) { in.ParallelizationFactor = new(int32(11)) }, "ValidationException", "parallelizationFactor"},
		"age":         {func(in *api.CreateEventSourceMappingInput) { in.MaximumRecordAgeInSeconds = new(int32(59)) }, "ValidationException", "maximumRecordAgeInSeconds"},
		"retries":     {func(in *api.CreateEventSourceMappingInput) { in.MaximumRetryAttempts = new(int32(10001)) }, "ValidationException", "maximumRetryAttempts"},
		"tumbling":    {func(in *api.CreateEventSourceMappingInput) { in.TumblingWindowInSeconds = new(int32(901)) }, "ValidationException", "tumblingWindowInSeconds"},
		"filter": {func(in *api.CreateEventSourceMappingInput) {
			in.FilterCriteria = &api.FilterCriteria{Filters: []api.Filter{{Pattern: new(`{"a":1}`)}}}
		}, "InvalidParameterValueException", "Invalid filter pattern definition."},
		"filters": {func(in *api.CreateEventSourceMappingInput) {
			in.FilterCriteria = &api.FilterCriteria{Filters: make([]api.Filter, 6)}
		}, "InvalidParameterValueException", "limit of 5"},
		"function dest": {func(in *api.CreateEventSourceMappingInput) {
			in.DestinationConfig = &api.DestinationConfig{OnFailure: &api.OnFailure{Destination: new(fnARN + "g")}}
		}, "InvalidParameterValueException", "SQS queues, SNS topics and S3 buckets"},
	} {
		in := mappingInput()
		c.change(in)
		_, err := do[api.EventSourceMappingConfiguration](f, root(), "CreateEventSourceMapping", in)
		if t.Run(what, func(t *testing.T) { expectError(t, err, c.code, c.message) }); t.Failed() {
			t.Log(what)
		}
	}
	f.streams.denied = true
	refused[api.EventSourceMappingConfiguration](f, "CreateEventSourceMapping", mappingInput(), "InvalidParameterValueException",
		"Cannot access stream "+streamARN+". Please ensure the role can perform the GetRecords, GetShardIterator, DescribeStream, and ListStreams Actions on your stream in IAM.")
	f.streams.denied = false

	in := mappingInput()
	in.Enabled, in.BatchSize = new(false), new(int32(7))
	m := ok[api.EventSourceMappingConfiguration](f, "CreateEventSourceMapping", in)
	if *m.State != "Creating" || *m.BatchSize != 7 || *m.MaximumRetryAttempts != -1 || *m.MaximumRecordAgeInSeconds != -1 || *m.FunctionArn != fnARN+"f" ||
		*m.EventSourceMappingArn != "arn:aws:lambda:eu-central-1:123456789012:event-source-mapping:"+*m.UUID || *m.LastProcessingResult != "No records processed" {
		t.Errorf("%+v", m)
	}
	refused[api.EventSourceMappingConfiguration](f, "CreateEventSourceMapping", mappingInput(), "ResourceConflictException", "update or delete the existing mapping with UUID "+*m.UUID)
	refused[api.EventSourceMappingConfiguration](f, "UpdateEventSourceMapping", &api.UpdateEventSourceMappingInput{UUID: m.UUID, Enabled: new(true)}, "ResourceInUseException", "in use")

	f.streams.put(3)
	f.runMappings()
	f.state(m.UUID, "Disabled")
	if len(f.envs.runs) != 0 {
		t.Error("a disabled mapping runs the function")
	}
	if u := ok[api.EventSourceMappingConfiguration](f, "UpdateEventSourceMapping", &api.UpdateEventSourceMappingInput{UUID: m.UUID, Enabled: new(true), BatchSize: new(int32(2))}); *u.State != "Enabling" {
		t.Errorf("%s", *u.State)
	}
	f.state(m.UUID, "Enabled")
	runs := func() (payloads []string) {
		f.envs.mu.Lock()
		defer f.envs.mu.Unlock()
		for _, r := range f.envs.runs {
			payloads = append(payloads, string(r.Payload))
		}
		return payloads
	}
	eventually(t, "two batches", func() bool { return fmt.Sprint(runs()) == `[{"Records":[0,1]} {"Records":[2]}]` })
	eventually(t, "OK", func() bool { return *f.state(m.UUID, "Enabled").LastProcessingResult == "OK" })
	list := ok[api.ListEventSourceMappingsOutput](f, "ListEventSourceMappings", &api.ListEventSourceMappingsInput{FunctionName: new("f"), EventSourceArn: new(streamARN)})
	if len(list.EventSourceMappings) != 1 {
		t.Errorf("%+v", list)
	}
	if u := ok[api.EventSourceMappingConfiguration](f, "UpdateEventSourceMapping", &api.UpdateEventSourceMappingInput{UUID: m.UUID, Enabled: new(false)}); *u.State != "Disabling" {
		t.Errorf("%s", *u.State)
	}
	f.state(m.UUID, "Disabled")
	f.streams.put(1)
	ok[api.EventSourceMappingConfiguration](f, "UpdateEventSourceMapping", &api.UpdateEventSourceMappingInput{UUID: m.UUID, Enabled: new(true)})
	eventually(t, "it goes on where it was", func() bool { return fmt.Sprint(runs()) == `[{"Records":[0,1]} {"Records":[2]} {"Records":[3]}]` })
	f.state(m.UUID, "Enabled")
	if d := ok[api.EventSourceMappingConfiguration](f, "DeleteEventSourceMapping", &api.DeleteEventSourceMappingInput{UUID: m.UUID}); *d.State != "Deleting" {
		t.Errorf("%s", *d.State)
	}
	eventually(t, "it is gone", func() bool {
		_, err := do[api.EventSourceMappingConfiguration](f, root(), "GetEventSourceMapping", &api.GetEventSourceMappingInput{UUID: m.UUID})
		return err != nil
	})
}

// What is given up arrives at its destination, and another process goes on at the checkpoint.
func TestMappingsGiveUpAndGoOn(t *testing.T) {
	f := newFixture(t)
	f.runOutbox()
	f.create("f")
	in := mappingInput()
	in.MaximumRetryAttempts = new(int32(0))
	in.DestinationConfig = &api.DestinationConfig{OnFailure: &api.OnFailure{Destination: new("arn:aws:sqs:eu-central-1:123456789012:q")}}
	m := ok[api.EventSourceMappingConfiguration](f, "CreateEventSourceMapping", in)
	f.envs.run = func(*environment.Function, *environment.Invocation) (*environment.Result, error) {
		return &environment.Result{Failed: true}, nil
	}
	f.streams.put(2)
	stop := f.runMappings()
	eventually(t, "a message", func() bool { return len(f.to.all()) == 1 })
	var rec streamRecord
	sent := f.to.all()[0]
	must(t, json.Unmarshal(sent.Body, &rec))
	if rec.Info.ARN != streamARN || rec.Info.Size != 2 || rec.Info.First != "0" || rec.Info.Last != "1" || rec.RequestContext.Condition != "RetryAttemptsExhausted" ||
		rec.RequestContext.Count != 1 || rec.ResponseContext.Function != "Unhandled" || rec.Version != "1.0" || sent.Target != "arn:aws:sqs:eu-central-1:123456789012:q" {
		t.Errorf("%s", sent.Body)
	}
	eventually(t, "the problem", func() bool {
		return *f.state(m.UUID, "Enabled").LastProcessingResult == "PROBLEM: Function call failed"
	})
	stop()
	f.envs.mu.Lock()
	f.envs.run, f.envs.runs = nil, nil
	f.envs.mu.Unlock()
	f.streams.put(1)
	f.runMappings()
	eventually(t, "it goes on", func() bool {
		f.envs.mu.Lock()
		defer f.envs.mu.Unlock()
		// What was given up just before the stop may come once more.
		return slices.ContainsFunc(f.envs.runs, func(in environment.Invocation) bool { return strings.HasSuffix(string(in.Payload), `2]}`) })
	})
}

// https://docs.aws.amazon.com/lambda/latest/dg/tags-esm.html
func TestTagsOfMappings(t *testing.T) {
	f := newFixture(t)
	f.create("f")
	in := mappingInput()
	in.Tags = map[string]string{"a": "1"}
	m := ok[api.EventSourceMappingConfiguration](f, "CreateEventSourceMapping", in)
	ok[api.TagResourceOutput](f, "TagResource", &api.TagResourceInput{Resource: m.EventSourceMappingArn, Tags: map[string]string{"b": "2"}})
	ok[api.UntagResourceOutput](f, "UntagResource", &api.UntagResourceInput{Resource: m.EventSourceMappingArn, TagKeys: []string{"a"}})
	if out := ok[api.ListTagsOutput](f, "ListTags", &api.ListTagsInput{Resource: m.EventSourceMappingArn}); fmt.Sprint(out.Tags) != "map[b:2]" {
		t.Errorf("%v", out.Tags)
	}
	blue := f.user("blue", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"lambda:GetEventSourceMapping","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/b":"2"},"ArnLike":{"lambda:FunctionArn":"`+fnARN+`f"}}}}`)
	_, err := do[api.EventSourceMappingConfiguration](f, blue, "GetEventSourceMapping", &api.GetEventSourceMappingInput{UUID: m.UUID})
	must(t, err)
	_, err = do[api.EventSourceMappingConfiguration](f, blue, "DeleteEventSourceMapping", &api.DeleteEventSourceMappingInput{UUID: m.UUID})
	expectError(t, err, "AccessDenied", "lambda:DeleteEventSourceMapping")
}

// fakeQueues is one queue whose messages are gone when they were received.
type fakeQueues struct {
	mu       sync.Mutex
	messages []eventsource.Message
	deleted  int
}

func (q *fakeQueues) Check(_ context.Context, r eventsource.Reader) error {
	if strings.HasSuffix(r.StreamARN, ":secret") {
		return awserr.New("AccessDenied", "no")
	}
	return nil
}

func (q *fakeQueues) Receive(ctx context.Context, _ eventsource.Reader, _ int, wait time.Duration) ([]eventsource.Message, error) {
	q.mu.Lock()
	out := q.messages
	q.messages = nil
	q.mu.Unlock()
	if len(out) == 0 && wait > 0 {
		pause(ctx, min(wait, 10*time.Millisecond))
	}
	return out, ctx.Err()
}

func (q *fakeQueues) Delete(_ context.Context, _ eventsource.Reader, m []eventsource.Message) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.deleted += len(m)
	return nil
}

// https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
func TestMappingsOfQueues(t *testing.T) {
	f := newFixture(t)
	q := &fakeQueues{messages: []eventsource.Message{{ID: "1", Event: []byte("1")}}}
	f.Service.queues = q
	f.create("f")
	in := &api.CreateEventSourceMappingInput{FunctionName: new("f"), EventSourceArn: new("arn:aws:sqs:eu-central-1:123456789012:secret")}
	refused[api.EventSourceMappingConfiguration](f, "CreateEventSourceMapping", in, "InvalidParameterValueException", "does not have permissions to call ReceiveMessage on SQS")
	in.EventSourceArn = new("arn:aws:sqs:eu-central-1:123456789012:q")
	in.StartingPosition = new("LATEST")
	refused[api.EventSourceMappingConfiguration](f, "CreateEventSourceMapping", in, "InvalidParameterValueException", "StartingPosition is not valid")
	in.StartingPosition, in.BatchSize = nil, new(int32(11))
	refused[api.EventSourceMappingConfiguration](f, "CreateEventSourceMapping", in, "InvalidParameterValueException", "Maximum batch window in seconds must be greater than 0")
	in.BatchSize, in.MaximumRetryAttempts = nil, new(int32(1))
	refused[api.EventSourceMappingConfiguration](f, "CreateEventSourceMapping", in, "InvalidParameterValueException", "not for SQS event sources")
	in.MaximumRetryAttempts, in.ScalingConfig = nil, &api.ScalingConfig{MaximumConcurrency: new(int32(2))}
	m := ok[api.EventSourceMappingConfiguration](f, "CreateEventSourceMapping", in)
	if *m.BatchSize != 10 || *m.ScalingConfig.MaximumConcurrency != 2 || m.StartingPosition != nil || m.ParallelizationFactor != nil {
		t.Errorf("%+v", m)
	}
	f.runMappings()
	eventually(t, "the message is dealt with", func() bool {
		q.mu.Lock()
		defer q.mu.Unlock()
		return q.deleted == 1
	})
	f.state(m.UUID, "Enabled")
}
