package iam

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	api "brume/internal/api/iam"
)

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateUser.html
func TestUser(t *testing.T) {
	f := newFixture(t)
	created := must(run[api.CreateUserOutput](f, root(), &api.CreateUserInput{
		UserName: new("Bob"), Path: new("/dev/x/"), PermissionsBoundary: new(powerUser), Tags: []api.Tag{{Key: new("b"), Value: new("2")}, {Key: new("A"), Value: new("1")}},
	}))(t).User
	if *created.Arn != "arn:aws:iam::"+account+":user/dev/x/Bob" || *created.UserName != "Bob" || *created.Path != "/dev/x/" ||
		!regexp.MustCompile(`^AIDA[A-Z2-7]{17}$`).MatchString(*created.UserId) || time.Since(*created.CreateDate) > time.Minute {
		t.Errorf("%+v", created)
	}
	for _, name := range []string{"Bob", "bob", "BOB"} {
		got := must(run[api.GetUserOutput](f, root(), &api.GetUserInput{UserName: &name}))(t).User
		if *got.Arn != *created.Arn || *got.UserId != *created.UserId || !got.CreateDate.Equal(*created.CreateDate) ||
			*got.PermissionsBoundary.PermissionsBoundaryArn != powerUser || len(got.Tags) != 2 || *got.Tags[0].Key != "A" {
			t.Errorf("%s: %+v", name, got)
		}
	}
	fails(t, f.do(root(), &api.CreateUserInput{UserName: new("bOB")}), "EntityAlreadyExists", "User with name bOB already exists.")
	fails(t, f.do(root(), &api.GetUserInput{UserName: new("eve")}), "NoSuchEntity", "The user with name eve cannot be found.")
	fails(t, f.do(root(), &api.CreateUserInput{UserName: new("a/b")}), "ValidationError", "")
	fails(t, f.do(root(), &api.CreateUserInput{UserName: new("x"), PermissionsBoundary: new("arn:aws:iam::aws:policy/Nothing")}),
		"NoSuchEntity", "Scope ARN: arn:aws:iam::aws:policy/Nothing does not exist or is not attachable.")

	// A renamed user stays the same user.
	ok(t, f.do(root(), &api.AttachUserPolicyInput{UserName: new("Bob"), PolicyArn: new(powerUser)}))
	ok(t, f.do(root(), &api.CreateUserInput{UserName: new("eve")}))
	fails(t, f.do(root(), &api.UpdateUserInput{UserName: new("bob"), NewUserName: new("EVE")}), "EntityAlreadyExists", "User with name EVE already exists.")
	ok(t, f.do(root(), &api.UpdateUserInput{UserName: new("bob"), NewUserName: new("Robert"), NewPath: new("/")}))
	fails(t, f.do(root(), &api.GetUserInput{UserName: new("bob")}), "NoSuchEntity", "")
	got := must(run[api.GetUserOutput](f, root(), &api.GetUserInput{UserName: new("robert")}))(t).User
	if *got.UserId != *created.UserId || *got.Arn != "arn:aws:iam::"+account+":user/Robert" {
		t.Errorf("renamed: %+v", got)
	}
	attached := must(run[api.ListAttachedUserPoliciesOutput](f, root(), &api.ListAttachedUserPoliciesInput{UserName: new("robert")}))(t)
	if len(attached.AttachedPolicies) != 1 {
		t.Errorf("a renamed user lost its policies: %+v", attached)
	}
	ok(t, f.do(root(), &api.UpdateUserInput{UserName: new("robert"), NewUserName: new("ROBERT")}))
	if got := must(run[api.GetUserOutput](f, root(), &api.GetUserInput{UserName: new("robert")}))(t).User; *got.UserName != "ROBERT" {
		t.Errorf("other case: %+v", got)
	}
}

func TestGetUserWithoutName(t *testing.T) {
	f := newFixture(t)
	bob := f.user(t, "bob")
	ok(t, f.do(root(), &api.PutUserPolicyInput{UserName: new("bob"), PolicyName: new("p"), PolicyDocument: new(statement("Allow", "iam:GetUser", "arn:aws:iam::*:user/${aws:username}"))}))
	if got := must(run[api.GetUserOutput](f, bob, &api.GetUserInput{}))(t).User; *got.UserName != "bob" {
		t.Errorf("%+v", got)
	}
	got := must(run[api.GetUserOutput](f, root(), &api.GetUserInput{}))(t).User
	if *got.Arn != "arn:aws:iam::"+account+":root" || *got.UserId != account || got.UserName != nil {
		t.Errorf("root: %+v", got)
	}
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteUser.html
func TestDeleteUser(t *testing.T) {
	f := newFixture(t)
	name := new("bob")
	fails(t, f.do(root(), &api.DeleteUserInput{UserName: name}), "NoSuchEntity", "The user with name bob cannot be found.")
	f.user(t, "bob")
	ok(t, f.do(root(), &api.CreateGroupInput{GroupName: new("g")}))
	key := must(run[api.CreateAccessKeyOutput](f, root(), &api.CreateAccessKeyInput{UserName: name}))(t).AccessKey
	ok(t, f.do(root(), &api.AddUserToGroupInput{UserName: name, GroupName: new("g")}))
	ok(t, f.do(root(), &api.AttachUserPolicyInput{UserName: name, PolicyArn: new(powerUser)}))
	ok(t, f.do(root(), &api.PutUserPolicyInput{UserName: name, PolicyName: new("p"), PolicyDocument: new(allowAll)}))
	ok(t, f.do(root(), &api.PutUserPermissionsBoundaryInput{UserName: name, PermissionsBoundary: new(powerUser)}))

	del := func() error { return f.do(root(), &api.DeleteUserInput{UserName: name}) }
	fails(t, del(), "DeleteConflict", "Cannot delete entity, must delete access keys first.")
	ok(t, f.do(root(), &api.DeleteAccessKeyInput{UserName: name, AccessKeyId: key.AccessKeyId}))
	fails(t, del(), "DeleteConflict", "Cannot delete entity, must remove users from group first.")
	ok(t, f.do(root(), &api.RemoveUserFromGroupInput{UserName: name, GroupName: new("g")}))
	fails(t, del(), "DeleteConflict", "Cannot delete entity, must detach all policies first.")
	ok(t, f.do(root(), &api.DetachUserPolicyInput{UserName: name, PolicyArn: new(powerUser)}))
	fails(t, del(), "DeleteConflict", "Cannot delete entity, must delete policies first.")
	ok(t, f.do(root(), &api.DeleteUserPolicyInput{UserName: name, PolicyName: new("p")}))
	ok(t, del())
	fails(t, f.do(root(), &api.GetUserInput{UserName: name}), "NoSuchEntity", "")

	// Nothing is left of them.
	p := must(run[api.GetPolicyOutput](f, root(), &api.GetPolicyInput{PolicyArn: new(powerUser)}))(t).Policy
	if *p.AttachmentCount != 0 || *p.PermissionsBoundaryUsageCount != 0 {
		t.Errorf("%+v", p)
	}
	if g := must(run[api.GetGroupOutput](f, root(), &api.GetGroupInput{GroupName: new("g")}))(t); len(g.Users) != 0 {
		t.Errorf("%+v", g)
	}
}

func TestListUsersPages(t *testing.T) {
	f := newFixture(t)
	var want []string
	for i := range 25 {
		name, path := fmt.Sprintf("User%02d", i), "/even/"
		if i%2 == 1 {
			path = "/odd/"
		} else {
			want = append(want, name)
		}
		ok(t, f.do(root(), &api.CreateUserInput{UserName: &name, Path: &path}))
	}
	other := as(rootPrincipal("999999999999", "AKIAOTHER"))
	ok(t, f.do(other, &api.CreateUserInput{UserName: new("User00"), Path: new("/even/")}))

	for _, size := range []int32{1, 4, 13, 1000} {
		var got []string
		in := &api.ListUsersInput{PathPrefix: new("/even"), MaxItems: &size}
		for {
			out := must(run[api.ListUsersOutput](f, root(), in))(t)
			for _, u := range out.Users {
				got = append(got, *u.UserName)
			}
			if len(out.Users) > int(size) || *out.IsTruncated != (out.Marker != nil) {
				t.Fatalf("%d users, truncated %v, marker %v", len(out.Users), *out.IsTruncated, out.Marker)
			}
			if !*out.IsTruncated {
				break
			}
			in.Marker = out.Marker
		}
		if !slices.Equal(got, want) {
			t.Errorf("pages of %d: %v", size, got)
		}
	}
	fails(t, f.do(root(), &api.ListUsersInput{Marker: new("?")}), "ValidationError", "Invalid Marker.")
	if out := must(run[api.ListUsersOutput](f, root(), &api.ListUsersInput{PathPrefix: new("/none/")}))(t); len(out.Users) != 0 || *out.IsTruncated {
		t.Errorf("%+v", out)
	}
}

// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html
func TestTags(t *testing.T) {
	f := newFixture(t)
	f.user(t, "bob")
	ok(t, f.do(root(), &api.CreateRoleInput{RoleName: new("bob"), AssumeRolePolicyDocument: new(lambdaTrust)}))
	ok(t, f.do(root(), &api.CreatePolicyInput{PolicyName: new("bob"), PolicyDocument: new(allowAll)}))
	arn := new("arn:aws:iam::" + account + ":policy/bob")
	name := new("bob")
	for _, on := range []struct {
		kind  string
		tag   func(tags ...api.Tag) error
		untag func(keys ...string) error
		list  func(marker *string, max int32) ([]api.Tag, *string)
	}{
		{"user", func(tags ...api.Tag) error { return f.do(root(), &api.TagUserInput{UserName: name, Tags: tags}) },
			func(keys ...string) error {
				return f.do(root(), &api.UntagUserInput{UserName: name, TagKeys: keys})
			},
			func(marker *string, max int32) ([]api.Tag, *string) {
				out := must(run[api.ListUserTagsOutput](f, root(), &api.ListUserTagsInput{UserName: name, Marker: marker, MaxItems: &max}))(t)
				return out.Tags, out.Marker
			}},
		{"role", func(tags ...api.Tag) error { return f.do(root(), &api.TagRoleInput{RoleName: name, Tags: tags}) },
			func(keys ...string) error {
				return f.do(root(), &api.UntagRoleInput{RoleName: name, TagKeys: keys})
			},
			func(marker *string, max int32) ([]api.Tag, *string) {
				out := must(run[api.ListRoleTagsOutput](f, root(), &api.ListRoleTagsInput{RoleName: name, Marker: marker, MaxItems: &max}))(t)
				return out.Tags, out.Marker
			}},
		{"policy", func(tags ...api.Tag) error { return f.do(root(), &api.TagPolicyInput{PolicyArn: arn, Tags: tags}) },
			func(keys ...string) error {
				return f.do(root(), &api.UntagPolicyInput{PolicyArn: arn, TagKeys: keys})
			},
			func(marker *string, max int32) ([]api.Tag, *string) {
				out := must(run[api.ListPolicyTagsOutput](f, root(), &api.ListPolicyTagsInput{PolicyArn: arn, Marker: marker, MaxItems: &max}))(t)
				return out.Tags, out.Marker
			}},
	} {
		t.Run(on.kind, func(t *testing.T) {
			tag := func(key, value string) api.Tag { return api.Tag{Key: &key, Value: &value} }
			ok(t, on.tag(tag("Team", "blue"), tag("a", "")))
			ok(t, on.tag(tag("team", "red")))
			first, marker := on.list(nil, 1)
			second, end := on.list(marker, 1)
			if len(first) != 1 || *first[0].Key != "a" || *first[0].Value != "" || len(second) != 1 || *second[0].Key != "team" || *second[0].Value != "red" || end != nil {
				t.Errorf("%+v %+v", first, second)
			}
			fails(t, on.tag(tag("x", "1"), tag("X", "2")), "InvalidInput", "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
			fails(t, on.tag(tag("aws:x", "1")), "InvalidInput", "")
			ok(t, on.untag("TEAM", "no such key"))
			if left, _ := on.list(nil, 10); len(left) != 1 || *left[0].Key != "a" {
				t.Errorf("left: %+v", left)
			}
			many := make([]api.Tag, maxTags-1)
			for i := range many {
				many[i] = tag(fmt.Sprintf("k%d", i), strings.Repeat("v", 256))
			}
			ok(t, on.tag(many...))
			fails(t, on.tag(tag("one too many", "")), "LimitExceeded", "The number of tags has reached the maximum limit.")
			fails(t, f.do(root(), &api.TagUserInput{UserName: new("eve"), Tags: many[:1]}), "NoSuchEntity", "")
		})
	}
}
