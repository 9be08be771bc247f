package cloudtrail

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	apigatewayapi "brume/internal/api/apigateway"
	api "brume/internal/api/cloudtrail"
	dynamodbapi "brume/internal/api/dynamodb"
	streamsapi "brume/internal/api/dynamodbstreams"
	iamapi "brume/internal/api/iam"
	lambdaapi "brume/internal/api/lambda"
	logsapi "brume/internal/api/logs"
	stsapi "brume/internal/api/sts"
	"brume/internal/awserr"
	"brume/internal/call"
	"brume/internal/kv"
	"brume/internal/kv/pebblekv"
	"brume/internal/policy"
	"brume/internal/schema"
)

const account = "111122223333"

var (
	rootUser = call.Principal{Type: call.Account, Account: account, ARN: "arn:aws:iam::111122223333:root", ID: account, AccessKeyID: "AKIAROOT"}
	alice    = call.Principal{Type: call.User, Account: account, ARN: "arn:aws:iam::111122223333:user/dev/alice", ID: "AIDAALICE",
		Name: "alice", AccessKeyID: "AKIAALICE"}
	session = call.Principal{Type: call.AssumedRole, Account: account, Name: "deploy", ID: "AROADEPLOY:ci", AccessKeyID: "ASIACI",
		ARN: "arn:aws:sts::111122223333:assumed-role/deploy/ci",
		Session: &call.Session{RoleARN: "arn:aws:iam::111122223333:role/deploy", Name: "ci", SourceIdentity: "alice",
			IssuedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), MFA: true}}
)

func infoOf(p call.Principal) *call.Info {
	return &call.Info{RequestID: "request", Account: p.Account, Region: "eu-west-1", Principal: p,
		SourceIP: netip.MustParseAddr("192.0.2.1"), UserAgent: "aws-cli/2 <&>"}
}

func openStore(t testing.TB) *pebblekv.Store {
	t.Helper()
	store, err := pebblekv.Open(context.Background(), pebblekv.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

func newService(t testing.TB, o Options) *Service {
	t.Helper()
	if o.Store == nil {
		o.Store = openStore(t)
	}
	o.Log = slog.New(slog.DiscardHandler)
	s := New(o)
	t.Cleanup(func() { s.Close() })
	return s
}

// done is a call to an operation that is over.
func done(svc *schema.Service, name string, in, out schema.Struct, err error, arns ...string) *Call {
	c := &Call{Service: svc, In: in, Out: out, Err: err}
	for i := range svc.Operations {
		if svc.Operations[i].Name == name {
			c.Operation = &svc.Operations[i]
		}
	}
	for _, arn := range arns {
		c.Checks = append(c.Checks, policy.Check{Resource: arn})
	}
	return c
}

func createTable(name string) *Call {
	arn := "arn:aws:dynamodb:eu-west-1:111122223333:table/" + name
	return done(dynamodbapi.Schema(), "CreateTable", &dynamodbapi.CreateTableInput{TableName: &name},
		&dynamodbapi.CreateTableOutput{TableDescription: &dynamodbapi.TableDescription{TableName: &name}}, nil, arn)
}

func recordOf(t *testing.T, info *call.Info, c *Call) (*Event, map[string]any) {
	t.Helper()
	all, err := events(info, c, time.Date(2026, 11, 28, 19, 0, 0, 5, time.UTC))
	if err != nil || len(all) == 0 {
		t.Fatalf("%d records, %v", len(all), err)
	}
	var record map[string]any
	if err := json.Unmarshal(all[0].Record, &record); err != nil {
		t.Fatalf("%v in %s", err, all[0].Record)
	}
	return all[0], record
}

func sameJSON(t *testing.T, what string, got any, want string) {
	t.Helper()
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	var compact any
	if err := json.Unmarshal([]byte(want), &compact); err != nil {
		t.Fatal(err)
	}
	if wanted, _ := json.Marshal(compact); string(text) != string(wanted) {
		t.Errorf("%s:\n%s, want\n%s", what, text, wanted)
	}
}

// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
func TestRecordContents(t *testing.T) {
	c := done(iamapi.Schema(), "CreateUser", &iamapi.CreateUserInput{UserName: new("Mary_Major"), Path: new("/é\"\n/")},
		&iamapi.CreateUserOutput{User: &iamapi.User{UserName: new("Mary_Major"), CreateDate: new(time.Date(2026, 3, 4, 15, 6, 7, 0, time.UTC))}},
		nil, "arn:aws:iam::111122223333:user/Mary_Major")
	e, record := recordOf(t, infoOf(alice), c)
	if id, _ := record["eventID"].(string); len(id) != 36 || id != e.ID {
		t.Errorf("eventID %q", id)
	}
	delete(record, "eventID")
	sameJSON(t, "record", record, `{
		"eventVersion": "1.11",
		"userIdentity": {"type": "IAMUser", "principalId": "AIDAALICE", "arn": "arn:aws:iam::111122223333:user/dev/alice",
			"accountId": "111122223333", "accessKeyId": "AKIAALICE", "userName": "alice"},
		"eventTime": "2026-11-28T19:00:00Z", "eventSource": "iam.amazonaws.com", "eventName": "CreateUser", "awsRegion": "eu-west-1",
		"sourceIPAddress": "192.0.2.1", "userAgent": "aws-cli/2 <&>",
		"requestParameters": {"userName": "Mary_Major", "path": "/é\"\n/"},
		"responseElements": {"user": {"userName": "Mary_Major", "createDate": "Mar 4, 2026, 3:06:07 PM"}},
		"requestID": "request", "readOnly": false, "eventType": "AwsApiCall", "managementEvent": true,
		"resources": [{"accountId": "111122223333", "type": "AWS::IAM::User", "ARN": "arn:aws:iam::111122223333:user/Mary_Major"}],
		"recipientAccountId": "111122223333", "eventCategory": "Management"}`)

	_, record = recordOf(t, infoOf(rootUser), done(iamapi.Schema(), "GetUser", &iamapi.GetUserInput{}, &iamapi.GetUserOutput{}, nil))
	sameJSON(t, "of a call that reads", []any{record["requestParameters"], record["responseElements"], record["readOnly"]}, `[null,null,true]`)

	_, record = recordOf(t, infoOf(rootUser), done(iamapi.Schema(), "DeleteUser", &iamapi.DeleteUserInput{UserName: new("x")}, nil,
		&iamapi.NoSuchEntityException{Message: new("The user with name x cannot be found.")}))
	sameJSON(t, "of a call that failed", []any{record["errorCode"], record["errorMessage"], record["responseElements"]},
		`["NoSuchEntityException","The user with name x cannot be found.",null]`)

	_, record = recordOf(t, infoOf(rootUser), done(dynamodbapi.Schema(), "DeleteTable", nil, nil, errors.New("disk /secret/path")))
	if record["errorCode"] != "InternalFailure" || strings.Contains(fmt.Sprint(record), "/secret/path") {
		t.Errorf("a fault of ours: %v", record)
	}
}

// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html
func TestUserIdentity(t *testing.T) {
	mfaUser := alice
	mfaUser.Session = &call.Session{IssuedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	federated := call.Principal{Type: call.FederatedUser, Account: account, ARN: "arn:aws:sts::111122223333:federated-user/bo", ID: account + ":bo",
		Name: "bo", AccessKeyID: "ASIABO", Session: &call.Session{Name: "bo", IssuerID: "AIDAALICE", IssuerARN: alice.ARN, IssuedAt: mfaUser.Session.IssuedAt}}
	web := session
	web.Session = &call.Session{RoleARN: session.Session.RoleARN, Name: "ci", IssuedAt: mfaUser.Session.IssuedAt, FederatedProvider: "accounts.google.com"}
	for name, tt := range map[string]struct {
		p              call.Principal
		want, username string
	}{
		"root": {rootUser, `{"type":"Root","principalId":"111122223333","arn":"arn:aws:iam::111122223333:root","accountId":"111122223333",
			"accessKeyId":"AKIAROOT"}`, "root"},
		"session of a user": {mfaUser, `{"type":"IAMUser","principalId":"AIDAALICE","arn":"arn:aws:iam::111122223333:user/dev/alice",
			"accountId":"111122223333","accessKeyId":"AKIAALICE","userName":"alice",
			"sessionContext":{"attributes":{"creationDate":"2026-01-02T03:04:05Z","mfaAuthenticated":"false"}}}`, "alice"},
		"role": {session, `{"type":"AssumedRole","principalId":"AROADEPLOY:ci","arn":"arn:aws:sts::111122223333:assumed-role/deploy/ci",
			"accountId":"111122223333","accessKeyId":"ASIACI","sessionContext":{
				"sessionIssuer":{"type":"Role","principalId":"AROADEPLOY","arn":"arn:aws:iam::111122223333:role/deploy","accountId":"111122223333","userName":"deploy"},
				"attributes":{"creationDate":"2026-01-02T03:04:05Z","mfaAuthenticated":"true"},"sourceIdentity":"alice"}}`, "ci"},
		"federated user": {federated, `{"type":"FederatedUser","principalId":"111122223333:bo","arn":"arn:aws:sts::111122223333:federated-user/bo",
			"accountId":"111122223333","accessKeyId":"ASIABO","sessionContext":{
				"sessionIssuer":{"type":"IAMUser","principalId":"AIDAALICE","arn":"arn:aws:iam::111122223333:user/dev/alice","accountId":"111122223333","userName":"alice"},
				"attributes":{"creationDate":"2026-01-02T03:04:05Z","mfaAuthenticated":"false"}}}`, "bo"},
		"role by an identity provider": {web, `{"type":"AssumedRole","principalId":"AROADEPLOY:ci","arn":"arn:aws:sts::111122223333:assumed-role/deploy/ci",
			"accountId":"111122223333","accessKeyId":"ASIACI","sessionContext":{
				"sessionIssuer":{"type":"Role","principalId":"AROADEPLOY","arn":"arn:aws:iam::111122223333:role/deploy","accountId":"111122223333","userName":"deploy"},
				"webIdFederationData":{"federatedProvider":"accounts.google.com","attributes":{}},
				"attributes":{"creationDate":"2026-01-02T03:04:05Z","mfaAuthenticated":"false"}}}`, "ci"},
		"service":   {call.Principal{Type: call.Service, ARN: "lambda.amazonaws.com"}, `{"type":"AWSService","invokedBy":"lambda.amazonaws.com"}`, ""},
		"anonymous": {call.Principal{Type: call.Anonymous}, `{"type":"AWSAccount","accountId":"ANONYMOUS_PRINCIPAL"}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			info := infoOf(tt.p)
			info.Account = account
			e, record := recordOf(t, info, createTable("t"))
			sameJSON(t, "userIdentity", record["userIdentity"], mustCompact(t, tt.want))
			if e.Username != tt.username {
				t.Errorf("looked up as %q, want %q", e.Username, tt.username)
			}
		})
	}
	info := infoOf(session)
	info.SourceIP, info.UserAgent, info.ViaService = netip.Addr{}, "", "lambda.amazonaws.com"
	_, record := recordOf(t, info, createTable("t"))
	identity := record["userIdentity"].(map[string]any)
	sameJSON(t, "of a service in a role", []any{identity["invokedBy"], record["sourceIPAddress"], record["userAgent"]},
		`["lambda.amazonaws.com","lambda.amazonaws.com","lambda.amazonaws.com"]`)
}

func mustCompact(t *testing.T, s string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		t.Fatal(err)
	}
	out, _ := json.Marshal(v)
	return string(out)
}

// Who assumes a role of another account is recorded in both, and there without a name.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/cloudtrail-integration.html
func TestRoleOfAnotherAccount(t *testing.T) {
	role := "arn:aws:iam::444455556666:role/deploy"
	in := &stsapi.AssumeRoleInput{RoleArn: &role, RoleSessionName: new("ci")}
	out := &stsapi.AssumeRoleOutput{Credentials: &stsapi.Credentials{
		AccessKeyId: new("ASIANEW"), SecretAccessKey: new("wJalr"), SessionToken: new("a token"), Expiration: new(time.Unix(0, 0))}}
	all, err := events(infoOf(alice), done(stsapi.Schema(), "AssumeRole", in, out, nil, role), time.Now())
	if err != nil || len(all) != 2 {
		t.Fatalf("%d records, %v", len(all), err)
	}
	var ours, theirs map[string]any
	for i, to := range []*map[string]any{&ours, &theirs} {
		if err := json.Unmarshal(all[i].Record, to); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(all[i].Record), "wJalr") || strings.Contains(string(all[i].Record), "a token") {
			t.Errorf("a secret in %s", all[i].Record)
		}
	}
	if all[0].Account != account || all[1].Account != "444455556666" || theirs["recipientAccountId"] != "444455556666" ||
		ours["sharedEventID"] == nil || ours["sharedEventID"] != theirs["sharedEventID"] || ours["eventID"] == theirs["eventID"] {
		t.Errorf("%s\n%s", all[0].Record, all[1].Record)
	}
	sameJSON(t, "their userIdentity", theirs["userIdentity"], `{"type":"AWSAccount","principalId":"AIDAALICE","accountId":"111122223333"}`)
	sameJSON(t, "responseElements", ours["responseElements"], `{"credentials":{"accessKeyId":"ASIANEW","expiration":"Jan 1, 1970, 12:00:00 AM",
		"secretAccessKey":"HIDDEN_DUE_TO_SECURITY_REASONS","sessionToken":"HIDDEN_DUE_TO_SECURITY_REASONS"}}`)
	var names []string
	for _, r := range all[0].Resources {
		names = append(names, r.Type+" "+r.Name)
	}
	if got := strings.Join(names, ", "); got != "AWS::IAM::AccessKey ASIANEW, AWS::IAM::Role deploy, AWS::IAM::Role "+role {
		t.Errorf("resources: %s", got)
	}
	all, err = events(infoOf(alice), done(stsapi.Schema(), "AssumeRole", in, nil, awserr.New("AccessDenied", "no"), role), time.Now())
	if err != nil || len(all) != 1 {
		t.Errorf("a refusal makes %d records, %v", len(all), err)
	}
	// A role of one's own account is recorded once.
	own := "arn:aws:iam::" + account + ":role/deploy"
	if all, err = events(infoOf(alice), done(stsapi.Schema(), "AssumeRole", &stsapi.AssumeRoleInput{RoleArn: &own}, out, nil, own), time.Now()); err != nil || len(all) != 1 {
		t.Errorf("a role of the same account makes %d records, %v", len(all), err)
	}
	// Who has no account is recorded with the role that they ask for.
	anonymous := infoOf(call.Principal{Type: call.Anonymous})
	all, err = events(anonymous, done(stsapi.Schema(), "AssumeRoleWithWebIdentity",
		&stsapi.AssumeRoleWithWebIdentityInput{RoleArn: &role, WebIdentityToken: new("secret")}, nil, awserr.New("AccessDenied", "no")), time.Now())
	if err != nil || len(all) != 1 || all[0].Account != "444455556666" || strings.Contains(string(all[0].Record), "secret") {
		t.Errorf("anonymous: %d records, %v", len(all), err)
	}
	if all, err := events(anonymous, done(stsapi.Schema(), "GetCallerIdentity", nil, nil, awserr.New("AccessDenied", "no")), time.Now()); len(all) != 0 || err != nil {
		t.Errorf("a record in no account: %d, %v", len(all), err)
	}
}

func TestParametersAreBounded(t *testing.T) {
	in := &lambdaapi.CreateFunctionInput{FunctionName: new("f"), Description: new(strings.Repeat("x", maxParameters))}
	_, record := recordOf(t, infoOf(alice), done(lambdaapi.Schema(), "CreateFunction", in, &lambdaapi.FunctionConfiguration{}, nil))
	parameters := record["requestParameters"].(map[string]any)
	if parameters["omitted"] != true || parameters["originalSize"].(float64) <= maxParameters || len(parameters) != 2 {
		t.Errorf("%v", parameters)
	}
	in.Description = new(strings.Repeat("x", maxParameters-100))
	_, record = recordOf(t, infoOf(alice), done(lambdaapi.Schema(), "CreateFunction", in, &lambdaapi.FunctionConfiguration{}, nil))
	if record["requestParameters"].(map[string]any)["functionName"] != "f" {
		t.Error("what fits is left out")
	}
	info := infoOf(alice)
	info.UserAgent = strings.Repeat("é", maxText)
	_, record = recordOf(t, info, createTable("t"))
	if n := len(record["userAgent"].(string)); n > maxText || n < maxText-2 {
		t.Errorf("a user agent of %d bytes", n)
	}
}

// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html#STS-API-SAML-WIF
func TestWebIdentity(t *testing.T) {
	in := &stsapi.AssumeRoleWithWebIdentityInput{RoleArn: new("arn:aws:iam::444455556666:role/web"), WebIdentityToken: new("ey.secret.token")}
	out := &stsapi.AssumeRoleWithWebIdentityOutput{Provider: new("accounts.google.com"), Audience: new("app"), SubjectFromWebIdentityToken: new("sub")}
	e, record := recordOf(t, infoOf(call.Principal{Type: call.Anonymous}), done(stsapi.Schema(), "AssumeRoleWithWebIdentity", in, out, nil))
	sameJSON(t, "userIdentity", record["userIdentity"], `{"type":"WebIdentityUser","principalId":"accounts.google.com:app:sub","userName":"sub","identityProvider":"accounts.google.com"}`)
	sameJSON(t, "requestParameters", record["requestParameters"], `{"roleArn":"arn:aws:iam::444455556666:role/web","webIdentityToken":"HIDDEN_DUE_TO_SECURITY_REASONS"}`)
	if e.Account != "444455556666" || e.Username != "sub" || e.Resources[0].Name != "web" {
		t.Errorf("%+v", e)
	}
}

// Whatever is named like a secret is hidden, in every operation of every service. RemovePrivateKey is the id of a key.
func TestWhatIsNamedLikeASecretIsHidden(t *testing.T) {
	secret := regexp.MustCompile(`(?i)secret|password|private_?key|token|seed|authenticationcode|assertion|zipfile`)
	harmless := regexp.MustCompile(`(?i)nexttoken|clienttoken|(request|client)token$|sequencetoken|(forward|backward)token|nextpagetoken|continuationtoken|patterntoken|` +
		`^tokenstring$|^dynamictoken|Id$|^SubjectFromWebIdentityToken$|^GlobalEndpointTokenVersion$|^EventSourceToken$|^PasswordReset|^PasswordLast|` +
		`PasswordPolicy|TokenVersion|Arn$|ARN$|^idempotencytoken$|TokenHash|^AssertionEncryptionMode$|^RemovePrivateKey$`)
	for _, svc := range []*schema.Service{apigatewayapi.Schema(), api.Schema(), dynamodbapi.Schema(), streamsapi.Schema(), iamapi.Schema(),
		lambdaapi.Schema(), logsapi.Schema(), stsapi.Schema()} {
		for i := range svc.Shapes {
			shape := &svc.Shapes[i]
			if shape.Kind != schema.Structure || strings.HasSuffix(shape.Name, "Exception") {
				continue
			}
			for j := range shape.Members {
				m := &shape.Members[j]
				if m.Shape < 0 {
					continue
				}
				if kind := svc.Shape(m).Kind; kind != schema.String && kind != schema.Map {
					continue
				}
				if secret.MatchString(m.Name) && !harmless.MatchString(m.Name) && !hides(svc, shape, m) {
					t.Errorf("%s of %s of %s is shown", m.Name, shape.Name, svc.Name)
				}
			}
		}
	}
}

// https://docs.aws.amazon.com/lambda/latest/dg/logging-using-cloudtrail.html
func TestNames(t *testing.T) {
	for name, want := range map[string]string{
		"CreateFunction": "CreateFunction20150331", "UpdateFunctionCode": "UpdateFunctionCode20150331v2",
		"AddPermission": "AddPermission20150331v2", "PutFunctionConcurrency": "PutFunctionConcurrency20171031",
		"TagResource": "TagResource20170331v2", "PublishLayerVersion": "PublishLayerVersion20181031",
		"CreateFunctionUrlConfig": "CreateFunctionUrlConfig", "PutFunctionEventInvokeConfig": "PutFunctionEventInvokeConfig",
		"AddLayerVersionPermission": "AddLayerVersionPermission", "PublishVersion": "PublishVersion20150331",
	} {
		if got := nameOf(lambdaapi.Schema(), done(lambdaapi.Schema(), name, nil, nil, nil).Operation); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	s := newService(t, Options{})
	for svc, names := range map[*schema.Service]map[string]bool{
		dynamodbapi.Schema(): {"PutItem": false, "Query": false, "CreateTable": true, "DescribeTable": true},
		lambdaapi.Schema():   {"Invoke": false, "CreateFunction": true},
		logsapi.Schema():     {"PutLogEvents": false, "FilterLogEvents": false, "CreateLogGroup": true},
		stsapi.Schema():      {"AssumeRole": true, "GetCallerIdentity": true},
		iamapi.Schema():      {"CreateUser": true},
	} {
		for name, want := range names {
			if got := s.Records(svc, done(svc, name, nil, nil, nil).Operation); got != want {
				t.Errorf("%s of %s is recorded: %v", name, svc.Name, got)
			}
		}
	}
	for arn, want := range map[string]string{
		"arn:aws:iam::1:user/a/b/bob":                     "AWS::IAM::User bob",
		"arn:aws:iam::aws:policy/ReadOnlyAccess":          "AWS::IAM::Policy arn:aws:iam::aws:policy/ReadOnlyAccess",
		"arn:aws:dynamodb:r:1:table/Music/index/i":        "AWS::DynamoDB::Table Music",
		"arn:aws:lambda:r:1:function:f:PROD":              "AWS::Lambda::Function f",
		"arn:aws:logs:r:1:log-group:/aws/lambda/f:*":      "AWS::Logs::LogGroup /aws/lambda/f",
		"arn:aws:apigateway:r::/restapis/abc/resources/x": "AWS::ApiGateway::RestApi abc",
		"arn:aws:apigateway:r::/restapis":                 "",
		"arn:aws:dynamodb:r:1:table/*":                    "",
		"*":                                               "",
		"arn:aws:logs:r:1:log-group::log-stream:":         "",
	} {
		r, ok := resourceOf(arn)
		if got := strings.TrimSpace(r.Type + " " + r.Name); got != want || ok != (want != "") {
			t.Errorf("%s is %q, want %q", arn, got, want)
		}
	}
}

func lookup(t *testing.T, s *Service, in *api.LookupEventsInput) *api.LookupEventsOutput {
	t.Helper()
	out, err := s.LookupEvents(call.With(t.Context(), infoOf(rootUser)), in)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func names(out *api.LookupEventsOutput) string {
	var names []string
	for _, e := range out.Events {
		name := *e.EventName
		for _, r := range e.Resources {
			name += " " + *r.ResourceName
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}

func by(key, value string) *api.LookupEventsInput {
	return &api.LookupEventsInput{LookupAttributes: []api.LookupAttribute{{AttributeKey: &key, AttributeValue: &value}}}
}

// https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html
func TestLookupEvents(t *testing.T) {
	s := newService(t, Options{})
	for i, p := range []call.Principal{rootUser, alice, session} {
		s.Record(call.With(t.Context(), infoOf(p)), createTable(fmt.Sprintf("t%d", i)))
	}
	s.Record(call.With(t.Context(), infoOf(alice)), done(iamapi.Schema(), "CreateAccessKey", &iamapi.CreateAccessKeyInput{UserName: new("alice")},
		&iamapi.CreateAccessKeyOutput{AccessKey: &iamapi.AccessKey{AccessKeyId: new("AKIANEW"), SecretAccessKey: new("s")}}, nil,
		"arn:aws:iam::111122223333:user/alice"))
	elsewhere := infoOf(rootUser)
	elsewhere.Region = "us-west-2"
	s.Record(call.With(t.Context(), elsewhere), createTable("elsewhere"))
	other := infoOf(rootUser)
	other.Account = "999999999999"
	s.Record(call.With(t.Context(), other), createTable("other"))

	all := lookup(t, s, &api.LookupEventsInput{})
	const everything = "CreateAccessKey AKIANEW alice, CreateTable t2, CreateTable t1, CreateTable t0"
	if got := names(all); got != everything {
		t.Fatalf("%s", got)
	}
	for _, tt := range []struct{ key, value, want string }{
		{"EventName", "CreateTable", "CreateTable t2, CreateTable t1, CreateTable t0"},
		{"EventName", "createtable", ""},
		{"EventId", *all.Events[1].EventId, "CreateTable t2"},
		{"ReadOnly", "false", everything},
		{"ReadOnly", "true", ""},
		{"Username", "alice", "CreateAccessKey AKIANEW alice, CreateTable t1"},
		{"Username", "root", "CreateTable t0"},
		{"Username", "ci", "CreateTable t2"},
		{"ResourceType", "AWS::DynamoDB::Table", "CreateTable t2, CreateTable t1, CreateTable t0"},
		{"ResourceName", "t1", "CreateTable t1"},
		{"ResourceName", "AKIANEW", "CreateAccessKey AKIANEW alice"},
		{"EventSource", "iam.amazonaws.com", "CreateAccessKey AKIANEW alice"},
		{"AccessKeyId", "ASIACI", "CreateTable t2"},
		{"AccessKeyId", "ASIAC", ""},
	} {
		if got := names(lookup(t, s, by(tt.key, tt.value))); got != tt.want {
			t.Errorf("%s %s: %s, want %s", tt.key, tt.value, got, tt.want)
		}
	}

	// Pages.
	in := &api.LookupEventsInput{MaxResults: new(int32(3))}
	first := lookup(t, s, in)
	if got := names(first); got != "CreateAccessKey AKIANEW alice, CreateTable t2, CreateTable t1" || first.NextToken == nil {
		t.Fatalf("first page: %s, %v", got, first.NextToken)
	}
	in.NextToken = first.NextToken
	s.Record(call.With(t.Context(), infoOf(rootUser)), createTable("late"))
	if second := lookup(t, s, in); names(second) != "CreateTable t0" || second.NextToken != nil {
		t.Errorf("second page: %s, %v", names(second), second.NextToken)
	}
	in.MaxResults = new(int32(1))
	if next := lookup(t, s, in); names(next) != "CreateTable t0" {
		t.Errorf("with another page size: %s", names(next))
	}

	// Mistakes.
	ctx := call.With(t.Context(), infoOf(rootUser))
	now := time.Now()
	otherQuery := by("EventName", "CreateTable")
	otherQuery.NextToken = first.NextToken
	both := by("EventName", "x")
	both.LookupAttributes = append(both.LookupAttributes, both.LookupAttributes...)
	for code, in := range map[string]*api.LookupEventsInput{
		"InvalidNextTokenException":        otherQuery,
		"InvalidNextTokenException ":       {NextToken: new("x")},
		"InvalidLookupAttributesException": both,
		"InvalidTimeRangeException":        {StartTime: &now, EndTime: new(now.Add(-time.Minute))},
	} {
		_, err := s.LookupEvents(ctx, in)
		var known awserr.Error
		if !errors.As(err, &known) || known.ErrorCode() != strings.TrimSpace(code) {
			t.Errorf("%v, want %s", err, code)
		}
	}
	if out := lookup(t, s, &api.LookupEventsInput{EventCategory: new("insight")}); len(out.Events) != 0 {
		t.Error("there are Insights events")
	}
}

func TestTimeRange(t *testing.T) {
	store := openStore(t)
	s := newService(t, Options{Store: store})
	base := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 4 {
		e := &Event{Account: account, Region: "eu-west-1", ID: fmt.Sprint(i), Name: fmt.Sprint(i), Source: "s", Record: []byte("{}"),
			Time: base.Add(time.Duration(i)*time.Second + 700*time.Millisecond)}
		s.put(e, true)
	}
	for _, tt := range []struct {
		from, to int // seconds; -1 for none
		want     string
	}{{-1, -1, "3, 2, 1, 0"}, {1, -1, "3, 2, 1"}, {-1, 1, "1, 0"}, {1, 2, "2, 1"}, {2, 2, "2"}, {4, -1, ""}} {
		in := &api.LookupEventsInput{}
		if tt.from >= 0 {
			in.StartTime = new(base.Add(time.Duration(tt.from) * time.Second))
		}
		if tt.to >= 0 {
			in.EndTime = new(base.Add(time.Duration(tt.to) * time.Second))
		}
		if got := names(lookup(t, s, in)); got != tt.want {
			t.Errorf("%d to %d: %s, want %s", tt.from, tt.to, got, tt.want)
		}
	}
}

// A change is in the store when Record returns; a call that reads soon after, and at the latest at Close.
func TestDurability(t *testing.T) {
	store := openStore(t)
	count := func() int {
		n := 0
		if err := store.View(context.Background(), func(r kv.Reader) error {
			n = 0
			for _, err := range r.Scan(kv.Prefix(table(tagEvent))) {
				if err != nil {
					return err
				}
				n++
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	s := newService(t, Options{Store: store})
	ctx := call.With(t.Context(), infoOf(rootUser))
	for i := range 5 {
		s.Record(ctx, createTable("t"))
		if n := count(); n != i+1 {
			t.Fatalf("%d records after %d changes", n, i+1)
		}
	}
	for range 2 * maxBatch {
		s.Record(ctx, done(iamapi.Schema(), "ListUsers", &iamapi.ListUsersInput{}, &iamapi.ListUsersOutput{}, nil))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != 5+2*maxBatch {
		t.Errorf("%d records after Close", n)
	}
	s.Record(ctx, createTable("t")) // does not hang
}

func TestReadsAreWrittenSoon(t *testing.T) {
	s := newService(t, Options{})
	s.Record(call.With(t.Context(), infoOf(rootUser)), done(iamapi.Schema(), "ListUsers", &iamapi.ListUsersInput{}, &iamapi.ListUsersOutput{}, nil))
	for deadline := time.Now().Add(20 * time.Second); names(lookup(t, s, &api.LookupEventsInput{})) != "ListUsers"; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the record does not come")
		}
	}
}

// The trail keeps to its size, forgets what is too old, and leaves nothing behind of either.
func TestRetention(t *testing.T) {
	store := openStore(t)
	const max = 200 << 10
	s := newService(t, Options{Store: store, MaxBytes: max})
	ctx := call.With(t.Context(), infoOf(rootUser))
	for i := range 400 {
		s.Record(ctx, createTable(fmt.Sprintf("t%03d", i)))
	}
	held := func() (events, bytes int64) {
		err := store.View(t.Context(), func(r kv.Reader) error {
			events, bytes = 0, 0
			for pair, err := range r.Scan(kv.Prefix(table(tagEvent)[:len(table(tagEvent))-1])) {
				if err != nil {
					return err
				}
				if string(pair.Key) == string(usageKey()) {
					continue
				}
				bytes += int64(len(pair.Key) + len(pair.Value))
				if slices.Equal(pair.Key[:len(table(tagEvent))], table(tagEvent)) {
					events++
				}
			}
			u, err := readUsage(r)
			if u.Events != events || u.Bytes != bytes {
				t.Errorf("%+v are counted, %d events with %d bytes held", u, events, bytes)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return events, bytes
	}
	events, bytes := held()
	for range 100 { // room is made right behind the write
		if bytes <= max {
			break
		}
		time.Sleep(50 * time.Millisecond)
		events, bytes = held()
	}
	if bytes > max || bytes < max/2 || events < 20 {
		t.Errorf("%d events with %d bytes, the limit is %d", events, bytes, max)
	}
	if got := names(lookup(t, s, &api.LookupEventsInput{MaxResults: new(int32(1))})); got != "CreateTable t399" {
		t.Errorf("the newest is %s", got)
	}
	if got := names(lookup(t, s, by("ResourceName", "t000"))); got != "" {
		t.Errorf("the oldest is still there: %s", got)
	}
	s.put(&Event{Account: account, Region: "eu-west-1", ID: "old", Name: "Old", Time: time.Now().Add(-Retention - time.Minute), Record: []byte("{}")}, true)
	s.put(&Event{Account: account, Region: "eu-west-1", ID: "kept", Name: "Kept", Time: time.Now().Add(-Retention + time.Minute), Record: []byte("{}")}, true)
	before, _ := held()
	s.prune(t.Context())
	if after, _ := held(); after != before-1 || names(lookup(t, s, by("EventName", "Old"))) != "" || names(lookup(t, s, by("EventName", "Kept"))) == "" {
		t.Errorf("%d events after %d", after, before)
	}
}

// Who follows the trail gets each event in the transaction that writes it.
func TestFollow(t *testing.T) {
	store := openStore(t)
	s := newService(t, Options{Store: store, Follow: func(tx kv.Tx, events []*Event) error {
		for _, e := range events {
			if err := tx.Set([]byte("followed "+e.ID), e.Record); err != nil {
				return err
			}
		}
		return nil
	}})
	s.Record(call.With(t.Context(), infoOf(rootUser)), createTable("t"))
	id := *lookup(t, s, &api.LookupEventsInput{}).Events[0].EventId
	err := store.View(t.Context(), func(r kv.Reader) error {
		v, ok, err := r.Get([]byte("followed " + id))
		if !ok || !strings.Contains(string(v), `"eventName":"CreateTable"`) {
			t.Errorf("%s", v)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// broken is a store that writes nothing.
type broken struct{ kv.Store }

func (broken) Update(context.Context, func(kv.Tx) error) error { return kv.ErrReadOnly }

// A store that does not write holds up nobody, and the log tells what is lost.
func TestBrokenStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		s := New(Options{Store: broken{}, Log: slog.New(slog.NewTextHandler(&log, nil))})
		s.Record(call.With(t.Context(), infoOf(rootUser)), createTable("t"))
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if !strings.Contains(log.String(), "records of the audit trail are lost") {
			t.Errorf("%s", log.String())
		}
	})
}

func TestKeys(t *testing.T) {
	at := position{time.Unix(1, 2).UTC(), "id"}
	if got, err := parseEventKey(eventKey(at)); err != nil || !got.time.Equal(at.time) || got.id != at.id {
		t.Errorf("%v, %v", got, err)
	}
	sc := scope{account, "r"}
	if got, err := parseIndexKey(indexPrefix(sc, username, "u"), indexKey(sc, username, "u", at)); err != nil || !got.time.Equal(at.time) || got.id != at.id {
		t.Errorf("%v, %v", got, err)
	}
}

func BenchmarkRecord(b *testing.B) {
	c := createTable("table")
	info := infoOf(session)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := events(info, c, time.Unix(0, 0)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkChange is what a change waits for its record, disk included.
func BenchmarkChange(b *testing.B) {
	s := newService(b, Options{})
	ctx := call.With(b.Context(), infoOf(session))
	c := createTable("table")
	for b.Loop() {
		s.Record(ctx, c)
	}
}
