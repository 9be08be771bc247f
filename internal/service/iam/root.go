package iam

import (
	"context"
	"slices"
	"time"

	"brume/internal/call"
	"brume/internal/kv"
)

// A rootRow is what is known of the root of an account besides its keys.
type rootRow struct {
	// SessionsFrom is when root was reset: sessions from before are over.
	SessionsFrom time.Time
}

// EnsureRootKey returns an active access key of an account's root. If there is none it takes the one that clients know
// already, if such is given and free, so that they go on working with an emptied store, or else makes one. It needs no
// caller.
func (s *Service) EnsureRootKey(ctx context.Context, account, knownID, knownSecret string) (id, secret string, err error) {
	defer s.changed()
	err = s.store.Update(ctx, func(tx kv.Tx) error {
		t := txn{reader{tx, account}, tx}
		for pair, err := range t.Scan(kv.Prefix(ownerScope(account))) {
			if err != nil {
				return err
			}
			if _, id, err = parseOwnerKey(pair.Key); err != nil {
				return err
			}
			row, err := t.accessKey(account, id)
			if err != nil {
				return err
			}
			if row.Status == statusActive {
				opened, err := s.sealer.Open(row.Secret, []byte(id))
				secret = string(opened)
				return err
			}
		}
		if knownID != "" && knownSecret != "" {
			taken, err := t.has(accessKeyKey(knownID))
			if err != nil {
				return err
			}
			if !taken {
				id, secret = knownID, knownSecret
				_, err := s.putAccessKey(t, account, id, secret)
				return err
			}
		}
		id, secret, _, err = s.newAccessKey(t, account)
		return err
	})
	if err != nil {
		return "", "", err
	}
	return id, secret, nil
}

// RotateRootKey replaces the access key old of an account's root by a new one. It needs no caller. If there is no such key,
// the new one is added.
func (s *Service) RotateRootKey(ctx context.Context, account, old string) (id, secret string, err error) {
	return s.replaceRootKeys(ctx, account, func(_ txn, keys []string) ([]string, error) {
		return slices.DeleteFunc(keys, func(key string) bool { return key != old }), nil
	})
}

// ResetRoot takes all access keys from an account's root, ends its sessions, and makes a new key. It needs no caller.
func (s *Service) ResetRoot(ctx context.Context, account string) (id, secret string, err error) {
	return s.replaceRootKeys(ctx, account, func(t txn, keys []string) ([]string, error) {
		return keys, t.setJSON(rootKey(account), rootRow{SessionsFrom: t.tx.Now()})
	})
}

// replaceRootKeys deletes those of the keys of an account's root that old picks, and makes a new one.
func (s *Service) replaceRootKeys(ctx context.Context, account string, old func(t txn, keys []string) ([]string, error)) (id, secret string, err error) {
	defer s.changed()
	err = s.store.Update(ctx, func(tx kv.Tx) error {
		t := txn{reader{tx, account}, tx}
		var keys []string
		for pair, err := range t.Scan(kv.Prefix(ownerScope(account))) {
			if err != nil {
				return err
			}
			_, key, err := parseOwnerKey(pair.Key)
			if err != nil {
				return err
			}
			keys = append(keys, key)
		}
		keys, err := old(t, keys)
		if err != nil {
			return err
		}
		for _, key := range keys {
			if err := t.deleteAccessKey(account, key); err != nil {
				return err
			}
		}
		id, secret, _, err = s.newAccessKey(t, account)
		return err
	})
	if err != nil {
		return "", "", err
	}
	return id, secret, nil
}

// rootSession is what a session of an account's root brings to a call: its existence, for root has no policies.
func (s *Service) rootSession(ctx context.Context, p *call.Principal) (*principalPolicies, error) {
	root, _, err := s.roots.get(p.Account, func() (root rootRow, ok bool, err error) {
		err = s.store.View(ctx, func(r kv.Reader) error {
			_, err := (reader{r, p.Account}).getJSON(rootKey(p.Account), &root)
			return err
		})
		return root, err == nil, err
	})
	if err != nil {
		return nil, err
	}
	return &principalPolicies{exists: !p.Session.IssuedAt.Before(root.SessionsFrom)}, nil
}
