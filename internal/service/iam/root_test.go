package iam

import (
	"context"
	"testing"
	"time"

	api "brume/internal/api/iam"
	"brume/internal/call"
)

// knows says whether a key is there, and requires that it is of the root of the account.
func (f *fixture) knows(t *testing.T, id, secret string) bool {
	t.Helper()
	got, p, status, err := f.AccessKey(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if status != "" && (status != "Active" || got != secret || p.Type != call.Account || p.Account != account) {
		t.Errorf("%s: %q %+v", id, status, p)
	}
	return status != ""
}

func TestRotateRootKey(t *testing.T) {
	f := newFixture(t)
	first, firstSecret, err := f.EnsureRootKey(t.Context(), account, "", "")
	if err != nil || !f.knows(t, first, firstSecret) {
		t.Fatal(err)
	}
	second, secondSecret, err := f.RotateRootKey(t.Context(), account, first)
	if err != nil || f.knows(t, first, firstSecret) || !f.knows(t, second, secondSecret) || second == first {
		t.Errorf("%s after %s: %v", second, first, err)
	}
	// What is rotated away already takes nothing with it.
	third, thirdSecret, err := f.RotateRootKey(t.Context(), account, first)
	if err != nil || !f.knows(t, second, secondSecret) || !f.knows(t, third, thirdSecret) {
		t.Error(err)
	}
	if _, _, err := f.RotateRootKey(t.Context(), account, first); err == nil {
		t.Error("a third key")
	}
	if _, _, err := f.RotateRootKey(t.Context(), account, second); err != nil || f.knows(t, second, secondSecret) || !f.knows(t, third, thirdSecret) {
		t.Error(err)
	}
}

// A reset leaves nothing that opened the account before, and is for one account.
func TestResetRoot(t *testing.T) {
	f := newFixture(t)
	const other = "999999999999"
	keys := map[string]string{}
	for range 2 {
		id, secret, err := f.RotateRootKey(t.Context(), account, "")
		if err != nil {
			t.Fatal(err)
		}
		keys[id] = secret
	}
	neighbour, _, err := f.EnsureRootKey(t.Context(), other, "", "")
	if err != nil {
		t.Fatal(err)
	}
	principal := func(account string, at time.Time) *call.Principal {
		return &call.Principal{Type: call.Account, Account: account, ID: account, Session: &call.Session{IssuedAt: at}}
	}
	federated := func(issuer string, at time.Time) *call.Principal {
		return &call.Principal{Type: call.FederatedUser, Account: account, ID: account + ":x", Session: &call.Session{IssuedAt: at, IssuerID: issuer}}
	}
	before := time.Now().Add(-time.Minute)
	exist := func(want bool, principals ...*call.Principal) {
		t.Helper()
		for _, p := range principals {
			if got, err := f.Exists(t.Context(), p); err != nil || got != want {
				t.Errorf("%s %+v: %v, %v", p.Type, p.Session, got, err)
			}
		}
	}
	exist(true, principal(account, before), federated(account, before))
	id, secret, err := f.ResetRoot(t.Context(), account)
	if err != nil || !f.knows(t, id, secret) {
		t.Fatal(err)
	}
	for old, secret := range keys {
		if f.knows(t, old, secret) {
			t.Errorf("%s is still there", old)
		}
	}
	exist(false, principal(account, before), federated(account, before))
	exist(true, principal(other, before), principal(account, time.Now().Add(time.Minute)), &call.Principal{Type: call.Account, Account: account, ID: account})
	if _, _, status, err := f.AccessKey(context.Background(), neighbour); err != nil || status != "Active" {
		t.Errorf("%q, %v", status, err)
	}
	// It works without any key too, and after a restart.
	if _, err := f.DeleteAccessKey(rootContext(t), &api.DeleteAccessKeyInput{AccessKeyId: &id}); err != nil {
		t.Fatal(err)
	}
	f = over(t, f.store)
	exist(false, principal(account, before))
	if id, secret, err = f.ResetRoot(t.Context(), account); err != nil || !f.knows(t, id, secret) {
		t.Error(err)
	}
}

func rootContext(t *testing.T) context.Context {
	return call.With(t.Context(), &call.Info{Account: account, Region: "us-east-1", Principal: rootPrincipal(account, "AKIAROOT"), Time: time.Now(), Secure: true})
}
