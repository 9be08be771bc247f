package iam

import (
	"context"

	api "brume/internal/api/iam"
)

// bound sets the permissions boundary of a user or role, nil for none.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html
func (t txn) bound(i *identity, policyARN *string) error {
	if i.Boundary != "" {
		if err := t.tx.Delete(usedByKey(t.account, i.Boundary, usageBounded, i.ID)); err != nil {
			return err
		}
		i.Boundary = ""
	}
	if policyARN == nil {
		return nil
	}
	p, err := t.findPolicy(*policyARN)
	if err != nil {
		return err
	}
	if p == nil {
		return noSuchEntity("Scope ARN: %s does not exist or is not attachable.", *policyARN)
	}
	i.Boundary = *policyARN
	return t.tx.Set(usedByKey(t.account, i.Boundary, usageBounded, i.ID), nil)
}

func (s *Service) setBoundary(ctx context.Context, k kind, name string, policyARN *string) error {
	return s.update(ctx, func(t txn) error {
		i, err := t.changeable(k, name)
		if err != nil {
			return err
		}
		if policyARN == nil && i.Boundary == "" {
			return noSuchEntity("The %s with name %s has no permissions boundary.", k, i.Name)
		}
		if err := t.bound(i, policyARN); err != nil {
			return err
		}
		return t.put(i)
	})
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_PutUserPermissionsBoundary.html
func (s *Service) PutUserPermissionsBoundary(ctx context.Context, in *api.PutUserPermissionsBoundaryInput) (*api.PutUserPermissionsBoundaryOutput, error) {
	return &api.PutUserPermissionsBoundaryOutput{}, s.setBoundary(ctx, kindUser, *in.UserName, in.PermissionsBoundary)
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteUserPermissionsBoundary.html
func (s *Service) DeleteUserPermissionsBoundary(ctx context.Context, in *api.DeleteUserPermissionsBoundaryInput) (*api.DeleteUserPermissionsBoundaryOutput, error) {
	return &api.DeleteUserPermissionsBoundaryOutput{}, s.setBoundary(ctx, kindUser, *in.UserName, nil)
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_PutRolePermissionsBoundary.html
func (s *Service) PutRolePermissionsBoundary(ctx context.Context, in *api.PutRolePermissionsBoundaryInput) (*api.PutRolePermissionsBoundaryOutput, error) {
	return &api.PutRolePermissionsBoundaryOutput{}, s.setBoundary(ctx, kindRole, *in.RoleName, in.PermissionsBoundary)
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteRolePermissionsBoundary.html
func (s *Service) DeleteRolePermissionsBoundary(ctx context.Context, in *api.DeleteRolePermissionsBoundaryInput) (*api.DeleteRolePermissionsBoundaryOutput, error) {
	return &api.DeleteRolePermissionsBoundaryOutput{}, s.setBoundary(ctx, kindRole, *in.RoleName, nil)
}
