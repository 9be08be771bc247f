package iam

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	api "brume/internal/api/iam"
	"brume/internal/policy"
	"brume/internal/service/iam/managed"
)

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreatePolicy.html
func TestPolicy(t *testing.T) {
	f := newFixture(t)
	document := "{\n  \"Version\": \"2012-10-17\",\n  \"Statement\": {\"Effect\": \"Allow\", \"Action\": \"s3:*\", \"Resource\": \"arn:aws:s3:::a b+c%/é\"}\n}"
	p := must(run[api.CreatePolicyOutput](f, root(), &api.CreatePolicyInput{PolicyName: new("Mine"), Path: new("/team/"), Description: new("d"), PolicyDocument: &document, Tags: []api.Tag{{Key: new("k"), Value: new("v")}}}))(t).Policy
	if *p.Arn != "arn:aws:iam::"+account+":policy/team/Mine" || (*p.PolicyId)[:4] != "ANPA" || *p.DefaultVersionId != "v1" || *p.AttachmentCount != 0 || !*p.IsAttachable {
		t.Errorf("%+v", p)
	}
	fails(t, f.do(root(), &api.CreatePolicyInput{PolicyName: new("MINE"), PolicyDocument: &document}), "EntityAlreadyExists", "A policy called MINE already exists. Duplicate names are not allowed.")
	fails(t, f.do(root(), &api.CreatePolicyInput{PolicyName: new("x"), PolicyDocument: new("{}")}), "MalformedPolicyDocument", "Syntax errors in policy.")
	for _, missing := range []string{"policy/Mine", "policy/team/mine", "policy/team/x"} {
		arn := "arn:aws:iam::" + account + ":" + missing
		fails(t, f.do(root(), &api.GetPolicyInput{PolicyArn: &arn}), "NoSuchEntity", "Policy "+arn+" was not found.")
	}
	got := must(run[api.GetPolicyOutput](f, root(), &api.GetPolicyInput{PolicyArn: p.Arn}))(t).Policy
	if *got.Description != "d" || len(got.Tags) != 1 || *got.PolicyId != *p.PolicyId {
		t.Errorf("%+v", got)
	}
	version := must(run[api.GetPolicyVersionOutput](f, root(), &api.GetPolicyVersionInput{PolicyArn: p.Arn, VersionId: new("v1")}))(t).PolicyVersion
	if text, err := url.PathUnescape(*version.Document); err != nil || text != document || !*version.IsDefaultVersion {
		t.Errorf("%q, %v", text, err)
	}
	if strings.ContainsAny(*version.Document, "+ \"{}") {
		t.Errorf("not encoded: %s", *version.Document)
	}
	// The quota counts what is not white space, and is exact.
	sized := func(n int) *string {
		const frame = `{"Version":"2012-10-17","Statement":{"Sid":"","Effect":"Allow","Action":"*","Resource":"*"}}`
		return new(strings.Replace(frame, `"Sid":"`, " \n\t "+`"Sid":"`+strings.Repeat("x", n-len(frame)), 1))
	}
	ok(t, f.do(root(), &api.CreatePolicyInput{PolicyName: new("large"), PolicyDocument: sized(maxPolicySize)}))
	fails(t, f.do(root(), &api.CreatePolicyInput{PolicyName: new("larger"), PolicyDocument: sized(maxPolicySize + 1)}), "LimitExceeded", "Cannot exceed quota for PolicySize: 6144")
}

// https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_managed-versioning.html
func TestPolicyVersions(t *testing.T) {
	f := newFixture(t)
	arn := must(run[api.CreatePolicyOutput](f, root(), &api.CreatePolicyInput{PolicyName: new("p"), PolicyDocument: new(allowAll)}))(t).Policy.Arn
	create := func(isDefault bool) (*api.CreatePolicyVersionOutput, error) {
		return run[api.CreatePolicyVersionOutput](f, root(), &api.CreatePolicyVersionInput{PolicyArn: arn, PolicyDocument: new(statement("Allow", "s3:*", "*")), SetAsDefault: &isDefault})
	}
	for i := 2; i <= maxVersions; i++ {
		v := must(create(i == 3))(t).PolicyVersion
		if *v.VersionId != fmt.Sprintf("v%d", i) || *v.IsDefaultVersion != (i == 3) {
			t.Errorf("%+v", v)
		}
	}
	_, err := create(false)
	fails(t, err, "LimitExceeded", "A managed policy can have up to 5 versions. Before you create a new version, you must delete an existing version.")

	ids := func() (ids []string, current string) {
		in := &api.ListPolicyVersionsInput{PolicyArn: arn, MaxItems: new(int32(2))}
		for {
			out := must(run[api.ListPolicyVersionsOutput](f, root(), in))(t)
			for _, v := range out.Versions {
				ids = append(ids, *v.VersionId)
				if *v.IsDefaultVersion {
					current += *v.VersionId
				}
			}
			if !*out.IsTruncated {
				return ids, current
			}
			in.Marker = out.Marker
		}
	}
	if got, current := ids(); !slices.Equal(got, []string{"v5", "v4", "v3", "v2", "v1"}) || current != "v3" {
		t.Errorf("%v, default %s", got, current)
	}
	del := func(id string) error {
		return f.do(root(), &api.DeletePolicyVersionInput{PolicyArn: arn, VersionId: &id})
	}
	fails(t, del("v3"), "DeleteConflict", "Cannot delete the default version of a policy.")
	fails(t, del("v9"), "NoSuchEntity", "Policy "+*arn+" version v9 does not exist or is not attachable.")
	fails(t, f.do(root(), &api.GetPolicyVersionInput{PolicyArn: arn, VersionId: new("v03")}), "ValidationError", "")
	fails(t, f.do(root(), &api.DeletePolicyInput{PolicyArn: arn}), "DeleteConflict", "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.")
	ok(t, f.do(root(), &api.SetDefaultPolicyVersionInput{PolicyArn: arn, VersionId: new("v5")}))
	fails(t, f.do(root(), &api.SetDefaultPolicyVersionInput{PolicyArn: arn, VersionId: new("v7")}), "NoSuchEntity", "")
	for _, id := range []string{"v1", "v2", "v3", "v4"} {
		ok(t, del(id))
	}
	// The number of a version that is gone is not given again.
	if v := must(create(false))(t).PolicyVersion; *v.VersionId != "v6" {
		t.Errorf("%+v", v)
	}
	ok(t, del("v6"))
	ok(t, f.do(root(), &api.DeletePolicyInput{PolicyArn: arn}))
	fails(t, f.do(root(), &api.GetPolicyInput{PolicyArn: arn}), "NoSuchEntity", "")
	ok(t, f.do(root(), &api.CreatePolicyInput{PolicyName: new("p"), PolicyDocument: new(allowAll)}))
}

func TestManagedPolicies(t *testing.T) {
	f := newFixture(t)
	p := must(run[api.GetPolicyOutput](f, root(), &api.GetPolicyInput{PolicyArn: new(powerUser)}))(t).Policy
	if *p.PolicyName != "PowerUserAccess" || *p.Path != "/" || !strings.HasPrefix(*p.DefaultVersionId, "v") || p.CreateDate.Year() != 2015 {
		t.Errorf("%+v", p)
	}
	v := must(run[api.GetPolicyVersionOutput](f, root(), &api.GetPolicyVersionInput{PolicyArn: new(powerUser), VersionId: p.DefaultVersionId}))(t).PolicyVersion
	if text, _ := url.PathUnescape(*v.Document); !strings.Contains(text, `"iam:*"`) || !*v.IsDefaultVersion {
		t.Errorf("%s", text)
	}
	if list := must(run[api.ListPolicyVersionsOutput](f, root(), &api.ListPolicyVersionsInput{PolicyArn: new(powerUser)}))(t).Versions; len(list) != 1 || *list[0].VersionId != *p.DefaultVersionId {
		t.Errorf("%+v", list)
	}
	fails(t, f.do(root(), &api.DeletePolicyInput{PolicyArn: new(powerUser)}), "InvalidInput", "")
	fails(t, f.do(root(), &api.CreatePolicyVersionInput{PolicyArn: new(powerUser), PolicyDocument: new(allowAll)}), "InvalidInput", "")
	fails(t, f.do(root(), &api.GetPolicyInput{PolicyArn: new("arn:aws:s3:::not-a-policy")}), "InvalidInput", "ARN arn:aws:s3:::not-a-policy is not valid.")
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListPolicies.html
func TestListPolicies(t *testing.T) {
	f := newFixture(t)
	for _, name := range []string{"b", "A", "c"} {
		ok(t, f.do(root(), &api.CreatePolicyInput{PolicyName: &name, Path: new("/own/"), PolicyDocument: new(allowAll)}))
	}
	other := as(rootPrincipal("999999999999", ""))
	ok(t, f.do(other, &api.CreatePolicyInput{PolicyName: new("foreign"), PolicyDocument: new(allowAll)}))
	f.user(t, "bob")
	f.user(t, "eve")
	ok(t, f.do(root(), &api.AttachUserPolicyInput{UserName: new("bob"), PolicyArn: new("arn:aws:iam::" + account + ":policy/own/c")}))
	ok(t, f.do(root(), &api.AttachUserPolicyInput{UserName: new("bob"), PolicyArn: new(powerUser)}))
	ok(t, f.do(root(), &api.AttachUserPolicyInput{UserName: new("eve"), PolicyArn: new(powerUser)}))
	ok(t, f.do(root(), &api.PutUserPermissionsBoundaryInput{UserName: new("eve"), PermissionsBoundary: new("arn:aws:iam::aws:policy/ReadOnlyAccess")}))

	list := func(in api.ListPoliciesInput) (names []string, byName map[string]api.Policy) {
		byName = map[string]api.Policy{}
		for {
			out := must(run[api.ListPoliciesOutput](f, root(), &in))(t)
			for _, p := range out.Policies {
				names, byName[*p.PolicyName] = append(names, *p.PolicyName), p
			}
			if !*out.IsTruncated {
				return names, byName
			}
			in.Marker = out.Marker
		}
	}
	if names, _ := list(api.ListPoliciesInput{Scope: new("Local"), MaxItems: new(int32(1))}); !slices.Equal(names, []string{"A", "b", "c"}) {
		t.Errorf("Local: %v", names)
	}
	aws, byName := list(api.ListPoliciesInput{Scope: new("AWS"), MaxItems: new(int32(700))})
	if len(aws) < 1500 || !slices.IsSorted(aws) || slices.Contains(aws, "A") || *byName["PowerUserAccess"].AttachmentCount != 2 || *byName["ReadOnlyAccess"].PermissionsBoundaryUsageCount != 1 {
		t.Errorf("AWS: %d", len(aws))
	}
	for _, size := range []int32{2, 100, 1000} {
		if all, _ := list(api.ListPoliciesInput{MaxItems: &size}); len(all) != len(aws)+3 || len(slices.Compact(slices.Sorted(slices.Values(all)))) != len(all) {
			t.Errorf("All by %d: %d", size, len(all))
		}
	}
	if names, _ := list(api.ListPoliciesInput{OnlyAttached: new(true)}); !slices.Equal(names, []string{"c", "PowerUserAccess", "ReadOnlyAccess"}) {
		t.Errorf("attached: %v", names)
	}
	if names, _ := list(api.ListPoliciesInput{PolicyUsageFilter: new("PermissionsBoundary")}); !slices.Equal(names, []string{"ReadOnlyAccess"}) {
		t.Errorf("boundaries: %v", names)
	}
	if names, _ := list(api.ListPoliciesInput{PolicyUsageFilter: new("PermissionsPolicy")}); !slices.Equal(names, []string{"c", "PowerUserAccess"}) {
		t.Errorf("permissions: %v", names)
	}
	if names, _ := list(api.ListPoliciesInput{PathPrefix: new("/job-function/")}); len(names) < 5 || !slices.Contains(names, "ViewOnlyAccess") {
		t.Errorf("job functions: %v", names)
	}
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_AttachUserPolicy.html
func TestAttachments(t *testing.T) {
	f := newFixture(t)
	f.user(t, "x")
	ok(t, f.do(root(), &api.CreateGroupInput{GroupName: new("x")}))
	ok(t, f.do(root(), &api.CreateRoleInput{RoleName: new("x"), AssumeRolePolicyDocument: new(lambdaTrust)}))
	name := new("x")
	for _, on := range []struct {
		kind           kind
		attach, detach func(arn string) error
		list           func(marker *string) ([]api.AttachedPolicy, *string)
	}{
		{kindUser, func(arn string) error {
			return f.do(root(), &api.AttachUserPolicyInput{UserName: name, PolicyArn: &arn})
		},
			func(arn string) error {
				return f.do(root(), &api.DetachUserPolicyInput{UserName: name, PolicyArn: &arn})
			},
			func(marker *string) ([]api.AttachedPolicy, *string) {
				out := must(run[api.ListAttachedUserPoliciesOutput](f, root(), &api.ListAttachedUserPoliciesInput{UserName: name, Marker: marker, MaxItems: new(int32(4))}))(t)
				return out.AttachedPolicies, out.Marker
			}},
		{kindGroup, func(arn string) error {
			return f.do(root(), &api.AttachGroupPolicyInput{GroupName: name, PolicyArn: &arn})
		},
			func(arn string) error {
				return f.do(root(), &api.DetachGroupPolicyInput{GroupName: name, PolicyArn: &arn})
			},
			func(marker *string) ([]api.AttachedPolicy, *string) {
				out := must(run[api.ListAttachedGroupPoliciesOutput](f, root(), &api.ListAttachedGroupPoliciesInput{GroupName: name, Marker: marker, MaxItems: new(int32(4))}))(t)
				return out.AttachedPolicies, out.Marker
			}},
		{kindRole, func(arn string) error {
			return f.do(root(), &api.AttachRolePolicyInput{RoleName: name, PolicyArn: &arn})
		},
			func(arn string) error {
				return f.do(root(), &api.DetachRolePolicyInput{RoleName: name, PolicyArn: &arn})
			},
			func(marker *string) ([]api.AttachedPolicy, *string) {
				out := must(run[api.ListAttachedRolePoliciesOutput](f, root(), &api.ListAttachedRolePoliciesInput{RoleName: name, Marker: marker, MaxItems: new(int32(4))}))(t)
				return out.AttachedPolicies, out.Marker
			}},
	} {
		t.Run(on.kind.String(), func(t *testing.T) {
			var arns []string
			for i := range maxAttached {
				out := must(run[api.CreatePolicyOutput](f, root(), &api.CreatePolicyInput{PolicyName: new(fmt.Sprintf("%s%d", on.kind, i)), PolicyDocument: new(allowAll)}))(t)
				arns = append(arns, *out.Policy.Arn)
				ok(t, on.attach(arns[i]))
				ok(t, on.attach(arns[i])) // again is no error
			}
			fails(t, on.attach(powerUser), "LimitExceeded", "Cannot exceed quota for PoliciesPer"+on.kind.title()+": 10")
			var got []string
			for marker := (*string)(nil); ; {
				page, next := on.list(marker)
				for _, p := range page {
					got = append(got, *p.PolicyArn)
				}
				if marker = next; marker == nil {
					break
				}
			}
			if !slices.Equal(got, arns) {
				t.Errorf("attached %v", got)
			}
			entities := must(run[api.ListEntitiesForPolicyOutput](f, root(), &api.ListEntitiesForPolicyInput{PolicyArn: &arns[0]}))(t)
			if len(entities.PolicyGroups)+len(entities.PolicyRoles)+len(entities.PolicyUsers) != 1 {
				t.Errorf("%+v", entities)
			}
			fails(t, f.do(root(), &api.DeletePolicyInput{PolicyArn: &arns[0]}), "DeleteConflict", "Cannot delete a policy attached to entities.")
			ok(t, on.detach(arns[0]))
			fails(t, on.detach(arns[0]), "NoSuchEntity", "Policy "+arns[0]+" was not found.")
			ok(t, f.do(root(), &api.DeletePolicyInput{PolicyArn: &arns[0]}))
			fails(t, on.attach(arns[0]), "NoSuchEntity", "Policy "+arns[0]+" does not exist or is not attachable.")
			fails(t, on.attach("arn:aws:iam::aws:policy/aws-service-role/AWSSupportServiceRolePolicy"), "PolicyNotAttachable", "")
			ok(t, on.attach(powerUser))
		})
	}
	all := must(run[api.ListEntitiesForPolicyOutput](f, root(), &api.ListEntitiesForPolicyInput{PolicyArn: new(powerUser)}))(t)
	if len(all.PolicyGroups) != 1 || len(all.PolicyRoles) != 1 || len(all.PolicyUsers) != 1 {
		t.Errorf("%+v", all)
	}
	onlyRoles := must(run[api.ListEntitiesForPolicyOutput](f, root(), &api.ListEntitiesForPolicyInput{PolicyArn: new(powerUser), EntityFilter: new("Role")}))(t)
	if len(onlyRoles.PolicyGroups)+len(onlyRoles.PolicyUsers) != 0 || len(onlyRoles.PolicyRoles) != 1 {
		t.Errorf("%+v", onlyRoles)
	}
	first := must(run[api.ListEntitiesForPolicyOutput](f, root(), &api.ListEntitiesForPolicyInput{PolicyArn: new(powerUser), MaxItems: new(int32(2))}))(t)
	rest := must(run[api.ListEntitiesForPolicyOutput](f, root(), &api.ListEntitiesForPolicyInput{PolicyArn: new(powerUser), Marker: first.Marker}))(t)
	if len(first.PolicyGroups) != 1 || len(first.PolicyRoles) != 1 || len(rest.PolicyUsers) != 1 || *rest.IsTruncated {
		t.Errorf("%+v %+v", first, rest)
	}
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_PutUserPolicy.html
func TestInlinePolicies(t *testing.T) {
	f := newFixture(t)
	f.user(t, "x")
	ok(t, f.do(root(), &api.CreateGroupInput{GroupName: new("x")}))
	ok(t, f.do(root(), &api.CreateRoleInput{RoleName: new("x"), AssumeRolePolicyDocument: new(lambdaTrust)}))
	name := new("x")
	for _, on := range []struct {
		kind kind
		put  func(policy, document string) error
		get  func(policy string) (string, error)
		del  func(policy string) error
		list func() []string
	}{
		{kindUser,
			func(p, d string) error {
				return f.do(root(), &api.PutUserPolicyInput{UserName: name, PolicyName: &p, PolicyDocument: &d})
			},
			func(p string) (string, error) {
				out, err := run[api.GetUserPolicyOutput](f, root(), &api.GetUserPolicyInput{UserName: name, PolicyName: &p})
				if err != nil {
					return "", err
				}
				return *out.UserName + " " + *out.PolicyName + " " + *out.PolicyDocument, nil
			},
			func(p string) error { return f.do(root(), &api.DeleteUserPolicyInput{UserName: name, PolicyName: &p}) },
			func() []string {
				return must(run[api.ListUserPoliciesOutput](f, root(), &api.ListUserPoliciesInput{UserName: name}))(t).PolicyNames
			}},
		{kindGroup,
			func(p, d string) error {
				return f.do(root(), &api.PutGroupPolicyInput{GroupName: name, PolicyName: &p, PolicyDocument: &d})
			},
			func(p string) (string, error) {
				out, err := run[api.GetGroupPolicyOutput](f, root(), &api.GetGroupPolicyInput{GroupName: name, PolicyName: &p})
				if err != nil {
					return "", err
				}
				return *out.GroupName + " " + *out.PolicyName + " " + *out.PolicyDocument, nil
			},
			func(p string) error {
				return f.do(root(), &api.DeleteGroupPolicyInput{GroupName: name, PolicyName: &p})
			},
			func() []string {
				return must(run[api.ListGroupPoliciesOutput](f, root(), &api.ListGroupPoliciesInput{GroupName: name}))(t).PolicyNames
			}},
		{kindRole,
			func(p, d string) error {
				return f.do(root(), &api.PutRolePolicyInput{RoleName: name, PolicyName: &p, PolicyDocument: &d})
			},
			func(p string) (string, error) {
				out, err := run[api.GetRolePolicyOutput](f, root(), &api.GetRolePolicyInput{RoleName: name, PolicyName: &p})
				if err != nil {
					return "", err
				}
				return *out.RoleName + " " + *out.PolicyName + " " + *out.PolicyDocument, nil
			},
			func(p string) error { return f.do(root(), &api.DeleteRolePolicyInput{RoleName: name, PolicyName: &p}) },
			func() []string {
				return must(run[api.ListRolePoliciesOutput](f, root(), &api.ListRolePoliciesInput{RoleName: name}))(t).PolicyNames
			}},
	} {
		t.Run(on.kind.String(), func(t *testing.T) {
			ok(t, on.put("b", allowAll))
			ok(t, on.put("A", statement("Allow", "s3:*", "*")))
			ok(t, on.put("B", statement("Deny", "s3:*", "*")))
			if got := on.list(); !slices.Equal(got, []string{"A", "B"}) {
				t.Errorf("%v", got)
			}
			if got, err := on.get("b"); err != nil || got != "x B "+*encodeDocument(statement("Deny", "s3:*", "*")) {
				t.Errorf("%s, %v", got, err)
			}
			missing := "The " + on.kind.String() + " policy with name none cannot be found."
			_, err := on.get("none")
			fails(t, err, "NoSuchEntity", missing)
			fails(t, on.del("none"), "NoSuchEntity", missing)
			fails(t, on.put("c", `{"Version":"2012-10-17"}`), "MalformedPolicyDocument", "Syntax errors in policy.")
			ok(t, on.del("A"))
			ok(t, on.del("b"))

			// The quota is for all policies together.
			sized := func(n int) string {
				return strings.Replace(allowAll, `{"Effect"`, `{"Sid":"`+strings.Repeat("x", n-len(allowAll)-len(`"Sid":"",`))+`","Effect"`, 1)
			}
			half := on.kind.inlineQuota() / 2
			ok(t, on.put("one", sized(half)))
			fails(t, on.put("two", sized(half+1)), "LimitExceeded", fmt.Sprintf("Maximum policy size of %d bytes exceeded for %s x", on.kind.inlineQuota(), on.kind))
			ok(t, on.put("two", sized(half)))
			ok(t, on.put("two", sized(half)))
		})
	}
}

// https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html
func TestBoundaries(t *testing.T) {
	f := newFixture(t)
	f.user(t, "x")
	ok(t, f.do(root(), &api.CreateRoleInput{RoleName: new("x"), AssumeRolePolicyDocument: new(lambdaTrust)}))
	own := must(run[api.CreatePolicyOutput](f, root(), &api.CreatePolicyInput{PolicyName: new("b"), PolicyDocument: new(allowAll)}))(t).Policy.Arn
	count := func(arn string) int32 {
		return *must(run[api.GetPolicyOutput](f, root(), &api.GetPolicyInput{PolicyArn: &arn}))(t).Policy.PermissionsBoundaryUsageCount
	}
	for _, on := range []struct {
		put func(arn *string) error
		del func() error
	}{
		{func(arn *string) error {
			return f.do(root(), &api.PutUserPermissionsBoundaryInput{UserName: new("x"), PermissionsBoundary: arn})
		}, func() error { return f.do(root(), &api.DeleteUserPermissionsBoundaryInput{UserName: new("x")}) }},
		{func(arn *string) error {
			return f.do(root(), &api.PutRolePermissionsBoundaryInput{RoleName: new("x"), PermissionsBoundary: arn})
		}, func() error { return f.do(root(), &api.DeleteRolePermissionsBoundaryInput{RoleName: new("x")}) }},
	} {
		ok(t, on.put(own))
		if count(*own) != 1 {
			t.Errorf("%d uses", count(*own))
		}
		fails(t, f.do(root(), &api.DeletePolicyInput{PolicyArn: own}), "DeleteConflict", "")
		ok(t, on.put(new(powerUser)))
		if count(*own) != 0 || count(powerUser) != 1 {
			t.Errorf("%d and %d uses", count(*own), count(powerUser))
		}
		fails(t, on.put(new("arn:aws:iam::"+account+":policy/none")), "NoSuchEntity", "Scope ARN: arn:aws:iam::"+account+":policy/none does not exist or is not attachable.")
		ok(t, on.del())
		if count(powerUser) != 0 {
			t.Errorf("%d uses", count(powerUser))
		}
		fails(t, on.del(), "NoSuchEntity", "")
	}
	ok(t, f.do(root(), &api.DeletePolicyInput{PolicyArn: own}))
}

// What AWS publishes is valid.
func TestManagedPoliciesAreValid(t *testing.T) {
	for m := range managed.All() {
		if err := policy.Validate(m.Document, true); err != nil {
			t.Errorf("%s: %v", m.Name, err)
		}
	}
}
