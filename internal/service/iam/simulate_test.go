package iam

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	api "brume/internal/api/iam"
)

// said is a result in short: "action on resource: decision [policies that decided] missing keys".
func said(results []api.EvaluationResult) []string {
	var out []string
	for _, r := range results {
		var matched []string
		for _, m := range r.MatchedStatements {
			matched = append(matched, fmt.Sprintf("%s@%d", *m.SourcePolicyId, *m.StartPosition.Line))
		}
		text := fmt.Sprintf("%s on %s: %s %v", *r.EvalActionName, *r.EvalResourceName, *r.EvalDecision, matched)
		missing := r.MissingContextValues
		for _, s := range r.ResourceSpecificResults {
			missing = append(missing, s.MissingContextValues...)
			if *s.EvalResourceName != *r.EvalResourceName || *s.EvalResourceDecision != *r.EvalDecision {
				text += " but of the resource " + *s.EvalResourceDecision
			}
		}
		if len(missing) > 0 {
			text += " without " + strings.Join(missing, ",")
		}
		if d := r.PermissionsBoundaryDecisionDetail; d != nil {
			text += fmt.Sprint(" bounded ", *d.AllowedByPermissionsBoundary)
		}
		if d := r.EvalDecisionDetails; d != nil {
			text += fmt.Sprintf(" %s/%s", d["IAM Policy"], d["Resource Policy"])
		}
		out = append(out, text)
	}
	return out
}

func says(t *testing.T, got []api.EvaluationResult, want ...string) {
	t.Helper()
	if s := said(got); !slices.Equal(s, want) {
		t.Errorf("got  %q\nwant %q", s, want)
	}
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulateCustomPolicy.html
func TestSimulateCustomPolicy(t *testing.T) {
	f := newFixture(t)
	simulate := func(in *api.SimulateCustomPolicyInput) []api.EvaluationResult {
		t.Helper()
		return must(run[api.SimulatePolicyResponse](f, root(), in))(t).EvaluationResults
	}
	const table = "arn:aws:dynamodb:us-east-1:" + account + ":table/t"
	policies := []string{
		"{\"Version\":\"2012-10-17\",\"Statement\":[\n{\"Effect\":\"Allow\",\"Action\":\"dynamodb:Get*\",\"Resource\":\"*\"},\n{\"Effect\":\"Allow\",\"Action\":\"dynamodb:PutItem\",\"Resource\":\"*\",\"Condition\":{\"StringEquals\":{\"aws:SourceVpc\":\"v\"}}}]}",
		statement("Deny", "dynamodb:GetRecords", "*"),
	}
	says(t, simulate(&api.SimulateCustomPolicyInput{PolicyInputList: policies, ActionNames: []string{"dynamodb:GetItem", "dynamodb:GetRecords", "s3:PutObject"}, ResourceArns: []string{table, "arn:aws:s3:::b"}}),
		"dynamodb:GetItem on "+table+": allowed [PolicyInputList.1@2] without aws:SourceVpc",
		"dynamodb:GetItem on arn:aws:s3:::b: allowed [PolicyInputList.1@2] without aws:SourceVpc",
		"dynamodb:GetRecords on "+table+": explicitDeny [PolicyInputList.2@1] without aws:SourceVpc",
		"dynamodb:GetRecords on arn:aws:s3:::b: explicitDeny [PolicyInputList.2@1] without aws:SourceVpc",
		"s3:PutObject on "+table+": implicitDeny [] without aws:SourceVpc",
		"s3:PutObject on arn:aws:s3:::b: implicitDeny [] without aws:SourceVpc")
	entries := func(kind string, values ...string) []api.ContextEntry {
		return []api.ContextEntry{{ContextKeyName: new("aws:sourcevpc"), ContextKeyType: &kind, ContextKeyValues: values}}
	}
	says(t, simulate(&api.SimulateCustomPolicyInput{PolicyInputList: policies, ActionNames: []string{"dynamodb:PutItem"}, ContextEntries: entries("string", "v")}),
		"dynamodb:PutItem on *: allowed [PolicyInputList.1@3]")
	says(t, simulate(&api.SimulateCustomPolicyInput{PolicyInputList: policies, ActionNames: []string{"dynamodb:PutItem"}}),
		"dynamodb:PutItem on *: implicitDeny [] without aws:SourceVpc")
	says(t, simulate(&api.SimulateCustomPolicyInput{PolicyInputList: policies[:1], PermissionsBoundaryPolicyInputList: []string{statement("Allow", "dynamodb:GetItem", "*")},
		ActionNames: []string{"dynamodb:GetItem", "dynamodb:GetRecords"}}),
		"dynamodb:GetItem on *: allowed [PolicyInputList.1@2] without aws:SourceVpc bounded true",
		"dynamodb:GetRecords on *: implicitDeny [] without aws:SourceVpc bounded false")

	// A resource policy counts for its owner's account, and across accounts both sides must allow.
	shared := func(action string) *string {
		return new(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + account + `:user/bob"},"Action":"` + action + `","Resource":"*"}}`)
	}
	across := &api.SimulateCustomPolicyInput{
		PolicyInputList: []string{statement("Allow", "s3:GetObject", "*")}, ActionNames: []string{"s3:GetObject", "s3:PutObject"}, ResourceArns: []string{"arn:aws:s3:::b/k"},
		ResourcePolicy: shared("s3:*"), CallerArn: new(arn(account, "user/bob")),
	}
	says(t, simulate(across),
		"s3:GetObject on arn:aws:s3:::b/k: allowed [PolicyInputList.1@1 ResourcePolicy@1]",
		"s3:PutObject on arn:aws:s3:::b/k: allowed [ResourcePolicy@1]")
	across.ResourceOwner = new(arn("999999999999", "root"))
	says(t, simulate(across),
		"s3:GetObject on arn:aws:s3:::b/k: allowed [PolicyInputList.1@1 ResourcePolicy@1] allowed/allowed",
		"s3:PutObject on arn:aws:s3:::b/k: implicitDeny [] implicitDeny/allowed")

	for name, in := range map[string]*api.SimulateCustomPolicyInput{
		"malformed":      {PolicyInputList: []string{`{"Statement":[]}`}, ActionNames: []string{"s3:GetObject"}},
		"wildcards":      {PolicyInputList: policies, ActionNames: []string{"s3:*"}},
		"no action":      {PolicyInputList: policies, ActionNames: []string{"GetObject"}},
		"no ARN":         {PolicyInputList: policies, ActionNames: []string{"s3:GetObject"}, ResourceArns: []string{"bucket"}},
		"not a number":   {PolicyInputList: policies, ActionNames: []string{"s3:GetObject"}, ContextEntries: entries("numeric", "v")},
		"two values":     {PolicyInputList: policies, ActionNames: []string{"s3:GetObject"}, ContextEntries: entries("string", "v", "w")},
		"no caller":      {PolicyInputList: policies, ActionNames: []string{"s3:GetObject"}, ResourcePolicy: shared("s3:*")},
		"caller no user": {PolicyInputList: policies, ActionNames: []string{"s3:GetObject"}, CallerArn: new(arn(account, "role/r"))},
		"owner":          {PolicyInputList: policies, ActionNames: []string{"s3:GetObject"}, ResourceOwner: new(arn(account, "user/u"))},
		"boundaries":     {PolicyInputList: policies, ActionNames: []string{"s3:GetObject"}, PermissionsBoundaryPolicyInputList: policies},
	} {
		_, err := run[api.SimulatePolicyResponse](f, root(), in)
		t.Log(name, err)
		fails(t, err, "InvalidInput", "")
	}

	// Pages follow one another.
	in := &api.SimulateCustomPolicyInput{PolicyInputList: policies, ActionNames: []string{"a:B", "a:C", "a:D"}, ResourceArns: []string{table, "*"}, MaxItems: new(int32(4))}
	first := must(run[api.SimulatePolicyResponse](f, root(), in))(t)
	in.Marker = first.Marker
	second := must(run[api.SimulatePolicyResponse](f, root(), in))(t)
	if len(first.EvaluationResults) != 4 || !*first.IsTruncated || len(second.EvaluationResults) != 2 || *second.IsTruncated || *second.EvaluationResults[1].EvalActionName != "a:D" {
		t.Errorf("%+v\n%+v", first, second)
	}
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
func TestSimulatePrincipalPolicy(t *testing.T) {
	f := newFixture(t)
	f.user(t, "alice")
	alice := arn(account, "user/alice")
	ok(t, f.do(root(), &api.TagUserInput{UserName: new("alice"), Tags: []api.Tag{{Key: new("team"), Value: new("blue")}}}))
	ok(t, f.do(root(), &api.CreateGroupInput{GroupName: new("g")}))
	ok(t, f.do(root(), &api.AddUserToGroupInput{GroupName: new("g"), UserName: new("alice")}))
	ok(t, f.do(root(), &api.AttachGroupPolicyInput{GroupName: new("g"), PolicyArn: new("arn:aws:iam::aws:policy/AmazonDynamoDBReadOnlyAccess")}))
	ok(t, f.do(root(), &api.PutUserPolicyInput{UserName: new("alice"), PolicyName: new("own"), PolicyDocument: new(
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::${aws:username}/${aws:PrincipalTag/team}"}}`)}))
	simulate := func(in *api.SimulatePrincipalPolicyInput) []api.EvaluationResult {
		t.Helper()
		return must(run[api.SimulatePolicyResponse](f, root(), in))(t).EvaluationResults
	}
	says(t, simulate(&api.SimulatePrincipalPolicyInput{PolicySourceArn: &alice, ActionNames: []string{"s3:GetObject"}, ResourceArns: []string{"arn:aws:s3:::alice/blue", "arn:aws:s3:::bob/blue"}}),
		"s3:GetObject on arn:aws:s3:::alice/blue: allowed [user_alice_own@1]",
		"s3:GetObject on arn:aws:s3:::bob/blue: implicitDeny []")
	read := simulate(&api.SimulatePrincipalPolicyInput{PolicySourceArn: &alice, ActionNames: []string{"dynamodb:GetItem"}})
	if *read[0].EvalDecision != "allowed" || *read[0].MatchedStatements[0].SourcePolicyId != "AmazonDynamoDBReadOnlyAccess" || *read[0].MatchedStatements[0].SourcePolicyType != "IAM Policy" {
		t.Errorf("%+v", read)
	}
	says(t, simulate(&api.SimulatePrincipalPolicyInput{PolicySourceArn: &alice, ActionNames: []string{"sqs:SendMessage"}, PolicyInputList: []string{statement("Allow", "sqs:*", "*")}}),
		"sqs:SendMessage on *: allowed [PolicyInputList.1@1]")
	// The user's own boundary counts, unless another one is given.
	ok(t, f.do(root(), &api.CreatePolicyInput{PolicyName: new("b"), PolicyDocument: new(statement("Allow", "dynamodb:*", "*"))}))
	ok(t, f.do(root(), &api.PutUserPermissionsBoundaryInput{UserName: new("alice"), PermissionsBoundary: new(arn(account, "policy/b"))}))
	in := &api.SimulatePrincipalPolicyInput{PolicySourceArn: &alice, ActionNames: []string{"s3:GetObject"}, ResourceArns: []string{"arn:aws:s3:::alice/blue"}}
	says(t, simulate(in), "s3:GetObject on arn:aws:s3:::alice/blue: implicitDeny [] bounded false")
	in.PermissionsBoundaryPolicyInputList = []string{allowAll}
	says(t, simulate(in), "s3:GetObject on arn:aws:s3:::alice/blue: allowed [user_alice_own@1] bounded true")

	ok(t, f.do(root(), &api.CreateRoleInput{RoleName: new("r"), Path: new("/p/"), AssumeRolePolicyDocument: new(lambdaTrust)}))
	ok(t, f.do(root(), &api.PutRolePolicyInput{RoleName: new("r"), PolicyName: new("own"), PolicyDocument: new(statement("Allow", "s3:Get*", "*"))}))
	for _, source := range []string{"role/p/r", "group/g"} {
		simulate(&api.SimulatePrincipalPolicyInput{PolicySourceArn: new(arn(account, source)), ActionNames: []string{"s3:GetObject"}})
		_, err := run[api.SimulatePolicyResponse](f, root(), &api.SimulatePrincipalPolicyInput{PolicySourceArn: new(arn(account, source)), ActionNames: []string{"s3:GetObject"}, ResourcePolicy: new(allowAll)})
		fails(t, err, "InvalidInput", "")
	}
	for source, code := range map[string]string{"role/r": "NoSuchEntity", "user/nobody": "NoSuchEntity", "root": "InvalidInput", "policy/b": "InvalidInput"} {
		_, err := run[api.SimulatePolicyResponse](f, root(), &api.SimulatePrincipalPolicyInput{PolicySourceArn: new(arn(account, source)), ActionNames: []string{"s3:GetObject"}})
		fails(t, err, code, "")
	}

	keys := must(run[api.GetContextKeysForPolicyResponse](f, root(), &api.GetContextKeysForPrincipalPolicyInput{PolicySourceArn: &alice, PolicyInputList: []string{
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"Bool":{"AWS:SecureTransport":"true"},"StringEquals":{"AWS:username":"x"}}}}`}}))(t).ContextKeyNames
	if !slices.Contains(keys, "aws:username") || !slices.Contains(keys, "aws:PrincipalTag/team") || !slices.Contains(keys, "AWS:SecureTransport") || slices.Contains(keys, "AWS:username") {
		t.Errorf("%q", keys)
	}
	custom := must(run[api.GetContextKeysForPolicyResponse](f, root(), &api.GetContextKeysForCustomPolicyInput{PolicyInputList: []string{allowAll}}))(t).ContextKeyNames
	if len(custom) != 0 {
		t.Errorf("%q", custom)
	}
	// Simulating somebody needs permission for them.
	bob := f.user(t, "bob")
	ok(t, f.do(root(), &api.PutUserPolicyInput{UserName: new("bob"), PolicyName: new("p"), PolicyDocument: new(statement("Allow", "iam:SimulatePrincipalPolicy", arn(account, "user/bob")))}))
	ok(t, f.do(bob, &api.SimulatePrincipalPolicyInput{PolicySourceArn: new(arn(account, "user/bob")), ActionNames: []string{"s3:GetObject"}}))
	fails(t, f.do(bob, &api.SimulatePrincipalPolicyInput{PolicySourceArn: &alice, ActionNames: []string{"s3:GetObject"}}), "AccessDenied", "")
}
