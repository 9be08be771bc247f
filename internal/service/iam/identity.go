package iam

import (
	"context"
	"iter"
	"strings"
	"time"

	api "brume/internal/api/iam"
	"brume/internal/call"
	"brume/internal/kv"
)

// kind is what policies are attached to.
type kind byte

const (
	kindUser  kind = 'u'
	kindGroup kind = 'g'
	kindRole  kind = 'r'
)

func (k kind) String() string {
	switch k {
	case kindUser:
		return "user"
	case kindGroup:
		return "group"
	}
	return "role"
}

// title is the kind as quotas and messages have it.
func (k kind) title() string { return strings.ToUpper(k.String()[:1]) + k.String()[1:] }

func (k kind) idPrefix() string {
	switch k {
	case kindUser:
		return prefixUser
	case kindGroup:
		return prefixGroup
	}
	return prefixRole
}

// An identity is the row of a user, a group or a role.
type identity struct {
	Kind    kind
	Name    string
	Path    string
	ID      string
	Created time.Time
	// Boundary is the ARN of the permissions boundary of a user or role, if there is one.
	Boundary string `json:",omitempty"`
	Tags     []tag  `json:",omitempty"`

	// Of roles only. TrustIDs holds the unique ids of the users and roles in the trust policy by their ARNs.
	Trust       string            `json:",omitempty"`
	TrustIDs    map[string]string `json:",omitempty"`
	Description string            `json:",omitempty"`
	MaxSession  int32             `json:",omitempty"`
}

func (i *identity) arn(account string) string {
	return arn(account, i.Kind.String()+i.Path+i.Name)
}

func (i *identity) key(account string) []byte { return identityKey(account, i.Kind, i.Name) }

// boundary is the permissions boundary as outputs have it.
func (i *identity) boundary() *api.AttachedPermissionsBoundary {
	if i.Boundary == "" {
		return nil
	}
	return &api.AttachedPermissionsBoundary{
		PermissionsBoundaryArn: &i.Boundary, PermissionsBoundaryType: new("PermissionsBoundaryPolicy"),
	}
}

// identity returns the user, group or role with this name, or NoSuchEntity.
func (r reader) identity(k kind, name string) (*identity, error) {
	var i identity
	ok, err := r.getJSON(identityKey(r.account, k, name), &i)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, noSuchEntity("The %s with name %s cannot be found.", k, name)
	}
	return &i, nil
}

// changeable is like identity, for one whose permissions are to be changed.
func (t txn) changeable(k kind, name string) (*identity, error) {
	i, err := t.identity(k, name)
	if err == nil {
		err = i.unprotected()
	}
	return i, err
}

// identityByID returns the identity with this unique id and its account, nil if there is none.
func identityByID(r kv.Reader, id string) (account string, i *identity, err error) {
	key, ok, err := r.Get(idKey(id))
	if err != nil || !ok {
		return "", nil, err
	}
	account, _, _, err = parseIdentityKey(key)
	if err != nil {
		return "", nil, err
	}
	i = new(identity)
	if ok, err := (reader{r, account}).getJSON(key, i); err != nil || !ok {
		return "", nil, err
	}
	return account, i, nil
}

// create adds an identity that does not exist yet. path may be nil.
func (t txn) create(k kind, name string, path *string) (*identity, error) {
	i := &identity{Kind: k, Name: name, Path: "/", ID: newID(k.idPrefix()), Created: t.tx.Now().UTC().Truncate(time.Second)}
	if path != nil {
		i.Path = *path
	}
	taken, err := t.has(i.key(t.account))
	if err != nil {
		return nil, err
	}
	if taken {
		return nil, alreadyExists("%s with name %s already exists.", k.title(), name)
	}
	return i, t.add(k.quota())
}

func (t txn) put(i *identity) error {
	key := i.key(t.account)
	if err := t.tx.Set(idKey(i.ID), key); err != nil {
		return err
	}
	return t.setJSON(key, i)
}

// rename changes name and path, where they are given.
func (t txn) rename(i *identity, name, path *string) error {
	if path != nil {
		i.Path = *path
	}
	if name != nil {
		if fold(*name) != fold(i.Name) {
			taken, err := t.has(identityKey(t.account, i.Kind, *name))
			if err != nil {
				return err
			}
			if taken {
				return alreadyExists("%s with name %s already exists.", i.Kind.title(), *name)
			}
			if err := t.tx.Delete(i.key(t.account)); err != nil {
				return err
			}
		}
		i.Name = *name
	}
	return t.put(i)
}

// remove deletes an identity that nothing is attached to.
func (t txn) remove(i *identity) error {
	for _, c := range []struct {
		scope   []byte
		message string
	}{
		{attachedScope(i.ID), "Cannot delete entity, must detach all policies first."},
		{inlineScope(i.ID), "Cannot delete entity, must delete policies first."},
	} {
		left, err := t.any(c.scope)
		if err != nil {
			return err
		}
		if left {
			return deleteConflict(c.message)
		}
	}
	if i.Boundary != "" {
		if err := t.tx.Delete(usedByKey(t.account, i.Boundary, usageBounded, i.ID)); err != nil {
			return err
		}
	}
	if err := t.drop(i.Kind.quota()); err != nil {
		return err
	}
	for pair, err := range t.Scan(kv.Prefix(accessScope(i.ID))) {
		if err == nil {
			err = t.tx.Delete(pair.Key)
		}
		if err != nil {
			return err
		}
	}
	for _, key := range [][]byte{i.key(t.account), idKey(i.ID), lastUsedKey(i.ID)} {
		if err := t.tx.Delete(key); err != nil {
			return err
		}
	}
	return nil
}

// identities lists those of a kind whose path begins with prefix, by name.
func (r reader) identities(k kind, prefix *string, p page) iter.Seq2[item[*identity], error] {
	all := rows(r, after(identityScope(r.account, k), p.after), func(i *identity) string { return fold(i.Name) })
	return only(all, func(i *identity) bool { return hasPathPrefix(i.Path, prefix) })
}

func hasPathPrefix(path string, prefix *string) bool {
	return prefix == nil || strings.HasPrefix(path, *prefix)
}

// callerName is the user that an operation without a UserName means: the one who calls. It is empty for a root.
func callerName(ctx context.Context, name *string) (string, error) {
	if name != nil {
		return *name, nil
	}
	switch p := &call.From(ctx).Principal; p.Type {
	case call.User:
		return p.Name, nil
	case call.Account:
		return "", nil
	}
	return "", validation("Must specify userName when calling with non-User credentials")
}
