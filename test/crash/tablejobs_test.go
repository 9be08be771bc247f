package crash

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"brume/test/story"
)

// A server that is killed in the middle of filling an index, backing a table up and restoring it, while the table is
// written to, goes on where it was: in the end the index is what the table says, and the restored table what it was when the
// backup was begun.
func TestTableJobsOutliveKills(t *testing.T) {
	root, err := filepath.Abs("../..")
	must(t, err)
	address, err := story.FreeAddress()
	must(t, err)
	server, err := story.StartServer(t.Context(), story.Build(t, root), filepath.Join(t.TempDir(), "data"), address)
	must(t, err)
	defer func() { must(t, server.Stop()) }()
	client := dynamodb.NewFromConfig(aws.Config{
		Region: server.Region, BaseEndpoint: &server.Endpoint,
		Credentials: credentials.NewStaticCredentialsProvider(server.AccessKeyID, server.SecretAccessKey, ""),
	})
	kill := func() {
		t.Helper()
		must(t, server.Kill())
		must(t, server.Start(t.Context()))
	}
	table, restored := aws.String("table"), aws.String("restored")
	_, err = client.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: table, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("pk"), AttributeType: "S"}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: "HASH"}},
	})
	must(t, err)
	const items = 4000
	item := func(i int, g string) map[string]types.AttributeValue {
		return map[string]types.AttributeValue{
			"pk": &types.AttributeValueMemberS{Value: fmt.Sprintf("%06d", i)}, "g": &types.AttributeValueMemberS{Value: g},
			"x": &types.AttributeValueMemberS{Value: strings.Repeat("x", 200)},
		}
	}
	for i := 0; i < items; i += 25 {
		var batch []types.WriteRequest
		for j := i; j < i+25; j++ {
			batch = append(batch, types.WriteRequest{PutRequest: &types.PutRequest{Item: item(j, "old")}})
		}
		_, err := client.BatchWriteItem(t.Context(), &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{"table": batch}})
		must(t, err)
	}
	contents := func(name, index *string) map[string]string {
		t.Helper()
		all := map[string]string{}
		for pages := dynamodb.NewScanPaginator(client, &dynamodb.ScanInput{TableName: name, IndexName: index}); pages.HasMorePages(); {
			page, err := pages.NextPage(t.Context())
			must(t, err)
			for _, m := range page.Items {
				all[m["pk"].(*types.AttributeValueMemberS).Value] = m["g"].(*types.AttributeValueMemberS).Value
			}
		}
		return all
	}
	wait := func(what string, done func() bool) {
		t.Helper()
		for deadline := time.Now().Add(60 * time.Second); !done(); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("in vain: " + what)
			}
		}
	}
	same := func(what string, got, want map[string]string) {
		t.Helper()
		wrong := 0
		for k, v := range want {
			if got[k] != v {
				wrong++
			}
		}
		if wrong > 0 || len(got) != len(want) {
			t.Errorf("%s: %d items of %d, %d of them wrong or missing", what, len(got), len(want), wrong)
		}
	}

	// Nobody writes before the backup is begun, and everybody from then on.
	before := contents(table, nil)
	backup, err := client.CreateBackup(t.Context(), &dynamodb.CreateBackupInput{TableName: table, BackupName: aws.String("backup")})
	must(t, err)
	var stop atomic.Bool
	var writing sync.WaitGroup
	for w := range 4 {
		writing.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(w)))
			for !stop.Load() {
				// While the server is down, writes fail.
				_, _ = client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: table, Item: item(r.IntN(items+500), fmt.Sprint(r.IntN(5)))}, func(o *dynamodb.Options) { o.RetryMaxAttempts = 1 })
			}
		})
	}
	kill()
	_, err = client.UpdateTable(t.Context(), &dynamodb.UpdateTableInput{
		TableName: table, AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("g"), AttributeType: "S"}},
		GlobalSecondaryIndexUpdates: []types.GlobalSecondaryIndexUpdate{{Create: &types.CreateGlobalSecondaryIndexAction{
			IndexName: aws.String("gsi"), Projection: &types.Projection{ProjectionType: "ALL"},
			KeySchema: []types.KeySchemaElement{{AttributeName: aws.String("g"), KeyType: "HASH"}},
		}}},
	})
	must(t, err)
	for range 2 {
		kill()
		time.Sleep(20 * time.Millisecond)
	}
	describe := func(name *string) *types.TableDescription {
		t.Helper()
		out, err := client.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: name})
		must(t, err)
		return out.Table
	}
	wait("the backup is available", func() bool {
		out, err := client.DescribeBackup(t.Context(), &dynamodb.DescribeBackupInput{BackupArn: backup.BackupDetails.BackupArn})
		must(t, err)
		return out.BackupDescription.BackupDetails.BackupStatus == types.BackupStatusAvailable
	})
	wait("the index is filled", func() bool { return describe(table).GlobalSecondaryIndexes[0].IndexStatus == types.IndexStatusActive })
	stop.Store(true)
	writing.Wait()
	kill()
	same("the index", contents(table, aws.String("gsi")), contents(table, nil))

	_, err = client.RestoreTableFromBackup(t.Context(), &dynamodb.RestoreTableFromBackupInput{TargetTableName: restored, BackupArn: backup.BackupDetails.BackupArn})
	must(t, err)
	kill()
	wait("the table is restored", func() bool { return describe(restored).TableStatus == types.TableStatusActive })
	same("the restored table", contents(restored, nil), before)
}
