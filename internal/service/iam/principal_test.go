package iam

import (
	"context"
	"fmt"
	"sync"
	"testing"

	api "brume/internal/api/iam"
	"brume/internal/call"
	"brume/internal/policy"
)

// may says whether the caller of ctx is allowed an action, and if not, why.
func (f *fixture) may(t testing.TB, ctx context.Context, action, resource string) string {
	t.Helper()
	info := call.From(ctx)
	policies, err := f.PoliciesFor(ctx, &info.Principal)
	ok(t, err)
	check := &policy.Check{Action: action, Resource: resource}
	d := policy.Evaluate(info, policies, check)
	if d.Allowed {
		return "allowed"
	}
	return d.Message(info, check)
}

const table1 = "arn:aws:dynamodb:us-east-1:" + account + ":table/Users"

// The walkthrough: nothing before PowerUserAccess is attached; after it DynamoDB and Lambda, but neither IAM nor iam:PassRole.
func TestWalkthroughPermissions(t *testing.T) {
	f := newFixture(t)
	bob := f.user(t, "bob")
	who := "User: arn:aws:iam::" + account + ":user/bob is not authorized to perform: "
	want := func(action, resource, why string) {
		t.Helper()
		if why != "allowed" {
			why = who + action + " on resource: " + resource + " " + why
		}
		if got := f.may(t, bob, action, resource); got != why {
			t.Errorf("got  %s\nwant %s", got, why)
		}
	}
	want("dynamodb:PutItem", table1, "because no identity-based policy allows the dynamodb:PutItem action")
	fails(t, f.do(bob, &api.CreateUserInput{UserName: new("eve")}), "AccessDenied",
		who+"iam:CreateUser on resource: arn:aws:iam::"+account+":user/eve because no identity-based policy allows the iam:CreateUser action")

	ok(t, f.do(root(), &api.AttachUserPolicyInput{UserName: new("bob"), PolicyArn: new(powerUser)}))
	want("dynamodb:PutItem", table1, "allowed")
	want("lambda:CreateFunction", "arn:aws:lambda:us-east-1:"+account+":function:f", "allowed")
	want("iam:PassRole", "arn:aws:iam::"+account+":role/r", "because no identity-based policy allows the iam:PassRole action")
	fails(t, f.do(bob, &api.CreateUserInput{UserName: new("eve")}), "AccessDenied", "")
	ok(t, f.do(bob, &api.ListRolesInput{}))

	ok(t, f.do(root(), &api.DetachUserPolicyInput{UserName: new("bob"), PolicyArn: new(powerUser)}))
	want("dynamodb:PutItem", table1, "because no identity-based policy allows the dynamodb:PutItem action")
}

// Every way to change what somebody may do counts for the next call.
func TestChangesTakeEffectAtOnce(t *testing.T) {
	f := newFixture(t)
	bob := f.user(t, "bob")
	ok(t, f.do(root(), &api.CreateGroupInput{GroupName: new("g")}))
	arn := must(run[api.CreatePolicyOutput](f, root(), &api.CreatePolicyInput{PolicyName: new("p"), PolicyDocument: new(statement("Allow", "dynamodb:*", "*"))}))(t).Policy.Arn
	const denied = "User: arn:aws:iam::" + account + ":user/bob is not authorized to perform: dynamodb:PutItem on resource: " + table1 + " "
	const nobody = denied + "because no identity-based policy allows the dynamodb:PutItem action"
	step := func(err error, want string) {
		t.Helper()
		ok(t, err)
		if got := f.may(t, bob, "dynamodb:PutItem", table1); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	step(nil, nobody)
	step(f.do(root(), &api.PutUserPolicyInput{UserName: new("bob"), PolicyName: new("i"), PolicyDocument: new(allowAll)}), "allowed")
	step(f.do(root(), &api.DeleteUserPolicyInput{UserName: new("bob"), PolicyName: new("i")}), nobody)
	step(f.do(root(), &api.AttachGroupPolicyInput{GroupName: new("g"), PolicyArn: arn}), nobody)
	step(f.do(root(), &api.AddUserToGroupInput{GroupName: new("g"), UserName: new("bob")}), "allowed")
	step(f.do(root(), &api.CreatePolicyVersionInput{PolicyArn: arn, PolicyDocument: new(statement("Allow", "s3:*", "*")), SetAsDefault: new(true)}), nobody)
	step(f.do(root(), &api.SetDefaultPolicyVersionInput{PolicyArn: arn, VersionId: new("v1")}), "allowed")
	step(f.do(root(), &api.PutGroupPolicyInput{GroupName: new("g"), PolicyName: new("no"), PolicyDocument: new(statement("Deny", "dynamodb:PutItem", "*"))}), denied+"with an explicit deny in an identity-based policy")
	step(f.do(root(), &api.DeleteGroupPolicyInput{GroupName: new("g"), PolicyName: new("no")}), "allowed")
	step(f.do(root(), &api.PutUserPermissionsBoundaryInput{UserName: new("bob"), PermissionsBoundary: new("arn:aws:iam::aws:policy/AmazonS3FullAccess")}), denied+"because no permissions boundary allows the dynamodb:PutItem action")
	step(f.do(root(), &api.DeleteUserPermissionsBoundaryInput{UserName: new("bob")}), "allowed")
	step(f.do(root(), &api.RemoveUserFromGroupInput{GroupName: new("g"), UserName: new("bob")}), nobody)
	step(f.do(root(), &api.PutUserPolicyInput{UserName: new("bob"), PolicyName: new("t"), PolicyDocument: new(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/team":"blue"}}}}`)}), nobody)
	step(f.do(root(), &api.TagUserInput{UserName: new("bob"), Tags: []api.Tag{{Key: new("Team"), Value: new("blue")}}}), "allowed")
	step(f.do(root(), &api.UntagUserInput{UserName: new("bob"), TagKeys: []string{"team"}}), nobody)
}

func session(role *api.Role, s call.Session) context.Context {
	s.RoleARN, s.Name = *role.Arn, "s"
	return as(call.Principal{Type: call.AssumedRole, Account: account, ARN: "arn:aws:sts::" + account + ":assumed-role/" + *role.RoleName + "/s", ID: *role.RoleId + ":s", Name: *role.RoleName, Session: &s})
}

func TestRoleSessions(t *testing.T) {
	f := newFixture(t)
	create := func() *api.Role {
		role := must(run[api.CreateRoleOutput](f, root(), &api.CreateRoleInput{RoleName: new("r"), AssumeRolePolicyDocument: new(lambdaTrust), Tags: []api.Tag{{Key: new("Team"), Value: new("blue")}}}))(t).Role
		ok(t, f.do(root(), &api.PutRolePolicyInput{RoleName: new("r"), PolicyName: new("p"), PolicyDocument: new(`{"Version":"2012-10-17","Statement":[
			{"Effect":"Allow","Action":"dynamodb:*","Resource":"*"},
			{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::${aws:PrincipalTag/team}/*"}]}`)}))
		return role
	}
	role := create()
	plain := session(role, call.Session{})
	if got := f.may(t, plain, "dynamodb:PutItem", table1); got != "allowed" {
		t.Error(got)
	}
	if got := f.may(t, plain, "s3:GetObject", "arn:aws:s3:::blue/k"); got != "allowed" {
		t.Error(got)
	}
	narrow := session(role, call.Session{Policy: statement("Allow", "dynamodb:GetItem", "*")})
	if got := f.may(t, narrow, "dynamodb:GetItem", table1); got != "allowed" {
		t.Error(got)
	}
	if got := f.may(t, narrow, "dynamodb:PutItem", table1); got != "User: arn:aws:sts::"+account+":assumed-role/r/s is not authorized to perform: dynamodb:PutItem on resource: "+table1+" because no session policy allows the dynamodb:PutItem action" {
		t.Error(got)
	}
	// A session's tag wins over the role's.
	red := session(role, call.Session{Tags: map[string]string{"TEAM": "red"}})
	if got := f.may(t, red, "s3:GetObject", "arn:aws:s3:::red/k"); got != "allowed" {
		t.Error(got)
	}
	if got := f.may(t, red, "s3:GetObject", "arn:aws:s3:::blue/k"); got == "allowed" {
		t.Error("the role's tag still counts")
	}
	if got := f.may(t, plain, "s3:GetObject", "arn:aws:s3:::blue/k"); got != "allowed" {
		t.Error("the session's tag changed the role's:", got)
	}

	exists := func(ctx context.Context) bool {
		return must(f.Exists(ctx, &call.From(ctx).Principal))(t)
	}
	if !exists(plain) || !exists(root()) {
		t.Error("does not exist")
	}
	ok(t, f.do(root(), &api.DeleteRolePolicyInput{RoleName: new("r"), PolicyName: new("p")}))
	ok(t, f.do(root(), &api.DeleteRoleInput{RoleName: new("r")}))
	if exists(plain) || f.may(t, plain, "dynamodb:PutItem", table1) == "allowed" {
		t.Error("the session of a deleted role lives on")
	}
	// A new role of the same name is another role.
	fresh := create()
	if exists(plain) || f.may(t, plain, "dynamodb:PutItem", table1) == "allowed" {
		t.Error("the session of a deleted role is one of its namesake")
	}
	if got := f.may(t, session(fresh, call.Session{}), "dynamodb:PutItem", table1); got != "allowed" {
		t.Error(got)
	}
}

// The credentials of GetSessionToken do not reach IAM.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_request.html
func TestSessionTokenDoesNotReachIAM(t *testing.T) {
	f := newFixture(t)
	p := rootPrincipal(account, "ASIA")
	p.Session = &call.Session{}
	fails(t, f.do(as(p), &api.ListUsersInput{}), "InvalidClientTokenId", "The security token included in the request is invalid")
	p.Session = &call.Session{MFA: true}
	ok(t, f.do(as(p), &api.ListUsersInput{}))
}

// Accounts do not see each other.
func TestAccountsAreApart(t *testing.T) {
	f := newFixture(t)
	bob := f.user(t, "bob")
	ok(t, f.do(root(), &api.AttachUserPolicyInput{UserName: new("bob"), PolicyArn: new("arn:aws:iam::aws:policy/AdministratorAccess")}))
	const other = "999999999999"
	if got := f.may(t, bob, "dynamodb:PutItem", "arn:aws:dynamodb:us-east-1:"+other+":table/T"); got == "allowed" {
		t.Error("an administrator reaches another account")
	}
	own := must(run[api.CreatePolicyOutput](f, as(rootPrincipal(other, "")), &api.CreatePolicyInput{PolicyName: new("p"), PolicyDocument: new(allowAll)}))(t).Policy.Arn
	fails(t, f.do(bob, &api.GetPolicyInput{PolicyArn: own}), "AccessDenied", "")
	fails(t, f.do(root(), &api.AttachUserPolicyInput{UserName: new("bob"), PolicyArn: own}), "NoSuchEntity", "")
	fails(t, f.do(as(rootPrincipal(other, "")), &api.GetUserInput{UserName: new("bob")}), "NoSuchEntity", "")
	// A principal that says it is of another account than its id is none.
	forged := call.From(bob).Principal
	forged.Account = other
	if exists, _ := f.Exists(bob, &forged); exists {
		t.Error("a user exists in an account that is not theirs")
	}
}

// While policies change, no reader keeps an old one.
func TestPoliciesConcurrently(t *testing.T) {
	f := newFixture(t)
	bob := f.user(t, "bob")
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					f.may(t, bob, "s3:GetObject", "arn:aws:s3:::b/k")
				}
			}
		})
	}
	for i := range 100 {
		action := fmt.Sprintf("s3:Get%d", i)
		ok(t, f.do(root(), &api.PutUserPolicyInput{UserName: new("bob"), PolicyName: new("p"), PolicyDocument: new(statement("Allow", action, "*"))}))
		if got := f.may(t, bob, action, "*"); got != "allowed" {
			t.Fatalf("%d: %s", i, got)
		}
	}
	close(stop)
	wg.Wait()
}

// What the path of every call takes: the key, the policies, the decision.
func BenchmarkAuthorize(b *testing.B) {
	f := newFixture(b)
	bob := f.user(b, "bob")
	key := must(run[api.CreateAccessKeyOutput](f, root(), &api.CreateAccessKeyInput{UserName: new("bob")}))(b).AccessKey
	ok(b, f.do(root(), &api.AttachUserPolicyInput{UserName: new("bob"), PolicyArn: new(powerUser)}))
	for i := range 9 {
		out := must(run[api.CreatePolicyOutput](f, root(), &api.CreatePolicyInput{PolicyName: new(fmt.Sprint("p", i)), PolicyDocument: new(statement("Allow", "s3:*", fmt.Sprintf("arn:aws:s3:::b%d/${aws:username}/*", i)))}))(b)
		ok(b, f.do(root(), &api.AttachUserPolicyInput{UserName: new("bob"), PolicyArn: out.Policy.Arn}))
	}
	info := call.From(bob)
	checks := []policy.Check{{Action: "dynamodb:PutItem", Resource: table1}}
	b.ReportAllocs()
	for b.Loop() {
		if _, p, _, err := f.AccessKey(bob, *key.AccessKeyId); err != nil || p.Name != "bob" {
			b.Fatal(err)
		}
		policies, err := f.PoliciesFor(bob, &info.Principal)
		if err != nil {
			b.Fatal(err)
		}
		if err := policy.Authorize(info, policies, checks); err != nil {
			b.Fatal(err)
		}
	}
}
