package iam

import (
	"context"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	api "brume/internal/api/iam"
)

// A passwordPolicyRow is the password policy of an account.
type passwordPolicyRow struct {
	MinLength                        int32
	Symbols, Numbers, Uppers, Lowers bool
	UsersMayChange, HardExpiry       bool
	MaxAgeDays                       int32 `json:",omitempty"` // 0: passwords do not expire
	Remembered                       int32 `json:",omitempty"` // how many old passwords may not come back
}

const (
	// minPasswordLength is that of an account with a policy that does not say otherwise.
	minPasswordLength = 6
	// defaultPasswordLength is that of an account without a policy.
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_passwords_account-policy.html#default-policy-details
	defaultPasswordLength = 8
	// maxRemembered is the most that PasswordReusePrevention can ask for.
	maxRemembered = 24

	passwordSymbols = "!@#$%^&*()_+-=[]{}|'"
)

// passwordPolicy returns nil if the account has none of its own.
func (r reader) passwordPolicy() (*passwordPolicyRow, error) {
	var p passwordPolicyRow
	ok, err := r.getJSON(passwordPolicyKey(r.account), &p)
	if err != nil || !ok {
		return nil, err
	}
	return &p, nil
}

func passwordViolation(message string) error {
	return &api.PasswordPolicyViolationException{Message: &message}
}

// check says what a policy, nil for that of an account without one, has against a password of a user.
func (p *passwordPolicyRow) check(password, userName string) error {
	var has struct{ symbol, number, upper, lower bool }
	for _, c := range password {
		switch {
		case '0' <= c && c <= '9':
			has.number = true
		case 'A' <= c && c <= 'Z':
			has.upper = true
		case 'a' <= c && c <= 'z':
			has.lower = true
		case strings.ContainsRune(passwordSymbols, c):
			has.symbol = true
		}
	}
	if p == nil {
		kinds := 0
		for _, there := range [...]bool{has.symbol, has.number, has.upper, has.lower} {
			if there {
				kinds++
			}
		}
		switch {
		case utf8.RuneCountInString(password) < defaultPasswordLength:
			return passwordViolation("Password should have a minimum length of 8")
		case kinds < 3:
			return passwordViolation("Password should include a minimum of three of the following mix of character types: uppercase, lowercase, numbers, and non-alphanumeric characters")
		case strings.EqualFold(password, userName):
			return passwordViolation("Password should not be identical to the user name")
		}
		return nil
	}
	switch {
	case utf8.RuneCountInString(password) < int(p.MinLength):
		return passwordViolation("Password should have a minimum length of " + strconv.Itoa(int(p.MinLength)))
	case p.Uppers && !has.upper:
		return passwordViolation("Password should have at least one uppercase letter")
	case p.Lowers && !has.lower:
		return passwordViolation("Password should have at least one lowercase letter")
	case p.Numbers && !has.number:
		return passwordViolation("Password should have at least one number")
	case p.Symbols && !has.symbol:
		return passwordViolation("Password should have at least one symbol")
	}
	return nil
}

// expiry is when a password that was set at a time expires, zero for never.
func (p *passwordPolicyRow) expiry(set time.Time) time.Time {
	if p == nil || p.MaxAgeDays == 0 {
		return time.Time{}
	}
	return set.AddDate(0, 0, int(p.MaxAgeDays))
}

func (r reader) noPasswordPolicy() error {
	return noSuchEntity("The Password Policy with domain name %s cannot be found.", r.account)
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountPasswordPolicy.html
func (s *Service) GetAccountPasswordPolicy(ctx context.Context, _ *api.GetAccountPasswordPolicyInput) (*api.GetAccountPasswordPolicyOutput, error) {
	out := &api.GetAccountPasswordPolicyOutput{}
	err := s.view(ctx, func(r reader) error {
		p, err := r.passwordPolicy()
		if err != nil {
			return err
		}
		if p == nil {
			return r.noPasswordPolicy()
		}
		out.PasswordPolicy = &api.PasswordPolicy{
			MinimumPasswordLength: &p.MinLength, RequireSymbols: &p.Symbols, RequireNumbers: &p.Numbers,
			RequireUppercaseCharacters: &p.Uppers, RequireLowercaseCharacters: &p.Lowers,
			AllowUsersToChangePassword: &p.UsersMayChange, ExpirePasswords: new(p.MaxAgeDays > 0), HardExpiry: &p.HardExpiry,
		}
		if p.MaxAgeDays > 0 {
			out.PasswordPolicy.MaxPasswordAge = &p.MaxAgeDays
		}
		if p.Remembered > 0 {
			out.PasswordPolicy.PasswordReusePrevention = &p.Remembered
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// UpdateAccountPasswordPolicy sets the whole policy: what the input leaves out goes back to its default.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateAccountPasswordPolicy.html
func (s *Service) UpdateAccountPasswordPolicy(ctx context.Context, in *api.UpdateAccountPasswordPolicyInput) (*api.UpdateAccountPasswordPolicyOutput, error) {
	p := passwordPolicyRow{
		MinLength: minPasswordLength,
		Symbols:   is(in.RequireSymbols), Numbers: is(in.RequireNumbers),
		Uppers: is(in.RequireUppercaseCharacters), Lowers: is(in.RequireLowercaseCharacters),
		UsersMayChange: is(in.AllowUsersToChangePassword), HardExpiry: is(in.HardExpiry),
	}
	if in.MinimumPasswordLength != nil {
		p.MinLength = *in.MinimumPasswordLength
	}
	if in.MaxPasswordAge != nil {
		p.MaxAgeDays = *in.MaxPasswordAge
	}
	if in.PasswordReusePrevention != nil {
		p.Remembered = *in.PasswordReusePrevention
	}
	err := s.update(ctx, func(t txn) error { return t.setJSON(passwordPolicyKey(t.account), p) })
	if err != nil {
		return nil, err
	}
	return &api.UpdateAccountPasswordPolicyOutput{}, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteAccountPasswordPolicy.html
func (s *Service) DeleteAccountPasswordPolicy(ctx context.Context, _ *api.DeleteAccountPasswordPolicyInput) (*api.DeleteAccountPasswordPolicyOutput, error) {
	err := s.update(ctx, func(t txn) error {
		p, err := t.passwordPolicy()
		if err != nil {
			return err
		}
		if p == nil {
			return t.noPasswordPolicy()
		}
		return t.tx.Delete(passwordPolicyKey(t.account))
	})
	if err != nil {
		return nil, err
	}
	return &api.DeleteAccountPasswordPolicyOutput{}, nil
}

func is(b *bool) bool { return b != nil && *b }
