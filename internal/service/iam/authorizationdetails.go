package iam

import (
	"context"
	"iter"
	"slices"
	"strings"

	api "brume/internal/api/iam"
)

// A detail is what GetAccountAuthorizationDetails says of one user, group, role or policy; one member is set.
type detail struct {
	user   *api.UserDetail
	group  *api.GroupDetail
	role   *api.RoleDetail
	policy *api.ManagedPolicyDetail
}

// GetAccountAuthorizationDetails shows users, groups, roles, the account's policies, and those of AWS that the account
// uses, in this order.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountAuthorizationDetails.html
func (s *Service) GetAccountAuthorizationDetails(ctx context.Context, in *api.GetAccountAuthorizationDetailsInput) (*api.GetAccountAuthorizationDetailsOutput, error) {
	p, err := newPage(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &api.GetAccountAuthorizationDetailsOutput{
		UserDetailList: []api.UserDetail{}, GroupDetailList: []api.GroupDetail{}, RoleDetailList: []api.RoleDetail{},
		Policies: []api.ManagedPolicyDetail{},
	}
	err = s.view(ctx, func(r reader) error {
		usage, err := r.policyUsage()
		if err != nil {
			return err
		}
		details, truncated, marker, err := take(p, s.details(r, p.after, in.Filter, usage))
		out.IsTruncated, out.Marker = truncated, marker
		for _, d := range details {
			switch {
			case d.user != nil:
				out.UserDetailList = append(out.UserDetailList, *d.user)
			case d.group != nil:
				out.GroupDetailList = append(out.GroupDetailList, *d.group)
			case d.role != nil:
				out.RoleDetailList = append(out.RoleDetailList, *d.role)
			default:
				out.Policies = append(out.Policies, *d.policy)
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// details lists what a filter of GetAccountAuthorizationDetails lets through; an empty one lets through all.
func (s *Service) details(r reader, afterKey string, filter []string, usage map[string]policyUsage) iter.Seq2[item[detail], error] {
	wanted := func(entity string) bool { return len(filter) == 0 || slices.Contains(filter, entity) }
	// A part of the list has keys with a prefix of its own; from says whether and after what it is still to be listed.
	from := func(prefix string) (string, bool) {
		rest, inside := strings.CutPrefix(afterKey, prefix)
		if inside {
			return rest, true
		}
		return "", afterKey < prefix
	}
	return func(yield func(item[detail], error) bool) {
		for _, part := range []struct {
			prefix, entity string
			kind           kind
		}{{"1/", "User", kindUser}, {"2/", "Group", kindGroup}, {"3/", "Role", kindRole}} {
			start, open := from(part.prefix)
			if !open || !wanted(part.entity) {
				continue
			}
			for i, err := range r.identities(part.kind, nil, page{after: start}) {
				var d detail
				if err == nil {
					d, err = s.identityDetail(r, i.value)
				}
				if !yield(item[detail]{part.prefix + i.key, d}, err) || err != nil {
					return
				}
			}
		}
		start, open := from("4/")
		if !open {
			return
		}
		list := r.policies("All", start, func(p *policyRow) bool {
			if p.managed == nil {
				return wanted("LocalManagedPolicy")
			}
			return wanted("AWSManagedPolicy") && usage[p.arn()] != policyUsage{}
		})
		for p, err := range list {
			var d detail
			if err == nil {
				d.policy, err = r.policyDetail(p.value, usage[p.value.arn()])
			}
			if !yield(item[detail]{"4/" + p.key, d}, err) || err != nil {
				return
			}
		}
	}
}

func (s *Service) identityDetail(r reader, i *identity) (detail, error) {
	attached := []api.AttachedPolicy{}
	for p, err := range r.attached(i.ID, "", nil) {
		if err != nil {
			return detail{}, err
		}
		attached = append(attached, api.AttachedPolicy{PolicyName: &p.value.Name, PolicyArn: new(p.value.arn())})
	}
	inline := []api.PolicyDetail{}
	for p, err := range r.inline(i.ID, "") {
		if err != nil {
			return detail{}, err
		}
		inline = append(inline, api.PolicyDetail{PolicyName: &p.value.Name, PolicyDocument: encodeDocument(p.value.Document)})
	}
	theirARN := i.arn(r.account)
	switch i.Kind {
	case kindGroup:
		return detail{group: &api.GroupDetail{
			Path: &i.Path, GroupName: &i.Name, GroupId: &i.ID, Arn: &theirARN, CreateDate: &i.Created,
			GroupPolicyList: inline, AttachedManagedPolicies: attached,
		}}, nil
	case kindRole:
		role := &api.RoleDetail{
			Path: &i.Path, RoleName: &i.Name, RoleId: &i.ID, Arn: &theirARN, CreateDate: &i.Created,
			AssumeRolePolicyDocument: encodeDocument(i.Trust), RolePolicyList: inline, AttachedManagedPolicies: attached,
			PermissionsBoundary: i.boundary(), Tags: outTags(i.Tags), InstanceProfileList: []api.InstanceProfile{},
		}
		for p, err := range r.profilesOf(i.ID, "") {
			if err != nil {
				return detail{}, err
			}
			role.InstanceProfileList = append(role.InstanceProfileList, p.value)
		}
		var err error
		role.RoleLastUsed, err = s.roleLastUsed(r, i)
		return detail{role: role}, err
	}
	groups, err := r.groupsOf(i.ID)
	if err != nil {
		return detail{}, err
	}
	names := make([]string, len(groups))
	for n, g := range groups {
		names[n] = g.value.Name
	}
	return detail{user: &api.UserDetail{
		Path: &i.Path, UserName: &i.Name, UserId: &i.ID, Arn: &theirARN, CreateDate: &i.Created, UserPolicyList: inline,
		GroupList: names, AttachedManagedPolicies: attached, PermissionsBoundary: i.boundary(), Tags: outTags(i.Tags),
	}}, nil
}

// policyDetail is a policy with the documents of its versions.
func (r reader) policyDetail(p *policyRow, u policyUsage) (*api.ManagedPolicyDetail, error) {
	out := &api.ManagedPolicyDetail{
		PolicyName: &p.Name, PolicyId: &p.ID, Arn: new(p.arn()), Path: &p.Path, DefaultVersionId: new(versionID(p.Default)),
		AttachmentCount: &u.attached, PermissionsBoundaryUsageCount: &u.bounded, IsAttachable: new(true),
		CreateDate: &p.Created, UpdateDate: &p.Updated,
	}
	if p.Description != "" {
		out.Description = &p.Description
	}
	versions, err := r.versions(p)
	if err != nil {
		return nil, err
	}
	for _, v := range versions {
		number, _ := parseVersionID(*v.value.VersionId)
		row, err := r.version(p, number)
		if err != nil {
			return nil, err
		}
		v.value.Document = encodeDocument(row.Document)
		out.PolicyVersionList = append(out.PolicyVersionList, v.value)
	}
	return out, nil
}
