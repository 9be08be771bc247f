package iam

import (
	"bytes"
	"context"
	"log/slog"
	"regexp"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	api "brume/internal/api/iam"
	"brume/internal/call"
	"brume/internal/kv"
)

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateAccessKey.html
func TestAccessKey(t *testing.T) {
	f := newFixture(t)
	bob := f.user(t, "bob")
	f.user(t, "eve")
	key := must(run[api.CreateAccessKeyOutput](f, root(), &api.CreateAccessKeyInput{UserName: new("BOB")}))(t).AccessKey
	if *key.UserName != "bob" || *key.Status != "Active" || !regexp.MustCompile(`^AKIA[A-Z2-7]{16}$`).MatchString(*key.AccessKeyId) ||
		!regexp.MustCompile(`^[A-Za-z0-9+/]{40}$`).MatchString(*key.SecretAccessKey) {
		t.Errorf("%+v", key)
	}
	secret, p, status, err := f.AccessKey(context.Background(), *key.AccessKeyId)
	want := call.From(bob).Principal
	want.AccessKeyID = *key.AccessKeyId
	if err != nil || secret != *key.SecretAccessKey || status != "Active" || p != want {
		t.Errorf("%+v %s %v", p, status, err)
	}

	second := must(run[api.CreateAccessKeyOutput](f, root(), &api.CreateAccessKeyInput{UserName: new("bob")}))(t).AccessKey
	fails(t, f.do(root(), &api.CreateAccessKeyInput{UserName: new("bob")}), "LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2")
	if list := must(run[api.ListAccessKeysOutput](f, root(), &api.ListAccessKeysInput{UserName: new("bob")}))(t); len(list.AccessKeyMetadata) != 2 || *list.AccessKeyMetadata[0].UserName != "bob" {
		t.Errorf("%+v", list)
	}
	page := must(run[api.ListAccessKeysOutput](f, root(), &api.ListAccessKeysInput{UserName: new("bob"), MaxItems: new(int32(1))}))(t)
	rest := must(run[api.ListAccessKeysOutput](f, root(), &api.ListAccessKeysInput{UserName: new("bob"), Marker: page.Marker}))(t)
	if len(page.AccessKeyMetadata) != 1 || len(rest.AccessKeyMetadata) != 1 || *page.AccessKeyMetadata[0].AccessKeyId == *rest.AccessKeyMetadata[0].AccessKeyId {
		t.Errorf("%+v %+v", page, rest)
	}

	// What is changed counts for the next call.
	ok(t, f.do(root(), &api.UpdateAccessKeyInput{UserName: new("bob"), AccessKeyId: key.AccessKeyId, Status: new("Inactive")}))
	if _, _, status, _ := f.AccessKey(context.Background(), *key.AccessKeyId); status != "Inactive" {
		t.Errorf("status %s", status)
	}
	gone := "The Access Key with id " + *key.AccessKeyId + " cannot be found."
	fails(t, f.do(root(), &api.DeleteAccessKeyInput{UserName: new("eve"), AccessKeyId: key.AccessKeyId}), "NoSuchEntity", gone)
	fails(t, f.do(root(), &api.UpdateAccessKeyInput{UserName: new("eve"), AccessKeyId: key.AccessKeyId, Status: new("Active")}), "NoSuchEntity", gone)
	ok(t, f.do(root(), &api.DeleteAccessKeyInput{UserName: new("bob"), AccessKeyId: key.AccessKeyId}))
	if _, _, status, err := f.AccessKey(context.Background(), *key.AccessKeyId); status != "" || err != nil {
		t.Errorf("status %q, %v", status, err)
	}
	fails(t, f.do(root(), &api.DeleteAccessKeyInput{UserName: new("bob"), AccessKeyId: key.AccessKeyId}), "NoSuchEntity", gone)
	ok(t, f.do(root(), &api.UpdateUserInput{UserName: new("bob"), NewUserName: new("rob"), NewPath: new("/x/")}))
	if _, p, _, _ := f.AccessKey(context.Background(), *second.AccessKeyId); p.ARN != "arn:aws:iam::"+account+":user/x/rob" || p.Name != "rob" {
		t.Errorf("after renaming: %+v", p)
	}
	for _, id := range []string{"", "AKIA", "AKIAIOSFODNN7EXAMPLE", string(make([]byte, 10_000))} {
		if _, _, status, err := f.AccessKey(context.Background(), id); status != "" || err != nil {
			t.Errorf("%.20q: %q, %v", id, status, err)
		}
	}
}

// The operations without a user name mean the caller.
func TestAccessKeyOfCaller(t *testing.T) {
	f := newFixture(t)
	bob := f.user(t, "bob")
	ok(t, f.do(root(), &api.PutUserPolicyInput{UserName: new("bob"), PolicyName: new("keys"), PolicyDocument: new(statement("Allow", "iam:*AccessKey*", "arn:aws:iam::*:user/${aws:username}"))}))
	key := must(run[api.CreateAccessKeyOutput](f, bob, &api.CreateAccessKeyInput{}))(t).AccessKey
	if *key.UserName != "bob" {
		t.Errorf("%+v", key)
	}
	ok(t, f.do(bob, &api.DeleteAccessKeyInput{AccessKeyId: key.AccessKeyId}))
	f.user(t, "eve")
	fails(t, f.do(bob, &api.CreateAccessKeyInput{UserName: new("eve")}), "AccessDenied", "")

	session := call.From(bob).Principal
	session.Type, session.ARN, session.Session = call.AssumedRole, "arn:aws:sts::"+account+":assumed-role/r/s", &call.Session{RoleARN: "arn:aws:iam::" + account + ":role/r"}
	if _, err := f.CreateAccessKey(as(session), &api.CreateAccessKeyInput{}); err == nil {
		t.Error("a session got an access key of its own")
	} else {
		fails(t, err, "ValidationError", "Must specify userName when calling with non-User credentials")
	}
}

// No secret stands in the store as it is.
func TestSecretsAreSealed(t *testing.T) {
	f := newFixture(t)
	f.user(t, "bob")
	key := must(run[api.CreateAccessKeyOutput](f, root(), &api.CreateAccessKeyInput{UserName: new("bob")}))(t).AccessKey
	_, rootSecret, err := f.EnsureRootKey(context.Background(), account, "", "")
	ok(t, err)
	rows := 0
	ok(t, f.store.View(context.Background(), func(r kv.Reader) error {
		for pair, err := range r.Scan(kv.Range{}) {
			if err != nil {
				return err
			}
			rows++
			for _, secret := range []string{*key.SecretAccessKey, rootSecret} {
				if bytes.Contains(pair.Value, []byte(secret)) || bytes.Contains(pair.Key, []byte(secret)) {
					t.Errorf("a secret stands in row %q", pair.Key)
				}
			}
		}
		return nil
	}))
	if rows < 4 {
		t.Errorf("%d rows", rows)
	}
}

func TestEnsureRootKey(t *testing.T) {
	f := newFixture(t)
	id, secret, err := f.EnsureRootKey(context.Background(), account, "", "")
	ok(t, err)
	again, sameSecret, err := over(t, f.store).EnsureRootKey(context.Background(), account, "", "")
	if err != nil || again != id || sameSecret != secret {
		t.Errorf("%s, then %s, %v", id, again, err)
	}
	got, p, status, err := f.AccessKey(context.Background(), id)
	if err != nil || got != secret || status != "Active" || p != rootPrincipal(account, id) {
		t.Errorf("%+v %s %v", p, status, err)
	}
	other, _, err := f.EnsureRootKey(context.Background(), "000000000000", "", "")
	if err != nil || other == id {
		t.Errorf("another account: %s, %v", other, err)
	}
	// An inactive key is no way in.
	ok(t, f.do(root(), &api.UpdateAccessKeyInput{AccessKeyId: &id, Status: new("Inactive")}))
	fresh, _, err := f.EnsureRootKey(context.Background(), account, "", "")
	if err != nil || fresh == id {
		t.Errorf("beside an inactive key: %s, %v", fresh, err)
	}
	if list := must(run[api.ListAccessKeysOutput](f, root(), &api.ListAccessKeysInput{}))(t); len(list.AccessKeyMetadata) != 2 || *list.AccessKeyMetadata[0].UserName != "" {
		t.Errorf("%+v", list)
	}
	if u := must(run[api.GetUserOutput](f, root(), &api.GetUserInput{}))(t).User; u.CreateDate == nil {
		t.Errorf("%+v", u)
	}
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccessKeyLastUsed.html
func TestLastUsed(t *testing.T) {
	f := newFixture(t)
	bob := call.From(f.user(t, "bob")).Principal
	ok(t, f.do(root(), &api.CreateRoleInput{RoleName: new("r"), AssumeRolePolicyDocument: new(lambdaTrust)}))
	role := must(run[api.GetRoleOutput](f, root(), &api.GetRoleInput{RoleName: new("r")}))(t).Role
	if role.RoleLastUsed == nil || role.RoleLastUsed.LastUsedDate != nil {
		t.Errorf("%+v", role.RoleLastUsed)
	}
	key := must(run[api.CreateAccessKeyOutput](f, root(), &api.CreateAccessKeyInput{UserName: new("bob")}))(t).AccessKey
	last := func(f *fixture) *api.GetAccessKeyLastUsedOutput {
		return must(run[api.GetAccessKeyLastUsedOutput](f, root(), &api.GetAccessKeyLastUsedInput{AccessKeyId: key.AccessKeyId}))(t)
	}
	if out := last(f); *out.UserName != "bob" || out.AccessKeyLastUsed.LastUsedDate != nil || *out.AccessKeyLastUsed.ServiceName != "N/A" || *out.AccessKeyLastUsed.Region != "N/A" {
		t.Errorf("never used: %+v", out.AccessKeyLastUsed)
	}

	at := time.Date(2026, 3, 4, 5, 6, 7, 8, time.UTC)
	bob.AccessKeyID = *key.AccessKeyId
	f.RecordUse(&call.Info{Principal: bob, Time: at, Service: "dynamodb", Region: "eu-west-1"})
	session := call.Principal{Type: call.AssumedRole, Account: account, ID: *role.RoleId + ":s", AccessKeyID: "ASIAX", Session: &call.Session{}}
	f.RecordUse(&call.Info{Principal: session, Time: at, Service: "logs", Region: "eu-west-2"})
	f.RecordUse(&call.Info{Principal: call.Principal{Type: call.User, AccessKeyID: "AKIADELETED"}, Time: at})
	f.RecordUse(&call.Info{Principal: call.Principal{Type: call.Anonymous}, Time: at})
	check := func(when string, f *fixture) {
		if out := last(f); out.AccessKeyLastUsed.LastUsedDate == nil || !out.AccessKeyLastUsed.LastUsedDate.Equal(at.Truncate(time.Second)) ||
			*out.AccessKeyLastUsed.ServiceName != "dynamodb" || *out.AccessKeyLastUsed.Region != "eu-west-1" {
			t.Errorf("%s: %+v", when, out.AccessKeyLastUsed)
		}
		out := must(run[api.GetRoleOutput](f, root(), &api.GetRoleInput{RoleName: new("r")}))(t).Role.RoleLastUsed
		if out.LastUsedDate == nil || *out.Region != "eu-west-2" {
			t.Errorf("%s: role %+v", when, out)
		}
	}
	check("before it is written", f)
	f.flushUses(context.Background())
	check("after it is written", f)
	check("after a restart", over(t, f.store))
	ok(t, f.store.View(context.Background(), func(r kv.Reader) error {
		if _, found, _ := r.Get(lastUsedKey("AKIADELETED")); found {
			t.Error("a key that does not exist has a row")
		}
		return nil
	}))
	fails(t, f.do(root(), &api.GetAccessKeyLastUsedInput{AccessKeyId: new("AKIAIOSFODNN7EXAMPLE")}), "NoSuchEntity", "The Access Key with id AKIAIOSFODNN7EXAMPLE cannot be found.")
	fails(t, f.do(as(rootPrincipal("999999999999", "")), &api.GetAccessKeyLastUsedInput{AccessKeyId: key.AccessKeyId}), "NoSuchEntity", "")
}

// A countingStore counts transactions, and fails them if it is told to.
type countingStore struct {
	kv.Store
	updates atomic.Int32
	failing atomic.Bool
}

func (s *countingStore) Update(_ context.Context, _ func(kv.Tx) error) error {
	s.updates.Add(1)
	if s.failing.Load() {
		return kv.ErrConflict
	}
	return nil
}

// Uses are written once a minute, and when the service stops; not at all if there were none.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &countingStore{}
		s := New(store, nil, slog.New(slog.DiscardHandler))
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { s.Run(ctx); close(done) }()
		use := func() {
			s.RecordUse(&call.Info{Principal: call.Principal{Type: call.User, AccessKeyID: "AKIA"}, Time: time.Now()})
		}
		time.Sleep(10 * flushInterval)
		synctest.Wait()
		if n := store.updates.Load(); n != 0 {
			t.Errorf("%d updates without a use", n)
		}
		for range 100 {
			use()
		}
		time.Sleep(2 * flushInterval)
		synctest.Wait()
		if n := store.updates.Load(); n != 1 {
			t.Errorf("%d updates for a hundred uses", n)
		}
		// What could not be written is tried again.
		store.failing.Store(true)
		use()
		time.Sleep(flushInterval)
		synctest.Wait()
		store.failing.Store(false)
		time.Sleep(flushInterval)
		synctest.Wait()
		if n := store.updates.Load(); n != 3 {
			t.Errorf("%d updates after a failure", n)
		}
		use()
		stop()
		<-done
		if n := store.updates.Load(); n != 4 || len(s.uses.pending) != 0 {
			t.Errorf("%d updates at the end, %d left", n, len(s.uses.pending))
		}
	})
}
