package dynamodb

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	api "brume/internal/api/dynamodb"
	streamsapi "brume/internal/api/dynamodbstreams"
	"brume/internal/schema"
	"brume/internal/service/dynamodb/item"
)

// stream switches the stream of a table on and returns its ARN.
func (b *bench) stream(table, view string) string {
	b.Helper()
	out := must(b.UpdateTable(b.ctx, &api.UpdateTableInput{
		TableName: &table, StreamSpecification: &api.StreamSpecification{StreamEnabled: new(true), StreamViewType: &view},
	}))(b)
	return *out.TableDescription.LatestStreamArn
}

func (b *bench) unstream(table string) {
	b.Helper()
	must(b.UpdateTable(b.ctx, &api.UpdateTableInput{
		TableName: &table, StreamSpecification: &api.StreamSpecification{StreamEnabled: new(false)},
	}))(b)
}

func (b *bench) shard(arn string) *streamsapi.Shard {
	b.Helper()
	d := must(b.Streams().DescribeStream(b.ctx, &streamsapi.DescribeStreamInput{StreamArn: &arn}))(b).StreamDescription
	if len(d.Shards) != 1 {
		b.Fatalf("%d shards", len(d.Shards))
	}
	return &d.Shards[0]
}

func (b *bench) iterator(arn, kind string, number *string) string {
	b.Helper()
	return *must(b.Streams().GetShardIterator(b.ctx, &streamsapi.GetShardIteratorInput{
		StreamArn: &arn, ShardId: b.shard(arn).ShardId, ShardIteratorType: &kind, SequenceNumber: number,
	}))(b).ShardIterator
}

func (b *bench) records(iterator string) ([]streamsapi.Record, *string) {
	b.Helper()
	out := must(b.Streams().GetRecords(b.ctx, &streamsapi.GetRecordsInput{ShardIterator: &iterator}))(b)
	return out.Records, out.NextShardIterator
}

// showRecord writes a record as "INSERT {key} new {…} old {…}".
func showRecord(r streamsapi.Record) string {
	s := *r.EventName + " " + show(r.Dynamodb.Keys)
	if r.Dynamodb.NewImage != nil {
		s += " new " + show(r.Dynamodb.NewImage)
	}
	if r.Dynamodb.OldImage != nil {
		s += " old " + show(r.Dynamodb.OldImage)
	}
	return s
}

func showRecords(records []streamsapi.Record) string {
	var out []string
	for _, r := range records {
		out = append(out, showRecord(r))
	}
	return strings.Join(out, "\n")
}

// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_StreamRecord.html
func TestStreamViews(t *testing.T) {
	for view, want := range map[string]string{
		"KEYS_ONLY": `
INSERT {pk=a}
MODIFY {pk=a}
REMOVE {pk=a}`,
		"NEW_IMAGE": `
INSERT {pk=a} new {n=1, pk=a}
MODIFY {pk=a} new {n=2, pk=a}
REMOVE {pk=a}`,
		"OLD_IMAGE": `
INSERT {pk=a}
MODIFY {pk=a} old {n=1, pk=a}
REMOVE {pk=a} old {n=2, pk=a}`,
		"NEW_AND_OLD_IMAGES": `
INSERT {pk=a} new {n=1, pk=a}
MODIFY {pk=a} new {n=2, pk=a} old {n=1, pk=a}
REMOVE {pk=a} old {n=2, pk=a}`,
	} {
		b := newBench(t)
		in := createInput("table", "pk:S")
		in.StreamSpecification = &api.StreamSpecification{StreamEnabled: new(true), StreamViewType: &view}
		d := must(b.CreateTable(b.ctx, in))(t).TableDescription
		if *d.StreamSpecification.StreamViewType != view || !strings.HasSuffix(*d.LatestStreamArn, ":table/table/stream/"+*d.LatestStreamLabel) {
			t.Errorf("described: %+v %s", d.StreamSpecification, *d.LatestStreamArn)
		}
		b.put("table", M{"pk": api.S("a"), "n": api.N("1")})
		b.put("table", M{"pk": api.S("a"), "n": api.N("1.0")}) // changes nothing
		must(b.UpdateItem(b.ctx, &api.UpdateItemInput{
			TableName: new("table"), Key: M{"pk": api.S("a")}, UpdateExpression: new("ADD n :one"), ExpressionAttributeValues: M{":one": api.N("1")},
		}))(t)
		must(b.UpdateItem(b.ctx, &api.UpdateItemInput{TableName: new("table"), Key: M{"pk": api.S("a")}}))(t) // changes nothing
		for range 2 {
			must(b.DeleteItem(b.ctx, &api.DeleteItemInput{TableName: new("table"), Key: M{"pk": api.S("a")}}))(t) // the second changes nothing
		}
		records, _ := b.records(b.iterator(*d.LatestStreamArn, "TRIM_HORIZON", nil))
		if got := "\n" + showRecords(records); got != want {
			t.Errorf("%s: got%s\nwant%s", view, got, want)
		}
		last := ""
		for _, r := range records {
			if *r.Dynamodb.StreamViewType != view || *r.EventSource != "aws:dynamodb" || *r.EventVersion != "1.1" || *r.AwsRegion != "us-east-1" ||
				r.UserIdentity != nil || len(*r.EventID) != 32 || time.Since(*r.Dynamodb.ApproximateCreationDateTime) > time.Minute {
				t.Errorf("%+v", r)
			}
			if number := *r.Dynamodb.SequenceNumber; number <= last || len(number) < 21 {
				t.Errorf("sequence number %s after %s", number, last)
			} else {
				last = number
			}
		}
		if size := *records[0].Dynamodb.SizeBytes; size < 3 || size > 20 {
			t.Errorf("SizeBytes %d", size)
		}
	}
}

// Batches and transactions leave one record for each item that they change, and none if they fail.
func TestStreamOfManyWrites(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S", "gsi g:S ALL")
	arn := b.stream("table", "KEYS_ONLY")
	it := b.iterator(arn, "TRIM_HORIZON", nil)
	put := func(pk string) *api.Put {
		return &api.Put{TableName: new("table"), Item: M{"pk": api.S(pk), "g": api.S("x")}}
	}
	must(b.BatchWriteItem(b.ctx, &api.BatchWriteItemInput{RequestItems: map[string][]api.WriteRequest{
		"table": {{PutRequest: &api.PutRequest{Item: put("a").Item}}, {PutRequest: &api.PutRequest{Item: put("b").Item}}},
	}}))(t)
	must(b.TransactWriteItems(b.ctx, &api.TransactWriteItemsInput{ClientRequestToken: new("token"), TransactItems: []api.TransactWriteItem{
		{Put: put("a")}, // as it is
		{Put: put("c")},
		{Delete: &api.Delete{TableName: new("table"), Key: M{"pk": api.S("b")}}},
		{ConditionCheck: &api.ConditionCheck{TableName: new("table"), Key: M{"pk": api.S("d")}, ConditionExpression: new("attribute_not_exists(pk)")}},
	}}))(t)
	failing := put("e")
	failing.ConditionExpression = new("attribute_exists(pk)")
	_, err := b.TransactWriteItems(b.ctx, &api.TransactWriteItemsInput{TransactItems: []api.TransactWriteItem{{Put: put("f")}, {Put: failing}}})
	wantError(t, err, "TransactionCanceledException: …")
	records, next := b.records(it)
	if got, want := showRecords(records), "INSERT {pk=a}\nINSERT {pk=b}\nINSERT {pk=c}\nREMOVE {pk=b}"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if records, _ := b.records(*next); len(records) != 0 {
		t.Errorf("read again: %s", showRecords(records))
	}
}

// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_GetShardIterator.html
func TestShardIterators(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	b := newBenchAt(t, func() time.Time { return now })
	b.create("table", "pk:S")
	arn := b.stream("table", "KEYS_ONLY")
	for i := range 5 {
		b.put("table", M{"pk": api.S(fmt.Sprint(i))})
	}
	all, _ := b.records(b.iterator(arn, "TRIM_HORIZON", nil))
	second := all[1].Dynamodb.SequenceNumber
	latest := b.iterator(arn, "LATEST", nil)
	b.put("table", M{"pk": api.S("5")})
	for _, c := range []struct{ iterator, want string }{
		{b.iterator(arn, "TRIM_HORIZON", nil), "0 1 2 3 4 5"}, {latest, "5"},
		{b.iterator(arn, "AT_SEQUENCE_NUMBER", second), "1 2 3 4 5"}, {b.iterator(arn, "AFTER_SEQUENCE_NUMBER", second), "2 3 4 5"},
		{b.iterator(arn, "AT_SEQUENCE_NUMBER", b.shard(arn).SequenceNumberRange.StartingSequenceNumber), "0 1 2 3 4 5"},
	} {
		// One at a time, so that each iterator leads to the next.
		var got []string
		for it := &c.iterator; ; {
			out := must(b.Streams().GetRecords(b.ctx, &streamsapi.GetRecordsInput{ShardIterator: it, Limit: new(int32(1))}))(t)
			if len(out.Records) == 0 {
				break
			}
			got = append(got, string(out.Records[0].Dynamodb.Keys["pk"].(api.S)))
			it = out.NextShardIterator
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("got %s, want %s", s, c.want)
		}
	}

	streams := b.Streams()
	get := func(change func(*streamsapi.GetShardIteratorInput)) error {
		in := &streamsapi.GetShardIteratorInput{StreamArn: &arn, ShardId: b.shard(arn).ShardId, ShardIteratorType: new("TRIM_HORIZON")}
		change(in)
		_, err := streams.GetShardIterator(b.ctx, in)
		return err
	}
	wantError(t, get(func(in *streamsapi.GetShardIteratorInput) { in.ShardIteratorType = new("AT_SEQUENCE_NUMBER") }),
		"ValidationException: The SequenceNumber parameter is required when ShardIteratorType is AT_SEQUENCE_NUMBER")
	wantError(t, get(func(in *streamsapi.GetShardIteratorInput) { in.SequenceNumber = second }),
		"ValidationException: The SequenceNumber parameter cannot be specified when ShardIteratorType is TRIM_HORIZON")
	wantError(t, get(func(in *streamsapi.GetShardIteratorInput) { in.ShardId = new("shardId-00000000000000000000-00000000") }),
		"ResourceNotFoundException: …")
	wantError(t, get(func(in *streamsapi.GetShardIteratorInput) { in.StreamArn = new(arn + "x") }), "ResourceNotFoundException: …")
	wantError(t, get(func(in *streamsapi.GetShardIteratorInput) {
		in.StreamArn = new(strings.Replace(arn, "us-east-1", "eu-west-1", 1))
	}), "AccessDeniedException: …")
	_, err := streams.GetRecords(b.ctx, &streamsapi.GetRecordsInput{ShardIterator: new(arn + "|1|x")})
	wantError(t, err, "ValidationException: Invalid ShardIterator")

	// Iterators are good for 15 minutes and records for 24 hours.
	it := b.iterator(arn, "TRIM_HORIZON", nil)
	six, _ := b.records(it)
	lastOfThem := six[5].Dynamodb.SequenceNumber
	now = now.Add(iteratorLife)
	if records, _ := b.records(it); len(records) != 6 {
		t.Errorf("%d records", len(records))
	}
	now = now.Add(time.Millisecond)
	_, err = streams.GetRecords(b.ctx, &streamsapi.GetRecordsInput{ShardIterator: &it})
	wantError(t, err, "ExpiredIteratorException: …")
	now = now.Add(streamLife)
	b.put("table", M{"pk": api.S("6")})
	if records, _ := b.records(b.iterator(arn, "TRIM_HORIZON", nil)); showRecords(records) != "INSERT {pk=6}" {
		t.Errorf("after a day: %s", showRecords(records))
	}
	wantError(t, get(func(in *streamsapi.GetShardIteratorInput) {
		in.ShardIteratorType, in.SequenceNumber = new("AT_SEQUENCE_NUMBER"), second
	}), "TrimmedDataAccessException: …")
	if n := b.storedRecords(); n != 7 {
		t.Errorf("%d records are stored before they are trimmed", n)
	}
	if err := b.trimStreams(b.ctx); err != nil || b.storedRecords() != 1 {
		t.Errorf("%d records are stored after they were trimmed, %v", b.storedRecords(), err)
	}
	wantError(t, get(func(in *streamsapi.GetShardIteratorInput) {
		in.ShardIteratorType, in.SequenceNumber = new("AFTER_SEQUENCE_NUMBER"), second
	}), "TrimmedDataAccessException: …")
	// Whoever has read the last of the lost records has lost nothing.
	if err := get(func(in *streamsapi.GetShardIteratorInput) {
		in.ShardIteratorType, in.SequenceNumber = new("AFTER_SEQUENCE_NUMBER"), lastOfThem
	}); err != nil {
		t.Error(err)
	}

	// A record may be trimmed between the calls.
	now = now.Add(streamLife - time.Minute)
	it = b.iterator(arn, "AFTER_SEQUENCE_NUMBER", lastOfThem)
	now = now.Add(2 * time.Minute)
	_, err = streams.GetRecords(b.ctx, &streamsapi.GetRecordsInput{ShardIterator: &it})
	wantError(t, err, "TrimmedDataAccessException: …")
}

func (b *bench) storedRecords() int { return b.rowsUnder(rows(tagRecord)) }

func appendItem(m M) []byte { return item.Append(nil, m, item.Size(m)) }

// A stream that is switched off, or whose table is deleted, can be read to its end for a day.
func TestStreamEnds(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	b := newBenchAt(t, func() time.Time { return now })
	b.create("table", "pk:S")
	first := b.stream("table", "KEYS_ONLY")
	_, err := b.UpdateTable(b.ctx, &api.UpdateTableInput{
		TableName: new("table"), StreamSpecification: &api.StreamSpecification{StreamEnabled: new(true), StreamViewType: new("NEW_IMAGE")},
	})
	wantError(t, err, "ValidationException: Table already has an enabled stream: TableName: table")
	b.put("table", M{"pk": api.S("a")})
	latest := b.iterator(first, "LATEST", nil)
	b.unstream("table")
	_, err = b.UpdateTable(b.ctx, &api.UpdateTableInput{TableName: new("table"), StreamSpecification: &api.StreamSpecification{StreamEnabled: new(false)}})
	wantError(t, err, "ValidationException: Table has no stream to disable: TableName: table")
	b.put("table", M{"pk": api.S("unseen")})
	second := b.stream("table", "NEW_IMAGE")
	if first == second {
		t.Error("two streams of one table have one ARN")
	}
	b.put("table", M{"pk": api.S("b")})
	must(b.DeleteTable(b.ctx, &api.DeleteTableInput{TableName: new("table")}))(t)
	for arn, want := range map[string]string{first: "INSERT {pk=a}", second: "INSERT {pk=b} new {pk=b}"} {
		records, next := b.records(b.iterator(arn, "TRIM_HORIZON", nil))
		if showRecords(records) != want || next != nil {
			t.Errorf("got %s and the iterator %v, want %s and none", showRecords(records), next, want)
		}
		d := must(b.Streams().DescribeStream(b.ctx, &streamsapi.DescribeStreamInput{StreamArn: &arn}))(t).StreamDescription
		if *d.StreamStatus != "DISABLED" || *d.Shards[0].SequenceNumberRange.EndingSequenceNumber < *records[0].Dynamodb.SequenceNumber {
			t.Errorf("%s, shard ends %s", *d.StreamStatus, *d.Shards[0].SequenceNumberRange.EndingSequenceNumber)
		}
	}
	if records, next := b.records(latest); len(records) != 0 || next != nil {
		t.Errorf("after the end: %s, %v", showRecords(records), next)
	}
	list := func(in streamsapi.ListStreamsInput) *streamsapi.ListStreamsOutput {
		return must(b.Streams().ListStreams(b.ctx, &in))(t)
	}
	if out := list(streamsapi.ListStreamsInput{}); len(out.Streams) != 2 || *out.Streams[0].StreamArn != first || *out.Streams[1].TableName != "table" {
		t.Errorf("listed: %+v", out.Streams)
	}
	page := list(streamsapi.ListStreamsInput{TableName: new("table"), Limit: new(int32(1))})
	if len(page.Streams) != 1 || *page.LastEvaluatedStreamArn != first {
		t.Errorf("first page: %+v", page)
	}
	if page = list(streamsapi.ListStreamsInput{ExclusiveStartStreamArn: &first}); len(page.Streams) != 1 || *page.Streams[0].StreamArn != second {
		t.Errorf("second page: %+v", page)
	}
	_, err = b.Streams().ListStreams(b.ctx, &streamsapi.ListStreamsInput{TableName: new("other")})
	wantError(t, err, "ResourceNotFoundException: …")
	now = now.Add(streamLife + time.Second)
	if out := list(streamsapi.ListStreamsInput{}); len(out.Streams) != 0 {
		t.Errorf("a day later: %+v", out.Streams)
	}
	if err := b.trimStreams(b.ctx); err != nil || b.storedRecords() != 0 {
		t.Errorf("%d records are left, %v", b.storedRecords(), err)
	}
}

func TestStreamSpecification(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S")
	for want, spec := range map[string]api.StreamSpecification{
		"If stream is being enabled then UpdateViewType is required":             {StreamEnabled: new(true)},
		"If stream is being disabled, then UpdateViewType must not be specified": {StreamEnabled: new(false), StreamViewType: new("NEW_IMAGE")},
	} {
		_, err := b.UpdateTable(b.ctx, &api.UpdateTableInput{TableName: new("table"), StreamSpecification: &spec})
		wantError(t, err, invalidParams+want)
	}
}

// While many write, one who follows the stream sees each change once, and those of each item in their order.
func TestFollowStream(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S")
	arn := b.stream("table", "NEW_IMAGE")
	const writers, items, writes = 8, 4, 50
	woken := make(chan struct{}, 1)
	stop := must(b.Streams().Watch(b.ctx, arn, func() {
		select {
		case woken <- struct{}{}:
		default:
		}
	}))(t)
	defer stop()
	var done atomic.Bool
	go func() {
		var writing sync.WaitGroup
		for w := range writers {
			writing.Go(func() {
				for i := range writes {
					// Half of them meet on the same items.
					key := M{"pk": api.S(fmt.Sprint((i * w) % items))}
					if _, err := b.UpdateItem(context.WithoutCancel(b.ctx), &api.UpdateItemInput{
						TableName: new("table"), Key: key, UpdateExpression: new("ADD n :one"), ExpressionAttributeValues: M{":one": api.N("1")},
					}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		writing.Wait()
		done.Store(true)
	}()
	seen, last := 0, map[api.S]int{}
	it := b.iterator(arn, "TRIM_HORIZON", nil)
	deadline := time.After(20 * time.Second)
	for seen < writers*writes {
		records, next := b.records(it)
		it = *next
		for _, r := range records {
			var n int
			pk := r.Dynamodb.NewImage["pk"].(api.S)
			if _, err := fmt.Sscan(string(r.Dynamodb.NewImage["n"].(api.N)), &n); err != nil || n != last[pk]+1 {
				t.Fatalf("%s: %d after %d", pk, n, last[pk])
			}
			last[pk] = n
			seen++
		}
		if len(records) == 0 {
			select {
			case <-woken:
			case <-deadline:
				t.Fatalf("nobody woke the reader: %d of %d records seen, writers done: %v", seen, writers*writes, done.Load())
			}
		}
	}
	if records, _ := b.records(it); len(records) != 0 {
		t.Errorf("too many records: %s", showRecords(records))
	}
}

// Sequence numbers grow over a restart even if the clock was set back.
func TestSequenceNumbersGrow(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	b := newBenchAt(t, func() time.Time { return now })
	b.create("table", "pk:S")
	arn := b.stream("table", "KEYS_ONLY")
	b.put("table", M{"pk": api.S("a")}, M{"pk": api.S("b")}, M{"pk": api.S("c")})
	now = now.Add(-time.Hour)
	again := &bench{t, New(b.store, b.log), b.ctx}
	again.put("table", M{"pk": api.S("d")})
	records, _ := again.records(again.iterator(arn, "TRIM_HORIZON", nil))
	if got := showRecords(records); got != "INSERT {pk=a}\nINSERT {pk=b}\nINSERT {pk=c}\nINSERT {pk=d}" {
		t.Errorf("got %s", got)
	}
}

func FuzzRecord(f *testing.F) {
	key := M{"pk": api.S("a")}
	f.Add((&record{event: eventModify, byService: true, at: time.Unix(1, 0), key: appendItem(key), new: appendItem(key)}).encode())
	f.Add((&record{event: eventRemove, at: time.Unix(1, 0), key: appendItem(key), old: appendItem(key)}).encode()[:9])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRecord(b)
		if err != nil {
			return
		}
		back, err := decodeRecord(r.encode())
		if err != nil || back.event != r.event || back.byService != r.byService || !back.at.Equal(r.at) ||
			string(back.key) != string(r.key) || string(back.new) != string(r.new) || string(back.old) != string(r.old) {
			t.Errorf("%+v came back as %+v, %v", r, back, err)
		}
	})
}

func FuzzIterator(f *testing.F) {
	f.Add(iterator{"arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/l", 7, time.Unix(1, 0)}.String())
	f.Add("a|1|AAAA")
	f.Fuzz(func(t *testing.T, s string) {
		it, err := parseIterator(s)
		if err != nil {
			return
		}
		if back, err := parseIterator(it.String()); err != nil || back.arn != it.arn || back.next != it.next || !back.issued.Equal(it.issued) {
			t.Errorf("%+v came back as %+v, %v", it, back, err)
		}
	})
}

// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html
func TestStreamChecks(t *testing.T) {
	b := newBench(t)
	const table = "arn:aws:dynamodb:us-east-1:000000000000:table/table"
	const arn = table + "/stream/2026-01-02T03:04:05.678"
	it := iterator{arn: arn}.String()
	for operation, c := range map[string]struct {
		in       schema.Struct
		resource string
	}{
		"DescribeStream":   {&streamsapi.DescribeStreamInput{StreamArn: new(arn)}, arn},
		"GetShardIterator": {&streamsapi.GetShardIteratorInput{StreamArn: new(arn)}, arn},
		"GetRecords":       {&streamsapi.GetRecordsInput{ShardIterator: &it}, arn},
		"ListStreams":      {&streamsapi.ListStreamsInput{TableName: new("table")}, table + "/stream/*"},
	} {
		checks, mapped, err := b.Streams().Checks(b.ctx, operation, c.in)
		if err != nil || !mapped || len(checks) != 1 || checks[0].Action != "dynamodb:"+operation || checks[0].Resource != c.resource {
			t.Errorf("%s: %v, %v, %v", operation, checks, mapped, err)
		}
	}
	checks, _, err := b.Streams().Checks(b.ctx, "ListStreams", new(streamsapi.ListStreamsInput))
	if err != nil || checks[0].Resource != "*" {
		t.Errorf("all streams: %v, %v", checks, err)
	}
	if _, mapped, _ := b.Streams().Checks(b.ctx, "GetItem", new(api.GetItemInput)); mapped {
		t.Error("an operation of tables is mapped")
	}
}

// An item may hold as many numbers as it counts bytes for, whatever their text: two images of it are one record.
func TestLargestNumbers(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S")
	b.stream("table", "NEW_AND_OLD_IMAGES")
	for _, n := range []string{"0." + strings.Repeat("0", 37) + "1", "0." + strings.Repeat("0", 17) + "12", "1" + strings.Repeat("0", 37), strings.Repeat("7", 38)} {
		list := make(api.L, (item.MaxSize-100)/(1+item.ValueSize(api.N(n))))
		for i := range list {
			list[i] = api.N(n)
		}
		for i := range 2 {
			b.put("table", M{"pk": api.S("a"), "list": list, "i": api.N(fmt.Sprint(i))})
		}
	}
}
