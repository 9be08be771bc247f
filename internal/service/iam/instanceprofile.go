package iam

import (
	"context"
	"iter"
	"time"

	api "brume/internal/api/iam"
)

// maxRolesPerProfile is a quota that cannot be raised.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
const maxRolesPerProfile = 1

// A profileRow is the row of an instance profile.
type profileRow struct {
	Name    string
	Path    string
	ID      string
	Created time.Time
	// RoleID is the unique id of the role in it, empty if there is none.
	RoleID string `json:",omitempty"`
	Tags   []tag  `json:",omitempty"`
}

func (p *profileRow) arn(account string) string {
	return arn(account, "instance-profile"+p.Path+p.Name)
}

// profile returns the instance profile with this name, or NoSuchEntity.
func (r reader) profile(name string) (*profileRow, error) {
	var p profileRow
	ok, err := r.getJSON(profileKey(r.account, name), &p)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, noSuchEntity("Instance Profile %s cannot be found.", name)
	}
	return &p, nil
}

func (t txn) putProfile(p *profileRow) error { return t.setJSON(profileKey(t.account, p.Name), p) }

// outProfile is the instance profile as outputs have it, with its tags if full.
func (r reader) outProfile(p *profileRow, full bool) (*api.InstanceProfile, error) {
	out := &api.InstanceProfile{
		Path: &p.Path, InstanceProfileName: &p.Name, InstanceProfileId: &p.ID, Arn: new(p.arn(r.account)),
		CreateDate: &p.Created, Roles: []api.Role{},
	}
	if full {
		out.Tags = outTags(p.Tags)
	}
	if p.RoleID == "" {
		return out, nil
	}
	_, role, err := identityByID(r, p.RoleID)
	if err != nil {
		return nil, err
	}
	if role != nil {
		out.Roles = append(out.Roles, *role.role(r.account))
	}
	return out, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateInstanceProfile.html
func (s *Service) CreateInstanceProfile(ctx context.Context, in *api.CreateInstanceProfileInput) (*api.CreateInstanceProfileOutput, error) {
	tags, err := newTags(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	out := &api.CreateInstanceProfileOutput{}
	err = s.update(ctx, func(t txn) error {
		p := &profileRow{
			Name: *in.InstanceProfileName, Path: "/", ID: newID(prefixProfile), Tags: tags,
			Created: t.tx.Now().UTC().Truncate(time.Second),
		}
		if in.Path != nil {
			p.Path = *in.Path
		}
		taken, err := t.has(profileKey(t.account, p.Name))
		if err != nil {
			return err
		}
		if taken {
			return alreadyExists("Instance Profile %s already exists.", p.Name)
		}
		if err := t.add(profilesQuota()); err != nil {
			return err
		}
		if out.InstanceProfile, err = t.outProfile(p, true); err != nil {
			return err
		}
		return t.putProfile(p)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetInstanceProfile.html
func (s *Service) GetInstanceProfile(ctx context.Context, in *api.GetInstanceProfileInput) (*api.GetInstanceProfileOutput, error) {
	out := &api.GetInstanceProfileOutput{}
	err := s.view(ctx, func(r reader) error {
		p, err := r.profile(*in.InstanceProfileName)
		if err != nil {
			return err
		}
		out.InstanceProfile, err = r.outProfile(p, true)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// profilesIn lists the instance profiles of the account, by name.
func (r reader) profilesIn(afterName string, prefix *string) iter.Seq2[item[api.InstanceProfile], error] {
	all := rows(r, after(profileScope(r.account), afterName), func(p *profileRow) string { return fold(p.Name) })
	return func(yield func(item[api.InstanceProfile], error) bool) {
		for p, err := range only(all, func(p *profileRow) bool { return hasPathPrefix(p.Path, prefix) }) {
			if !r.yieldProfile(p.value, err, yield) {
				return
			}
		}
	}
}

// profilesOf lists the instance profiles that a role is in, by name.
func (r reader) profilesOf(roleID, afterName string) iter.Seq2[item[api.InstanceProfile], error] {
	return func(yield func(item[api.InstanceProfile], error) bool) {
		for pair, err := range r.Scan(after(profileOfScope(roleID), afterName)) {
			var (
				name string
				p    *profileRow
			)
			if err == nil {
				_, name, err = parseProfileOfKey(pair.Key)
			}
			if err == nil {
				p, err = r.profile(name)
			}
			if !r.yieldProfile(p, err, yield) {
				return
			}
		}
	}
}

func (r reader) yieldProfile(p *profileRow, err error, yield func(item[api.InstanceProfile], error) bool) bool {
	var out *api.InstanceProfile
	if err == nil {
		out, err = r.outProfile(p, false)
	}
	if err != nil {
		yield(item[api.InstanceProfile]{}, err)
		return false
	}
	return yield(item[api.InstanceProfile]{fold(p.Name), *out}, nil)
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListInstanceProfiles.html
func (s *Service) ListInstanceProfiles(ctx context.Context, in *api.ListInstanceProfilesInput) (*api.ListInstanceProfilesOutput, error) {
	p, err := newPage(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &api.ListInstanceProfilesOutput{}
	err = s.view(ctx, func(r reader) error {
		out.InstanceProfiles, out.IsTruncated, out.Marker, err = take(p, r.profilesIn(p.after, in.PathPrefix))
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListInstanceProfilesForRole.html
func (s *Service) ListInstanceProfilesForRole(ctx context.Context, in *api.ListInstanceProfilesForRoleInput) (*api.ListInstanceProfilesForRoleOutput, error) {
	p, err := newPage(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &api.ListInstanceProfilesForRoleOutput{}
	err = s.view(ctx, func(r reader) error {
		role, err := r.identity(kindRole, *in.RoleName)
		if err != nil {
			return err
		}
		out.InstanceProfiles, out.IsTruncated, out.Marker, err = take(p, r.profilesOf(role.ID, p.after))
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_AddRoleToInstanceProfile.html
func (s *Service) AddRoleToInstanceProfile(ctx context.Context, in *api.AddRoleToInstanceProfileInput) (*api.AddRoleToInstanceProfileOutput, error) {
	err := s.update(ctx, func(t txn) error {
		p, err := t.profile(*in.InstanceProfileName)
		if err != nil {
			return err
		}
		role, err := t.changeable(kindRole, *in.RoleName)
		if err != nil {
			return err
		}
		if p.RoleID != "" {
			return quota("InstanceSessionsPerInstanceProfile", maxRolesPerProfile)
		}
		p.RoleID = role.ID
		if err := t.tx.Set(profileOfKey(role.ID, p.Name), nil); err != nil {
			return err
		}
		return t.putProfile(p)
	})
	if err != nil {
		return nil, err
	}
	return &api.AddRoleToInstanceProfileOutput{}, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_RemoveRoleFromInstanceProfile.html
func (s *Service) RemoveRoleFromInstanceProfile(ctx context.Context, in *api.RemoveRoleFromInstanceProfileInput) (*api.RemoveRoleFromInstanceProfileOutput, error) {
	err := s.update(ctx, func(t txn) error {
		p, err := t.profile(*in.InstanceProfileName)
		if err != nil {
			return err
		}
		role, err := t.identity(kindRole, *in.RoleName)
		if err != nil {
			return err
		}
		if p.RoleID != role.ID {
			return noSuchEntity("Role %s in Instance Profile %s cannot be found.", *in.RoleName, *in.InstanceProfileName)
		}
		p.RoleID = ""
		if err := t.tx.Delete(profileOfKey(role.ID, p.Name)); err != nil {
			return err
		}
		return t.putProfile(p)
	})
	if err != nil {
		return nil, err
	}
	return &api.RemoveRoleFromInstanceProfileOutput{}, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteInstanceProfile.html
func (s *Service) DeleteInstanceProfile(ctx context.Context, in *api.DeleteInstanceProfileInput) (*api.DeleteInstanceProfileOutput, error) {
	err := s.update(ctx, func(t txn) error {
		p, err := t.profile(*in.InstanceProfileName)
		if err != nil {
			return err
		}
		if p.RoleID != "" {
			return deleteConflict("Cannot delete entity, must remove roles from instance profile first.")
		}
		if err := t.drop(profilesQuota()); err != nil {
			return err
		}
		return t.tx.Delete(profileKey(t.account, p.Name))
	})
	if err != nil {
		return nil, err
	}
	return &api.DeleteInstanceProfileOutput{}, nil
}

func (s *Service) retagProfile(ctx context.Context, name string, add []api.Tag, remove []string) error {
	return s.update(ctx, func(t txn) error {
		p, err := t.profile(name)
		if err != nil {
			return err
		}
		if p.Tags, err = newTags(withoutTags(p.Tags, remove), add); err != nil {
			return err
		}
		return t.putProfile(p)
	})
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_TagInstanceProfile.html
func (s *Service) TagInstanceProfile(ctx context.Context, in *api.TagInstanceProfileInput) (*api.TagInstanceProfileOutput, error) {
	return &api.TagInstanceProfileOutput{}, s.retagProfile(ctx, *in.InstanceProfileName, in.Tags, nil)
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_UntagInstanceProfile.html
func (s *Service) UntagInstanceProfile(ctx context.Context, in *api.UntagInstanceProfileInput) (*api.UntagInstanceProfileOutput, error) {
	return &api.UntagInstanceProfileOutput{}, s.retagProfile(ctx, *in.InstanceProfileName, nil, in.TagKeys)
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListInstanceProfileTags.html
func (s *Service) ListInstanceProfileTags(ctx context.Context, in *api.ListInstanceProfileTagsInput) (*api.ListInstanceProfileTagsOutput, error) {
	tags, truncated, marker, err := s.listTags(ctx, in.Marker, in.MaxItems, func(r reader) ([]tag, error) {
		p, err := r.profile(*in.InstanceProfileName)
		if err != nil {
			return nil, err
		}
		return p.Tags, nil
	})
	return &api.ListInstanceProfileTagsOutput{Tags: tags, IsTruncated: truncated, Marker: marker}, err
}
