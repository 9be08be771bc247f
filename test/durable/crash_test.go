package durable

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

// A writer is one client that writes to keys of its own, one request after another.
type writer struct {
	id   int
	kind string // put, condition or transaction
	*client
	random *rand.Rand
	// acked is the last round that was acknowledged, for each key; tried is one that was sent after it and not
	// answered, 0 if there is none.
	acked, tried map[string]int
	answers      int
}

// counter is the key of what each transaction of the writer adds one to.
func (w *writer) counter() string { return fmt.Sprint("counter-", w.id) }

// A crash at any moment of a load loses nothing acknowledged, leaves no part of a transaction, and no index or stream
// that differs from its table.
func TestCrash(t *testing.T) {
	rounds := 10
	switch {
	case os.Getenv("BRUME_SOAK") == "1":
		rounds = 100
	case testing.Short():
		rounds = 2
	}
	server := startServer(t)
	c := newClient(server)
	attribute := func(name, kind string) object { return object{"AttributeName": name, "AttributeType": kind} }
	key := func(name, kind string) object { return object{"AttributeName": name, "KeyType": kind} }
	if err := c.table("CreateTable", object{
		"TableName": "crash", "BillingMode": "PAY_PER_REQUEST",
		"AttributeDefinitions": []object{attribute("pk", "S"), attribute("owner", "S"), attribute("n", "N")},
		"KeySchema":            []object{key("pk", "HASH")},
		"GlobalSecondaryIndexes": []object{{"IndexName": "owners", "KeySchema": []object{key("owner", "HASH"), key("n", "RANGE")},
			"Projection": object{"ProjectionType": "ALL"}}},
		"StreamSpecification": object{"StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES"},
	}, nil); err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var writers []*writer
	for i := range 12 {
		writers = append(writers, &writer{
			id: i, kind: []string{"put", "condition", "transaction"}[i%3], client: c,
			random: rand.New(rand.NewPCG(seed, uint64(i+1))), acked: map[string]int{}, tried: map[string]int{},
		})
	}
	replica := newReplica(c)
	open := 0
	for round := range rounds {
		var wg sync.WaitGroup
		for _, w := range writers {
			wg.Go(func() {
				for {
					if err := w.round(); err != nil {
						if r := (*refusal)(nil); errors.As(err, &r) {
							t.Errorf("writer %d: %v", w.id, err)
						}
						return
					}
				}
			})
		}
		time.Sleep(50*time.Millisecond + time.Duration(random.Int64N(int64(250*time.Millisecond))))
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		c.http.CloseIdleConnections()
		if t.Failed() {
			return
		}
		if err := server.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		items, err := c.all("crash", "")
		if err != nil {
			t.Fatal(err)
		}
		open += check(t, writers, items)
		entries, err := c.all("crash", "owners")
		if err != nil {
			t.Fatal(err)
		}
		maps.DeleteFunc(items, func(_ string, i item) bool { return i["owner"] == nil })
		compare(t, "the index", entries, items)
		if err := replica.catchUp(); err != nil {
			t.Fatal(err)
		}
		if items, err = c.all("crash", ""); err != nil {
			t.Fatal(err)
		}
		compare(t, "what the stream tells", replica.items, items)
		if t.Failed() {
			t.Fatalf("after crash %d\n%s", round+1, server.LogTail())
		}
	}
	acknowledged := 0
	for _, w := range writers {
		acknowledged += w.answers
	}
	t.Logf("%d writes acknowledged, %d open at a crash", acknowledged, open)
	if acknowledged == 0 || open == 0 {
		t.Error("the crashes met no load")
	}
	if err := server.Stop(); err != nil {
		t.Error(err)
	}
}

// round writes once to one of the writer's keys and notes what it was told.
func (w *writer) round() error {
	name := fmt.Sprintf("%s-%d-%d", w.kind, w.id, w.random.IntN(20))
	next := w.acked[name] + 1
	w.tried[name] = next
	var err error
	switch w.kind {
	case "put":
		err = w.table("PutItem", object{"TableName": "crash", "Item": object{
			"pk": s(name), "n": n(next), "owner": s(fmt.Sprint("owner-", w.random.IntN(5))), "fill": s(strings.Repeat("x", w.random.IntN(8000))),
		}}, nil)
	case "condition":
		in := object{
			"TableName": "crash", "Key": object{"pk": s(name)},
			"UpdateExpression": "SET n = :next, #o = :o", "ConditionExpression": "n = :last",
			"ExpressionAttributeNames":  object{"#o": "owner"},
			"ExpressionAttributeValues": object{":next": n(next), ":last": n(next - 1), ":o": s(fmt.Sprint("owner-", next%5))},
		}
		if next == 1 {
			in["ConditionExpression"] = "attribute_not_exists(pk)"
			delete(in["ExpressionAttributeValues"].(object), ":last")
		}
		err = w.table("UpdateItem", in, nil)
	case "transaction":
		half := func(suffix string) object {
			return object{"Put": object{"TableName": "crash", "Item": object{"pk": s(name + suffix), "n": n(next), "owner": s("pairs")}}}
		}
		err = w.table("TransactWriteItems", object{"TransactItems": []object{half("/a"), half("/b"),
			{"Update": object{"TableName": "crash", "Key": object{"pk": s(w.counter())},
				"UpdateExpression": "ADD n :one", "ExpressionAttributeValues": object{":one": n(1)}}}}}, nil)
	}
	if err != nil {
		return err
	}
	w.acked[name] = next
	w.answers++
	delete(w.tried, name)
	return nil
}

// check compares the items with what the writers were told, and lets the writers know what has become of their open
// writes. It returns how many were open.
func check(t *testing.T, writers []*writer, items map[string]item) (open int) {
	for _, w := range writers {
		sum := 0
		for name := range merged(w.acked, w.tried) {
			acked, tried := w.acked[name], w.tried[name]
			parts := []string{name}
			if w.kind == "transaction" {
				parts = []string{name + "/a", name + "/b"}
			}
			found := items[parts[0]].n("n")
			if found != acked && (tried == 0 || found != tried) {
				t.Errorf("%s is %d, acknowledged was %d, sent %d", parts[0], found, acked, tried)
			}
			for _, other := range parts[1:] {
				if got := items[other].n("n"); got != found {
					t.Errorf("%s is %d, and %s of the same transaction %d", parts[0], found, other, got)
				}
			}
			if tried != 0 {
				open++
			}
			w.acked[name] = found
			sum += found
		}
		clear(w.tried)
		if w.kind == "transaction" {
			if got := items[w.counter()].n("n"); got != sum {
				t.Errorf("%d transactions of writer %d have added to its counter, and it is %d", sum, w.id, got)
			}
		}
	}
	return open
}

func merged(a, b map[string]int) map[string]int {
	m := maps.Clone(a)
	maps.Copy(m, b)
	return m
}

func compare(t *testing.T, what string, got, want map[string]item) {
	t.Helper()
	for key, w := range want {
		if !reflect.DeepEqual(got[key], w) {
			t.Errorf("%s: %s is %.200v, in the table %.200v", what, key, got[key], w)
			return
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s has %d items, the table %d", what, len(got), len(want))
	}
}

// all returns the items of a table or an index, by key.
func (c *client) all(table, index string) (map[string]item, error) {
	items := map[string]item{}
	in := object{"TableName": table}
	if index != "" {
		in["IndexName"] = index
	}
	for {
		var out struct {
			Items            []item
			LastEvaluatedKey item
		}
		if err := c.table("Scan", in, &out); err != nil {
			return nil, err
		}
		for _, i := range out.Items {
			if _, ok := items[i.s("pk")]; ok {
				return nil, fmt.Errorf("%s is there twice", i.s("pk"))
			}
			items[i.s("pk")] = i
		}
		if out.LastEvaluatedKey == nil {
			return items, nil
		}
		in["ExclusiveStartKey"] = out.LastEvaluatedKey
	}
}

// A replica is a table as its stream tells it.
type replica struct {
	*client
	items map[string]item
	arn   string
	last  map[string]string // the last sequence number read of each shard
}

func newReplica(c *client) *replica {
	return &replica{client: c, items: map[string]item{}, last: map[string]string{}}
}

// catchUp reads what is new in the stream, and holds each record against what is known: it must begin where the one before
// it ended.
func (r *replica) catchUp() error {
	if r.arn == "" {
		var list struct{ Streams []struct{ StreamArn string } }
		if err := r.stream("ListStreams", object{"TableName": "crash"}, &list); err != nil {
			return err
		}
		r.arn = list.Streams[0].StreamArn
	}
	var described struct {
		StreamDescription struct{ Shards []struct{ ShardId string } }
	}
	if err := r.stream("DescribeStream", object{"StreamArn": r.arn}, &described); err != nil {
		return err
	}
	for _, shard := range described.StreamDescription.Shards {
		in := object{"StreamArn": r.arn, "ShardId": shard.ShardId, "ShardIteratorType": "TRIM_HORIZON"}
		if last := r.last[shard.ShardId]; last != "" {
			in["ShardIteratorType"], in["SequenceNumber"] = "AFTER_SEQUENCE_NUMBER", last
		}
		var iterator struct{ ShardIterator string }
		if err := r.stream("GetShardIterator", in, &iterator); err != nil {
			return err
		}
		for iterator.ShardIterator != "" {
			var out struct {
				Records []struct {
					EventName string `json:"eventName"`
					Dynamodb  struct {
						Keys, NewImage, OldImage item
						SequenceNumber           string
					} `json:"dynamodb"`
				}
				NextShardIterator string
			}
			if err := r.stream("GetRecords", object{"ShardIterator": iterator.ShardIterator}, &out); err != nil {
				return err
			}
			for _, rec := range out.Records {
				d := &rec.Dynamodb
				if last := r.last[shard.ShardId]; len(d.SequenceNumber) < len(last) || len(d.SequenceNumber) == len(last) && d.SequenceNumber <= last {
					return fmt.Errorf("record %s comes after %s", d.SequenceNumber, last)
				}
				r.last[shard.ShardId] = d.SequenceNumber
				key := d.Keys.s("pk")
				if !reflect.DeepEqual(r.items[key], d.OldImage) {
					return fmt.Errorf("the record %s of %s begins with %.200v, but the one before ended with %.200v", d.SequenceNumber, key, d.OldImage, r.items[key])
				}
				if d.NewImage == nil {
					delete(r.items, key)
				} else {
					r.items[key] = d.NewImage
				}
			}
			if iterator.ShardIterator = out.NextShardIterator; len(out.Records) == 0 {
				break
			}
		}
	}
	return nil
}
