package dynamodb

import (
	"context"
	"strings"
	"testing"
	"time"

	api "brume/internal/api/dynamodb"
	streamsapi "brume/internal/api/dynamodbstreams"
	"brume/internal/call"
	"brume/internal/policy"
	"brume/internal/schema"
)

const (
	tableARN = "arn:aws:dynamodb:us-east-1:000000000000:table/table"
	friend   = "arn:aws:iam::111111111111:user/friend"
)

func allow(principal, action, resource string) string {
	return `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"` + principal + `"},"Action":"` + action + `","Resource":"` + resource + `"}}`
}

func (b *bench) putPolicy(arn, document string, expected *string) (string, error) {
	out, err := b.PutResourcePolicy(b.ctx, &api.PutResourcePolicyInput{ResourceArn: &arn, Policy: &document, ExpectedRevisionId: expected})
	if err != nil {
		return "", err
	}
	return *out.RevisionId, nil
}

// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_PutResourcePolicy.html
func TestResourcePolicies(t *testing.T) {
	b := newBench(t)
	document := allow(friend, "dynamodb:GetItem", tableARN)
	_, err := b.putPolicy(tableARN, document, nil)
	wantError(t, err, "ResourceNotFoundException: Requested resource not found: ResourcArn: "+tableARN+" not found")
	b.create("table", "pk:S")
	stream := b.stream("table", "KEYS_ONLY")
	for _, arn := range []string{tableARN, stream} {
		get := func() (*api.GetResourcePolicyOutput, error) {
			return b.GetResourcePolicy(b.ctx, &api.GetResourcePolicyInput{ResourceArn: &arn})
		}
		const none = "PolicyNotFoundException: …"
		_, err = get()
		wantError(t, err, none)
		_, err = b.putPolicy(arn, document, new("123"))
		wantError(t, err, none)
		first := must(b.putPolicy(arn, document, new(noPolicy)))(t)
		if again := must(b.putPolicy(arn, document, nil))(t); again != first {
			t.Errorf("the same policy has revisions %s and %s", first, again)
		}
		if out := must(get())(t); *out.Policy != document || *out.RevisionId != first {
			t.Errorf("%s %s", *out.Policy, *out.RevisionId)
		}
		_, err = b.putPolicy(arn, document+" ", new(noPolicy))
		wantError(t, err, none)
		second := must(b.putPolicy(arn, document+" ", &first))(t)
		if second <= first {
			t.Errorf("revision %s after %s", second, first)
		}
		_, err = b.DeleteResourcePolicy(b.ctx, &api.DeleteResourcePolicyInput{ResourceArn: &arn, ExpectedRevisionId: &first})
		wantError(t, err, none)
		if out := must(b.DeleteResourcePolicy(b.ctx, &api.DeleteResourcePolicyInput{ResourceArn: &arn}))(t); *out.RevisionId != second {
			t.Errorf("deleted %s", *out.RevisionId)
		}
		if out := must(b.DeleteResourcePolicy(b.ctx, &api.DeleteResourcePolicyInput{ResourceArn: &arn}))(t); out.RevisionId != nil {
			t.Errorf("deleted %s", *out.RevisionId)
		}
	}

	pad := func(n int) string { return document + strings.Repeat(" ", n-len(document)) }
	for _, c := range []struct{ arn, document, want string }{
		{tableARN, pad(maxPolicySize), "no error"},
		{tableARN, pad(maxPolicySize + 1), invalidParams + "Maximum policy size of 20480 bytes exceeded"},
		{tableARN, "{", invalidParams + "Invalid policy document: …"},
		{tableARN, allow("*", "dynamodb:GetItem", tableARN), "ValidationException: Resource-based policy grants unbounded access in one or more elements.…"},
		{tableARN, strings.Replace(allow("*", "dynamodb:GetItem", tableARN), `"Action"`, `"Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-1"}},"Action"`, 1), "no error"},
		{"table", document, invalidParams + "ARNs must start with 'arn:': table"},
		{"arn:aws:s3:::bucket", document, invalidParams + "Provided Arn is not a DynamoDB resource arn: arn:aws:s3:::bucket"},
		{tableARN + "/index/gsi", document, invalidParams + "Invalid resource arn provided, only table or stream is accepted. Provided resource arn: " + tableARN + "/index/gsi"},
		{strings.Replace(tableARN, "us-east-1", "eu-west-1", 1), document, invalidParams + "Invalid resource Arn: …"},
		{strings.Replace(tableARN, "000000000000", "111111111111", 1), document, "ValidationException: This action is only supported by accounts that match the resource owner’s account."},
	} {
		_, err := b.putPolicy(c.arn, c.document, nil)
		wantError(t, err, c.want)
	}

	// A policy that locks its author out needs confirmation.
	lock := strings.Replace(allow("arn:aws:iam::000000000000:root", "dynamodb:PutResourcePolicy", tableARN), "Allow", "Deny", 1)
	ctx := call.With(context.Background(), &call.Info{
		Account: "000000000000", Region: "us-east-1",
		Principal: call.Principal{Type: call.Account, Account: "000000000000", ARN: "arn:aws:iam::000000000000:root"},
	})
	_, err = b.PutResourcePolicy(ctx, &api.PutResourcePolicyInput{ResourceArn: new(tableARN), Policy: &lock})
	wantError(t, err, invalidParams+"The policy denies you to change it again.…")
	must(b.PutResourcePolicy(ctx, &api.PutResourcePolicyInput{ResourceArn: new(tableARN), Policy: &lock, ConfirmRemoveSelfResourceAccess: new(true)}))(t)

	in := createInput("born", "pk:S")
	in.ResourcePolicy = &document
	must(b.CreateTable(b.ctx, in))(t)
	if out := must(b.GetResourcePolicy(b.ctx, &api.GetResourcePolicyInput{ResourceArn: new(strings.Replace(tableARN, "/table", "/born", 1))}))(t); *out.Policy != document {
		t.Errorf("%s", *out.Policy)
	}
	must(b.DeleteTable(b.ctx, &api.DeleteTableInput{TableName: new("born")}))(t)
	b.create("born", "pk:S") // without the old one's policy
	_, err = b.GetResourcePolicy(b.ctx, &api.GetResourcePolicyInput{ResourceArn: new(strings.Replace(tableARN, "/table", "/born", 1))})
	wantError(t, err, "PolicyNotFoundException: …")
}

// Policies on tables and streams are held against who calls, of the same account and of others, who name tables by ARN.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/rbac-cross-account-access.html
func TestResourcePoliciesAreEvaluated(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S", "gsi g:S ALL")
	stream := b.stream("table", "NEW_IMAGE")
	b.put("table", M{"pk": api.S("a"), "g": api.S("g")})
	must(b.putPolicy(tableARN, `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"AWS":"`+friend+`"},"Action":["dynamodb:GetItem","dynamodb:Query","dynamodb:DescribeTable"],"Resource":["`+tableARN+`","`+tableARN+`/index/gsi"]},
		{"Effect":"Deny","Principal":{"AWS":"`+friend+`"},"Action":"dynamodb:Scan","Resource":"*"}]}`, nil))(t)
	must(b.putPolicy(stream, allow(friend, "dynamodb:DescribeStream", stream), nil))(t)
	everything, err := policy.Parse(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"dynamodb:*","Resource":"*"}}`, policy.Identity)
	if err != nil {
		t.Fatal(err)
	}
	as := func(account, name string) *call.Info {
		return &call.Info{Account: account, Region: "us-east-1", Time: time.Now(), Principal: call.Principal{
			Type: call.User, Account: account, Name: name, ARN: "arn:aws:iam::" + account + ":user/" + name, ID: "AIDA" + name,
		}}
	}
	key := M{"pk": api.S("a")}
	scan, query := &api.ScanInput{TableName: new(tableARN)}, &api.QueryInput{
		TableName: new(tableARN), IndexName: new("gsi"), KeyConditionExpression: new("g = :g"), ExpressionAttributeValues: M{":g": api.S("g")},
	}
	for _, c := range []struct {
		who      *call.Info
		policies policy.Policies
		op       string
		in       schema.Struct
		want     bool
	}{
		{as("111111111111", "friend"), policy.Policies{Identity: []*policy.Document{everything}}, "GetItem", &api.GetItemInput{TableName: new(tableARN), Key: key}, true},
		{as("111111111111", "friend"), policy.Policies{Identity: []*policy.Document{everything}}, "Query", query, true},
		{as("111111111111", "friend"), policy.Policies{Identity: []*policy.Document{everything}}, "DescribeTable", &api.DescribeTableInput{TableName: new(tableARN)}, true},
		{as("111111111111", "friend"), policy.Policies{Identity: []*policy.Document{everything}}, "Scan", scan, false},
		{as("111111111111", "friend"), policy.Policies{Identity: []*policy.Document{everything}}, "PutItem", &api.PutItemInput{TableName: new(tableARN), Item: key}, false},
		{as("111111111111", "friend"), policy.Policies{Identity: []*policy.Document{everything}}, "DeleteTable", &api.DeleteTableInput{TableName: new(tableARN)}, false},
		{as("111111111111", "friend"), policy.Policies{}, "GetItem", &api.GetItemInput{TableName: new(tableARN), Key: key}, false}, // both sides must allow
		{as("111111111111", "stranger"), policy.Policies{Identity: []*policy.Document{everything}}, "GetItem", &api.GetItemInput{TableName: new(tableARN), Key: key}, false},
		{as("111111111111", "friend"), policy.Policies{Identity: []*policy.Document{everything}}, "GetItem", &api.GetItemInput{TableName: new(strings.Replace(tableARN, "table/table", "table/nope", 1)), Key: key}, false},
		{as("000000000000", "owner"), policy.Policies{Identity: []*policy.Document{everything}}, "Scan", scan, true},
		{as("111111111111", "friend"), policy.Policies{Identity: []*policy.Document{everything}}, "DescribeStream", &streamsapi.DescribeStreamInput{StreamArn: &stream}, true},
		{as("111111111111", "friend"), policy.Policies{Identity: []*policy.Document{everything}}, "GetRecords", &streamsapi.GetRecordsInput{ShardIterator: new(iterator{arn: stream}.String())}, false},
	} {
		ctx := call.With(context.Background(), c.who)
		checks, mapped, err := b.Checks(ctx, c.op, c.in)
		if !mapped {
			checks, mapped, err = b.Streams().Checks(ctx, c.op, c.in)
		}
		if err != nil || !mapped {
			t.Errorf("%s: %t %v", c.op, mapped, err)
			continue
		}
		if err := policy.Authorize(c.who, &c.policies, checks); (err == nil) != c.want {
			t.Errorf("%s by %s: %v", c.op, c.who.Principal.ARN, err)
		}
	}

	// What is allowed reaches the other account's table, not one of that name of the caller's.
	theirs := call.With(context.Background(), as("111111111111", "friend"))
	must(b.CreateTable(theirs, createInput("table", "pk:S")))(t)
	if got := show(must(b.GetItem(theirs, &api.GetItemInput{TableName: new(tableARN), Key: key}))(t).Item); got != "{g=g, pk=a}" {
		t.Errorf("got %s", got)
	}
	if got := show(must(b.GetItem(theirs, &api.GetItemInput{TableName: new("table"), Key: key}))(t).Item); got != "none" {
		t.Errorf("got %s", got)
	}
	d := must(b.Streams().DescribeStream(theirs, &streamsapi.DescribeStreamInput{StreamArn: &stream}))(t).StreamDescription
	if *d.TableName != "table" {
		t.Errorf("%+v", d)
	}
	// Requests that name several tables stay in their account.
	_, err = b.BatchGetItem(theirs, &api.BatchGetItemInput{RequestItems: map[string]api.KeysAndAttributes{tableARN: {Keys: []M{key}}}})
	wantError(t, err, "AccessDeniedException: Cross-account and cross-region access is not supported: "+tableARN)
	_, err = b.Streams().ListStreams(theirs, &streamsapi.ListStreamsInput{ExclusiveStartStreamArn: &stream})
	wantError(t, err, "ValidationException: Invalid ExclusiveStartStreamArn: …")
}

func FuzzPublicPolicy(f *testing.F) {
	f.Add(allow("*", "dynamodb:*", "*"))
	f.Add(allow(friend, "dynamodb:*", "*"))
	f.Fuzz(func(t *testing.T, document string) {
		p, _, err := newPolicy(document, nil, nil, 1)
		if err != nil {
			return
		}
		// What passes gives a stranger nothing, but by a condition.
		if strings.Contains(document, "Condition") || strings.Contains(document, "\\u") {
			return
		}
		parsed, err := p.parse()
		if err != nil {
			t.Fatal(err)
		}
		stranger := &call.Info{Account: "999999999999", Region: "us-east-1", Principal: call.Principal{Type: call.Anonymous}}
		if d := policy.Evaluate(stranger, new(policy.Policies), &policy.Check{Action: "dynamodb:GetItem", Resource: tableARN, ResourcePolicy: parsed}); d.Allowed {
			t.Errorf("%s lets anybody in", document)
		}
	})
}

// people are the ids of users by their ARNs.
type people map[string]string

func (p people) PrincipalID(_ context.Context, arn string) (string, error) { return p[arn], nil }

// A policy is for whom it named when it was put: not for somebody who gets that name later.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html#principal-users
func TestPoliciesOutliveNobody(t *testing.T) {
	b, known := newBench(t), people{}
	b.SetPrincipals(known)
	b.create("table", "pk:S")
	const user = "arn:aws:iam::000000000000:user/u"
	may := func(id string) bool {
		info := &call.Info{Account: "000000000000", Region: "us-east-1", Principal: call.Principal{Type: call.User, Account: "000000000000", ARN: user, ID: id, Name: "u"}}
		for _, in := range map[string]schema.Struct{
			"GetItem": &api.GetItemInput{TableName: new("table"), Key: M{"pk": api.S("a")}}, "DescribeTable": &api.DescribeTableInput{TableName: new("table")},
		} {
			checks, _, err := b.Checks(call.With(b.ctx, info), "", in)
			if err != nil {
				t.Fatal(err)
			}
			checks[0].Action = "dynamodb:GetItem"
			if policy.Authorize(info, new(policy.Policies), checks) != nil {
				return false
			}
		}
		return true
	}
	document := allow(user, "dynamodb:GetItem", tableARN)
	known[user] = "AIDAFIRST"
	first := must(b.putPolicy(tableARN, document, nil))(t)
	if !may("AIDAFIRST") || may("AIDASECOND") {
		t.Error("whom the policy named")
	}
	known[user] = "AIDASECOND"
	if second := must(b.putPolicy(tableARN, document, nil))(t); second == first {
		t.Error("the same policy for another user")
	}
	if may("AIDAFIRST") || !may("AIDASECOND") {
		t.Error("whom the policy names")
	}
}
