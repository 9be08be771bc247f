package iam

import (
	"context"

	api "brume/internal/api/iam"
	"brume/internal/kv"
)

func (i *identity) group(account string) *api.Group {
	return &api.Group{
		Path: &i.Path, GroupName: &i.Name, GroupId: &i.ID, Arn: new(i.arn(account)), CreateDate: &i.Created,
	}
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateGroup.html
func (s *Service) CreateGroup(ctx context.Context, in *api.CreateGroupInput) (*api.CreateGroupOutput, error) {
	var out *api.Group
	err := s.update(ctx, func(t txn) error {
		g, err := t.create(kindGroup, *in.GroupName, in.Path)
		if err != nil {
			return err
		}
		out = g.group(t.account)
		return t.put(g)
	})
	if err != nil {
		return nil, err
	}
	return &api.CreateGroupOutput{Group: out}, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetGroup.html
func (s *Service) GetGroup(ctx context.Context, in *api.GetGroupInput) (*api.GetGroupOutput, error) {
	p, err := newPage(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &api.GetGroupOutput{}
	err = s.view(ctx, func(r reader) error {
		g, err := r.identity(kindGroup, *in.GroupName)
		if err != nil {
			return err
		}
		members, err := r.membersOf(g.ID)
		if err != nil {
			return err
		}
		page, truncated, marker, err := take(p, beyond(members, p.after))
		out.Group, out.Users, out.IsTruncated, out.Marker = g.group(r.account), make([]api.User, len(page)), truncated, marker
		for i, u := range page {
			out.Users[i] = *u.user(r.account)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListGroups.html
func (s *Service) ListGroups(ctx context.Context, in *api.ListGroupsInput) (*api.ListGroupsOutput, error) {
	p, err := newPage(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &api.ListGroupsOutput{}
	err = s.view(ctx, func(r reader) error {
		groups, truncated, marker, err := take(p, r.identities(kindGroup, in.PathPrefix, p))
		out.Groups, out.IsTruncated, out.Marker = make([]api.Group, len(groups)), truncated, marker
		for i, g := range groups {
			out.Groups[i] = *g.group(r.account)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateGroup.html
func (s *Service) UpdateGroup(ctx context.Context, in *api.UpdateGroupInput) (*api.UpdateGroupOutput, error) {
	err := s.update(ctx, func(t txn) error {
		g, err := t.identity(kindGroup, *in.GroupName)
		if err != nil {
			return err
		}
		return t.rename(g, in.NewGroupName, in.NewPath)
	})
	if err != nil {
		return nil, err
	}
	return &api.UpdateGroupOutput{}, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteGroup.html
func (s *Service) DeleteGroup(ctx context.Context, in *api.DeleteGroupInput) (*api.DeleteGroupOutput, error) {
	err := s.update(ctx, func(t txn) error {
		g, err := t.identity(kindGroup, *in.GroupName)
		if err != nil {
			return err
		}
		members, err := t.any(memberScope(g.ID))
		if err != nil {
			return err
		}
		if members {
			return deleteConflict("Cannot delete entity, must remove users from group first.")
		}
		return t.remove(g)
	})
	if err != nil {
		return nil, err
	}
	return &api.DeleteGroupOutput{}, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_AddUserToGroup.html
func (s *Service) AddUserToGroup(ctx context.Context, in *api.AddUserToGroupInput) (*api.AddUserToGroupOutput, error) {
	err := s.update(ctx, func(t txn) error {
		g, u, err := t.groupAndUser(*in.GroupName, *in.UserName)
		if err != nil {
			return err
		}
		member, err := t.has(memberKey(g.ID, u.ID))
		if err != nil || member {
			return err
		}
		groups, err := t.count(groupOfScope(u.ID), maxGroupsPerUser)
		if err != nil {
			return err
		}
		if groups == maxGroupsPerUser {
			return quota("GroupsPerUser", maxGroupsPerUser)
		}
		if err := t.tx.Set(memberKey(g.ID, u.ID), nil); err != nil {
			return err
		}
		return t.tx.Set(groupOfKey(u.ID, g.ID), nil)
	})
	if err != nil {
		return nil, err
	}
	return &api.AddUserToGroupOutput{}, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_RemoveUserFromGroup.html
func (s *Service) RemoveUserFromGroup(ctx context.Context, in *api.RemoveUserFromGroupInput) (*api.RemoveUserFromGroupOutput, error) {
	err := s.update(ctx, func(t txn) error {
		g, u, err := t.groupAndUser(*in.GroupName, *in.UserName)
		if err != nil {
			return err
		}
		if err := t.tx.Delete(memberKey(g.ID, u.ID)); err != nil {
			return err
		}
		return t.tx.Delete(groupOfKey(u.ID, g.ID))
	})
	if err != nil {
		return nil, err
	}
	return &api.RemoveUserFromGroupOutput{}, nil
}

func (t txn) groupAndUser(group, user string) (g, u *identity, err error) {
	if g, err = t.identity(kindGroup, group); err != nil {
		return nil, nil, err
	}
	if u, err = t.identity(kindUser, user); err != nil {
		return nil, nil, err
	}
	return g, u, nil
}

// groupsOf returns the groups that a user is in, by name.
func (r reader) groupsOf(userID string) ([]item[*identity], error) {
	return r.related(groupOfScope(userID), func(key []byte) (string, error) {
		_, group, err := parseGroupOfKey(key)
		return group, err
	})
}

// membersOf returns the users in a group, by name.
func (r reader) membersOf(groupID string) ([]item[*identity], error) {
	return r.related(memberScope(groupID), func(key []byte) (string, error) {
		_, user, err := parseMemberKey(key)
		return user, err
	})
}

// related returns the identities whose ids idOf finds in the keys that begin with scope, by name.
func (r reader) related(scope []byte, idOf func(key []byte) (string, error)) ([]item[*identity], error) {
	var items []item[*identity]
	for pair, err := range r.Scan(kv.Prefix(scope)) {
		if err != nil {
			return nil, err
		}
		id, err := idOf(pair.Key)
		if err != nil {
			return nil, err
		}
		_, i, err := identityByID(r, id)
		if err != nil {
			return nil, err
		}
		if i != nil {
			items = append(items, item[*identity]{fold(i.Name), i})
		}
	}
	sortItems(items)
	return items, nil
}
