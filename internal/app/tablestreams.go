package app

import (
	"context"
	"time"

	streamsapi "brume/internal/api/dynamodbstreams"
	"brume/internal/awserr"
	"brume/internal/call"
	"brume/internal/dispatch"
	"brume/internal/schema"
	"brume/internal/service/dynamodb"
	"brume/internal/service/dynamodb/item"
	"brume/internal/service/iam"
	"brume/internal/service/lambda/eventsource"
	"brume/internal/wire/jsonvalue"
)

// tableStreams reads the streams of tables for functions: each call is made by a session of the function's execution
// role, which must be allowed it, as Lambda's pollers do it.
//
// A consumer takes the shards of a stream, reads each from a position of its own, keeps Next of the batch that it has
// dealt with, and when there is nothing to read waits for Watch to wake it.
//
// https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
type tableStreams struct {
	dispatcher *dispatch.Dispatcher
	iam        *iam.Service
	streams    *dynamodb.Streams
	record     *schema.Shape // of a stream record
}

func newTableStreams(d *dispatch.Dispatcher, identities *iam.Service, streams *dynamodb.Streams) tableStreams {
	t := tableStreams{dispatcher: d, iam: identities, streams: streams}
	shapes := streamsapi.Schema().Shapes
	for i := range shapes {
		if shapes[i].Name == "Record" {
			t.record = &shapes[i]
		}
	}
	return t
}

// Shards returns the shards of a stream, parents before their children.
func (t tableStreams) Shards(ctx context.Context, r eventsource.Reader) ([]eventsource.Shard, error) {
	ctx, err := t.as(ctx, r)
	if err != nil {
		return nil, err
	}
	var shards []eventsource.Shard
	in := &streamsapi.DescribeStreamInput{StreamArn: &r.StreamARN}
	for {
		out, err := dispatch.Run[streamsapi.DescribeStreamOutput](ctx, t.dispatcher, "dynamodbstreams", "DescribeStream", in)
		if err != nil {
			return nil, err
		}
		for _, s := range out.StreamDescription.Shards {
			shard := eventsource.Shard{ID: *s.ShardId}
			if s.ParentShardId != nil {
				shard.Parent = *s.ParentShardId
			}
			shards = append(shards, shard)
		}
		if in.ExclusiveStartShardId = out.StreamDescription.LastEvaluatedShardId; in.ExclusiveStartShardId == nil {
			return shards, nil
		}
	}
}

// Read returns up to limit records of a shard from a position on, none if there are none at present. It returns
// eventsource.ErrTrimmed if records between the position and the oldest one left were lost; from there on eventsource.FromTrimHorizon leads.
func (t tableStreams) Read(ctx context.Context, r eventsource.Reader, shard, position string, limit int) (*eventsource.Batch, error) {
	ctx, err := t.as(ctx, r)
	if err != nil {
		return nil, err
	}
	start := &streamsapi.GetShardIteratorInput{StreamArn: &r.StreamARN, ShardId: &shard, ShardIteratorType: &position}
	if position != eventsource.FromTrimHorizon && position != eventsource.FromLatest {
		start.ShardIteratorType, start.SequenceNumber = new("AT_SEQUENCE_NUMBER"), &position
	}
	it, err := dispatch.Run[streamsapi.GetShardIteratorOutput](ctx, t.dispatcher, "dynamodbstreams", "GetShardIterator", start)
	if hasCode(err, "TrimmedDataAccessException") {
		return nil, eventsource.ErrTrimmed
	}
	if err != nil {
		return nil, err
	}
	out, err := dispatch.Run[streamsapi.GetRecordsOutput](ctx, t.dispatcher, "dynamodbstreams", "GetRecords",
		&streamsapi.GetRecordsInput{ShardIterator: it.ShardIterator, Limit: new(int32(min(limit, 1000)))})
	if hasCode(err, "TrimmedDataAccessException") {
		return nil, eventsource.ErrTrimmed
	}
	if err != nil {
		return nil, err
	}
	batch := &eventsource.Batch{End: out.NextShardIterator == nil}
	if !batch.End {
		if batch.Next, err = dynamodb.Position(*out.NextShardIterator); err != nil {
			return nil, err
		}
	}
	for i := range out.Records {
		rec := &out.Records[i]
		batch.Records = append(batch.Records, eventsource.Record{
			Sequence: *rec.Dynamodb.SequenceNumber, Time: *rec.Dynamodb.ApproximateCreationDateTime,
			Key: string(item.Append(nil, rec.Dynamodb.Keys, 0)), Event: t.recordEvent(rec, r.StreamARN),
		})
	}
	return batch, nil
}

// Watch calls wake whenever Read may find something new in a stream, the end included. wake may run at any time until
// stop has returned, from several goroutines at once, and must return at once.
func (t tableStreams) Watch(ctx context.Context, r eventsource.Reader, wake func()) (stop func(), err error) {
	ctx, err = t.as(ctx, r)
	if err != nil {
		return nil, err
	}
	return t.streams.Watch(ctx, r.StreamARN, wake)
}

// as makes ctx that of a call by the function's role.
func (t tableStreams) as(ctx context.Context, r eventsource.Reader) (context.Context, error) {
	role, err := t.iam.Role(ctx, r.RoleARN)
	if err != nil {
		return nil, err
	}
	if role == nil {
		return nil, awserr.New("AccessDenied", "The role %s does not exist.", r.RoleARN)
	}
	return call.With(ctx, &call.Info{
		Account: r.Account, Region: r.Region, Principal: sessionOf(role, r.SessionName), RequestID: call.NewRequestID(),
		Secure: true, Time: time.Now(), ViaService: lambdaPrincipal,
	}), nil
}

// recordEvent writes a record as functions get it: as GetRecords returns it, and with the stream's ARN.
// https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
func (t tableStreams) recordEvent(rec *streamsapi.Record, streamARN string) []byte {
	e := new(jsonvalue.Encoder)
	e.Reset(streamsapi.Schema(), nil)
	e.Root(t.record, rec)
	event := e.Bytes()
	// An ARN that named a stream needs no escaping.
	return append(append(event[:len(event)-1], `,"eventSourceARN":"`...), streamARN+`"}`...)
}
