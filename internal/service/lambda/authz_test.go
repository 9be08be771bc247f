package lambda

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	api "brume/internal/api/lambda"
	"brume/internal/awserr"
	"brume/internal/policy"
	"brume/internal/schema"
)

// Every operation that is implemented has its checks, and no other has any: an operation without checks is denied.
func TestEveryOperationHasItsChecks(t *testing.T) {
	f := newFixture(t)
	f.create("f")
	table := api.Schema()
	handlers := api.Handlers(f.Service)
	implemented := 0
	for i, op := range table.Operations {
		in := handlers[i].New()
		fill(t, table, op.Input, in)
		if err := schema.NewValidator(table).Validate(op.Input, in); err != nil {
			t.Logf("%s: the made-up input is not valid: %v", op.Name, err)
		}
		checks, mapped, err := f.Checks(root(), op.Name, in)
		must(t, err)
		unimplemented := isUnimplemented(handlers[i], in)
		if mapped == unimplemented {
			t.Errorf("%s: mapped %v, implemented %v", op.Name, mapped, !unimplemented)
		}
		if !mapped {
			continue
		}
		implemented++
		action := "lambda:" + op.Name
		if other := otherActions[op.Name]; other != "" {
			action = other
		}
		if len(checks) == 0 || checks[0].Action != action {
			t.Errorf("%s is checked as %+v", op.Name, checks)
		}
		for _, c := range checks {
			if c.Resource != "*" && !strings.HasPrefix(c.Resource, "arn:aws:") {
				t.Errorf("%s is checked on %q", op.Name, c.Resource)
			}
		}
	}
	if implemented < 25 {
		t.Errorf("only %d operations are implemented", implemented)
	}
}

// otherActions are those of operations whose action has another name.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awslambda.html
var otherActions = map[string]string{
	"Invoke":                   "lambda:InvokeFunction",
	"InvokeAsync":              "lambda:InvokeFunction",
	"InvokeWithResponseStream": "lambda:InvokeFunction",
	"GetLayerVersionByArn":     "lambda:GetLayerVersion",
}

// isUnimplemented calls an operation to see whether it is one of api.Unimplemented.
func isUnimplemented(h schema.Handler, in schema.Struct) (yes bool) {
	_, err := h.Call(root(), in)
	e, ok := err.(awserr.Error)
	return ok && e.ErrorCode() == "NotImplemented"
}

// fill sets the required members of an input to something.
func fill(t *testing.T, table *schema.Service, shape int, in schema.Struct) {
	t.Helper()
	for i, m := range table.Shapes[shape].Members {
		if m.Required {
			in.DecodeMember(i, &filler{table: table, member: &table.Shapes[shape].Members[i], t: t})
		}
	}
}

// filler is a Decoder that makes values up.
type filler struct {
	table  *schema.Service
	member *schema.Member
	t      *testing.T
	given  bool
}

func (d *filler) String() string {
	if d.member.Name == "Resource" {
		return fnARN + "f"
	}
	switch d.table.Shape(d.member).Name {
	case "FunctionName", "NamespacedFunctionName":
		return "f"
	case "RoleArn":
		return roleARN
	case "CodeSigningConfigArn":
		return "arn:aws:lambda:eu-central-1:123456789012:code-signing-config:csc-0123456789abcdef0"
	}
	return "x"
}
func (d *filler) Bool() bool             { return true }
func (d *filler) Int() int64             { return 1 }
func (d *filler) Float() float64         { return 1 }
func (d *filler) Blob() []byte           { return []byte("{}") }
func (d *filler) BeginList()             {}
func (d *filler) BeginMap()              {}
func (d *filler) Time() time.Time        { return time.Now() }
func (d *filler) Struct(v schema.Struct) { fill(d.t, d.table, d.member.Shape, v) }
func (d *filler) Fail(err error)         { d.t.Error(err) }
func (d *filler) NextElem() bool         { d.given = !d.given; return d.given }
func (d *filler) NextKey() (string, bool) {
	d.given = !d.given
	return "k", d.given
}

func TestAuthorization(t *testing.T) {
	f := newFixture(t)
	in := f.input("f")
	in.Tags = map[string]string{"team": "blue"}
	ok[api.FunctionConfiguration](f, "CreateFunction", in)
	allow := func(actions, resource, more string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":` + actions + `,"Resource":"` + resource + `"` + more + `}]}`
	}
	create := func(ctx context.Context, name string) error {
		_, err := do[api.FunctionConfiguration](f, ctx, "CreateFunction", f.input(name))
		return err
	}
	// Whoever creates a function also hands a role to Lambda.
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html
	onlyLambda := f.user("onlyLambda", allow(`"lambda:*"`, "*", ""))
	expectError(t, create(onlyLambda, "g"), "AccessDenied", "iam:PassRole")
	_, err := do[api.FunctionConfiguration](f, onlyLambda, "UpdateFunctionConfiguration", &api.UpdateFunctionConfigurationInput{FunctionName: new("f"), Role: new(roleARN)})
	expectError(t, err, "AccessDenied", "iam:PassRole")
	_, err = do[api.FunctionConfiguration](f, onlyLambda, "UpdateFunctionConfiguration", &api.UpdateFunctionConfigurationInput{FunctionName: new("f"), Timeout: new(int32(4))})
	must(t, err)
	pass := func(service string) context.Context {
		return f.user("pass-"+service, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"lambda:CreateFunction","Resource":"*"},
			{"Effect":"Allow","Action":"iam:PassRole","Resource":"`+roleARN+`","Condition":{"StringEquals":{"iam:PassedToService":"`+service+`"}}}]}`)
	}
	expectError(t, create(pass("ec2.amazonaws.com"), "g"), "AccessDenied", "iam:PassRole")
	must(t, create(pass("lambda.amazonaws.com"), "g"))
	tagged := f.input("h")
	tagged.Tags = map[string]string{"team": "red"}
	_, err = do[api.FunctionConfiguration](f, pass("lambda.amazonaws.com"), "CreateFunction", tagged)
	expectError(t, err, "AccessDenied", "lambda:TagResource")

	get := func(ctx context.Context, name string) error {
		_, err := do[api.GetFunctionOutput](f, ctx, "GetFunction", &api.GetFunctionInput{FunctionName: &name})
		return err
	}
	blue := f.user("blue", allow(`"lambda:GetFunction"`, "*", `,"Condition":{"StringEquals":{"aws:ResourceTag/team":"blue"}}`))
	must(t, get(blue, "f"))
	expectError(t, get(blue, "g"), "AccessDenied", "lambda:GetFunction")
	expectError(t, get(blue, "nobody"), "AccessDenied", "lambda:GetFunction") // who may not look does not learn what is there
	one := f.user("one", allow(`["lambda:GetFunction","lambda:InvokeFunction"]`, fnARN+"f:prod", ""))
	for _, name := range []string{"f", "f:1", "f:$LATEST"} {
		expectError(t, get(one, name), "AccessDenied", "lambda:GetFunction")
	}
	expectError(t, get(one, "f:prod"), "ResourceNotFoundException", "")
	expectError(t, get(f.user("nobody", allow(`"s3:*"`, "*", "")), "f"), "AccessDenied", "")
}

// Who may have events sent to one function may not have them sent to another, nor to one of another account.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awslambda.html#awslambda-lambda_FunctionArn
func TestMappingsToOtherFunctions(t *testing.T) {
	f := newFixture(t)
	f.create("f")
	f.create("g")
	m := ok[api.EventSourceMappingConfiguration](f, "CreateEventSourceMapping", mappingInput())
	only := f.user("onlyF", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"lambda:*","Resource":"*","Condition":{"ArnLike":{"lambda:FunctionArn":"`+fnARN+`f"}}}}`)
	update := func(ctx context.Context, function string) error {
		_, err := do[api.EventSourceMappingConfiguration](f, ctx, "UpdateEventSourceMapping", &api.UpdateEventSourceMappingInput{UUID: m.UUID, FunctionName: &function})
		return err
	}
	expectError(t, update(only, "g"), "AccessDenied", "lambda:UpdateEventSourceMapping")
	expectError(t, update(root(), strings.Replace(fnARN, account, "999999999999", 1)+"g"), "AccessDenied", "lambda:UpdateEventSourceMapping")
	in := mappingInput()
	in.FunctionName = new(strings.Replace(fnARN, account, "999999999999", 1) + "f")
	_, err := do[api.EventSourceMappingConfiguration](f, root(), "CreateEventSourceMapping", in)
	expectError(t, err, "AccessDenied", "lambda:CreateEventSourceMapping")
}

func TestConditionKeys(t *testing.T) {
	f := newFixture(t)
	f.create("f")
	find := func(in schema.Struct, operation, action string) policy.Check {
		t.Helper()
		checks, _, err := f.Checks(root(), operation, in)
		must(t, err)
		i := slices.IndexFunc(checks, func(c policy.Check) bool { return c.Action == action })
		if i < 0 {
			t.Fatalf("%s is not checked: %+v", action, checks)
		}
		return checks[i]
	}
	in := f.input("f")
	in.Tags, in.Publish = map[string]string{"b": "2", "a": "1"}, new(true)
	if c := find(in, "CreateFunction", "lambda:TagResource").Context; fmt.Sprint(c) != "map[aws:RequestTag/a:[1] aws:RequestTag/b:[2] aws:TagKeys:[a b]]" {
		t.Errorf("%v", c)
	}
	find(in, "CreateFunction", "lambda:PublishVersion")
	if c := find(in, "CreateFunction", "iam:PassRole"); c.Resource != roleARN || c.Context["iam:AssociatedResourceArn"][0] != fnARN+"f" {
		t.Errorf("%+v", c)
	}
	// A layer has one ARN, however it is written.
	layered := &api.UpdateFunctionConfigurationInput{FunctionName: new("f"), Layers: []string{
		"arn:aws-x:lambda:eu-central-1:123456789012:layer:l:1", "arn:aws:lambda:eu-central-1:123456789012:layer:l:01"}}
	if c := find(layered, "UpdateFunctionConfiguration", "lambda:UpdateFunctionConfiguration").Context["lambda:Layer"]; slices.ContainsFunc(c, func(arn string) bool {
		return arn != "arn:aws:lambda:eu-central-1:123456789012:layer:l:1"
	}) || len(c) != 2 {
		t.Errorf("%v", c)
	}
	find(&api.UpdateFunctionCodeInput{FunctionName: new("f"), Publish: new(true)}, "UpdateFunctionCode", "lambda:PublishVersion")
	if c := find(&api.AddPermissionInput{FunctionName: new("f"), Principal: new("s3.amazonaws.com"), FunctionUrlAuthType: new("NONE")}, "AddPermission", "lambda:AddPermission").Context; c["lambda:Principal"][0] != "s3.amazonaws.com" || c["lambda:FunctionUrlAuthType"][0] != "NONE" {
		t.Errorf("%v", c)
	}
	if c := find(&api.UntagResourceInput{Resource: new(fnARN + "f"), TagKeys: []string{"x"}}, "UntagResource", "lambda:UntagResource").Context; c["aws:TagKeys"][0] != "x" {
		t.Errorf("%v", c)
	}
}
