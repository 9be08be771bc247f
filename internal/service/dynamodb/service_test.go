package dynamodb

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	api "brume/internal/api/dynamodb"
	"brume/internal/call"
	"brume/internal/kv/pebblekv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// M, and the types of package api, make items short to write.
type M = map[string]api.AttributeValue

// A bench is a service on an empty store, with a caller.
type bench struct {
	testing.TB
	*Service
	ctx context.Context
}

func newBench(t testing.TB) *bench { return newBenchAt(t, time.Now) }

func newBenchAt(t testing.TB, now func() time.Time) *bench {
	t.Helper()
	store, err := pebblekv.Open(context.Background(), pebblekv.Options{Dir: "/data", FS: vfs.NewMem(), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return &bench{t, New(store, slog.New(slog.DiscardHandler)), callerOf("000000000000", "us-east-1")}
}

func callerOf(account, region string) context.Context {
	return call.With(context.Background(), &call.Info{
		Account: account, Region: region, Principal: call.Principal{Type: call.Account, Account: account},
	})
}

// must returns out or ends the test.
func must[T any](out T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

// wantError checks the code and message of an error, written "Code: message"; a want that ends in "…" may be longer.
func wantError(t testing.TB, err error, want string) {
	t.Helper()
	got := "no error"
	if err != nil {
		got = err.Error()
	}
	if prefix, ok := strings.CutSuffix(want, "…"); got != want && !(ok && strings.HasPrefix(got, prefix)) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

const invalidParams = "ValidationException: One or more parameter values were invalid: "

// schemaOf makes attribute definitions and a key schema of "pk:S,sk:N", or of "a:S+b:N,c:S+d:B" where a partition or a sort
// key has several attributes.
func schemaOf(spec string) (defs []api.AttributeDefinition, key []api.KeySchemaElement) {
	for i, part := range strings.Split(spec, ",") {
		for _, one := range strings.Split(part, "+") {
			name, typ, _ := strings.Cut(one, ":")
			defs = append(defs, api.AttributeDefinition{AttributeName: &name, AttributeType: &typ})
			key = append(key, api.KeySchemaElement{AttributeName: &name, KeyType: new([]string{"HASH", "RANGE"}[min(i, 1)])})
		}
	}
	return defs, key
}

// createInput is a table with a key and indexes: "name pk:S,sk:N ALL" is global, "local name …" local, and what stands
// behind INCLUDE is included.
func createInput(table, key string, indexes ...string) *api.CreateTableInput {
	in := &api.CreateTableInput{TableName: &table, BillingMode: new("PAY_PER_REQUEST")}
	in.AttributeDefinitions, in.KeySchema = schemaOf(key)
	for _, spec := range indexes {
		spec, local := strings.CutPrefix(spec, "local ")
		words := strings.Fields(spec)
		defs, schema := schemaOf(words[1])
		for _, d := range defs {
			known := false
			for _, k := range in.AttributeDefinitions {
				known = known || *k.AttributeName == *d.AttributeName
			}
			if !known {
				in.AttributeDefinitions = append(in.AttributeDefinitions, d)
			}
		}
		projection := &api.Projection{ProjectionType: new(words[2])}
		if len(words) > 3 {
			projection.NonKeyAttributes = words[3:]
		}
		if local {
			in.LocalSecondaryIndexes = append(in.LocalSecondaryIndexes, api.LocalSecondaryIndex{
				IndexName: &words[0], KeySchema: schema, Projection: projection,
			})
		} else {
			in.GlobalSecondaryIndexes = append(in.GlobalSecondaryIndexes, api.GlobalSecondaryIndex{
				IndexName: &words[0], KeySchema: schema, Projection: projection,
			})
		}
	}
	return in
}

func (b *bench) create(table, key string, indexes ...string) {
	b.Helper()
	must(b.CreateTable(b.ctx, createInput(table, key, indexes...)))(b)
}

func (b *bench) put(table string, items ...M) {
	b.Helper()
	for _, m := range items {
		must(b.PutItem(b.ctx, &api.PutItemInput{TableName: &table, Item: m}))(b)
	}
}

// get returns an item as text, "none" if there is none.
func (b *bench) get(table string, key M) string {
	b.Helper()
	return show(must(b.GetItem(b.ctx, &api.GetItemInput{TableName: &table, Key: key}))(b).Item)
}

// show writes an item with its attributes in order and without their types: "{a=1, b=x}".
func show(m M) string {
	if m == nil {
		return "none"
	}
	var parts []string
	for _, name := range sortedKeys(m) {
		parts = append(parts, name+"="+showValue(m[name]))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

func showValue(v api.AttributeValue) string {
	switch v := v.(type) {
	case api.M:
		return show(v)
	case api.L:
		var parts []string
		for _, e := range v {
			parts = append(parts, showValue(e))
		}
		return "[" + strings.Join(parts, " ") + "]"
	case api.B:
		return fmt.Sprintf("%x", []byte(v))
	case api.NULL:
		return "null"
	}
	return fmt.Sprint(v)
}

func showAll(items []M) string {
	var out []string
	for _, m := range items {
		out = append(out, show(m))
	}
	return strings.Join(out, " ")
}

func showCapacity(c *api.ConsumedCapacity) string {
	if c == nil {
		return "none"
	}
	s := fmt.Sprintf("%s %v", *c.TableName, *c.CapacityUnits)
	if c.ReadCapacityUnits != nil {
		s += fmt.Sprintf(" read %v", *c.ReadCapacityUnits)
	}
	if c.WriteCapacityUnits != nil {
		s += fmt.Sprintf(" write %v", *c.WriteCapacityUnits)
	}
	if c.Table != nil {
		s += fmt.Sprintf(" table %v", *c.Table.CapacityUnits)
	}
	for _, indexes := range []map[string]api.Capacity{c.LocalSecondaryIndexes, c.GlobalSecondaryIndexes} {
		for _, name := range sortedKeys(indexes) {
			s += fmt.Sprintf(" %s %v", name, *indexes[name].CapacityUnits)
		}
	}
	return s
}
