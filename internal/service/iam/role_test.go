package iam

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	api "brume/internal/api/iam"
	"brume/internal/call"
	"brume/internal/policy"
)

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html
func TestRole(t *testing.T) {
	f := newFixture(t)
	created := must(run[api.CreateRoleOutput](f, root(), &api.CreateRoleInput{
		RoleName: new("Worker"), Path: new("/service-role/"), AssumeRolePolicyDocument: new(lambdaTrust), Description: new("runs functions"),
		MaxSessionDuration: new(int32(7200)), Tags: []api.Tag{{Key: new("k"), Value: new("v")}}, PermissionsBoundary: new(powerUser),
	}))(t).Role
	if *created.Arn != "arn:aws:iam::"+account+":role/service-role/Worker" || (*created.RoleId)[:4] != "AROA" {
		t.Errorf("%+v", created)
	}
	got := must(run[api.GetRoleOutput](f, root(), &api.GetRoleInput{RoleName: new("worker")}))(t).Role
	// Clients undo the percent-encoding of RFC 3986, which knows no plus for a space.
	document, err := url.PathUnescape(*got.AssumeRolePolicyDocument)
	if err != nil || document != lambdaTrust || *got.MaxSessionDuration != 7200 || *got.Description != "runs functions" ||
		*got.PermissionsBoundary.PermissionsBoundaryArn != powerUser || len(got.Tags) != 1 || *got.RoleId != *created.RoleId {
		t.Errorf("%+v", got)
	}
	fails(t, f.do(root(), &api.CreateRoleInput{RoleName: new("WORKER"), AssumeRolePolicyDocument: new(lambdaTrust)}), "EntityAlreadyExists", "Role with name WORKER already exists.")
	fails(t, f.do(root(), &api.GetRoleInput{RoleName: new("none")}), "NoSuchEntity", "The role with name none cannot be found.")

	ok(t, f.do(root(), &api.UpdateRoleInput{RoleName: new("worker"), MaxSessionDuration: new(int32(43200))}))
	out := must(run[api.UpdateRoleDescriptionOutput](f, root(), &api.UpdateRoleDescriptionInput{RoleName: new("worker"), Description: new("")}))(t).Role
	if *out.MaxSessionDuration != 43200 || out.Description != nil {
		t.Errorf("%+v", out)
	}
	if list := must(run[api.ListRolesOutput](f, root(), &api.ListRolesInput{PathPrefix: new("/service-role/")}))(t).Roles; len(list) != 1 || *list[0].RoleName != "Worker" || *list[0].AssumeRolePolicyDocument != *got.AssumeRolePolicyDocument {
		t.Errorf("%+v", list)
	}
	profiles := must(run[api.ListInstanceProfilesForRoleOutput](f, root(), &api.ListInstanceProfilesForRoleInput{RoleName: new("worker")}))(t)
	if len(profiles.InstanceProfiles) != 0 || *profiles.IsTruncated {
		t.Errorf("%+v", profiles)
	}
	fails(t, f.do(root(), &api.ListInstanceProfilesForRoleInput{RoleName: new("none")}), "NoSuchEntity", "")
	ok(t, f.do(root(), &api.AttachRolePolicyInput{RoleName: new("worker"), PolicyArn: new(powerUser)}))
	fails(t, f.do(root(), &api.DeleteRoleInput{RoleName: new("worker")}), "DeleteConflict", "Cannot delete entity, must detach all policies first.")
	ok(t, f.do(root(), &api.DetachRolePolicyInput{RoleName: new("worker"), PolicyArn: new(powerUser)}))
	ok(t, f.do(root(), &api.DeleteRoleInput{RoleName: new("worker")}))
	fails(t, f.do(root(), &api.DeleteRoleInput{RoleName: new("worker")}), "NoSuchEntity", "The role with name worker cannot be found.")
}

func trusting(principal string) *string {
	return new(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":` + principal + `,"Action":"sts:AssumeRole"}}`)
}

// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
func TestTrustPolicy(t *testing.T) {
	f := newFixture(t)
	ok(t, f.do(root(), &api.CreateUserInput{UserName: new("bob"), Path: new("/dev/")}))
	ok(t, f.do(root(), &api.CreateRoleInput{RoleName: new("r"), AssumeRolePolicyDocument: new(lambdaTrust)}))
	update := func(document *string) error {
		return f.do(root(), &api.UpdateAssumeRolePolicyInput{RoleName: new("r"), PolicyDocument: document})
	}
	const iamARN, stsARN = "arn:aws:iam::" + account + ":", "arn:aws:sts::" + account + ":"
	for _, good := range []string{
		`{"AWS":"*"}`, `{"AWS":"999999999999"}`, `{"AWS":"` + iamARN + `root"}`, `{"AWS":["` + iamARN + `user/dev/bob","` + iamARN + `role/r"]}`,
		`{"AWS":"` + stsARN + `assumed-role/r/session"}`, `{"Service":["lambda.amazonaws.com","apigateway.amazonaws.com"]}`,
	} {
		if err := update(trusting(good)); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{iamARN + "user/bob", iamARN + "user/dev/eve", iamARN + "role/x", stsARN + "assumed-role/x/session", "arn:aws:iam::999999999999:user/dev/bob"} {
		fails(t, update(trusting(`{"AWS":"`+bad+`"}`)), "MalformedPolicyDocument", `Invalid principal in policy: "AWS":"`+bad+`"`)
	}
	fails(t, update(new(`{"Version":"2012-10-17","Statement":[]}`)), "MalformedPolicyDocument", "Could not parse the policy: Statement is empty!")
	fails(t, f.do(root(), &api.CreateRoleInput{RoleName: new("self"), AssumeRolePolicyDocument: trusting(`{"AWS":"` + iamARN + `role/self"}`)}), "MalformedPolicyDocument", "")

	pad := maxTrustSize - len(strings.ReplaceAll(*trusting(`{"AWS":"*"}`), " ", "")) - len(`"Sid":"",`)
	sized := func(n int) *string {
		return new(strings.Replace(*trusting(`{"AWS":"*"}`), `{"Effect"`, "{\n  \"Sid\":\""+strings.Repeat("x", n)+`","Effect"`, 1))
	}
	ok(t, update(sized(pad)))
	fails(t, update(sized(pad+1)), "LimitExceeded", "Cannot exceed quota for ACLSizePerRole: 2048")
}

func TestRoleForAssuming(t *testing.T) {
	f := newFixture(t)
	f.user(t, "bob")
	ok(t, f.do(root(), &api.CreateRoleInput{RoleName: new("r"), Path: new("/p/"), AssumeRolePolicyDocument: trusting(`{"AWS":"arn:aws:iam::` + account + `:user/bob"}`),
		Tags: []api.Tag{{Key: new("k"), Value: new("v")}}}))
	role, err := f.Role(context.Background(), "arn:aws:iam::"+account+":role/p/r")
	if err != nil || role == nil || role.Name != "r" || role.Account != account || role.MaxSession != time.Hour || role.Tags["k"] != "v" || role.ID[:4] != "AROA" || role.Trust == nil {
		t.Fatalf("%+v, %v", role, err)
	}
	for _, arn := range []string{"", "r", "arn:aws:iam::" + account + ":role/r", "arn:aws:iam::" + account + ":role/p/R", "arn:aws:iam::" + account + ":user/bob", "arn:aws:iam::999999999999:role/p/r"} {
		if role, err := f.Role(context.Background(), arn); role != nil || err != nil {
			t.Errorf("%q: %+v, %v", arn, role, err)
		}
	}
}

// Who is deleted and made again under the same name is not trusted; who is renamed still is.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html#principal-users
func TestTrustIsBoundToIDs(t *testing.T) {
	f := newFixture(t)
	bob := f.user(t, "bob")
	ok(t, f.do(root(), &api.CreateRoleInput{RoleName: new("r"), AssumeRolePolicyDocument: trusting(`{"AWS":"arn:aws:iam::` + account + `:user/bob"}`)}))
	trusted := func(ctx context.Context) bool {
		role := must(f.Role(ctx, "arn:aws:iam::"+account+":role/r"))(t)
		return policy.Evaluate(call.From(ctx), &policy.Policies{}, &policy.Check{Action: "sts:AssumeRole", Resource: role.ARN, ResourcePolicy: role.Trust}).Allowed
	}
	if !trusted(bob) {
		t.Error("bob is not trusted")
	}
	ok(t, f.do(root(), &api.UpdateUserInput{UserName: new("bob"), NewUserName: new("rob")}))
	renamed := call.From(bob).Principal
	renamed.ARN, renamed.Name = "arn:aws:iam::"+account+":user/rob", "rob"
	if !trusted(as(renamed)) {
		t.Error("bob is not trusted under his new name")
	}
	namesake := f.user(t, "bob")
	if trusted(namesake) {
		t.Error("a namesake is trusted")
	}
	ok(t, f.do(root(), &api.UpdateAssumeRolePolicyInput{RoleName: new("r"), PolicyDocument: trusting(`{"AWS":"arn:aws:iam::` + account + `:user/bob"}`)}))
	if !trusted(namesake) || trusted(as(renamed)) {
		t.Error("saving the policy again does not mean the user who has the name now")
	}
}

// What other services keep of whom a policy names.
func TestPrincipalID(t *testing.T) {
	f := newFixture(t)
	bob := call.From(f.user(t, "bob")).Principal
	ok(t, f.do(root(), &api.CreateRoleInput{RoleName: new("r"), Path: new("/p/"), AssumeRolePolicyDocument: trusting(`{"AWS":"` + bob.ARN + `"}`)}))
	role := must(f.Role(context.Background(), "arn:aws:iam::"+account+":role/p/r"))(t)
	for arn, want := range map[string]string{
		bob.ARN: bob.ID, role.ARN: role.ID,
		"arn:aws:iam::" + account + ":role/r": "", "arn:aws:iam::" + account + ":user/BOB": "", "arn:aws:iam::999999999999:user/bob": "",
		"arn:aws:iam::" + account + ":root": "", "arn:aws:sts::" + account + ":assumed-role/r/s": "", "arn:aws:iam": "", "arn:": "", "": "",
	} {
		if id, err := f.PrincipalID(context.Background(), arn); id != want || err != nil {
			t.Errorf("%q: %q, %v", arn, id, err)
		}
	}
}
