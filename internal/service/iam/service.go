// Package iam is AWS Identity and Access Management: users, groups, roles, access keys, policies and what ties them
// together. It also answers, for every call to any service, who an access key belongs to and which policies apply.
//
// A change takes effect on the next call: what is remembered of keys and policies is forgotten before the change is
// acknowledged. Secrets are sealed in the store and shown once.
//
// https://docs.aws.amazon.com/IAM/latest/APIReference/welcome.html
package iam

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"

	api "brume/internal/api/iam"
	"brume/internal/call"
	"brume/internal/kv"
	"brume/internal/policy"
)

// A Sealer encrypts the secrets of access keys. context binds a secret to the key that it belongs to.
type Sealer interface {
	Seal(plaintext, context []byte) []byte
	Open(sealed, context []byte) ([]byte, error)
}

// Service implements the operations. Create it with New.
type Service struct {
	api.Unimplemented
	store  kv.Store
	sealer Sealer
	log    *slog.Logger

	keys       *cache[string, *longTermKey]
	principals *cache[string, *principalPolicies]
	roots      *cache[string, rootRow]
	// sessionDocuments are managed policies that were passed as session policies, by account and ARN.
	sessionDocuments *cache[[2]string, *policy.Document]
	documents        *documents
	uses             *uses

	// usersMay is the resource policy that allows users what their account's password policy does.
	usersMay      *policy.Document
	hasher        *hasher
	passwordTries *tries
	codeTries     *tries
}

var _ api.Service = (*Service)(nil)

// New returns the service over store.
func New(store kv.Store, sealer Sealer, log *slog.Logger) *Service {
	usersMay, err := policy.Parse(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*",
		"Action":["iam:ChangePassword","iam:GetAccountPasswordPolicy"],"Resource":"*"}}`, policy.Resource)
	if err != nil {
		panic(err) // it is a constant
	}
	return &Service{
		usersMay: usersMay,
		store:    store, sealer: sealer, log: log,
		keys:             newCache[string, *longTermKey](maxCachedKeys),
		principals:       newCache[string, *principalPolicies](maxCachedPrincipals),
		roots:            newCache[string, rootRow](maxCachedPrincipals),
		sessionDocuments: newCache[[2]string, *policy.Document](maxSessionDocuments),
		documents:        newDocuments(),
		uses:             newUses(),
		hasher:           newHasher(), passwordTries: newTries(), codeTries: newTries(),
	}
}

// changed makes every later call look at the store again.
func (s *Service) changed() {
	s.keys.invalidate()
	s.principals.invalidate()
	s.sessionDocuments.invalidate()
	s.roots.invalidate()
}

// update runs fn in a transaction on the caller's account. What the transaction changes is in effect when it returns.
func (s *Service) update(ctx context.Context, fn func(t txn) error) error {
	account := call.From(ctx).Account
	// Even if the commit is reported as failed it may have happened.
	defer s.changed()
	return s.store.Update(ctx, func(tx kv.Tx) error {
		return fn(txn{reader{tx, account}, tx})
	})
}

// view runs fn on the caller's account.
func (s *Service) view(ctx context.Context, fn func(r reader) error) error {
	account := call.From(ctx).Account
	return s.store.View(ctx, func(r kv.Reader) error { return fn(reader{r, account}) })
}

// viewAny runs fn on no account: on what is unique among all of them.
func (s *Service) viewAny(ctx context.Context, fn func(r reader) error) error {
	return s.store.View(ctx, func(r kv.Reader) error { return fn(reader{r, ""}) })
}

// A reader reads the state of one account.
type reader struct {
	kv.Reader
	account string
}

// A txn reads and writes the state of one account.
type txn struct {
	reader
	tx kv.Tx
}

// getJSON reads the row at key into v.
func (r reader) getJSON(key []byte, v any) (bool, error) {
	data, ok, err := r.Get(key)
	if err != nil || !ok {
		return false, err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return false, fmt.Errorf("iam: row %q: %w", key, err)
	}
	return true, nil
}

func (r reader) has(key []byte) (bool, error) {
	_, ok, err := r.Get(key)
	return ok, err
}

// any says whether a key begins with prefix.
func (r reader) any(prefix []byte) (bool, error) {
	n, err := r.count(prefix, 1)
	return n > 0, err
}

// count counts the keys that begin with prefix, up to limit; 0 means all.
func (r reader) count(prefix []byte, limit int) (int, error) {
	keys := kv.Prefix(prefix)
	keys.Limit = limit
	n := 0
	for _, err := range r.Scan(keys) {
		if err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

func (t txn) setJSON(key []byte, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return t.tx.Set(key, data)
}
