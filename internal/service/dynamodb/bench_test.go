package dynamodb

import (
	"fmt"
	"strings"
	"testing"

	api "brume/internal/api/dynamodb"
)

// largeItem has about 400 bytes.
func largeItem(i int) M {
	return M{
		"pk": api.S(fmt.Sprintf("user#%08d", i/10)), "sk": api.N(fmt.Sprint(i % 10)), "name": api.S(strings.Repeat("x", 100)),
		"text": api.S(strings.Repeat("y", 200)), "n": api.N("1700000000"), "ok": api.BOOL(true), "tags": api.SS{"a", "b"},
	}
}

func newLoaded(b *testing.B) *bench {
	s := newBench(b)
	s.create("table", "pk:S,sk:N")
	for i := range 1000 {
		s.put("table", largeItem(i))
	}
	b.ReportAllocs()
	return s
}

func BenchmarkPutItem(b *testing.B) {
	s := newLoaded(b)
	i := 0
	for b.Loop() {
		i++
		m := largeItem(i)
		if _, err := s.PutItem(s.ctx, &api.PutItemInput{TableName: new("table"), Item: m}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGetItem(b *testing.B) {
	s := newLoaded(b)
	i := 0
	for b.Loop() {
		i = (i + 1) % 1000
		key := M{"pk": api.S(fmt.Sprintf("user#%08d", i/10)), "sk": api.N("5")}
		out, err := s.GetItem(s.ctx, &api.GetItemInput{TableName: new("table"), Key: key})
		if err != nil || out.Item == nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUpdateItem(b *testing.B) {
	s := newLoaded(b)
	i := 0
	for b.Loop() {
		i = (i + 1) % 1000
		if _, err := s.UpdateItem(s.ctx, &api.UpdateItemInput{
			TableName: new("table"), Key: M{"pk": api.S(fmt.Sprintf("user#%08d", i/10)), "sk": api.N("5")},
			UpdateExpression: new("ADD n :one"), ExpressionAttributeValues: M{":one": api.N("1")},
		}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkQueryOfTen(b *testing.B) {
	s := newLoaded(b)
	i := 0
	for b.Loop() {
		i = (i + 1) % 100
		out, err := s.Query(s.ctx, &api.QueryInput{
			TableName: new("table"), KeyConditionExpression: new("pk = :pk"),
			ExpressionAttributeValues: M{":pk": api.S(fmt.Sprintf("user#%08d", i))},
		})
		if err != nil || len(out.Items) != 10 {
			b.Fatal(err)
		}
	}
}

func BenchmarkChecks(b *testing.B) {
	s := newLoaded(b)
	for b.Loop() {
		if _, _, err := s.Checks(s.ctx, "GetItem", &api.GetItemInput{TableName: new("table"), Key: M{"pk": api.S("a"), "sk": api.N("5")}}); err != nil {
			b.Fatal(err)
		}
	}
}
