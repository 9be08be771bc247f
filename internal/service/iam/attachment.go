package iam

import (
	"context"
	"iter"

	api "brume/internal/api/iam"
	"brume/internal/kv"
)

// maxAttached is the quota of managed policies attached to one user, group or role.
const maxAttached = 10

// serviceRolePath is the path of the policies that only roles linked to a service can have.
const serviceRolePath = "/aws-service-role/"

func (s *Service) attach(ctx context.Context, k kind, name, policyARN string) error {
	return s.update(ctx, func(t txn) error {
		i, err := t.changeable(k, name)
		if err != nil {
			return err
		}
		p, err := t.attachable(policyARN)
		if err != nil {
			return err
		}
		if p.managed != nil && p.Path == serviceRolePath {
			return &api.PolicyNotAttachableException{Message: new("Cannot attach a Service Role Policy to a Customer " + k.title() + ".")}
		}
		attached, err := t.has(attachedKey(i.ID, policyARN))
		if err != nil || attached {
			return err
		}
		n, err := t.count(attachedScope(i.ID), maxAttached)
		if err != nil {
			return err
		}
		if n == maxAttached {
			return quota("PoliciesPer"+k.title(), maxAttached)
		}
		return t.setAttached(i, policyARN)
	})
}

func (t txn) setAttached(i *identity, policyARN string) error {
	if err := t.tx.Set(attachedKey(i.ID, policyARN), nil); err != nil {
		return err
	}
	return t.tx.Set(usedByKey(t.account, policyARN, usageAttach, i.ID), nil)
}

func (t txn) setDetached(i *identity, policyARN string) error {
	if err := t.tx.Delete(attachedKey(i.ID, policyARN)); err != nil {
		return err
	}
	return t.tx.Delete(usedByKey(t.account, policyARN, usageAttach, i.ID))
}

func (s *Service) detach(ctx context.Context, k kind, name, policyARN string) error {
	return s.update(ctx, func(t txn) error {
		i, err := t.changeable(k, name)
		if err != nil {
			return err
		}
		attached, err := t.has(attachedKey(i.ID, policyARN))
		if err != nil {
			return err
		}
		if !attached {
			return noSuchEntity("Policy %s was not found.", policyARN)
		}
		return t.setDetached(i, policyARN)
	})
}

func (s *Service) listAttached(ctx context.Context, k kind, name string, prefix, marker *string, maxItems *int32) (
	out []api.AttachedPolicy, truncated *bool, next *string, err error,
) {
	p, err := newPage(marker, maxItems)
	if err != nil {
		return nil, nil, nil, err
	}
	err = s.view(ctx, func(r reader) error {
		i, err := r.identity(k, name)
		if err != nil {
			return err
		}
		policies, more, at, err := take(p, r.attached(i.ID, p.after, prefix))
		out, truncated, next = make([]api.AttachedPolicy, len(policies)), more, at
		for i, p := range policies {
			out[i] = api.AttachedPolicy{PolicyArn: new(p.arn()), PolicyName: &p.Name}
		}
		return err
	})
	return out, truncated, next, err
}

// attached lists the policies attached to an identity, by ARN.
func (r reader) attached(id, afterARN string, pathPrefix *string) iter.Seq2[item[*policyRow], error] {
	return func(yield func(item[*policyRow], error) bool) {
		for pair, err := range r.Scan(after(attachedScope(id), afterARN)) {
			var (
				policyARN string
				p         *policyRow
			)
			if err == nil {
				_, policyARN, err = parseAttachedKey(pair.Key)
			}
			if err == nil {
				p, err = r.findPolicy(policyARN)
			}
			if err != nil {
				yield(item[*policyRow]{}, err)
				return
			}
			// A policy that AWS no longer manages is gone with the version of Brume that knew it.
			if p != nil && hasPathPrefix(p.Path, pathPrefix) && !yield(item[*policyRow]{policyARN, p}, nil) {
				return
			}
		}
	}
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_AttachUserPolicy.html
func (s *Service) AttachUserPolicy(ctx context.Context, in *api.AttachUserPolicyInput) (*api.AttachUserPolicyOutput, error) {
	return &api.AttachUserPolicyOutput{}, s.attach(ctx, kindUser, *in.UserName, *in.PolicyArn)
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_DetachUserPolicy.html
func (s *Service) DetachUserPolicy(ctx context.Context, in *api.DetachUserPolicyInput) (*api.DetachUserPolicyOutput, error) {
	return &api.DetachUserPolicyOutput{}, s.detach(ctx, kindUser, *in.UserName, *in.PolicyArn)
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListAttachedUserPolicies.html
func (s *Service) ListAttachedUserPolicies(ctx context.Context, in *api.ListAttachedUserPoliciesInput) (*api.ListAttachedUserPoliciesOutput, error) {
	policies, truncated, marker, err := s.listAttached(ctx, kindUser, *in.UserName, in.PathPrefix, in.Marker, in.MaxItems)
	return &api.ListAttachedUserPoliciesOutput{AttachedPolicies: policies, IsTruncated: truncated, Marker: marker}, err
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_AttachGroupPolicy.html
func (s *Service) AttachGroupPolicy(ctx context.Context, in *api.AttachGroupPolicyInput) (*api.AttachGroupPolicyOutput, error) {
	return &api.AttachGroupPolicyOutput{}, s.attach(ctx, kindGroup, *in.GroupName, *in.PolicyArn)
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_DetachGroupPolicy.html
func (s *Service) DetachGroupPolicy(ctx context.Context, in *api.DetachGroupPolicyInput) (*api.DetachGroupPolicyOutput, error) {
	return &api.DetachGroupPolicyOutput{}, s.detach(ctx, kindGroup, *in.GroupName, *in.PolicyArn)
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListAttachedGroupPolicies.html
func (s *Service) ListAttachedGroupPolicies(ctx context.Context, in *api.ListAttachedGroupPoliciesInput) (*api.ListAttachedGroupPoliciesOutput, error) {
	policies, truncated, marker, err := s.listAttached(ctx, kindGroup, *in.GroupName, in.PathPrefix, in.Marker, in.MaxItems)
	return &api.ListAttachedGroupPoliciesOutput{AttachedPolicies: policies, IsTruncated: truncated, Marker: marker}, err
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_AttachRolePolicy.html
func (s *Service) AttachRolePolicy(ctx context.Context, in *api.AttachRolePolicyInput) (*api.AttachRolePolicyOutput, error) {
	return &api.AttachRolePolicyOutput{}, s.attach(ctx, kindRole, *in.RoleName, *in.PolicyArn)
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_DetachRolePolicy.html
func (s *Service) DetachRolePolicy(ctx context.Context, in *api.DetachRolePolicyInput) (*api.DetachRolePolicyOutput, error) {
	return &api.DetachRolePolicyOutput{}, s.detach(ctx, kindRole, *in.RoleName, *in.PolicyArn)
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListAttachedRolePolicies.html
func (s *Service) ListAttachedRolePolicies(ctx context.Context, in *api.ListAttachedRolePoliciesInput) (*api.ListAttachedRolePoliciesOutput, error) {
	policies, truncated, marker, err := s.listAttached(ctx, kindRole, *in.RoleName, in.PathPrefix, in.Marker, in.MaxItems)
	return &api.ListAttachedRolePoliciesOutput{AttachedPolicies: policies, IsTruncated: truncated, Marker: marker}, err
}

// ListEntitiesForPolicy lists groups, then roles, then users.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListEntitiesForPolicy.html
func (s *Service) ListEntitiesForPolicy(ctx context.Context, in *api.ListEntitiesForPolicyInput) (*api.ListEntitiesForPolicyOutput, error) {
	page, err := newPage(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &api.ListEntitiesForPolicyOutput{}
	err = s.view(ctx, func(r reader) error {
		p, err := r.policy(*in.PolicyArn)
		if err != nil {
			return err
		}
		entities, truncated, marker, err := take(page, r.users(p, page.after, func(i *identity, usage byte) bool {
			filter := "LocalManagedPolicy"
			if in.EntityFilter != nil {
				filter = *in.EntityFilter
			}
			if in.PolicyUsageFilter != nil && (*in.PolicyUsageFilter == "PermissionsBoundary") != (usage == usageBounded) {
				return false
			}
			return hasPathPrefix(i.Path, in.PathPrefix) &&
				(filter == i.Kind.title() || filter == "LocalManagedPolicy" || filter == "AWSManagedPolicy")
		}))
		if err != nil {
			return err
		}
		out.PolicyGroups, out.PolicyRoles, out.PolicyUsers = []api.PolicyGroup{}, []api.PolicyRole{}, []api.PolicyUser{}
		out.IsTruncated, out.Marker = truncated, marker
		for _, i := range entities {
			switch i.Kind {
			case kindGroup:
				out.PolicyGroups = append(out.PolicyGroups, api.PolicyGroup{GroupName: &i.Name, GroupId: &i.ID})
			case kindRole:
				out.PolicyRoles = append(out.PolicyRoles, api.PolicyRole{RoleName: &i.Name, RoleId: &i.ID})
			case kindUser:
				out.PolicyUsers = append(out.PolicyUsers, api.PolicyUser{UserName: &i.Name, UserId: &i.ID})
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// users lists the identities that use a policy in a way that is wanted, each once.
func (r reader) users(p *policyRow, after string, wanted func(i *identity, usage byte) bool) iter.Seq2[item[*identity], error] {
	return func(yield func(item[*identity], error) bool) {
		seen := map[string]bool{}
		var items []item[*identity]
		for pair, err := range r.Scan(kv.Prefix(usedByPolicy(r.account, p.arn()))) {
			var (
				usage byte
				id    string
				i     *identity
			)
			if err == nil {
				_, _, usage, id, err = parseUsedByKey(pair.Key)
			}
			if err == nil {
				_, i, err = identityByID(r, id)
			}
			if err != nil {
				yield(item[*identity]{}, err)
				return
			}
			if i != nil && !seen[id] && wanted(i, usage) {
				seen[id] = true
				items = append(items, item[*identity]{i.Kind.String() + "/" + fold(i.Name), i})
			}
		}
		sortItems(items)
		for it, err := range beyond(items, after) {
			if !yield(it, err) {
				return
			}
		}
	}
}
