package sdk

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	streamtypes "github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
)

// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html
func TestStreams(t *testing.T) {
	cfg := rootOf(newAccount())
	tables, streams := dynamodb.NewFromConfig(cfg), dynamodbstreams.NewFromConfig(cfg)
	in := hashTable("table")
	in.StreamSpecification = &types.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: types.StreamViewTypeNewAndOldImages}
	created := ok(tables.CreateTable(t.Context(), in))(t).TableDescription
	arn := created.LatestStreamArn
	list := ok(streams.ListStreams(t.Context(), &dynamodbstreams.ListStreamsInput{TableName: aws.String("table")}))(t).Streams
	if len(list) != 1 || *list[0].StreamArn != *arn || *list[0].StreamLabel != *created.LatestStreamLabel {
		t.Fatalf("%+v", list)
	}
	describe := func() *streamtypes.StreamDescription {
		return ok(streams.DescribeStream(t.Context(), &dynamodbstreams.DescribeStreamInput{StreamArn: arn}))(t).StreamDescription
	}
	d := describe()
	same(t, "status", d.StreamStatus, streamtypes.StreamStatusEnabled)
	shard := d.Shards[0].ShardId
	iterator := func(kind streamtypes.ShardIteratorType, number *string) *string {
		return ok(streams.GetShardIterator(t.Context(), &dynamodbstreams.GetShardIteratorInput{
			StreamArn: arn, ShardId: shard, ShardIteratorType: kind, SequenceNumber: number,
		}))(t).ShardIterator
	}
	// read follows an iterator until it finds nothing or the end, and writes what it found as "I1 M1→2 R2".
	read := func(it *string) (found string, numbers []string, next *string) {
		t.Helper()
		var words []string
		for it != nil {
			out := ok(streams.GetRecords(t.Context(), &dynamodbstreams.GetRecordsInput{ShardIterator: it, Limit: aws.Int32(2)}))(t)
			for _, r := range out.Records {
				image := func(m map[string]streamtypes.AttributeValue) string {
					if n, ok := m["n"].(*streamtypes.AttributeValueMemberN); ok {
						return n.Value
					}
					return ""
				}
				words = append(words, strings.Trim(string(r.EventName)[:1]+image(r.Dynamodb.OldImage)+"→"+image(r.Dynamodb.NewImage), " "))
				numbers = append(numbers, *r.Dynamodb.SequenceNumber)
			}
			it = out.NextShardIterator
			if len(out.Records) == 0 {
				break
			}
		}
		return strings.Join(words, " "), numbers, it
	}
	latest := iterator(streamtypes.ShardIteratorTypeLatest, nil)
	for n := range 3 {
		putRows(t, tables, "table", row{"pk": text("a"), "n": number(n)}, row{"pk": text("a"), "n": number(n)})
	}
	ok(tables.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: aws.String("table"), Key: row{"pk": text("a")}}))(t)
	const all = "I→0 M0→1 M1→2 R2→"
	found, numbers, next := read(latest)
	same(t, "from the latest", found, all)
	if found, _, _ = read(next); found != "" {
		t.Errorf("read again: %s", found)
	}
	found, _, _ = read(iterator(streamtypes.ShardIteratorTypeTrimHorizon, nil))
	same(t, "from the horizon", found, all)
	found, _, _ = read(iterator(streamtypes.ShardIteratorTypeAtSequenceNumber, &numbers[1]))
	same(t, "at the second", found, "M0→1 M1→2 R2→")
	found, _, _ = read(iterator(streamtypes.ShardIteratorTypeAfterSequenceNumber, &numbers[1]))
	same(t, "after the second", found, "M1→2 R2→")
	_, err := streams.GetShardIterator(t.Context(), &dynamodbstreams.GetShardIteratorInput{
		StreamArn: arn, ShardId: aws.String("shardId-00000000000000000000-00000000"), ShardIteratorType: streamtypes.ShardIteratorTypeLatest,
	})
	is[*streamtypes.ResourceNotFoundException](t, err, "")
	_, err = streams.DescribeStream(t.Context(), &dynamodbstreams.DescribeStreamInput{StreamArn: aws.String(*arn + "9")})
	is[*streamtypes.ResourceNotFoundException](t, err, "")

	// A stream can be read to its end after it was switched off, and after its table is gone.
	ok(tables.UpdateTable(t.Context(), &dynamodb.UpdateTableInput{
		TableName: aws.String("table"), StreamSpecification: &types.StreamSpecification{StreamEnabled: aws.Bool(false)},
	}))(t)
	if d = describe(); d.StreamStatus != streamtypes.StreamStatusDisabled || d.Shards[0].SequenceNumberRange.EndingSequenceNumber == nil {
		t.Errorf("%+v", d)
	}
	ok(tables.DeleteTable(t.Context(), &dynamodb.DeleteTableInput{TableName: aws.String("table")}))(t)
	found, _, next = read(iterator(streamtypes.ShardIteratorTypeTrimHorizon, nil))
	same(t, "after the end", found, all)
	if next != nil {
		t.Error("an iterator leads beyond the end")
	}
}

// A page has up to 1000 records and 1 MB.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_GetRecords.html
func TestStreamPages(t *testing.T) {
	cfg := rootOf(newAccount())
	tables, streams := dynamodb.NewFromConfig(cfg), dynamodbstreams.NewFromConfig(cfg)
	pages := func(name string, view types.StreamViewType, items, size int) (counts []int) {
		in := hashTable(name)
		in.StreamSpecification = &types.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: view}
		arn := ok(tables.CreateTable(t.Context(), in))(t).TableDescription.LatestStreamArn
		for i := 0; i < items; i += 25 {
			var batch []types.WriteRequest
			for j := i; j < min(items, i+25); j++ {
				batch = append(batch, types.WriteRequest{PutRequest: &types.PutRequest{Item: row{"pk": text(fmt.Sprint(j)), "x": text(strings.Repeat("x", size))}}})
			}
			ok(tables.BatchWriteItem(t.Context(), &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{name: batch}}))(t)
		}
		shard := ok(streams.DescribeStream(t.Context(), &dynamodbstreams.DescribeStreamInput{StreamArn: arn}))(t).StreamDescription.Shards[0].ShardId
		it := ok(streams.GetShardIterator(t.Context(), &dynamodbstreams.GetShardIteratorInput{
			StreamArn: arn, ShardId: shard, ShardIteratorType: streamtypes.ShardIteratorTypeTrimHorizon,
		}))(t).ShardIterator
		for {
			out := ok(streams.GetRecords(t.Context(), &dynamodbstreams.GetRecordsInput{ShardIterator: it}))(t)
			if len(out.Records) == 0 {
				return counts
			}
			counts, it = append(counts, len(out.Records)), out.NextShardIterator
		}
	}
	same(t, "many", pages("many", types.StreamViewTypeKeysOnly, 1001, 1), []int{1000, 1})
	same(t, "large", pages("large", types.StreamViewTypeNewImage, 25, 100<<10), []int{10, 10, 5})
	_, err := streams.GetRecords(t.Context(), &dynamodbstreams.GetRecordsInput{ShardIterator: aws.String("no iterator")})
	hasCode(t, err, 400, "ValidationException", "Invalid ShardIterator")
}
