// Package crash kills a real server again and again while it works, and looks whether what it had acknowledged is done in
// the end.
package crash

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"brume/test/story"
)

// A victim is a server that is killed.
type victim struct {
	t       *testing.T
	binary  string
	dir     string
	address string
	server  *story.Server
	config  aws.Config
	runtime types.Runtime
	role    string
	lambda  *lambda.Client
	tables  *dynamodb.Client
}

func newVictim(t *testing.T) *victim {
	root, err := filepath.Abs("../..")
	must(t, err)
	v := &victim{t: t, binary: story.Build(t, root), dir: filepath.Join(t.TempDir(), "data")}
	offered, err := story.Runtimes(t.Context(), v.binary)
	must(t, err)
	for _, rt := range offered {
		if strings.HasPrefix(rt.Name, "python") {
			v.runtime = types.Runtime(rt.Name)
		}
	}
	if v.runtime == "" {
		t.Skip("the machine offers no Python runtime: see scripts/prerequisites")
	}
	v.address, err = story.FreeAddress()
	must(t, err)
	v.start()
	t.Cleanup(func() {
		if err := v.server.Stop(); err != nil {
			t.Errorf("stopping: %v", err)
		}
	})
	v.config = aws.Config{
		Region: v.server.Region, BaseEndpoint: &v.server.Endpoint,
		Credentials: credentials.NewStaticCredentialsProvider(v.server.AccessKeyID, v.server.SecretAccessKey, ""),
	}
	v.lambda, v.tables = lambda.NewFromConfig(v.config), dynamodb.NewFromConfig(v.config)
	identities := iam.NewFromConfig(v.config)
	role, err := identities.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("f"), AssumeRolePolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}}`)})
	must(t, err)
	v.role = *role.Role.Arn
	_, err = identities.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: aws.String("f"), PolicyName: aws.String("p"), PolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["dynamodb:*","lambda:InvokeFunction"],"Resource":"*"}}`)})
	must(t, err)
	return v
}

func (v *victim) start() {
	v.t.Helper()
	var err error
	v.server, err = story.StartServer(v.t.Context(), v.binary, v.dir, v.address)
	must(v.t, err)
}

// crash kills the server and starts it again.
func (v *victim) crash() {
	v.t.Helper()
	must(v.t, syscall.Kill(v.server.PID(), syscall.SIGKILL))
	<-v.server.Exited()
	v.start()
}

func (v *victim) table(name string, stream bool) (streamARN string) {
	v.t.Helper()
	in := &dynamodb.CreateTableInput{
		TableName: &name, BillingMode: ddbtypes.BillingModePayPerRequest,
		AttributeDefinitions: []ddbtypes.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: ddbtypes.ScalarAttributeTypeS}},
		KeySchema:            []ddbtypes.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: ddbtypes.KeyTypeHash}},
	}
	if stream {
		in.StreamSpecification = &ddbtypes.StreamSpecification{StreamEnabled: &stream, StreamViewType: ddbtypes.StreamViewTypeNewImage}
	}
	out, err := v.tables.CreateTable(v.t.Context(), in)
	must(v.t, err)
	return aws.ToString(out.TableDescription.LatestStreamArn)
}

func (v *victim) function(name, body string) {
	v.t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	e, err := w.Create("index.py")
	must(v.t, err)
	_, err = e.Write([]byte(body))
	must(v.t, err)
	must(v.t, w.Close())
	_, err = v.lambda.CreateFunction(v.t.Context(), &lambda.CreateFunctionInput{
		FunctionName: &name, Runtime: v.runtime, Role: &v.role, Handler: aws.String("index.handler"), Timeout: aws.Int32(30), MemorySize: aws.Int32(256),
		Code: &types.FunctionCode{ZipFile: buf.Bytes()},
	})
	must(v.t, err)
}

// has waits until the table "kept" holds every id.
func (v *victim) has(ids []string) {
	v.t.Helper()
	end := time.Now().Add(2 * time.Minute)
	for {
		found := map[string]bool{}
		pages := dynamodb.NewScanPaginator(v.tables, &dynamodb.ScanInput{TableName: aws.String("kept"), ConsistentRead: aws.Bool(true)})
		for pages.HasMorePages() {
			page, err := pages.NextPage(v.t.Context())
			must(v.t, err)
			for _, item := range page.Items {
				found[item["id"].(*ddbtypes.AttributeValueMemberS).Value] = true
			}
		}
		missing := ""
		for _, id := range ids {
			if !found[id] {
				missing = id
			}
		}
		if missing == "" {
			return
		}
		if time.Now().After(end) {
			v.t.Fatalf("%d of %d are there; %s, which was acknowledged, is not\n%s", len(found), len(ids), missing, v.log())
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// log is what the server logged, apart from the calls.
func (v *victim) log() string {
	text, err := os.ReadFile(filepath.Join(v.dir, "..", "brume.log"))
	must(v.t, err)
	var out strings.Builder
	for line := range strings.Lines(string(text)) {
		if !strings.Contains(line, "msg=call ") {
			out.WriteString(line)
		}
	}
	return out.String()
}

// crashes is how often a server is killed.
func crashes() int {
	if os.Getenv("BRUME_SOAK") != "" {
		return 20
	}
	return 2
}

// while calls do from several goroutines, while the server is killed now and then; do says which ids were acknowledged.
func (v *victim) while(do func(ctx context.Context, id string) error) (acknowledged []string) {
	v.t.Helper()
	ctx, cancel := context.WithCancel(v.t.Context())
	var wg sync.WaitGroup
	var mu sync.Mutex
	for worker := range 4 {
		wg.Go(func() {
			for n := 0; ctx.Err() == nil && n < 12*crashes(); n++ {
				id := fmt.Sprintf("%d-%d", worker, n)
				if do(ctx, id) == nil {
					mu.Lock()
					acknowledged = append(acknowledged, id)
					mu.Unlock()
				}
				time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)
			}
		})
	}
	for range crashes() {
		time.Sleep(300*time.Millisecond + time.Duration(rand.IntN(700))*time.Millisecond)
		v.crash()
	}
	time.Sleep(200 * time.Millisecond)
	cancel()
	wg.Wait()
	if len(acknowledged) < 20 {
		v.t.Fatalf("only %d calls were acknowledged: this shows nothing", len(acknowledged))
	}
	v.t.Logf("%d acknowledged", len(acknowledged))
	return acknowledged
}

// What was acknowledged with 202 runs, and its record arrives at its destination, however often the process dies.
func TestAsynchronousInvocationsSurvive(t *testing.T) {
	v := newVictim(t)
	v.table("kept", false)
	v.function("target", `
import boto3
kept = boto3.resource('dynamodb').Table('kept')
def handler(e, c): kept.put_item(Item={'id': e['responsePayload']})
`)
	v.function("f", "def handler(e, c): return e")
	target, err := v.lambda.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: aws.String("target")})
	must(t, err)
	_, err = v.lambda.PutFunctionEventInvokeConfig(t.Context(), &lambda.PutFunctionEventInvokeConfigInput{
		FunctionName: aws.String("f"), DestinationConfig: &types.DestinationConfig{OnSuccess: &types.OnSuccess{Destination: target.FunctionArn}},
	})
	must(t, err)
	v.has(v.while(func(ctx context.Context, id string) error {
		_, err := v.lambda.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String("f"), InvocationType: types.InvocationTypeEvent, Payload: fmt.Appendf(nil, "%q", id)})
		return err
	}))
}

// Every change of an item that was acknowledged arrives at the function that reads the stream, however often the process
// dies: checkpoints never run ahead.
func TestEventSourceMappingsSurvive(t *testing.T) {
	v := newVictim(t)
	v.table("kept", false)
	stream := v.table("source", true)
	v.function("f", `
import boto3
kept = boto3.resource('dynamodb').Table('kept')
def handler(e, c):
  for r in e['Records']: kept.put_item(Item={'id': r['dynamodb']['Keys']['id']['S']})
`)
	_, err := v.lambda.CreateEventSourceMapping(t.Context(), &lambda.CreateEventSourceMappingInput{
		FunctionName: aws.String("f"), EventSourceArn: &stream, StartingPosition: types.EventSourcePositionTrimHorizon,
		BatchSize: aws.Int32(5), ParallelizationFactor: aws.Int32(2),
	})
	must(t, err)
	v.has(v.while(func(ctx context.Context, id string) error {
		_, err := v.tables.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String("source"), Item: map[string]ddbtypes.AttributeValue{"id": &ddbtypes.AttributeValueMemberS{Value: id}}})
		return err
	}))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
