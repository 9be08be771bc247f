package sdk

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	trailtypes "github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// home is where IAM, which has no regions, is recorded.
const home = "us-east-1"

// trailOf reads the whole trail of an account in a region, the newest first.
func trailOf(t *testing.T, cfg aws.Config, region string) (events []trailtypes.Event) {
	t.Helper()
	client := cloudtrail.NewFromConfig(cfg, func(o *cloudtrail.Options) { o.Region = region })
	pages := cloudtrail.NewLookupEventsPaginator(client, &cloudtrail.LookupEventsInput{MaxResults: aws.Int32(7)})
	for pages.HasMorePages() {
		events = append(events, ok(pages.NextPage(t.Context()))(t).Events...)
	}
	return events
}

// waitFor finds the newest event of a name, which is written soon if it is of a call that changed nothing.
func waitFor(t *testing.T, cfg aws.Config, region, name string) (trailtypes.Event, map[string]any) {
	t.Helper()
	client := cloudtrail.NewFromConfig(cfg, func(o *cloudtrail.Options) { o.Region = region })
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		out := ok(client.LookupEvents(t.Context(), &cloudtrail.LookupEventsInput{LookupAttributes: []trailtypes.LookupAttribute{
			{AttributeKey: trailtypes.LookupAttributeKeyEventName, AttributeValue: &name},
		}}))(t)
		if len(out.Events) > 0 {
			var record map[string]any
			if err := json.Unmarshal([]byte(*out.Events[0].CloudTrailEvent), &record); err != nil {
				t.Fatal(err)
			}
			return out.Events[0], record
		}
		if time.Now().After(deadline) {
			t.Fatalf("no record of %s", name)
		}
	}
}

func createTable(t *testing.T, cfg aws.Config, name string) {
	t.Helper()
	ok(dynamodb.NewFromConfig(cfg).CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: &name, BillingMode: dynamodbtypes.BillingModePayPerRequest,
		AttributeDefinitions: []dynamodbtypes.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: "S"}},
		KeySchema:            []dynamodbtypes.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: "HASH"}},
	}))(t)
}

// https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html
func TestLookupEvents(t *testing.T) {
	root := rootOf(newAccount())
	arn, user := newUser(t, root, "alice", allow("dynamodb:CreateTable", "*"))
	createTable(t, user, "music")

	// A change can be looked up at once.
	client := cloudtrail.NewFromConfig(root)
	out := ok(client.LookupEvents(t.Context(), &cloudtrail.LookupEventsInput{LookupAttributes: []trailtypes.LookupAttribute{
		{AttributeKey: trailtypes.LookupAttributeKeyResourceName, AttributeValue: aws.String("music")},
	}}))(t)
	if len(out.Events) != 1 {
		t.Fatalf("%d events", len(out.Events))
	}
	e := out.Events[0]
	same(t, "event", []string{*e.EventName, *e.EventSource, *e.ReadOnly, *e.Username, *e.Resources[0].ResourceType, *e.Resources[0].ResourceName},
		[]string{"CreateTable", "dynamodb.amazonaws.com", "false", "alice", "AWS::DynamoDB::Table", "music"})
	if age := time.Since(*e.EventTime); age < -time.Minute || age > time.Hour {
		t.Errorf("from %v", e.EventTime)
	}
	var record struct {
		UserIdentity      struct{ Type, ARN, UserName, AccessKeyID string }
		AWSRegion         string
		SourceIPAddress   string
		UserAgent         string
		RequestParameters struct{ TableName, BillingMode string }
		ResponseElements  struct{ TableDescription struct{ TableStatus string } }
		RequestID         string
	}
	if err := json.Unmarshal([]byte(*e.CloudTrailEvent), &record); err != nil {
		t.Fatal(err)
	}
	same(t, "record", []string{record.UserIdentity.Type, record.UserIdentity.ARN, record.UserIdentity.UserName, record.UserIdentity.AccessKeyID,
		record.AWSRegion, record.SourceIPAddress, record.RequestParameters.TableName, record.RequestParameters.BillingMode},
		[]string{"IAMUser", arn, "alice", *e.AccessKeyId, region, "127.0.0.1", "music", "PAY_PER_REQUEST"})
	if !strings.Contains(record.UserAgent, "aws-sdk-go-v2") || record.RequestID == "" || record.ResponseElements.TableDescription.TableStatus == "" {
		t.Errorf("%s", *e.CloudTrailEvent)
	}

	// So can what was refused, and what failed.
	_, err := dynamodb.NewFromConfig(user).DeleteTable(t.Context(), &dynamodb.DeleteTableInput{TableName: aws.String("music")})
	hasCode(t, err, 400, "AccessDeniedException", "dynamodb:DeleteTable")
	refused, denied := waitFor(t, root, region, "DeleteTable")
	if *refused.Username != "alice" || denied["errorCode"] != "AccessDenied" || !strings.Contains(denied["errorMessage"].(string), "dynamodb:DeleteTable") ||
		denied["responseElements"] != nil {
		t.Errorf("%v", denied)
	}
	_, err = dynamodb.NewFromConfig(root).DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String("gone")})
	is[*dynamodbtypes.ResourceNotFoundException](t, err, "")
	if _, failed := waitFor(t, root, region, "DescribeTable"); failed["errorCode"] != "ResourceNotFoundException" || failed["readOnly"] != true {
		t.Errorf("%v", failed)
	}

	// The data plane leaves nothing.
	ok(dynamodb.NewFromConfig(root).PutItem(t.Context(), &dynamodb.PutItemInput{
		TableName: aws.String("music"), Item: map[string]dynamodbtypes.AttributeValue{"id": &dynamodbtypes.AttributeValueMemberS{Value: "1"}},
	}))(t)
	ok(dynamodb.NewFromConfig(root).DescribeLimits(t.Context(), &dynamodb.DescribeLimitsInput{}))(t)
	waitFor(t, root, region, "DescribeLimits") // which came later
	for _, e := range trailOf(t, root, region) {
		if *e.EventName == "PutItem" {
			t.Error("PutItem is recorded")
		}
	}
	// Nobody sees another account's.
	if events := trailOf(t, rootOf(newAccount()), region); len(events) != 0 {
		t.Errorf("another account sees %d events", len(events))
	}
	_, err = cloudtrail.NewFromConfig(user).LookupEvents(t.Context(), nil)
	hasCode(t, err, 400, "AccessDeniedException", "cloudtrail:LookupEvents")
}

func TestLookupEventsMistakes(t *testing.T) {
	client := cloudtrail.NewFromConfig(rootOf(newAccount()))
	_, err := client.LookupEvents(t.Context(), &cloudtrail.LookupEventsInput{NextToken: aws.String("x")})
	is[*trailtypes.InvalidNextTokenException](t, err, "")
	_, err = client.LookupEvents(t.Context(), &cloudtrail.LookupEventsInput{
		StartTime: aws.Time(time.Unix(1000, 0)), EndTime: aws.Time(time.Unix(999, 0)),
	})
	is[*trailtypes.InvalidTimeRangeException](t, err, "")
	name := trailtypes.LookupAttribute{AttributeKey: trailtypes.LookupAttributeKeyEventName, AttributeValue: aws.String("x")}
	_, err = client.LookupEvents(t.Context(), &cloudtrail.LookupEventsInput{LookupAttributes: []trailtypes.LookupAttribute{name, name}})
	is[*trailtypes.InvalidLookupAttributesException](t, err, "")
	_, err = client.LookupEvents(t.Context(), &cloudtrail.LookupEventsInput{MaxResults: aws.Int32(51)})
	hasCode(t, err, 400, "ValidationException", "51")
	_, err = client.CreateTrail(t.Context(), &cloudtrail.CreateTrailInput{Name: aws.String("t"), S3BucketName: aws.String("b")})
	hasCode(t, err, 501, "NotImplemented", "CreateTrail")
	same(t, "trails", len(ok(client.DescribeTrails(t.Context(), nil))(t).TrailList)+len(ok(client.ListTrails(t.Context(), nil))(t).Trails), 0)
}

// No secret that a client sends or gets stands anywhere in the trail.
func TestNoSecretsInTheTrail(t *testing.T) {
	root := rootOf(newAccount())
	secrets := map[string]string{}
	identities := iam.NewFromConfig(root)
	ok(identities.CreateUser(t.Context(), &iam.CreateUserInput{UserName: aws.String("bob")}))(t)
	key := ok(identities.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: aws.String("bob")}))(t)
	secrets["secret access key"] = *key.AccessKey.SecretAccessKey
	secrets["password"], secrets["second password"] = "Fj3#kd8Lq0zpassword", "Second-8Lq0z#password"
	ok(identities.CreateLoginProfile(t.Context(), &iam.CreateLoginProfileInput{UserName: aws.String("bob"), Password: aws.String(secrets["password"])}))(t)
	ok(identities.UpdateLoginProfile(t.Context(), &iam.UpdateLoginProfileInput{UserName: aws.String("bob"), Password: aws.String(secrets["second password"])}))(t)
	device := ok(identities.CreateVirtualMFADevice(t.Context(), &iam.CreateVirtualMFADeviceInput{VirtualMFADeviceName: aws.String("phone")}))(t)
	secrets["MFA seed"] = string(device.VirtualMFADevice.Base32StringSeed)

	role := newRole(t, root, "deploy", `{"AWS":"arn:aws:iam::`+accountOf(*ok(sts.NewFromConfig(root).GetCallerIdentity(t.Context(), nil))(t).Arn)+`:root","Service":"lambda.amazonaws.com"}`, "")
	_, bob := newUser(t, root, "carol", allow("sts:AssumeRole", "*"))
	tokens := sts.NewFromConfig(bob)
	session := ok(tokens.AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("session")}))(t)
	secrets["session's secret"], secrets["session token"] = *session.Credentials.SecretAccessKey, *session.Credentials.SessionToken
	mfa := ok(tokens.GetSessionToken(t.Context(), nil))(t)
	secrets["second session's secret"], secrets["second session token"] = *mfa.Credentials.SecretAccessKey, *mfa.Credentials.SessionToken

	secrets["variable"], secrets["code"] = "hunter2-in-a-variable", "code-with-a-secret"
	var code bytes.Buffer
	archive := zip.NewWriter(&code)
	file := ok(archive.CreateHeader(&zip.FileHeader{Name: "bootstrap", Method: zip.Store}))(t)
	ok(file.Write([]byte(secrets["code"])))(t)
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	functions := lambda.NewFromConfig(root)
	ok(functions.CreateFunction(t.Context(), &lambda.CreateFunctionInput{
		FunctionName: aws.String("f"), Role: &role, Runtime: lambdatypes.RuntimeProvidedal2023, Handler: aws.String("bootstrap"),
		Code:        &lambdatypes.FunctionCode{ZipFile: code.Bytes()},
		Environment: &lambdatypes.Environment{Variables: map[string]string{"PASSWORD": secrets["variable"]}},
	}))(t)
	ok(functions.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{
		FunctionName: aws.String("f"), Environment: &lambdatypes.Environment{Variables: map[string]string{"OTHER": secrets["variable"]}},
	}))(t)
	apiKey := ok(apigateway.NewFromConfig(root).CreateApiKey(t.Context(), &apigateway.CreateApiKeyInput{Name: aws.String("k"), Enabled: true}))(t)
	secrets["API key"] = *apiKey.Value

	for _, name := range []string{"AssumeRole", "GetSessionToken"} {
		waitFor(t, root, region, name)
	}
	seen := map[string]bool{}
	for _, in := range []string{region, home} {
		for _, e := range trailOf(t, root, in) {
			seen[*e.EventName] = true
			for what, secret := range secrets {
				if secret != "" && strings.Contains(*e.CloudTrailEvent, secret) {
					t.Errorf("the %s stands in %s", what, *e.CloudTrailEvent)
				}
			}
		}
	}
	for _, name := range []string{"CreateAccessKey", "CreateLoginProfile", "UpdateLoginProfile", "CreateVirtualMFADevice", "AssumeRole", "GetSessionToken",
		"CreateFunction20150331", "UpdateFunctionConfiguration20150331v2", "CreateApiKey"} {
		if !seen[name] {
			t.Errorf("no record of %s", name)
		}
	}
}

func accountOf(arn string) string { return strings.Split(arn, ":")[4] }
