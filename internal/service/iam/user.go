package iam

import (
	"context"

	api "brume/internal/api/iam"
)

// maxGroupsPerUser is a quota that cannot be raised.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
const maxGroupsPerUser = 10

func (i *identity) user(account string) *api.User {
	return &api.User{
		Path: &i.Path, UserName: &i.Name, UserId: &i.ID, Arn: new(i.arn(account)), CreateDate: &i.Created,
	}
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateUser.html
func (s *Service) CreateUser(ctx context.Context, in *api.CreateUserInput) (*api.CreateUserOutput, error) {
	tags, err := newTags(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	var out *api.User
	err = s.update(ctx, func(t txn) error {
		u, err := t.create(kindUser, *in.UserName, in.Path)
		if err != nil {
			return err
		}
		u.Tags = tags
		if err := t.bound(u, in.PermissionsBoundary); err != nil {
			return err
		}
		out = u.user(t.account)
		out.PermissionsBoundary, out.Tags = u.boundary(), outTags(u.Tags)
		return t.put(u)
	})
	if err != nil {
		return nil, err
	}
	return &api.CreateUserOutput{User: out}, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetUser.html
func (s *Service) GetUser(ctx context.Context, in *api.GetUserInput) (*api.GetUserOutput, error) {
	name, err := callerName(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	var out *api.User
	err = s.view(ctx, func(r reader) error {
		if name == "" {
			created, err := r.accountCreated()
			if err != nil {
				return err
			}
			out = &api.User{Arn: new(arn(r.account, "root")), UserId: &r.account, CreateDate: created}
			return nil
		}
		u, err := r.identity(kindUser, name)
		if err != nil {
			return err
		}
		out = u.user(r.account)
		out.PermissionsBoundary, out.Tags = u.boundary(), outTags(u.Tags)
		out.PasswordLastUsed, err = r.passwordLastUsed(u)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &api.GetUserOutput{User: out}, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListUsers.html
func (s *Service) ListUsers(ctx context.Context, in *api.ListUsersInput) (*api.ListUsersOutput, error) {
	p, err := newPage(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &api.ListUsersOutput{}
	err = s.view(ctx, func(r reader) error {
		users, truncated, marker, err := take(p, r.identities(kindUser, in.PathPrefix, p))
		out.Users, out.IsTruncated, out.Marker = make([]api.User, len(users)), truncated, marker
		for i, u := range users {
			out.Users[i] = *u.user(r.account)
			if out.Users[i].PasswordLastUsed, err = r.passwordLastUsed(u); err != nil {
				return err
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateUser.html
func (s *Service) UpdateUser(ctx context.Context, in *api.UpdateUserInput) (*api.UpdateUserOutput, error) {
	err := s.update(ctx, func(t txn) error {
		u, err := t.identity(kindUser, *in.UserName)
		if err != nil {
			return err
		}
		return t.rename(u, in.NewUserName, in.NewPath)
	})
	if err != nil {
		return nil, err
	}
	return &api.UpdateUserOutput{}, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteUser.html
func (s *Service) DeleteUser(ctx context.Context, in *api.DeleteUserInput) (*api.DeleteUserOutput, error) {
	err := s.update(ctx, func(t txn) error {
		u, err := t.identity(kindUser, *in.UserName)
		if err != nil {
			return err
		}
		for _, c := range []struct {
			scope   []byte
			message string
		}{
			{ownerScope(u.ID), "Cannot delete entity, must delete access keys first."},
			{groupOfScope(u.ID), "Cannot delete entity, must remove users from group first."},
			{passwordKey(u.ID), "Cannot delete entity, must delete login profile first."},
			{deviceOfScope(u.ID), "Cannot delete entity, must delete MFA device first."},
			{signingScope(u.ID), "Cannot delete entity, must delete signing certificates first."},
			{sshKeyScope(u.ID), "Cannot delete entity, must delete SSH public keys first."},
			{credentialScope(u.ID), "Cannot delete entity, must delete service-specific credentials first."},
		} {
			left, err := t.any(c.scope)
			if err != nil {
				return err
			}
			if left {
				return deleteConflict(c.message)
			}
		}
		return t.remove(u)
	})
	if err != nil {
		return nil, err
	}
	return &api.DeleteUserOutput{}, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListGroupsForUser.html
func (s *Service) ListGroupsForUser(ctx context.Context, in *api.ListGroupsForUserInput) (*api.ListGroupsForUserOutput, error) {
	p, err := newPage(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &api.ListGroupsForUserOutput{}
	err = s.view(ctx, func(r reader) error {
		u, err := r.identity(kindUser, *in.UserName)
		if err != nil {
			return err
		}
		groups, err := r.groupsOf(u.ID)
		if err != nil {
			return err
		}
		page, truncated, marker, err := take(p, beyond(groups, p.after))
		out.Groups, out.IsTruncated, out.Marker = make([]api.Group, len(page)), truncated, marker
		for i, g := range page {
			out.Groups[i] = *g.group(r.account)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
