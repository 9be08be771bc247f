package iam

import (
	"context"
	"iter"
	"time"

	"brume/internal/accesskey"
	api "brume/internal/api/iam"
)

// maxAccessKeys is how many access keys a user, or the root of an account, may have.
const maxAccessKeys = 2

const (
	statusActive   = "Active"
	statusInactive = "Inactive"
)

// An accessKeyRow is the row of a long-term access key.
type accessKeyRow struct {
	Account string
	// Owner is the unique id of the user, or the account for a key of its root.
	Owner   string
	Status  string
	Created time.Time
	// Secret is sealed for the access key's id.
	Secret []byte
}

// owner returns who the operations on access keys mean by a user name: its owner id and the name as it is written. An
// empty name is the root of the account.
func (r reader) owner(name string) (id, userName string, err error) {
	if name == "" {
		return r.account, "", nil
	}
	u, err := r.identity(kindUser, name)
	if err != nil {
		return "", "", err
	}
	return u.ID, u.Name, nil
}

// accessKey returns a key of owner, or NoSuchEntity.
func (r reader) accessKey(owner, id string) (*accessKeyRow, error) {
	var k accessKeyRow
	ok, err := r.getJSON(accessKeyKey(id), &k)
	if err != nil {
		return nil, err
	}
	if !ok || k.Account != r.account || k.Owner != owner {
		return nil, noSuchEntity("The Access Key with id %s cannot be found.", id)
	}
	return &k, nil
}

// newAccessKey adds a key for owner.
func (s *Service) newAccessKey(t txn, owner string) (id, secret string, row *accessKeyRow, err error) {
	n, err := t.count(ownerScope(owner), maxAccessKeys)
	if err != nil {
		return "", "", nil, err
	}
	if n == maxAccessKeys {
		return "", "", nil, quota("AccessKeysPerUser", maxAccessKeys)
	}
	for taken := true; taken; {
		id = accesskey.NewID(accesskey.LongTerm, t.account)
		if taken, err = t.has(accessKeyKey(id)); err != nil {
			return "", "", nil, err
		}
	}
	secret = accesskey.NewSecret()
	row, err = s.putAccessKey(t, owner, id, secret)
	return id, secret, row, err
}

// putAccessKey writes an active access key of owner.
func (s *Service) putAccessKey(t txn, owner, id, secret string) (*accessKeyRow, error) {
	row := &accessKeyRow{
		Account: t.account, Owner: owner, Status: statusActive, Created: t.tx.Now().UTC().Truncate(time.Second),
		Secret: s.sealer.Seal([]byte(secret), []byte(id)),
	}
	if err := t.tx.Set(ownerKey(owner, id), nil); err != nil {
		return nil, err
	}
	return row, t.setJSON(accessKeyKey(id), row)
}

// CreateAccessKey shows the secret: no other operation does.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateAccessKey.html
func (s *Service) CreateAccessKey(ctx context.Context, in *api.CreateAccessKeyInput) (*api.CreateAccessKeyOutput, error) {
	name, err := callerName(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	out := &api.CreateAccessKeyOutput{}
	err = s.update(ctx, func(t txn) error {
		owner, userName, err := t.owner(name)
		if err != nil {
			return err
		}
		id, secret, row, err := s.newAccessKey(t, owner)
		if err != nil {
			return err
		}
		out.AccessKey = &api.AccessKey{
			UserName: &userName, AccessKeyId: &id, SecretAccessKey: &secret, Status: &row.Status, CreateDate: &row.Created,
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListAccessKeys.html
func (s *Service) ListAccessKeys(ctx context.Context, in *api.ListAccessKeysInput) (*api.ListAccessKeysOutput, error) {
	name, err := callerName(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	p, err := newPage(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &api.ListAccessKeysOutput{}
	err = s.view(ctx, func(r reader) error {
		owner, userName, err := r.owner(name)
		if err != nil {
			return err
		}
		var keys []namedKey
		keys, out.IsTruncated, out.Marker, err = take(p, r.accessKeys(owner, p.after))
		out.AccessKeyMetadata = make([]api.AccessKeyMetadata, len(keys))
		for i, k := range keys {
			out.AccessKeyMetadata[i] = api.AccessKeyMetadata{UserName: &userName, AccessKeyId: &k.id, Status: &k.Status, CreateDate: &k.Created}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// A namedKey is an access key with its id.
type namedKey struct {
	id string
	*accessKeyRow
}

// accessKeys lists the access keys of an owner, by id.
func (r reader) accessKeys(owner, afterID string) iter.Seq2[item[namedKey], error] {
	return func(yield func(item[namedKey], error) bool) {
		for pair, err := range r.Scan(after(ownerScope(owner), afterID)) {
			var k namedKey
			if err == nil {
				_, k.id, err = parseOwnerKey(pair.Key)
			}
			if err == nil {
				k.accessKeyRow, err = r.accessKey(owner, k.id)
			}
			if !yield(item[namedKey]{k.id, k}, err) || err != nil {
				return
			}
		}
	}
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateAccessKey.html
func (s *Service) UpdateAccessKey(ctx context.Context, in *api.UpdateAccessKeyInput) (*api.UpdateAccessKeyOutput, error) {
	name, err := callerName(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	err = s.update(ctx, func(t txn) error {
		owner, _, err := t.owner(name)
		if err != nil {
			return err
		}
		row, err := t.accessKey(owner, *in.AccessKeyId)
		if err != nil {
			return err
		}
		row.Status = *in.Status
		return t.setJSON(accessKeyKey(*in.AccessKeyId), row)
	})
	return &api.UpdateAccessKeyOutput{}, err
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteAccessKey.html
func (s *Service) DeleteAccessKey(ctx context.Context, in *api.DeleteAccessKeyInput) (*api.DeleteAccessKeyOutput, error) {
	name, err := callerName(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	err = s.update(ctx, func(t txn) error {
		owner, _, err := t.owner(name)
		if err != nil {
			return err
		}
		if _, err := t.accessKey(owner, *in.AccessKeyId); err != nil {
			return err
		}
		return t.deleteAccessKey(owner, *in.AccessKeyId)
	})
	return &api.DeleteAccessKeyOutput{}, err
}

func (t txn) deleteAccessKey(owner, id string) error {
	for _, key := range [][]byte{accessKeyKey(id), ownerKey(owner, id), lastUsedKey(id)} {
		if err := t.tx.Delete(key); err != nil {
			return err
		}
	}
	return nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccessKeyLastUsed.html
func (s *Service) GetAccessKeyLastUsed(ctx context.Context, in *api.GetAccessKeyLastUsedInput) (*api.GetAccessKeyLastUsedOutput, error) {
	out := &api.GetAccessKeyLastUsedOutput{}
	err := s.view(ctx, func(r reader) error {
		u, err := r.keyUser(*in.AccessKeyId)
		if err != nil {
			return err
		}
		use, ok, err := s.lastUse(r, *in.AccessKeyId)
		if err != nil {
			return err
		}
		out.UserName = new("")
		if u != nil {
			out.UserName = &u.Name
		}
		out.AccessKeyLastUsed = &api.AccessKeyLastUsed{ServiceName: new("N/A"), Region: new("N/A")}
		if ok {
			out.AccessKeyLastUsed = &api.AccessKeyLastUsed{LastUsedDate: &use.At, ServiceName: &use.Service, Region: &use.Region}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// keyUser returns the user that an access key of the account belongs to, nil for one of its root, or NoSuchEntity.
func (r reader) keyUser(id string) (*identity, error) {
	var k accessKeyRow
	ok, err := r.getJSON(accessKeyKey(id), &k)
	if err != nil {
		return nil, err
	}
	if !ok || k.Account != r.account {
		return nil, noSuchEntity("The Access Key with id %s cannot be found.", id)
	}
	_, u, err := identityByID(r, k.Owner)
	return u, err
}

// accountCreated is when the account got its first key, nil if it has none.
func (r reader) accountCreated() (*time.Time, error) {
	var first *time.Time
	for k, err := range r.accessKeys(r.account, "") {
		if err != nil {
			return nil, err
		}
		if first == nil || k.value.Created.Before(*first) {
			first = &k.value.Created
		}
	}
	return first, nil
}
