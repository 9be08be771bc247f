package iam

import (
	"context"
	"iter"

	api "brume/internal/api/iam"
	"brume/internal/policy"
)

// inlineQuota is how much room the inline policies of one identity may take together, in characters without white space.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
func (k kind) inlineQuota() int {
	switch k {
	case kindUser:
		return 2048
	case kindGroup:
		return 5120
	}
	return 10240
}

// An inlineRow is a policy that is a part of a user, group or role.
type inlineRow struct {
	Name     string
	Document string
}

func (s *Service) putInline(ctx context.Context, k kind, name, policyName, document string) error {
	if err := policy.Validate(document, false); err != nil {
		return malformedPolicy(err)
	}
	return s.update(ctx, func(t txn) error {
		i, err := t.changeable(k, name)
		if err != nil {
			return err
		}
		size := policy.Size(document)
		for p, err := range t.inline(i.ID, "") {
			if err != nil {
				return err
			}
			if p.key != fold(policyName) {
				size += policy.Size(p.value.Document)
			}
		}
		if size > k.inlineQuota() {
			return limitExceeded("Maximum policy size of %d bytes exceeded for %s %s", k.inlineQuota(), k, i.Name)
		}
		return t.setJSON(inlineKey(i.ID, policyName), inlineRow{policyName, document})
	})
}

// inline lists the inline policies of an identity, by name.
func (r reader) inline(id, afterName string) iter.Seq2[item[*inlineRow], error] {
	return rows(r, after(inlineScope(id), afterName), func(p *inlineRow) string { return fold(p.Name) })
}

func (s *Service) getInline(ctx context.Context, k kind, name, policyName string) (i *identity, p *inlineRow, err error) {
	err = s.view(ctx, func(r reader) error {
		if i, err = r.identity(k, name); err != nil {
			return err
		}
		p = new(inlineRow)
		ok, err := r.getJSON(inlineKey(i.ID, policyName), p)
		if err == nil && !ok {
			err = noSuchEntity("The %s policy with name %s cannot be found.", k, policyName)
		}
		return err
	})
	return i, p, err
}

func (s *Service) listInline(ctx context.Context, k kind, name string, marker *string, maxItems *int32) (
	names []string, truncated *bool, next *string, err error,
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
		policies, more, at, err := take(p, r.inline(i.ID, p.after))
		names, truncated, next = make([]string, len(policies)), more, at
		for i, p := range policies {
			names[i] = p.Name
		}
		return err
	})
	return names, truncated, next, err
}

func (s *Service) deleteInline(ctx context.Context, k kind, name, policyName string) error {
	return s.update(ctx, func(t txn) error {
		i, err := t.changeable(k, name)
		if err != nil {
			return err
		}
		key := inlineKey(i.ID, policyName)
		ok, err := t.has(key)
		if err != nil {
			return err
		}
		if !ok {
			return noSuchEntity("The %s policy with name %s cannot be found.", k, policyName)
		}
		return t.tx.Delete(key)
	})
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_PutUserPolicy.html
func (s *Service) PutUserPolicy(ctx context.Context, in *api.PutUserPolicyInput) (*api.PutUserPolicyOutput, error) {
	return &api.PutUserPolicyOutput{}, s.putInline(ctx, kindUser, *in.UserName, *in.PolicyName, *in.PolicyDocument)
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetUserPolicy.html
func (s *Service) GetUserPolicy(ctx context.Context, in *api.GetUserPolicyInput) (*api.GetUserPolicyOutput, error) {
	u, p, err := s.getInline(ctx, kindUser, *in.UserName, *in.PolicyName)
	if err != nil {
		return nil, err
	}
	return &api.GetUserPolicyOutput{UserName: &u.Name, PolicyName: &p.Name, PolicyDocument: encodeDocument(p.Document)}, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListUserPolicies.html
func (s *Service) ListUserPolicies(ctx context.Context, in *api.ListUserPoliciesInput) (*api.ListUserPoliciesOutput, error) {
	names, truncated, marker, err := s.listInline(ctx, kindUser, *in.UserName, in.Marker, in.MaxItems)
	return &api.ListUserPoliciesOutput{PolicyNames: names, IsTruncated: truncated, Marker: marker}, err
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteUserPolicy.html
func (s *Service) DeleteUserPolicy(ctx context.Context, in *api.DeleteUserPolicyInput) (*api.DeleteUserPolicyOutput, error) {
	return &api.DeleteUserPolicyOutput{}, s.deleteInline(ctx, kindUser, *in.UserName, *in.PolicyName)
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_PutGroupPolicy.html
func (s *Service) PutGroupPolicy(ctx context.Context, in *api.PutGroupPolicyInput) (*api.PutGroupPolicyOutput, error) {
	return &api.PutGroupPolicyOutput{}, s.putInline(ctx, kindGroup, *in.GroupName, *in.PolicyName, *in.PolicyDocument)
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetGroupPolicy.html
func (s *Service) GetGroupPolicy(ctx context.Context, in *api.GetGroupPolicyInput) (*api.GetGroupPolicyOutput, error) {
	g, p, err := s.getInline(ctx, kindGroup, *in.GroupName, *in.PolicyName)
	if err != nil {
		return nil, err
	}
	return &api.GetGroupPolicyOutput{GroupName: &g.Name, PolicyName: &p.Name, PolicyDocument: encodeDocument(p.Document)}, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListGroupPolicies.html
func (s *Service) ListGroupPolicies(ctx context.Context, in *api.ListGroupPoliciesInput) (*api.ListGroupPoliciesOutput, error) {
	names, truncated, marker, err := s.listInline(ctx, kindGroup, *in.GroupName, in.Marker, in.MaxItems)
	return &api.ListGroupPoliciesOutput{PolicyNames: names, IsTruncated: truncated, Marker: marker}, err
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteGroupPolicy.html
func (s *Service) DeleteGroupPolicy(ctx context.Context, in *api.DeleteGroupPolicyInput) (*api.DeleteGroupPolicyOutput, error) {
	return &api.DeleteGroupPolicyOutput{}, s.deleteInline(ctx, kindGroup, *in.GroupName, *in.PolicyName)
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_PutRolePolicy.html
func (s *Service) PutRolePolicy(ctx context.Context, in *api.PutRolePolicyInput) (*api.PutRolePolicyOutput, error) {
	return &api.PutRolePolicyOutput{}, s.putInline(ctx, kindRole, *in.RoleName, *in.PolicyName, *in.PolicyDocument)
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRolePolicy.html
func (s *Service) GetRolePolicy(ctx context.Context, in *api.GetRolePolicyInput) (*api.GetRolePolicyOutput, error) {
	r, p, err := s.getInline(ctx, kindRole, *in.RoleName, *in.PolicyName)
	if err != nil {
		return nil, err
	}
	return &api.GetRolePolicyOutput{RoleName: &r.Name, PolicyName: &p.Name, PolicyDocument: encodeDocument(p.Document)}, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListRolePolicies.html
func (s *Service) ListRolePolicies(ctx context.Context, in *api.ListRolePoliciesInput) (*api.ListRolePoliciesOutput, error) {
	names, truncated, marker, err := s.listInline(ctx, kindRole, *in.RoleName, in.Marker, in.MaxItems)
	return &api.ListRolePoliciesOutput{PolicyNames: names, IsTruncated: truncated, Marker: marker}, err
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteRolePolicy.html
func (s *Service) DeleteRolePolicy(ctx context.Context, in *api.DeleteRolePolicyInput) (*api.DeleteRolePolicyOutput, error) {
	return &api.DeleteRolePolicyOutput{}, s.deleteInline(ctx, kindRole, *in.RoleName, *in.PolicyName)
}
