package lambda

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	api "brume/internal/api/lambda"
	"brume/internal/call"
)

// https://docs.aws.amazon.com/lambda/latest/api/API_AddPermission.html
func TestPermissions(t *testing.T) {
	f := newFixture(t)
	f.create("f")
	for _, tt := range []struct {
		in   *api.AddPermissionInput
		want string
	}{
		{&api.AddPermissionInput{Principal: new("apigateway.amazonaws.com"), SourceArn: new("arn:aws:execute-api:eu-central-1:123456789012:a/*/POST/x"), SourceAccount: new(account)},
			`{"Sid":"s0","Effect":"Allow","Principal":{"Service":"apigateway.amazonaws.com"},"Action":"lambda:InvokeFunction","Resource":"` + fnARN + `f","Condition":{"ArnLike":{"AWS:SourceArn":"arn:aws:execute-api:eu-central-1:123456789012:a/*/POST/x"},"StringEquals":{"AWS:SourceAccount":"123456789012"}}}`},
		{&api.AddPermissionInput{Principal: new("210987654321")},
			`{"Sid":"s1","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::210987654321:root"},"Action":"lambda:InvokeFunction","Resource":"` + fnARN + `f"}`},
		{&api.AddPermissionInput{Principal: new("arn:aws:iam::210987654321:role/r"), EventSourceToken: new("tok")},
			`{"Sid":"s2","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::210987654321:role/r"},"Action":"lambda:InvokeFunction","Resource":"` + fnARN + `f","Condition":{"StringEquals":{"lambda:EventSourceToken":"tok"}}}`},
		{&api.AddPermissionInput{Principal: new("*"), FunctionUrlAuthType: new("NONE"), PrincipalOrgID: new("o-1234567890")},
			`{"Sid":"s3","Effect":"Allow","Principal":"*","Action":"lambda:InvokeFunction","Resource":"` + fnARN + `f","Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-1234567890","lambda:FunctionUrlAuthType":"NONE"}}}`},
	} {
		tt.in.FunctionName, tt.in.Action = new("f"), new("lambda:InvokeFunction")
		tt.in.StatementId = new(fmt.Sprintf("s%c", tt.want[len(`{"Sid":"s`)]))
		if got := *ok[api.AddPermissionOutput](f, "AddPermission", tt.in).Statement; got != tt.want {
			t.Errorf("%s, want %s", got, tt.want)
		}
	}
	p := ok[api.GetPolicyOutput](f, "GetPolicy", &api.GetPolicyInput{FunctionName: new("f")})
	var doc struct {
		Version, ID string
		Statement   []struct{ Sid string }
	}
	must(t, json.Unmarshal([]byte(*p.Policy), &doc))
	if doc.Version != "2012-10-17" || doc.ID != "default" || len(doc.Statement) != 4 || doc.Statement[2].Sid != "s2" {
		t.Errorf("%s", *p.Policy)
	}
	add := func(in *api.AddPermissionInput) *api.AddPermissionInput {
		if in.FunctionName == nil {
			in.FunctionName = new("f")
		}
		if in.Principal == nil {
			in.Principal = new("*")
		}
		in.Action = new("lambda:InvokeFunction")
		return in
	}
	for what, tt := range map[string]struct {
		in            *api.AddPermissionInput
		code, message string
	}{
		"twice":         {add(&api.AddPermissionInput{StatementId: new("s1")}), "ResourceConflictException", "The statement id (s1) provided already exists. Please provide a new statement id, or remove the existing statement."},
		"latest":        {add(&api.AddPermissionInput{StatementId: new("x"), Qualifier: new("$LATEST")}), "InvalidParameterValueException", "We currently do not support adding policies for $LATEST."},
		"no function":   {add(&api.AddPermissionInput{StatementId: new("x"), FunctionName: new("nobody")}), "ResourceNotFoundException", "Function not found: " + fnARN + "nobody"},
		"no version":    {add(&api.AddPermissionInput{StatementId: new("x"), Qualifier: new("3")}), "ResourceNotFoundException", "Function not found: " + fnARN + "f:3"},
		"no principal":  {add(&api.AddPermissionInput{StatementId: new("x"), Principal: new("somebody")}), "InvalidParameterValueException", "The provided principal was invalid."},
		"bad principal": {add(&api.AddPermissionInput{StatementId: new("x"), Principal: new("arn:aws:s3:::b")}), "InvalidParameterValueException", "The provided principal was invalid."},
		"old revision":  {add(&api.AddPermissionInput{StatementId: new("x"), RevisionId: new("old")}), "PreconditionFailedException", "Call the GetPolicy API"},
	} {
		_, err := do[api.AddPermissionOutput](f, root(), "AddPermission", tt.in)
		t.Run(what, func(t *testing.T) { expectError(t, err, tt.code, tt.message) })
	}
	refused[api.RemovePermissionOutput](f, "RemovePermission", &api.RemovePermissionInput{FunctionName: new("f"), StatementId: new("x")}, "ResourceNotFoundException", "Statement x is not found in resource policy.")
	refused[api.RemovePermissionOutput](f, "RemovePermission", &api.RemovePermissionInput{FunctionName: new("f"), StatementId: new("s1"), RevisionId: new("old")}, "PreconditionFailedException", "Call the GetPolicy API")
	ok[api.RemovePermissionOutput](f, "RemovePermission", &api.RemovePermissionInput{FunctionName: new("f"), StatementId: new("s1"), RevisionId: p.RevisionId})
	for _, s := range []string{"s0", "s2", "s3"} {
		ok[api.RemovePermissionOutput](f, "RemovePermission", &api.RemovePermissionInput{FunctionName: new("f"), StatementId: &s})
	}
	refused[api.GetPolicyOutput](f, "GetPolicy", &api.GetPolicyInput{FunctionName: new("f")}, "ResourceNotFoundException", "The resource you requested does not exist.")
	refused[api.RemovePermissionOutput](f, "RemovePermission", &api.RemovePermissionInput{FunctionName: new("f"), StatementId: new("s0")}, "ResourceNotFoundException", "No policy is associated with the given resource.")
}

func TestPolicySizeIsBounded(t *testing.T) {
	f := newFixture(t)
	f.create("f")
	for i := range 200 {
		_, err := do[api.AddPermissionOutput](f, root(), "AddPermission", &api.AddPermissionInput{
			FunctionName: new("f"), StatementId: new(fmt.Sprintf("%d%s", i, strings.Repeat("x", 90))), Action: new("lambda:InvokeFunction"), Principal: new("*")})
		if err != nil {
			expectError(t, err, "PolicyLengthExceededException", "is bigger than the limit (20480).")
			if i < 50 {
				t.Errorf("full after %d statements", i)
			}
			return
		}
	}
	t.Error("a policy without end")
}

// The policy of a function decides who from outside may call it, and under which name.
// https://docs.aws.amazon.com/lambda/latest/dg/access-control-resource-based.html
func TestResourcePolicyDecides(t *testing.T) {
	f := newFixture(t)
	in := f.input("f")
	in.Publish = new(true)
	ok[api.FunctionConfiguration](f, "CreateFunction", in)
	ok[api.AliasConfiguration](f, "CreateAlias", &api.CreateAliasInput{FunctionName: new("f"), Name: new("prod"), FunctionVersion: new("1")})

	gateway := func(sourceARN string) error {
		ctx := as(call.Principal{Type: call.Service, Account: account, ARN: "apigateway.amazonaws.com"})
		info := *call.From(ctx)
		info.SourceARN, info.SourceAccount = sourceARN, account
		_, err := do[api.InvokeOutput](f, call.With(ctx, &info), "Invoke", &api.InvokeInput{FunctionName: new(fnARN + "f")})
		return err
	}
	const source = "arn:aws:execute-api:eu-central-1:123456789012:abc/dev/POST/x"
	expectError(t, gateway(source), "AccessDenied", "")
	ok[api.AddPermissionOutput](f, "AddPermission", &api.AddPermissionInput{FunctionName: new("f"), StatementId: new("gw"), Action: new("lambda:InvokeFunction"),
		Principal: new("apigateway.amazonaws.com"), SourceArn: new("arn:aws:execute-api:eu-central-1:123456789012:abc/*/POST/*")})
	must(t, gateway(source))
	expectError(t, gateway("arn:aws:execute-api:eu-central-1:123456789012:xyz/dev/POST/x"), "AccessDenied", "")

	stranger := as(call.Principal{Type: call.Account, Account: "210987654321", ARN: "arn:aws:iam::210987654321:root", ID: "210987654321"})
	invoke := func(name string) error {
		_, err := do[api.InvokeOutput](f, stranger, "Invoke", &api.InvokeInput{FunctionName: &name})
		return err
	}
	ok[api.AddPermissionOutput](f, "AddPermission", &api.AddPermissionInput{FunctionName: new("f"), Qualifier: new("prod"), StatementId: new("x"), Action: new("lambda:InvokeFunction"), Principal: new("210987654321")})
	must(t, invoke(fnARN+"f:prod"))
	for _, name := range []string{fnARN + "f", fnARN + "f:1", fnARN + "f:$LATEST"} {
		expectError(t, invoke(name), "AccessDenied", "")
	}
	ok[api.RemovePermissionOutput](f, "RemovePermission", &api.RemovePermissionInput{FunctionName: new("f"), Qualifier: new("prod"), StatementId: new("x")})
	expectError(t, invoke(fnARN+"f:prod"), "AccessDenied", "")
}

// A permission is for whom it named: not for somebody who gets that name later.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html#principal-users
func TestPermissionsOutliveNobody(t *testing.T) {
	f := newFixture(t)
	f.create("f")
	const arn = "arn:aws:iam::" + account + ":user/alice"
	add := func(sid string) {
		ok[api.AddPermissionOutput](f, "AddPermission", &api.AddPermissionInput{FunctionName: new("f"), StatementId: &sid, Action: new("lambda:InvokeFunction"), Principal: new(arn)})
	}
	invoke := func(id string) error {
		_, err := do[api.InvokeOutput](f, as(call.Principal{Type: call.User, Account: account, ARN: arn, ID: id, Name: "alice"}), "Invoke", &api.InvokeInput{FunctionName: new("f")})
		return err
	}
	f.ids[arn] = "AIDAFIRST"
	add("first")
	must(t, invoke("AIDAFIRST"))
	expectError(t, invoke("AIDASECOND"), "AccessDenied", "lambda:InvokeFunction")
	f.ids[arn] = "AIDASECOND"
	add("second")
	must(t, invoke("AIDASECOND"))
	expectError(t, invoke("AIDAFIRST"), "AccessDenied", "lambda:InvokeFunction")
}
