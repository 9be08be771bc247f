package dynamodb

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	api "brume/internal/api/dynamodb"
	streamsapi "brume/internal/api/dynamodbstreams"
	"brume/internal/awserr"
	"brume/internal/kv"
	"brume/internal/policy"
	"brume/internal/schema"
	"brume/internal/service/dynamodb/item"
)

// Limits of streams.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_GetRecords.html
const (
	maxRecords     = 1000
	maxRecordsSize = 1 << 20
	maxStreams     = 100
	// iteratorLife is how long a shard iterator is good.
	iteratorLife = 15 * time.Minute
)

// Streams is Amazon DynamoDB Streams: the changes of the items of a table, one record for each, in an order that is that
// of the changes for every item. A stream has one shard, which is open until the stream is switched off.
//
// A consumer that reads GetRecords from one NextShardIterator to the next misses no record and sees none twice; Watch
// tells it when to look.
//
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Operations_Amazon_DynamoDB_Streams.html
type Streams struct{ service *Service }

var _ streamsapi.Service = (*Streams)(nil)

// Streams returns the streams of the service's tables.
func (s *Service) Streams() *Streams { return &Streams{s} }

// Checks maps the input of an operation to the permissions that it needs.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html
func (s *Streams) Checks(ctx context.Context, operation string, in schema.Struct) (checks []policy.Check, mapped bool, err error) {
	resource := "*"
	switch in := in.(type) {
	case *streamsapi.ListStreamsInput:
		if in.TableName != nil {
			sc := scopeOf(ctx)
			name, err := sc.tableName(in.TableName)
			if err != nil {
				return nil, true, err
			}
			resource = sc.streamARN(name, "*")
		}
	case *streamsapi.DescribeStreamInput:
		resource = *in.StreamArn
	case *streamsapi.GetShardIteratorInput:
		resource = *in.StreamArn
	case *streamsapi.GetRecordsInput:
		it, err := parseIterator(*in.ShardIterator)
		if err != nil {
			return nil, true, err
		}
		resource = it.arn
	default:
		return nil, false, nil
	}
	checks = []policy.Check{{Action: "dynamodb:" + operation, Resource: resource}}
	return checks, true, s.service.guarded(ctx, checks)
}

// Watch calls wake whenever there may be new records in a stream, after they can be read, and when it is switched off. wake may run at any time until
// stop has returned, from several goroutines at once, and must return at once.
func (s *Streams) Watch(ctx context.Context, streamARN string, wake func()) (stop func(), err error) {
	var id uint64
	err = s.service.view(ctx, func(r kv.Reader) error {
		_, row, err := findStream(r, scopeOf(ctx), streamARN)
		if err == nil {
			id = row.ID
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.service.sequences.watch(id, wake), nil
}

// A streamName is what is in a stream's ARN.
type streamName struct{ table, label string }

// streamOfARN returns the name in a stream's ARN, which may be another account's: sc moves there.
func (sc *scope) streamOfARN(arn string) (streamName, error) {
	table, label, ok := strings.Cut(arn, "/stream/")
	if !ok || label == "" || !strings.HasPrefix(table, "arn:") {
		return streamName{}, awserr.Validation("Invalid StreamArn")
	}
	name, err := sc.locate(&table)
	return streamName{name, label}, err
}

// findStream returns a stream that can still be read.
func findStream(r kv.Reader, sc scope, arn string) (streamName, *streamRow, error) {
	name, err := sc.streamOfARN(arn)
	if err != nil {
		return name, nil, err
	}
	data, ok, err := r.Get(streamKey(sc, name.table, name.label))
	if err != nil {
		return name, nil, err
	}
	if ok {
		row, err := decodeStream(data)
		if err != nil || !row.gone(r.Now()) {
			return name, row, err
		}
	}
	return name, nil, &streamsapi.ResourceNotFoundException{Message: new("Requested resource not found: Stream: " + arn + " not found")}
}

// gone reports whether a stream was switched off so long ago that none of it is left.
func (row *streamRow) gone(now time.Time) bool {
	return !row.Disabled.IsZero() && now.Sub(row.Disabled) > streamLife
}

// trimmed is the number below which the records of a stream are gone.
func trimmed(now time.Time) uint64 { return sequenceAt(now.Add(-streamLife)) }

// checkTrimmed refuses to read from a number if there was a record there, or after it, that is gone. 0 stands for the
// oldest record that is left, and the stream's beginning is at or before any number that a client knows.
func (row *streamRow) checkTrimmed(r kv.Reader, from uint64) error {
	if from == 0 {
		return nil
	}
	lost := row.Trimmed >= from
	if !lost {
		rng := kv.Range{Start: recordKey(row.ID, from), End: recordKey(row.ID, trimmed(r.Now())), Limit: 1}
		for _, err := range r.Scan(rng) {
			if err != nil {
				return err
			}
			lost = true
		}
	}
	if !lost {
		return nil
	}
	return &streamsapi.TrimmedDataAccessException{
		Message: new("The operation attempted to read past the oldest stream record in a shard: " + formatSequence(from)),
	}
}

// ListStreams lists the streams of a table or of all tables, those that were switched off less than a day ago among them.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_ListStreams.html
func (s *Streams) ListStreams(ctx context.Context, in *streamsapi.ListStreamsInput) (*streamsapi.ListStreamsOutput, error) {
	sc := scopeOf(ctx)
	rng := kv.Prefix(streamScope(sc))
	table := ""
	if in.TableName != nil {
		var err error
		if table, err = sc.tableName(in.TableName); err != nil {
			return nil, err
		}
		rng = kv.Prefix(streamsOf(sc, table))
	}
	if in.ExclusiveStartStreamArn != nil {
		at := sc
		start, err := at.streamOfARN(*in.ExclusiveStartStreamArn)
		if err == nil && at != sc {
			err = awserr.Validation("Invalid ExclusiveStartStreamArn: %s", *in.ExclusiveStartStreamArn)
		}
		if err != nil {
			return nil, err
		}
		rng = after(rng, streamKey(sc, start.table, start.label))
	}
	limit := maxStreams
	if in.Limit != nil {
		limit = int(*in.Limit)
	}
	var out *streamsapi.ListStreamsOutput
	err := s.service.view(ctx, func(r kv.Reader) error {
		out = &streamsapi.ListStreamsOutput{Streams: []streamsapi.Stream{}}
		for pair, err := range r.Scan(rng) {
			if err != nil {
				return err
			}
			row, err := decodeStream(pair.Value)
			if err != nil {
				return err
			}
			if row.gone(r.Now()) {
				continue
			}
			if n := len(out.Streams); n == limit {
				out.LastEvaluatedStreamArn = out.Streams[n-1].StreamArn
				break
			}
			name, err := parseStreamKey(pair.Key)
			if err != nil {
				return err
			}
			out.Streams = append(out.Streams, streamsapi.Stream{
				StreamArn: new(sc.streamARN(name.table, name.label)), TableName: new(name.table), StreamLabel: new(name.label),
			})
		}
		if len(out.Streams) == 0 && in.TableName != nil {
			t, err := s.service.findTable(r, sc, table)
			if t == nil && err == nil {
				err = &streamsapi.ResourceNotFoundException{Message: new("Requested resource not found: Table: " + table + " not found")}
			}
			return err
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// shardID is the id of a stream's one shard.
func (row *streamRow) shardID() string {
	return fmt.Sprintf("shardId-%020d-%08x", row.Created.UnixMilli(), uint32(row.ID))
}

// formatSequence writes a number as clients see it: with as many digits as AWS's have at least, so that their order as
// text is their order.
func formatSequence(n uint64) string { return fmt.Sprintf("1%020d", n) }

func parseSequence(s string) (uint64, error) {
	digits, ok := strings.CutPrefix(s, "1")
	n, err := strconv.ParseUint(digits, 10, 64)
	if !ok || len(digits) != 20 || err != nil {
		return 0, awserr.Validation("Invalid SequenceNumber: %s", s)
	}
	return n, nil
}

// DescribeStream describes a stream and its shard.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_DescribeStream.html
func (s *Streams) DescribeStream(ctx context.Context, in *streamsapi.DescribeStreamInput) (*streamsapi.DescribeStreamOutput, error) {
	var out *streamsapi.DescribeStreamOutput
	err := s.service.view(ctx, func(r kv.Reader) error {
		name, row, err := findStream(r, scopeOf(ctx), *in.StreamArn)
		if err != nil {
			return err
		}
		d := &streamsapi.StreamDescription{
			StreamArn: in.StreamArn, StreamLabel: new(name.label), TableName: new(name.table), StreamStatus: new("ENABLED"),
			StreamViewType: new(row.View), CreationRequestDateTime: new(row.Created), Shards: []streamsapi.Shard{},
		}
		for _, e := range describeKey(&row.Key) {
			d.KeySchema = append(d.KeySchema, streamsapi.KeySchemaElement{AttributeName: e.AttributeName, KeyType: e.KeyType})
		}
		numbers := &streamsapi.SequenceNumberRange{StartingSequenceNumber: new(formatSequence(sequenceAt(row.Created)))}
		if !row.Disabled.IsZero() {
			d.StreamStatus = new("DISABLED")
			last, err := lastSequence(r, row.ID)
			if err != nil {
				return err
			}
			numbers.EndingSequenceNumber = new(formatSequence(max(last, sequenceAt(row.Disabled))))
		}
		if in.ExclusiveStartShardId == nil || *in.ExclusiveStartShardId < row.shardID() {
			d.Shards = append(d.Shards, streamsapi.Shard{ShardId: new(row.shardID()), SequenceNumberRange: numbers})
		}
		out = &streamsapi.DescribeStreamOutput{StreamDescription: d}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// An iterator is a place in a stream: before the record with the number next.
type iterator struct {
	arn    string
	next   uint64
	issued time.Time
}

// String writes an iterator as clients get it.
func (it iterator) String() string {
	b := binary.BigEndian.AppendUint64(nil, it.next)
	b = binary.BigEndian.AppendUint64(b, uint64(it.issued.UnixMilli()))
	return it.arn + "|1|" + base64.RawURLEncoding.EncodeToString(b)
}

func parseIterator(s string) (iterator, error) {
	parts := strings.Split(s, "|")
	if len(parts) == 3 && parts[1] == "1" {
		if b, err := base64.RawURLEncoding.DecodeString(parts[2]); err == nil && len(b) == 16 {
			issued := binary.BigEndian.Uint64(b[8:])
			return iterator{parts[0], binary.BigEndian.Uint64(b), time.UnixMilli(int64(issued & (1<<52 - 1)))}, nil
		}
	}
	return iterator{}, awserr.Validation("Invalid ShardIterator")
}

// Position returns the place of an iterator as a sequence number, which unlike the iterator does not expire: an
// AT_SEQUENCE_NUMBER iterator goes on from there, whether or not there is a record with that very number.
func Position(shardIterator string) (string, error) {
	it, err := parseIterator(shardIterator)
	return formatSequence(it.next), err
}

// GetShardIterator returns a place in a stream, which is good for 15 minutes.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_GetShardIterator.html
func (s *Streams) GetShardIterator(ctx context.Context, in *streamsapi.GetShardIteratorInput) (*streamsapi.GetShardIteratorOutput, error) {
	var number uint64
	switch kind := *in.ShardIteratorType; kind {
	case "AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER":
		if in.SequenceNumber == nil {
			return nil, awserr.Validation("The SequenceNumber parameter is required when ShardIteratorType is %s", kind)
		}
		var err error
		if number, err = parseSequence(*in.SequenceNumber); err != nil {
			return nil, err
		}
	default:
		if in.SequenceNumber != nil {
			return nil, awserr.Validation("The SequenceNumber parameter cannot be specified when ShardIteratorType is %s", kind)
		}
	}
	if err := s.service.sequences.load(ctx, s.service.store); err != nil {
		return nil, fault(err)
	}
	end := s.service.sequences.end()
	it := iterator{arn: *in.StreamArn}
	err := s.service.view(ctx, func(r kv.Reader) error {
		_, row, err := findStream(r, scopeOf(ctx), it.arn)
		if err != nil {
			return err
		}
		if *in.ShardId != row.shardID() {
			return &streamsapi.ResourceNotFoundException{
				Message: new("Requested resource not found: Shard: " + *in.ShardId + " in Stream: " + it.arn + " not found"),
			}
		}
		it.issued = r.Now()
		switch *in.ShardIteratorType {
		case "LATEST":
			it.next = end
		case "TRIM_HORIZON":
			it.next = 0
		default:
			it.next = number
			if *in.ShardIteratorType == "AFTER_SEQUENCE_NUMBER" {
				it.next++
			}
			return row.checkTrimmed(r, it.next)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &streamsapi.GetShardIteratorOutput{ShardIterator: new(it.String())}, nil
}

// GetRecords returns the records from an iterator on, up to Limit of them and 1 MB, and the iterator that follows them;
// none after the last record of a stream that was switched off.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_GetRecords.html
func (s *Streams) GetRecords(ctx context.Context, in *streamsapi.GetRecordsInput) (*streamsapi.GetRecordsOutput, error) {
	sc := scopeOf(ctx)
	it, err := parseIterator(*in.ShardIterator)
	if err != nil {
		return nil, err
	}
	limit := maxRecords
	if in.Limit != nil {
		limit = int(*in.Limit)
	}
	if err := s.service.sequences.load(ctx, s.service.store); err != nil {
		return nil, fault(err)
	}
	// Before the view, which sees everything below.
	horizon := s.service.sequences.horizon()
	var out *streamsapi.GetRecordsOutput
	err = s.service.view(ctx, func(r kv.Reader) error {
		out = &streamsapi.GetRecordsOutput{Records: []streamsapi.Record{}}
		_, row, err := findStream(r, sc, it.arn)
		if err != nil {
			return err
		}
		if r.Now().Sub(it.issued) > iteratorLife {
			return &streamsapi.ExpiredIteratorException{Message: new("The shard iterator has expired: an iterator is good for 15 minutes")}
		}
		if err := row.checkTrimmed(r, it.next); err != nil {
			return err
		}
		next, size, full := max(it.next, trimmed(r.Now())), 0, false
		rng := kv.Range{Start: recordKey(row.ID, next), End: recordKey(row.ID, horizon)}
		if !row.Disabled.IsZero() {
			// Whoever wrote to the stream did so before it was switched off.
			rng.End = kv.PrefixEnd(recordPrefix(row.ID))
		}
		for pair, err := range r.Scan(rng) {
			if err != nil {
				return err
			}
			number, err := parseRecordKey(row.ID, pair.Key)
			if err != nil {
				return err
			}
			if len(out.Records) == limit || size > 0 && size+len(pair.Value) > maxRecordsSize {
				full = true
				break
			}
			rec, err := decodeRecord(pair.Value)
			if err != nil {
				return err
			}
			described, err := rec.describe(sc, row, number)
			if err != nil {
				return err
			}
			out.Records = append(out.Records, *described)
			next = number + 1
			size += len(pair.Value)
		}
		if !full {
			if !row.Disabled.IsZero() {
				return nil
			}
			next = max(next, horizon)
		}
		out.NextShardIterator = new(iterator{it.arn, next, r.Now()}.String())
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// describe returns a record as clients see it.
func (r *record) describe(sc scope, stream *streamRow, number uint64) (*streamsapi.Record, error) {
	name := [...]string{eventInsert: "INSERT", eventModify: "MODIFY", eventRemove: "REMOVE"}[r.event]
	content := &streamsapi.StreamRecord{
		ApproximateCreationDateTime: new(r.at.Truncate(time.Second)), SequenceNumber: new(formatSequence(number)), StreamViewType: new(stream.View),
	}
	size := 0
	for _, part := range [...]struct {
		from item.Encoded
		to   *map[string]api.AttributeValue
	}{{r.key, &content.Keys}, {r.new, &content.NewImage}, {r.old, &content.OldImage}} {
		if len(part.from) == 0 {
			continue
		}
		n, err := part.from.Size()
		if err != nil {
			return nil, err
		}
		size += n
		if *part.to, err = item.Decode(part.from); err != nil {
			return nil, err
		}
	}
	content.SizeBytes = new(int64(size))
	out := &streamsapi.Record{
		EventID: new(fmt.Sprintf("%016x%016x", stream.ID, number)), EventName: new(name), EventVersion: new("1.1"),
		EventSource: new("aws:dynamodb"), AwsRegion: new(sc.region), Dynamodb: content,
	}
	if r.byService {
		out.UserIdentity = &streamsapi.Identity{PrincipalId: new("dynamodb.amazonaws.com"), Type: new("Service")}
	}
	return out, nil
}
