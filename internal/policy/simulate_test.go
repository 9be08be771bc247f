package policy

import (
	"slices"
	"testing"
	"time"

	"brume/internal/call"
)

// The places are those of the examples in
// https://docs.aws.amazon.com/cli/latest/reference/iam/simulate-custom-policy.html
func TestSpans(t *testing.T) {
	one := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"dynamodb:*","Resource":"*","Condition":{"DateGreaterThan":{"aws:CurrentTime":"2018-08-16T12:00:00Z"}}}}`
	if got := Spans(one); !slices.Equal(got, []Span{{Position{1, 38}, Position{1, 167}}}) {
		t.Errorf("%+v", got)
	}
	two := "{\n  \"Statement\": [\n    {\n      \"Sid\": \"é\", \"Effect\": \"Allow\"\n    }, { \"Sid\": \"é\" }\n  ]\n}"
	if got := Spans(two); !slices.Equal(got, []Span{{Position{3, 6}, Position{5, 6}}, {Position{5, 9}, Position{5, 22}}}) {
		t.Errorf("%+v", got)
	}
	if got := Spans("{"); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

func TestContextKeys(t *testing.T) {
	const document = `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":"s3:*","Resource":["arn:aws:s3:::b/${aws:username}/${aws:PrincipalTag/team, 'none'}/${*}"],
		 "Condition":{"StringLike":{"aws:UserAgent":"x","AWS:username":"y"},"Bool":{"aws:SecureTransport":true}}},
		{"Effect":"Deny","Action":"*","NotResource":"*","Condition":{"ArnLike":{"aws:SourceArn":["a","${s3:prefix}"]}}}]}`
	want := []string{"aws:username", "aws:PrincipalTag/team", "aws:UserAgent", "aws:SecureTransport", "aws:SourceArn", "s3:prefix"}
	if got := ContextKeys(document); !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	old := `{"Version":"2008-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::${aws:username}"}}`
	if got := ContextKeys(old); len(got) != 0 {
		t.Errorf("a language without variables has %q", got)
	}
}

func TestGrants(t *testing.T) {
	for statement, want := range map[string]bool{
		`"Effect":"Allow","Action":"*"`:                              true,
		`"Effect":"Allow","Action":"DynamoDB:GetItem"`:               true,
		`"Effect":"Allow","Action":["s3:*","dynamodb:*Get*"]`:        true,
		`"Effect":"Allow","Action":"*:Get*"`:                         true,
		`"Effect":"Allow","Action":["s3:*","dynamodbs:*","d:*Get*"]`: false,
		`"Effect":"Deny","Action":"dynamodb:*"`:                      false,
		`"Effect":"Allow","NotAction":"s3:*"`:                        true,
		`"Effect":"Allow","NotAction":["dynamodb:Get*","iam:*"]`:     true,
		`"Effect":"Allow","NotAction":["dynamodb:*"]`:                false,
	} {
		doc, err := Parse(`{"Version":"2012-10-17","Statement":{`+statement+`,"Resource":"*"}}`, Identity)
		if err != nil {
			t.Fatal(statement, err)
		}
		if got := doc.Grants("dynamodb"); got != want {
			t.Errorf("%s: %v", statement, got)
		}
	}
}

func TestSimulate(t *testing.T) {
	parse := func(kind Kind, statements string) *Document {
		t.Helper()
		doc, err := Parse(`{"Version":"2012-10-17","Statement":[`+statements+`]}`, kind)
		if err != nil {
			t.Fatal(err)
		}
		return doc
	}
	const account, me = "123456789012", "arn:aws:iam::123456789012:user/me"
	info := &call.Info{Account: account, Time: time.Now(), Principal: call.Principal{Type: call.User, Account: account, ARN: me, ID: "AIDAME", Name: "me"}}
	first := parse(Identity, `{"Effect":"Allow","Action":"s3:Get*","Resource":"*"},{"Effect":"Allow","Action":"s3:*","Resource":"*"}`)
	second := parse(Identity, `{"Effect":"Deny","Action":"s3:Delete*","Resource":"*"},{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}`)
	boundary := parse(Identity, `{"Effect":"Allow","Action":["s3:Get*","s3:Delete*"],"Resource":"*"}`)
	shared := parse(Resource, `{"Effect":"Allow","Principal":{"AWS":"`+me+`"},"Action":"s3:List*","Resource":"*"},{"Effect":"Deny","Principal":"*","Action":"s3:GetObjectAcl","Resource":"*"}`)
	policies := &Policies{Identity: []*Document{first, second}, Boundary: boundary}
	for action, want := range map[string]struct {
		verdict                      Verdict
		matches                      []Match
		identity, boundary, resource Verdict
	}{
		"s3:GetObject":    {Allowed, []Match{{first, 0}, {first, 1}, {second, 1}}, Allowed, Allowed, ImplicitDeny},
		"s3:DeleteObject": {ExplicitDeny, []Match{{second, 0}}, ExplicitDeny, Allowed, ImplicitDeny},
		"s3:PutObject":    {ImplicitDeny, nil, Allowed, ImplicitDeny, ImplicitDeny},
		"s3:ListBucket":   {Allowed, []Match{{first, 1}, {shared, 0}}, Allowed, ImplicitDeny, Allowed},
		"s3:GetObjectAcl": {ExplicitDeny, []Match{{shared, 1}}, Allowed, Allowed, ExplicitDeny},
		"sqs:SendMessage": {ImplicitDeny, nil, ImplicitDeny, ImplicitDeny, ImplicitDeny},
	} {
		got := Simulate(info, policies, &Check{Action: action, Resource: "arn:aws:s3:::b/k", ResourceAccount: account, ResourcePolicy: shared})
		if got.Decision.Verdict() != want.verdict || !slices.Equal(got.Matches, want.matches) ||
			got.Identity != want.identity || got.Boundary != want.boundary || got.Resource != want.resource {
			t.Errorf("%s: %+v", action, got)
		}
	}
	check := &Check{Context: map[string][]string{"s3:prefix": {"a"}, "aws:SecureTransport": nil}}
	for key, want := range map[string]bool{"S3:Prefix": true, "aws:CurrentTime": true, "aws:username": true, "aws:SourceIp": false, "aws:securetransport": false} {
		if Provided(info, policies, check, key) != want {
			t.Errorf("%s: %v", key, !want)
		}
	}
}
