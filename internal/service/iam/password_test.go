package iam

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	api "brume/internal/api/iam"
	"brume/internal/kv"
)

const goodPassword = "Correct-Horse-7"

// Passwords are checked by the default policy of an account that has none of its own.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_passwords_account-policy.html#default-policy-details
func TestPasswordPolicies(t *testing.T) {
	strict := &passwordPolicyRow{MinLength: 10, Symbols: true, Numbers: true, Uppers: true, Lowers: true}
	for _, c := range []struct {
		policy         *passwordPolicyRow
		password, want string
	}{
		{nil, "Abcdef1", "Password should have a minimum length of 8"},
		{nil, "Abcdefg1", ""},
		{nil, "abcdefg1", "Password should include a minimum of three of the following mix of character types: uppercase, lowercase, numbers, and non-alphanumeric characters"},
		{nil, "abcdef-1", ""},
		{nil, "BOB-the-1st", "Password should not be identical to the user name"},
		{&passwordPolicyRow{MinLength: 6}, "aaaaa", "Password should have a minimum length of 6"},
		{&passwordPolicyRow{MinLength: 6}, "aaaaaa", ""},
		{&passwordPolicyRow{MinLength: 6}, "üüüüüü", ""}, // characters, not bytes
		{strict, "Abcdefg-1", "Password should have a minimum length of 10"},
		{strict, "abcdefgh-1", "Password should have at least one uppercase letter"},
		{strict, "ABCDEFGH-1", "Password should have at least one lowercase letter"},
		{strict, "Abcdefgh-i", "Password should have at least one number"},
		{strict, "Abcdefghi1", "Password should have at least one symbol"},
		{strict, "Abcdefghi1|", ""},
	} {
		err := c.policy.check(c.password, "bob-the-1st")
		if c.want == "" {
			ok(t, err)
		} else {
			fails(t, err, "PasswordPolicyViolation", c.want)
		}
	}
}

func TestAccountPasswordPolicy(t *testing.T) {
	f := newFixture(t)
	const none = "The Password Policy with domain name " + account + " cannot be found."
	get := func() (*api.GetAccountPasswordPolicyOutput, error) {
		return run[api.GetAccountPasswordPolicyOutput](f, root(), &api.GetAccountPasswordPolicyInput{})
	}
	_, err := get()
	fails(t, err, "NoSuchEntity", none)
	fails(t, f.do(root(), &api.DeleteAccountPasswordPolicyInput{}), "NoSuchEntity", none)
	ok(t, f.do(root(), &api.UpdateAccountPasswordPolicyInput{MinimumPasswordLength: new(int32(12)), MaxPasswordAge: new(int32(90)), PasswordReusePrevention: new(int32(24)), RequireNumbers: new(true), HardExpiry: new(true)}))
	p := must(get())(t).PasswordPolicy
	if *p.MinimumPasswordLength != 12 || *p.MaxPasswordAge != 90 || *p.PasswordReusePrevention != 24 || !*p.RequireNumbers || *p.RequireSymbols || !*p.ExpirePasswords || !*p.HardExpiry {
		t.Errorf("%+v", p)
	}
	// What is left out goes back to its default.
	ok(t, f.do(root(), &api.UpdateAccountPasswordPolicyInput{AllowUsersToChangePassword: new(true)}))
	p = must(get())(t).PasswordPolicy
	if *p.MinimumPasswordLength != 6 || p.MaxPasswordAge != nil || p.PasswordReusePrevention != nil || *p.RequireNumbers || *p.ExpirePasswords || *p.HardExpiry || !*p.AllowUsersToChangePassword {
		t.Errorf("%+v", p)
	}
	for _, in := range []*api.UpdateAccountPasswordPolicyInput{
		{MinimumPasswordLength: new(int32(5))}, {MinimumPasswordLength: new(int32(129))}, {PasswordReusePrevention: new(int32(25))}, {MaxPasswordAge: new(int32(0))}, {MaxPasswordAge: new(int32(1096))},
	} {
		fails(t, f.do(root(), in), "ValidationError", "")
	}
	ok(t, f.do(root(), &api.DeleteAccountPasswordPolicyInput{}))
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateLoginProfile.html
func TestLoginProfile(t *testing.T) {
	f := newFixture(t)
	f.user(t, "bob")
	fails(t, f.do(root(), &api.GetLoginProfileInput{UserName: new("bob")}), "NoSuchEntity", "Login Profile for User bob cannot be found.")
	fails(t, f.do(root(), &api.CreateLoginProfileInput{UserName: new("bob"), Password: new("short")}), "PasswordPolicyViolation", "")
	out := must(run[api.CreateLoginProfileOutput](f, root(), &api.CreateLoginProfileInput{UserName: new("bob"), Password: new(goodPassword), PasswordResetRequired: new(true)}))(t)
	if *out.LoginProfile.UserName != "bob" || !*out.LoginProfile.PasswordResetRequired {
		t.Errorf("%+v", out.LoginProfile)
	}
	fails(t, f.do(root(), &api.CreateLoginProfileInput{UserName: new("bob"), Password: new(goodPassword)}), "EntityAlreadyExists", "Login Profile for user bob already exists.")
	fails(t, f.do(root(), &api.DeleteUserInput{UserName: new("bob")}), "DeleteConflict", "Cannot delete entity, must delete login profile first.")

	// The password itself is not kept.
	err := f.store.View(context.Background(), func(r kv.Reader) error {
		for pair, err := range r.Scan(kv.Range{}) {
			if err != nil {
				return err
			}
			if strings.Contains(string(pair.Value), goodPassword) {
				t.Errorf("row %q holds the password", pair.Key)
			}
		}
		return nil
	})
	ok(t, err)

	signIn := func(name, password string) *SignIn {
		t.Helper()
		in, err := f.CheckPassword(context.Background(), account, name, password)
		ok(t, err)
		return in
	}
	in := signIn("BOB", goodPassword)
	if in == nil || in.Principal.Name != "bob" || !in.ResetRequired || in.MFA {
		t.Fatalf("%+v", in)
	}
	if used := must(run[api.GetUserOutput](f, root(), &api.GetUserInput{UserName: new("bob")}))(t).User.PasswordLastUsed; used == nil {
		t.Error("PasswordLastUsed is missing")
	}
	for _, c := range [][2]string{{"bob", goodPassword + "x"}, {"bob", ""}, {"eve", goodPassword}, {"bob", strings.Repeat("x", maxPassword+1)}} {
		if in := signIn(c[0], c[1]); in != nil {
			t.Errorf("%q is let in with %q", c[0], c[1])
		}
	}
	ok(t, f.do(root(), &api.UpdateLoginProfileInput{UserName: new("bob"), Password: new("Another-Horse-8"), PasswordResetRequired: new(false)}))
	if signIn("bob", goodPassword) != nil {
		t.Error("the old password is still good")
	}
	if in := signIn("bob", "Another-Horse-8"); in == nil || in.ResetRequired {
		t.Errorf("%+v", in)
	}
	ok(t, f.do(root(), &api.DeleteLoginProfileInput{UserName: new("bob")}))
	if signIn("bob", "Another-Horse-8") != nil {
		t.Error("a deleted password is good")
	}
	ok(t, f.do(root(), &api.DeleteUserInput{UserName: new("bob")}))
}

// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_passwords_enable-user-change.html
func TestChangePassword(t *testing.T) {
	f := newFixture(t)
	bob := f.user(t, "bob")
	ok(t, f.do(root(), &api.CreateLoginProfileInput{UserName: new("bob"), Password: new(goodPassword), PasswordResetRequired: new(true)}))
	change := func(from, to string) error {
		return f.do(bob, &api.ChangePasswordInput{OldPassword: &from, NewPassword: &to})
	}
	fails(t, change(goodPassword, "New-Horse-1"), "AccessDenied", "")
	ok(t, f.do(root(), &api.UpdateAccountPasswordPolicyInput{AllowUsersToChangePassword: new(true), PasswordReusePrevention: new(int32(2))}))
	ok(t, f.do(bob, &api.GetAccountPasswordPolicyInput{}))
	fails(t, f.do(root(), &api.ChangePasswordInput{OldPassword: new("a"), NewPassword: new("b")}), "InvalidUserType", "")
	fails(t, change("wrong", "New-Horse-1"), "InvalidInput", "The old password was incorrect.")
	fails(t, change(goodPassword, goodPassword), "PasswordPolicyViolation", "")
	ok(t, change(goodPassword, "New-Horse-1"))
	fails(t, change("New-Horse-1", goodPassword), "PasswordPolicyViolation", "")
	ok(t, change("New-Horse-1", "New-Horse-2"))
	ok(t, change("New-Horse-2", goodPassword)) // two others lie between
	if profile := must(run[api.GetLoginProfileOutput](f, root(), &api.GetLoginProfileInput{UserName: new("bob")}))(t).LoginProfile; *profile.PasswordResetRequired {
		t.Error("the reset is still required")
	}

	// An explicit deny is stronger than the password policy.
	ok(t, f.do(root(), &api.PutUserPolicyInput{UserName: new("bob"), PolicyName: new("p"), PolicyDocument: new(statement("Deny", "iam:ChangePassword", "*"))}))
	fails(t, change(goodPassword, "New-Horse-3"), "AccessDenied", "")
	ok(t, f.do(root(), &api.DeleteUserPolicyInput{UserName: new("bob"), PolicyName: new("p")}))

	// With a hard expiry an expired password lets nobody in and cannot be changed; otherwise it must be.
	ok(t, f.do(root(), &api.UpdateAccountPasswordPolicyInput{AllowUsersToChangePassword: new(true), MaxPasswordAge: new(int32(1))}))
	err := f.store.Update(context.Background(), func(tx kv.Tx) error {
		r := txn{reader{tx, account}, tx}
		u, err := r.identity(kindUser, "bob")
		if err != nil {
			return err
		}
		row, err := r.password(u)
		if err != nil {
			return err
		}
		row.Set = row.Set.Add(-24*time.Hour - time.Second)
		return r.setJSON(passwordKey(u.ID), row)
	})
	ok(t, err)
	if in := must(f.CheckPassword(context.Background(), account, "bob", goodPassword))(t); in == nil || !in.ResetRequired {
		t.Errorf("%+v", in)
	}
	ok(t, f.do(root(), &api.UpdateAccountPasswordPolicyInput{AllowUsersToChangePassword: new(true), MaxPasswordAge: new(int32(1)), HardExpiry: new(true)}))
	if in := must(f.CheckPassword(context.Background(), account, "bob", goodPassword))(t); in != nil {
		t.Errorf("%+v", in)
	}
	fails(t, change(goodPassword, "New-Horse-3"), "EntityTemporarilyUnmodifiable", "")
}

func TestTries(t *testing.T) {
	tries, now := newTries(), time.Unix(1e9, 0)
	// It does not help to guess many at one time.
	var made atomic.Int64
	var all sync.WaitGroup
	for range 10 * freeTries {
		all.Go(func() {
			if tries.attempt("bob", now) {
				made.Add(1)
			}
		})
	}
	if all.Wait(); made.Load() != freeTries {
		t.Errorf("%d tries at one time", made.Load())
	}
	if tries.attempt("bob", now.Add(time.Second-1)) || !tries.attempt("eve", now) || !tries.attempt("bob", now.Add(time.Second)) {
		t.Error("the first wait is not a second")
	}
	for range 100 {
		now = now.Add(maxWait)
		if !tries.attempt("bob", now) || tries.attempt("bob", now) {
			t.Fatal("not one try after each wait")
		}
	}
	if tries.attempt("bob", now.Add(maxWait-1)) || !tries.attempt("bob", now.Add(maxWait)) {
		t.Error("the longest wait")
	}
	tries.succeeded("bob")
	for range freeTries {
		if !tries.attempt("bob", now) {
			t.Fatal("blocked after a success")
		}
	}
}
