package iam

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	api "brume/internal/api/iam"
	"brume/internal/schema"
)

// operationOf returns the operation that takes an input.
func operationOf(in schema.Struct) string {
	name := fmt.Sprintf("%T", in)
	return strings.TrimSuffix(name[strings.LastIndexByte(name, '.')+1:], "Input")
}

// written returns the exported methods of Service in this package's source.
func written(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv == nil {
				continue
			}
			if star, ok := fn.Recv.List[0].Type.(*ast.StarExpr); ok {
				if id, ok := star.X.(*ast.Ident); ok && id.Name == "Service" {
					names = append(names, fn.Name.Name)
				}
			}
		}
	}
	return names
}

// An operation that is written has permissions, and one that is not has none.
func TestEveryOperationHasChecks(t *testing.T) {
	f := newFixture(t)
	methods := written(t)
	handlers := api.Handlers(f.Service)
	n := 0
	for i, op := range api.Schema().Operations {
		in := handlers[i].New()
		for _, name := range []string{"PolicyArn", "SerialNumber", "SAMLProviderArn", "OpenIDConnectProviderArn", "PolicySourceArn", "Arn"} {
			if arn := reflect.ValueOf(in).Elem().FieldByName(name); arn.IsValid() {
				arn.Set(reflect.ValueOf(new(powerUser)))
			}
		}
		checks, mapped, err := f.Checks(root(), op.Name, in)
		if err != nil {
			t.Errorf("%s: %v", op.Name, err)
		}
		if mapped != slices.Contains(methods, op.Name) {
			t.Errorf("%s: written %v, mapped %v", op.Name, !mapped, mapped)
		}
		if !mapped {
			continue
		}
		n++
		if len(checks) == 0 || checks[0].Action != "iam:"+op.Name || checks[0].Resource == "" {
			t.Errorf("%s: checks %+v", op.Name, checks)
		}
		if operationOf(in) != op.Name {
			t.Errorf("%s takes a %T", op.Name, in)
		}
	}
	if n < 60 {
		t.Errorf("only %d operations", n)
	}
}

// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html
func TestChecks(t *testing.T) {
	f := newFixture(t)
	ok(t, f.do(root(), &api.CreateUserInput{UserName: new("Bob"), Path: new("/dev/"), PermissionsBoundary: new(powerUser), Tags: []api.Tag{{Key: new("Team"), Value: new("blue")}}}))
	ok(t, f.do(root(), &api.CreateRoleInput{RoleName: new("Worker"), AssumeRolePolicyDocument: new(lambdaTrust)}))
	ok(t, f.do(root(), &api.CreateGroupInput{GroupName: new("Ops"), Path: new("/x/y/")}))
	ok(t, f.do(root(), &api.CreatePolicyInput{PolicyName: new("P"), PolicyDocument: new(allowAll), Tags: []api.Tag{{Key: new("a"), Value: new("b")}}}))
	bob := f.user(t, "bobby")
	key := must(run[api.CreateAccessKeyOutput](f, root(), &api.CreateAccessKeyInput{UserName: new("Bob")}))(t).AccessKey
	const prefix = "arn:aws:iam::" + account + ":"

	for _, c := range []struct {
		ctx      context.Context
		in       schema.Struct
		resource string
		keys     map[string]string
	}{
		{root(), &api.GetUserInput{UserName: new("bOB")}, "user/dev/Bob", map[string]string{"aws:ResourceTag/Team": "blue", "iam:ResourceTag/Team": "blue"}},
		{root(), &api.GetUserInput{UserName: new("nobody")}, "user/nobody", nil},
		{root(), &api.GetUserInput{}, "root", nil},
		{bob, &api.GetUserInput{}, "user/bobby", nil},
		{bob, &api.CreateAccessKeyInput{}, "user/bobby", nil},
		{root(), &api.CreateUserInput{UserName: new("eve"), Path: new("/a/"), PermissionsBoundary: new(powerUser), Tags: []api.Tag{{Key: new("k"), Value: new("v")}}}, "user/a/eve",
			map[string]string{"iam:PermissionsBoundary": powerUser, "aws:RequestTag/k": "v", "aws:TagKeys": "k"}},
		{root(), &api.ListUsersInput{}, "user/", nil},
		{root(), &api.ListUsersInput{PathPrefix: new("/dev/")}, "user/dev/", nil},
		{root(), &api.AttachUserPolicyInput{UserName: new("Bob"), PolicyArn: new(powerUser)}, "user/dev/Bob", map[string]string{"iam:PolicyARN": powerUser, "iam:PermissionsBoundary": powerUser}},
		{root(), &api.AttachGroupPolicyInput{GroupName: new("ops"), PolicyArn: new(powerUser)}, "group/x/y/Ops", map[string]string{"iam:PolicyARN": powerUser}},
		{root(), &api.AttachRolePolicyInput{RoleName: new("worker"), PolicyArn: new(powerUser)}, "role/Worker", map[string]string{"iam:PolicyARN": powerUser}},
		{root(), &api.UntagUserInput{UserName: new("bob"), TagKeys: []string{"Team"}}, "user/dev/Bob", map[string]string{"aws:TagKeys": "Team"}},
		{root(), &api.GetAccessKeyLastUsedInput{AccessKeyId: key.AccessKeyId}, "user/dev/Bob", nil},
		{root(), &api.GetPolicyInput{PolicyArn: new(prefix + "policy/P")}, "policy/P", map[string]string{"aws:ResourceTag/a": "b"}},
		{root(), &api.CreatePolicyInput{PolicyName: new("Q"), Path: new("/z/")}, "policy/z/Q", nil},
		{root(), &api.AddUserToGroupInput{GroupName: new("Ops"), UserName: new("bob")}, "group/x/y/Ops", nil},
		{root(), &api.PutUserPermissionsBoundaryInput{UserName: new("bobby"), PermissionsBoundary: new(powerUser)}, "user/bobby", map[string]string{"iam:PermissionsBoundary": powerUser}},
	} {
		checks, mapped, err := f.Checks(c.ctx, operationOf(c.in), c.in)
		if err != nil || !mapped || len(checks) != 1 || checks[0].Resource != prefix+c.resource {
			t.Errorf("%s: %+v, %v", operationOf(c.in), checks, err)
			continue
		}
		for key, want := range c.keys {
			if got := checks[0].Context[key]; len(got) != 1 || got[0] != want {
				t.Errorf("%s: %s is %q, want %q", operationOf(c.in), key, got, want)
			}
		}
	}

	checks, _, err := f.Checks(root(), "UpdateUser", &api.UpdateUserInput{UserName: new("bob"), NewUserName: new("rob")})
	if err != nil || len(checks) != 2 || checks[0].Resource != prefix+"user/dev/Bob" || checks[1].Resource != prefix+"user/dev/rob" {
		t.Errorf("UpdateUser: %+v, %v", checks, err)
	}
	checks, _, err = f.Checks(root(), "UpdateGroup", &api.UpdateGroupInput{GroupName: new("Ops"), NewPath: new("/new/")})
	if err != nil || len(checks) != 2 || checks[1].Resource != prefix+"group/new/Ops" {
		t.Errorf("UpdateGroup: %+v, %v", checks, err)
	}
	if checks, _, _ := f.Checks(root(), "ListPolicies", &api.ListPoliciesInput{}); checks[0].Resource != "policy path /" {
		t.Errorf("ListPolicies: %+v", checks)
	}
}
