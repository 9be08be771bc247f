package iam

import (
	"context"
	"strings"
	"time"

	api "brume/internal/api/iam"
	"brume/internal/kv"
	"brume/internal/policy"
)

const (
	// maxTrustSize is the quota of a trust policy, in characters without white space.
	maxTrustSize = 2048
	// defaultMaxSession is the longest session of a role that does not say otherwise, in seconds.
	defaultMaxSession = 3600
)

func (i *identity) role(account string) *api.Role {
	return &api.Role{
		Path: &i.Path, RoleName: &i.Name, RoleId: &i.ID, Arn: new(i.arn(account)), CreateDate: &i.Created,
		AssumeRolePolicyDocument: encodeDocument(i.Trust),
	}
}

// fullRole is the role as the operations show it that ask for one role.
func (i *identity) fullRole(account string) *api.Role {
	out := i.role(account)
	out.MaxSessionDuration, out.PermissionsBoundary, out.Tags = &i.MaxSession, i.boundary(), outTags(i.Tags)
	if i.Description != "" {
		out.Description = &i.Description
	}
	return out
}

// trust checks a trust policy and sets it. The users and roles that it names must exist; what is kept is whom it means,
// so that nobody who later gets one of their names is trusted.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html#principal-roles
func (r reader) trust(i *identity, document string) error {
	doc, err := policy.Parse(document, policy.Trust)
	if err != nil {
		return malformedPolicy(err)
	}
	if policy.Size(document) > maxTrustSize {
		return quota("ACLSizePerRole", maxTrustSize)
	}
	ids := map[string]string{}
	for _, el := range doc.Principals() {
		id, ok, err := r.principalID(el)
		if err != nil {
			return err
		}
		if !ok {
			return malformedPolicy(el.Invalid())
		}
		if id != "" {
			ids[el.Value] = id
		}
	}
	i.Trust, i.TrustIDs = document, ids
	return nil
}

// principalID returns the unique id of the user or role that an element names, empty if it names something else, and
// whether what it names exists.
func (r reader) principalID(el policy.PrincipalElement) (id string, ok bool, err error) {
	if el.Type != "AWS" || !strings.HasPrefix(el.Value, "arn:") {
		return "", true, nil
	}
	parts := strings.SplitN(el.Value, ":", 6)
	service, account, resource := parts[2], parts[4], parts[5]
	k, path, _ := strings.Cut(resource, "/")
	other := reader{r.Reader, account}
	var i identity
	switch {
	case service == "sts" && k == "assumed-role":
		name, _, _ := strings.Cut(path, "/")
		ok, err = other.getJSON(identityKey(account, kindRole, name), &i)
		return "", ok, err
	case service == "iam" && k == "user":
		i.Kind = kindUser
	case service == "iam" && k == "role":
		i.Kind = kindRole
	default:
		return "", true, nil
	}
	ok, err = other.getJSON(identityKey(account, i.Kind, path[strings.LastIndexByte(path, '/')+1:]), &i)
	return i.ID, ok && i.arn(account) == el.Value, err
}

// PrincipalID returns the unique id of the user or role that an ARN names now, empty if it names none.
func (s *Service) PrincipalID(ctx context.Context, principalARN string) (id string, err error) {
	if strings.Count(principalARN, ":") < 5 {
		return "", nil
	}
	err = s.viewAny(ctx, func(r reader) error {
		var exists bool
		id, exists, err = r.principalID(policy.PrincipalElement{Type: "AWS", Value: principalARN})
		if !exists {
			id = ""
		}
		return err
	})
	return id, err
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html
func (s *Service) CreateRole(ctx context.Context, in *api.CreateRoleInput) (*api.CreateRoleOutput, error) {
	tags, err := newTags(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(str(in.Path), linkedRolePath) {
		return nil, invalidInput("The path %s is reserved for roles that are linked to a service.", linkedRolePath)
	}
	out := &api.CreateRoleOutput{}
	err = s.update(ctx, func(t txn) error {
		role, err := t.create(kindRole, *in.RoleName, in.Path)
		if err != nil {
			return err
		}
		role.Tags, role.MaxSession = tags, defaultMaxSession
		if in.MaxSessionDuration != nil {
			role.MaxSession = *in.MaxSessionDuration
		}
		if in.Description != nil {
			role.Description = *in.Description
		}
		if err := t.trust(role, *in.AssumeRolePolicyDocument); err != nil {
			return err
		}
		if err := t.bound(role, in.PermissionsBoundary); err != nil {
			return err
		}
		out.Role = role.fullRole(t.account)
		return t.put(role)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRole.html
func (s *Service) GetRole(ctx context.Context, in *api.GetRoleInput) (*api.GetRoleOutput, error) {
	out := &api.GetRoleOutput{}
	err := s.view(ctx, func(r reader) error {
		role, err := r.identity(kindRole, *in.RoleName)
		if err != nil {
			return err
		}
		out.Role = role.fullRole(r.account)
		out.Role.RoleLastUsed, err = s.roleLastUsed(r, role)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (s *Service) roleLastUsed(r reader, role *identity) (*api.RoleLastUsed, error) {
	use, ok, err := s.lastUse(r, role.ID)
	if err != nil || !ok {
		return &api.RoleLastUsed{}, err
	}
	return &api.RoleLastUsed{LastUsedDate: &use.At, Region: &use.Region}, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListRoles.html
func (s *Service) ListRoles(ctx context.Context, in *api.ListRolesInput) (*api.ListRolesOutput, error) {
	p, err := newPage(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &api.ListRolesOutput{}
	err = s.view(ctx, func(r reader) error {
		roles, truncated, marker, err := take(p, r.identities(kindRole, in.PathPrefix, p))
		out.Roles, out.IsTruncated, out.Marker = make([]api.Role, len(roles)), truncated, marker
		for i, role := range roles {
			out.Roles[i] = *role.role(r.account)
			out.Roles[i].MaxSessionDuration = &role.MaxSession
			if role.Description != "" {
				out.Roles[i].Description = &role.Description
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// changeRole changes a role and returns it as it then is.
func (s *Service) changeRole(ctx context.Context, name string, change func(t txn, role *identity) error) (out *api.Role, err error) {
	err = s.update(ctx, func(t txn) error {
		role, err := t.identity(kindRole, name)
		if err != nil {
			return err
		}
		if err := change(t, role); err != nil {
			return err
		}
		out = role.fullRole(t.account)
		return t.put(role)
	})
	return out, err
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateRole.html
func (s *Service) UpdateRole(ctx context.Context, in *api.UpdateRoleInput) (*api.UpdateRoleOutput, error) {
	_, err := s.changeRole(ctx, *in.RoleName, func(_ txn, role *identity) error {
		if in.MaxSessionDuration != nil {
			if err := role.unprotected(); err != nil {
				return err
			}
		}
		if in.Description != nil {
			role.Description = *in.Description
		}
		if in.MaxSessionDuration != nil {
			role.MaxSession = *in.MaxSessionDuration
		}
		return nil
	})
	return &api.UpdateRoleOutput{}, err
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateRoleDescription.html
func (s *Service) UpdateRoleDescription(ctx context.Context, in *api.UpdateRoleDescriptionInput) (*api.UpdateRoleDescriptionOutput, error) {
	role, err := s.changeRole(ctx, *in.RoleName, func(_ txn, role *identity) error {
		role.Description = *in.Description
		return nil
	})
	return &api.UpdateRoleDescriptionOutput{Role: role}, err
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateAssumeRolePolicy.html
func (s *Service) UpdateAssumeRolePolicy(ctx context.Context, in *api.UpdateAssumeRolePolicyInput) (*api.UpdateAssumeRolePolicyOutput, error) {
	_, err := s.changeRole(ctx, *in.RoleName, func(t txn, role *identity) error {
		if err := role.unprotected(); err != nil {
			return err
		}
		return t.trust(role, *in.PolicyDocument)
	})
	return &api.UpdateAssumeRolePolicyOutput{}, err
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteRole.html
func (s *Service) DeleteRole(ctx context.Context, in *api.DeleteRoleInput) (*api.DeleteRoleOutput, error) {
	err := s.update(ctx, func(t txn) error {
		role, err := t.changeable(kindRole, *in.RoleName)
		if err != nil {
			return err
		}
		inProfile, err := t.any(profileOfScope(role.ID))
		if err != nil {
			return err
		}
		if inProfile {
			return deleteConflict("Cannot delete entity, must remove roles from instance profile first.")
		}
		return t.remove(role)
	})
	return &api.DeleteRoleOutput{}, err
}

// Role returns the role with this ARN, of whatever account, for who wants to assume it; nil if there is none.
func (s *Service) Role(ctx context.Context, roleARN string) (role *policy.Role, err error) {
	account, resource, ok := cutARN(roleARN)
	if !ok || !strings.HasPrefix(resource, "role/") {
		return nil, nil
	}
	var i identity
	err = s.store.View(ctx, func(kvr kv.Reader) error {
		r := reader{kvr, account}
		ok, err := r.getJSON(identityKey(account, kindRole, resource[strings.LastIndexByte(resource, '/')+1:]), &i)
		if err != nil || !ok || i.arn(account) != roleARN {
			return err
		}
		trust, err := policy.Parse(i.Trust, policy.Trust)
		if err != nil {
			return err
		}
		role = &policy.Role{
			Account: account, Name: i.Name, ARN: roleARN, ID: i.ID, Trust: trust.Bind(i.TrustIDs),
			MaxSession: time.Duration(i.MaxSession) * time.Second, Tags: tagMap(i.Tags),
		}
		return nil
	})
	return role, err
}
