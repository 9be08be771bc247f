package app

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	api "brume/internal/api/dynamodb"
	streamsapi "brume/internal/api/dynamodbstreams"
	iamapi "brume/internal/api/iam"
	"brume/internal/awserr"
	"brume/internal/call"
	"brume/internal/dispatch"
	"brume/internal/kv/pebblekv"
	"brume/internal/obs"
	"brume/internal/seal"
	"brume/internal/service/dynamodb"
	"brume/internal/service/iam"
	"brume/internal/service/lambda/eventsource"
)

// A function's role reads a table's stream from one durable position to the next, is woken for what comes, and is told
// the end.
func TestTableStreams(t *testing.T) {
	ctx := call.With(t.Context(), &call.Info{
		Account: "000000000000", Region: "us-east-1", SourceIP: netip.MustParseAddr("127.0.0.1"),
		Principal: call.Principal{Type: call.Account, Account: "000000000000", ARN: "arn:aws:iam::000000000000:root"},
	})
	store, err := pebblekv.Open(ctx, pebblekv.Options{Dir: "/data", FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	log := slog.New(slog.DiscardHandler)
	master, err := seal.LoadMaster(t.TempDir() + "/key")
	if err != nil {
		t.Fatal(err)
	}
	box, err := master.Box("access-key")
	if err != nil {
		t.Fatal(err)
	}
	identities := iam.New(store, box, log)
	tables := dynamodb.New(store, log)
	d := dispatch.New(identities, obs.NewMetrics())
	d.Add(streamsapi.Schema(), streamsapi.Handlers(tables.Streams()), tables.Streams().Checks)
	source := newTableStreams(d, identities, tables.Streams())

	created, err := tables.CreateTable(ctx, &api.CreateTableInput{
		TableName: new("table"), BillingMode: new("PAY_PER_REQUEST"),
		AttributeDefinitions: []api.AttributeDefinition{{AttributeName: new("pk"), AttributeType: new("S")}},
		KeySchema:            []api.KeySchemaElement{{AttributeName: new("pk"), KeyType: new("HASH")}},
		StreamSpecification:  &api.StreamSpecification{StreamEnabled: new(true), StreamViewType: new("NEW_IMAGE")},
	})
	if err != nil {
		t.Fatal(err)
	}
	arn := *created.TableDescription.LatestStreamArn
	role, err := identities.CreateRole(ctx, &iamapi.CreateRoleInput{RoleName: new("function"), AssumeRolePolicyDocument: new(
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":"lambda.amazonaws.com"}}}`)})
	if err != nil {
		t.Fatal(err)
	}
	reader := eventsource.Reader{
		RoleARN: *role.Role.Arn, SessionName: "function", Account: "000000000000", Region: "us-east-1", StreamARN: arn,
	}
	denied, err := source.Shards(ctx, reader)
	if e := awserr.Error(nil); !errors.As(err, &e) || !strings.HasPrefix(e.ErrorCode(), "AccessDenied") {
		t.Fatalf("a role without permissions saw %v, %v", denied, err)
	}
	if _, err := identities.PutRolePolicy(ctx, &iamapi.PutRolePolicyInput{
		RoleName: new("function"), PolicyName: new("streams"), PolicyDocument: new(`{"Version":"2012-10-17","Statement":{"Effect":"Allow",` +
			`"Action":["dynamodb:DescribeStream","dynamodb:GetRecords","dynamodb:GetShardIterator"],"Resource":"` + arn + `"}}`),
	}); err != nil {
		t.Fatal(err)
	}
	shards, err := source.Shards(ctx, reader)
	if err != nil || len(shards) != 1 {
		t.Fatal(shards, err)
	}
	woken := make(chan struct{}, 100)
	stop, err := source.Watch(ctx, reader, func() { woken <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	wait := func() {
		t.Helper()
		select {
		case <-woken:
		case <-time.After(10 * time.Second):
			t.Fatal("nobody was woken")
		}
	}
	put := func(pk string) {
		t.Helper()
		if _, err := tables.PutItem(ctx, &api.PutItemInput{TableName: new("table"), Item: map[string]api.AttributeValue{"pk": api.S(pk)}}); err != nil {
			t.Fatal(err)
		}
		wait()
	}
	read := func(position string, limit int, want string, end bool) *eventsource.Batch {
		t.Helper()
		batch, err := source.Read(ctx, reader, shards[0].ID, position, limit)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range batch.Records {
			var event struct {
				EventSourceARN, EventName, AwsRegion string
				Dynamodb                             struct {
					Keys, NewImage              map[string]map[string]string
					ApproximateCreationDateTime float64
				}
			}
			if err := json.Unmarshal(r.Event, &event); err != nil || event.EventSourceARN != arn || event.EventName != "INSERT" ||
				event.AwsRegion != "us-east-1" || int64(event.Dynamodb.ApproximateCreationDateTime) != r.Time.Unix() || r.Key == "" {
				t.Errorf("%s: %v", r.Event, err)
			}
			got = append(got, event.Dynamodb.NewImage["pk"]["S"])
		}
		if s := strings.Join(got, " "); s != want || batch.End != end {
			t.Errorf("from %s: %q, end %v; want %q, %v", position, s, batch.End, want, end)
		}
		return batch
	}
	put("a")
	latest := read(eventsource.FromLatest, 10, "", false)
	put("b")
	put("c")
	first := read(eventsource.FromTrimHorizon, 1, "a", false)
	if next := read(first.Next, 10, "b c", false); next.Next <= first.Next {
		t.Errorf("%s after %s", next.Next, first.Next)
	}
	read(latest.Next, 1000, "b c", false)
	if _, err := tables.DeleteTable(ctx, &api.DeleteTableInput{TableName: new("table")}); err != nil {
		t.Fatal(err)
	}
	wait()
	read(latest.Next, 10, "b c", true)
}
