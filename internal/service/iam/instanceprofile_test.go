package iam

import (
	"testing"

	api "brume/internal/api/iam"
)

// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_switch-role-ec2_instance-profiles.html
func TestInstanceProfiles(t *testing.T) {
	f := newFixture(t)
	p := must(run[api.CreateInstanceProfileOutput](f, root(), &api.CreateInstanceProfileInput{
		InstanceProfileName: new("Web"), Path: new("/x/"), Tags: []api.Tag{{Key: new("a"), Value: new("b")}},
	}))(t).InstanceProfile
	if *p.Arn != "arn:aws:iam::"+account+":instance-profile/x/Web" || (*p.InstanceProfileId)[:4] != "AIPA" || len(p.Roles) != 0 || len(p.Tags) != 1 {
		t.Errorf("%+v", p)
	}
	fails(t, f.do(root(), &api.CreateInstanceProfileInput{InstanceProfileName: new("web")}), "EntityAlreadyExists", "Instance Profile web already exists.")
	for _, role := range []string{"one", "two"} {
		ok(t, f.do(root(), &api.CreateRoleInput{RoleName: &role, AssumeRolePolicyDocument: new(lambdaTrust)}))
	}
	fails(t, f.do(root(), &api.AddRoleToInstanceProfileInput{InstanceProfileName: new("nix"), RoleName: new("one")}), "NoSuchEntity", "Instance Profile nix cannot be found.")
	fails(t, f.do(root(), &api.AddRoleToInstanceProfileInput{InstanceProfileName: new("Web"), RoleName: new("nix")}), "NoSuchEntity", "The role with name nix cannot be found.")
	ok(t, f.do(root(), &api.AddRoleToInstanceProfileInput{InstanceProfileName: new("Web"), RoleName: new("one")}))
	fails(t, f.do(root(), &api.AddRoleToInstanceProfileInput{InstanceProfileName: new("Web"), RoleName: new("two")}), "LimitExceeded", "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1")

	got := must(run[api.GetInstanceProfileOutput](f, root(), &api.GetInstanceProfileInput{InstanceProfileName: new("WEB")}))(t).InstanceProfile
	if len(got.Roles) != 1 || *got.Roles[0].RoleName != "one" {
		t.Errorf("%+v", got.Roles)
	}
	ok(t, f.do(root(), &api.CreateInstanceProfileInput{InstanceProfileName: new("Apps")}))
	ok(t, f.do(root(), &api.AddRoleToInstanceProfileInput{InstanceProfileName: new("Apps"), RoleName: new("one")}))
	list := must(run[api.ListInstanceProfilesOutput](f, root(), &api.ListInstanceProfilesInput{MaxItems: new(int32(1))}))(t)
	if len(list.InstanceProfiles) != 1 || *list.InstanceProfiles[0].InstanceProfileName != "Apps" || !*list.IsTruncated {
		t.Errorf("%+v", list)
	}
	list = must(run[api.ListInstanceProfilesOutput](f, root(), &api.ListInstanceProfilesInput{Marker: list.Marker}))(t)
	if len(list.InstanceProfiles) != 1 || *list.InstanceProfiles[0].InstanceProfileName != "Web" || *list.IsTruncated {
		t.Errorf("%+v", list)
	}
	list = must(run[api.ListInstanceProfilesOutput](f, root(), &api.ListInstanceProfilesInput{PathPrefix: new("/x/")}))(t)
	if len(list.InstanceProfiles) != 1 {
		t.Errorf("%+v", list)
	}
	of := must(run[api.ListInstanceProfilesForRoleOutput](f, root(), &api.ListInstanceProfilesForRoleInput{RoleName: new("one")}))(t)
	if len(of.InstanceProfiles) != 2 || len(of.InstanceProfiles[0].Roles) != 1 {
		t.Errorf("%+v", of)
	}

	const inUse = "Cannot delete entity, must remove roles from instance profile first."
	fails(t, f.do(root(), &api.DeleteRoleInput{RoleName: new("one")}), "DeleteConflict", inUse)
	fails(t, f.do(root(), &api.DeleteInstanceProfileInput{InstanceProfileName: new("Web")}), "DeleteConflict", inUse)
	fails(t, f.do(root(), &api.RemoveRoleFromInstanceProfileInput{InstanceProfileName: new("Web"), RoleName: new("two")}), "NoSuchEntity", "")
	for _, name := range []string{"Web", "Apps"} {
		ok(t, f.do(root(), &api.RemoveRoleFromInstanceProfileInput{InstanceProfileName: &name, RoleName: new("one")}))
		ok(t, f.do(root(), &api.DeleteInstanceProfileInput{InstanceProfileName: &name}))
	}
	ok(t, f.do(root(), &api.DeleteRoleInput{RoleName: new("one")}))
}

func TestInstanceProfileTags(t *testing.T) {
	f := newFixture(t)
	ok(t, f.do(root(), &api.CreateInstanceProfileInput{InstanceProfileName: new("p")}))
	ok(t, f.do(root(), &api.TagInstanceProfileInput{InstanceProfileName: new("p"), Tags: []api.Tag{{Key: new("a"), Value: new("1")}, {Key: new("b"), Value: new("2")}}}))
	ok(t, f.do(root(), &api.UntagInstanceProfileInput{InstanceProfileName: new("p"), TagKeys: []string{"A"}}))
	out := must(run[api.ListInstanceProfileTagsOutput](f, root(), &api.ListInstanceProfileTagsInput{InstanceProfileName: new("p")}))(t)
	if len(out.Tags) != 1 || *out.Tags[0].Key != "b" {
		t.Errorf("%+v", out.Tags)
	}
}

// Who puts a role into a profile hands it to EC2.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html
func TestAddRoleToInstanceProfileNeedsPassRole(t *testing.T) {
	f := newFixture(t)
	bob := f.user(t, "bob")
	ok(t, f.do(root(), &api.CreateInstanceProfileInput{InstanceProfileName: new("p")}))
	ok(t, f.do(root(), &api.CreateRoleInput{RoleName: new("r"), AssumeRolePolicyDocument: new(lambdaTrust)}))
	put := func(document string) {
		t.Helper()
		ok(t, f.do(root(), &api.PutUserPolicyInput{UserName: new("bob"), PolicyName: new("p"), PolicyDocument: &document}))
	}
	in := &api.AddRoleToInstanceProfileInput{InstanceProfileName: new("p"), RoleName: new("r")}
	put(statement("Allow", "iam:AddRoleToInstanceProfile", "*"))
	fails(t, f.do(bob, in), "AccessDenied", "User: arn:aws:iam::"+account+":user/bob is not authorized to perform: iam:PassRole on resource: arn:aws:iam::"+account+":role/r because no identity-based policy allows the iam:PassRole action")
	put(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:AddRoleToInstanceProfile","Resource":"*"},
		{"Effect":"Allow","Action":"iam:PassRole","Resource":"*","Condition":{"StringEquals":{"iam:PassedToService":"lambda.amazonaws.com"}}}]}`)
	fails(t, f.do(bob, in), "AccessDenied", "")
	put(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:AddRoleToInstanceProfile","Resource":"*"},
		{"Effect":"Allow","Action":"iam:PassRole","Resource":"arn:aws:iam::*:role/r","Condition":{"StringEquals":{"iam:PassedToService":"ec2.amazonaws.com"}}}]}`)
	ok(t, f.do(bob, in))
}
