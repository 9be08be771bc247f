package iam

import (
	"fmt"
	"testing"

	api "brume/internal/api/iam"
)

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_AddUserToGroup.html
func TestGroup(t *testing.T) {
	f := newFixture(t)
	for _, name := range []string{"bob", "Ann", "eve"} {
		f.user(t, name)
	}
	g := must(run[api.CreateGroupOutput](f, root(), &api.CreateGroupInput{GroupName: new("Ops"), Path: new("/x/")}))(t).Group
	if *g.Arn != "arn:aws:iam::"+account+":group/x/Ops" || (*g.GroupId)[:4] != "AGPA" {
		t.Errorf("%+v", g)
	}
	fails(t, f.do(root(), &api.CreateGroupInput{GroupName: new("OPS")}), "EntityAlreadyExists", "Group with name OPS already exists.")
	for _, name := range []string{"bob", "Ann", "eve", "BOB"} {
		ok(t, f.do(root(), &api.AddUserToGroupInput{GroupName: new("ops"), UserName: &name}))
	}
	fails(t, f.do(root(), &api.AddUserToGroupInput{GroupName: new("none"), UserName: new("bob")}), "NoSuchEntity", "The group with name none cannot be found.")
	fails(t, f.do(root(), &api.AddUserToGroupInput{GroupName: new("ops"), UserName: new("none")}), "NoSuchEntity", "The user with name none cannot be found.")
	fails(t, f.do(root(), &api.DeleteGroupInput{GroupName: new("ops")}), "DeleteConflict", "Cannot delete entity, must remove users from group first.")

	var names []string
	in := &api.GetGroupInput{GroupName: new("ops"), MaxItems: new(int32(2))}
	for {
		out := must(run[api.GetGroupOutput](f, root(), in))(t)
		for _, u := range out.Users {
			names = append(names, *u.UserName)
		}
		if !*out.IsTruncated {
			break
		}
		in.Marker = out.Marker
	}
	if fmt.Sprint(names) != "[Ann bob eve]" {
		t.Errorf("members %v", names)
	}

	ok(t, f.do(root(), &api.UpdateGroupInput{GroupName: new("ops"), NewGroupName: new("Crew"), NewPath: new("/")}))
	groups := must(run[api.ListGroupsForUserOutput](f, root(), &api.ListGroupsForUserInput{UserName: new("bob")}))(t).Groups
	if len(groups) != 1 || *groups[0].GroupName != "Crew" || *groups[0].GroupId != *g.GroupId {
		t.Errorf("%+v", groups)
	}
	ok(t, f.do(root(), &api.RemoveUserFromGroupInput{GroupName: new("crew"), UserName: new("bob")}))
	if groups := must(run[api.ListGroupsForUserOutput](f, root(), &api.ListGroupsForUserInput{UserName: new("bob")}))(t).Groups; len(groups) != 0 {
		t.Errorf("%+v", groups)
	}
	ok(t, f.do(root(), &api.AttachGroupPolicyInput{GroupName: new("crew"), PolicyArn: new(powerUser)}))
	for _, name := range []string{"ann", "eve"} {
		ok(t, f.do(root(), &api.RemoveUserFromGroupInput{GroupName: new("crew"), UserName: &name}))
	}
	fails(t, f.do(root(), &api.DeleteGroupInput{GroupName: new("crew")}), "DeleteConflict", "Cannot delete entity, must detach all policies first.")
	ok(t, f.do(root(), &api.DetachGroupPolicyInput{GroupName: new("crew"), PolicyArn: new(powerUser)}))
	ok(t, f.do(root(), &api.DeleteGroupInput{GroupName: new("crew")}))
	if out := must(run[api.ListGroupsOutput](f, root(), &api.ListGroupsInput{}))(t); len(out.Groups) != 0 {
		t.Errorf("%+v", out)
	}
}

// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
func TestGroupsPerUser(t *testing.T) {
	f := newFixture(t)
	f.user(t, "bob")
	add := func(i int) error {
		name := fmt.Sprintf("g%02d", i)
		ok(t, f.do(root(), &api.CreateGroupInput{GroupName: &name}))
		return f.do(root(), &api.AddUserToGroupInput{GroupName: &name, UserName: new("bob")})
	}
	for i := range maxGroupsPerUser {
		ok(t, add(i))
	}
	fails(t, add(maxGroupsPerUser), "LimitExceeded", "Cannot exceed quota for GroupsPerUser: 10")
	ok(t, f.do(root(), &api.AddUserToGroupInput{GroupName: new("g00"), UserName: new("bob")}))
}
