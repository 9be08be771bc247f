package iam

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"strconv"
	"time"

	"golang.org/x/crypto/argon2"

	api "brume/internal/api/iam"
	"brume/internal/call"
	"brume/internal/kv"
)

// The cost of one password hash: argon2id as RFC 9106 and OWASP advise for a machine that does other work besides.
const (
	hashTime   = 2
	hashMemory = 19 << 10 // KiB
	hashSize   = 32
	saltSize   = 16
	// maxHashing is how many passwords are hashed at one time, so that those who guess cannot take all memory.
	maxHashing = 2
	// maxPassword is the longest password, in bytes.
	maxPassword = 128 * 4
)

// A passwordHash is what is kept of a password.
type passwordHash struct{ Salt, Sum []byte }

// A passwordRow is the login profile of a user.
type passwordRow struct {
	Created time.Time
	// Set is when the password was last changed.
	Set           time.Time
	ResetRequired bool `json:",omitempty"`
	Hash          passwordHash
	// Old are the hashes of the passwords before, the newest first.
	Old      []passwordHash `json:",omitempty"`
	LastUsed time.Time      `json:",omitzero"`
}

// A hasher hashes passwords, few at one time.
type hasher struct{ slots chan struct{} }

func newHasher() *hasher { return &hasher{make(chan struct{}, maxHashing)} }

func (h *hasher) sum(ctx context.Context, password string, salt []byte) ([]byte, error) {
	select {
	case h.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-h.slots }()
	return argon2.IDKey([]byte(password), salt, hashTime, hashMemory, 1, hashSize), nil
}

func (h *hasher) hash(ctx context.Context, password string) (passwordHash, error) {
	salt := make([]byte, saltSize)
	rand.Read(salt)
	sum, err := h.sum(ctx, password, salt)
	return passwordHash{salt, sum}, err
}

// matches says whether a hash is that of a password.
func (h *hasher) matches(ctx context.Context, password string, hash passwordHash) (bool, error) {
	sum, err := h.sum(ctx, password, hash.Salt)
	return err == nil && subtle.ConstantTimeCompare(sum, hash.Sum) == 1, err
}

// password returns the login profile of a user, or NoSuchEntity.
func (r reader) password(u *identity) (*passwordRow, error) {
	var p passwordRow
	ok, err := r.getJSON(passwordKey(u.ID), &p)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, noSuchEntity("Login Profile for User %s cannot be found.", u.Name)
	}
	return &p, nil
}

// setPassword gives a user a new password, if the password policy of the account has nothing against it.
func (s *Service) setPassword(ctx context.Context, t txn, u *identity, row *passwordRow, password string) error {
	p, err := t.passwordPolicy()
	if err != nil {
		return err
	}
	if err := p.check(password, u.Name); err != nil {
		return err
	}
	old := row.Old
	if row.Hash.Sum != nil {
		old = append([]passwordHash{row.Hash}, old...)
	}
	if p != nil {
		for _, hash := range old[:min(len(old), int(p.Remembered))] {
			same, err := s.hasher.matches(ctx, password, hash)
			if err != nil {
				return err
			}
			if same {
				return passwordViolation("Password cannot be the same as one of the last " + strconv.Itoa(int(p.Remembered)) + " passwords")
			}
		}
	}
	row.Old = old[:min(len(old), maxRemembered)]
	row.Set = t.tx.Now().UTC().Truncate(time.Second)
	if row.Hash, err = s.hasher.hash(ctx, password); err != nil {
		return err
	}
	return t.setJSON(passwordKey(u.ID), row)
}

func (row *passwordRow) out(u *identity) *api.LoginProfile {
	return &api.LoginProfile{UserName: &u.Name, CreateDate: &row.Created, PasswordResetRequired: &row.ResetRequired}
}

// profileUser returns the user that an operation on login profiles means.
func profileUser(ctx context.Context, r reader, userName *string) (*identity, error) {
	name, err := callerName(ctx, userName)
	if err != nil {
		return nil, err
	}
	if name == "" {
		return nil, validation("Must specify userName when calling with the credentials of the root user")
	}
	return r.identity(kindUser, name)
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateLoginProfile.html
func (s *Service) CreateLoginProfile(ctx context.Context, in *api.CreateLoginProfileInput) (*api.CreateLoginProfileOutput, error) {
	if in.Password == nil {
		return nil, validation("Password is required.")
	}
	out := &api.CreateLoginProfileOutput{}
	err := s.update(ctx, func(t txn) error {
		u, err := profileUser(ctx, t.reader, in.UserName)
		if err != nil {
			return err
		}
		taken, err := t.has(passwordKey(u.ID))
		if err != nil {
			return err
		}
		if taken {
			return alreadyExists("Login Profile for user %s already exists.", u.Name)
		}
		row := &passwordRow{Created: t.tx.Now().UTC().Truncate(time.Second), ResetRequired: is(in.PasswordResetRequired)}
		out.LoginProfile = row.out(u)
		return s.setPassword(ctx, t, u, row, *in.Password)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetLoginProfile.html
func (s *Service) GetLoginProfile(ctx context.Context, in *api.GetLoginProfileInput) (*api.GetLoginProfileOutput, error) {
	out := &api.GetLoginProfileOutput{}
	err := s.view(ctx, func(r reader) error {
		u, err := profileUser(ctx, r, in.UserName)
		if err != nil {
			return err
		}
		row, err := r.password(u)
		if err != nil {
			return err
		}
		out.LoginProfile = row.out(u)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateLoginProfile.html
func (s *Service) UpdateLoginProfile(ctx context.Context, in *api.UpdateLoginProfileInput) (*api.UpdateLoginProfileOutput, error) {
	err := s.update(ctx, func(t txn) error {
		u, err := t.identity(kindUser, *in.UserName)
		if err != nil {
			return err
		}
		row, err := t.password(u)
		if err != nil {
			return err
		}
		if in.PasswordResetRequired != nil {
			row.ResetRequired = *in.PasswordResetRequired
		}
		if in.Password != nil {
			return s.setPassword(ctx, t, u, row, *in.Password)
		}
		return t.setJSON(passwordKey(u.ID), row)
	})
	if err != nil {
		return nil, err
	}
	return &api.UpdateLoginProfileOutput{}, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteLoginProfile.html
func (s *Service) DeleteLoginProfile(ctx context.Context, in *api.DeleteLoginProfileInput) (*api.DeleteLoginProfileOutput, error) {
	err := s.update(ctx, func(t txn) error {
		u, err := profileUser(ctx, t.reader, in.UserName)
		if err != nil {
			return err
		}
		if _, err := t.password(u); err != nil {
			return err
		}
		return t.tx.Delete(passwordKey(u.ID))
	})
	if err != nil {
		return nil, err
	}
	return &api.DeleteLoginProfileOutput{}, nil
}

// ChangePassword is for a user, about their own password.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ChangePassword.html
func (s *Service) ChangePassword(ctx context.Context, in *api.ChangePasswordInput) (*api.ChangePasswordOutput, error) {
	p := &call.From(ctx).Principal
	if p.Type != call.User {
		return nil, &api.InvalidUserTypeException{Message: new("Only IAM Users can change their own password.")}
	}
	if !s.passwordTries.attempt(p.ID, time.Now()) {
		return nil, tooManyTries()
	}
	wrong := false
	err := s.update(ctx, func(t txn) error {
		u, err := t.identity(kindUser, p.Name)
		if err != nil {
			return err
		}
		row, err := t.password(u)
		if err != nil {
			return err
		}
		policy, err := t.passwordPolicy()
		if err != nil {
			return err
		}
		if expiry := policy.expiry(row.Set); policy != nil && policy.HardExpiry && !expiry.IsZero() && !t.tx.Now().Before(expiry) {
			return &api.EntityTemporarilyUnmodifiableException{Message: new("The password has expired. An administrator must reset it.")}
		}
		same, err := s.hasher.matches(ctx, *in.OldPassword, row.Hash)
		if err != nil {
			return err
		}
		if wrong = !same; wrong {
			return invalidInput("The old password was incorrect.")
		}
		row.ResetRequired = false
		return s.setPassword(ctx, t, u, row, *in.NewPassword)
	})
	if !wrong {
		s.passwordTries.succeeded(p.ID)
	}
	if err != nil {
		return nil, err
	}
	return &api.ChangePasswordOutput{}, nil
}

// A SignIn is what CheckPassword says of a user.
type SignIn struct {
	Principal call.Principal
	// ResetRequired says that the user has to set a new password before anything else: an administrator wants it, or the
	// old one has expired.
	ResetRequired bool
	// MFA says that the user has an MFA device, whose code must be asked for too: see CheckMFA.
	MFA bool
}

// CheckPassword returns the user that a name and a password belong to, nil if they do not, if the password has expired
// for good, or after too many wrong ones. It takes as long for a user who does not exist.
func (s *Service) CheckPassword(ctx context.Context, account, userName, password string) (*SignIn, error) {
	now := time.Now()
	who := account + "/" + fold(userName)
	if len(password) > maxPassword || !s.passwordTries.attempt(who, now) {
		return nil, nil
	}
	var (
		row    passwordRow
		found  bool
		signIn = &SignIn{}
		hard   bool
	)
	err := s.store.View(ctx, func(kvr kv.Reader) error {
		r := reader{kvr, account}
		var u identity
		ok, err := r.getJSON(identityKey(account, kindUser, userName), &u)
		if err != nil || !ok {
			return err
		}
		if found, err = r.getJSON(passwordKey(u.ID), &row); err != nil || !found {
			return err
		}
		p, err := r.passwordPolicy()
		if err != nil {
			return err
		}
		expiry := p.expiry(row.Set)
		expired := !expiry.IsZero() && !now.Before(expiry)
		hard = expired && p.HardExpiry
		signIn.ResetRequired = row.ResetRequired || expired
		signIn.Principal = call.Principal{Type: call.User, Account: account, ARN: u.arn(account), ID: u.ID, Name: u.Name}
		signIn.MFA, err = r.any(deviceOfScope(u.ID))
		return err
	})
	if err != nil {
		return nil, err
	}
	if !found {
		row.Hash = passwordHash{make([]byte, saltSize), make([]byte, hashSize)}
	}
	same, err := s.hasher.matches(ctx, password, row.Hash)
	if err != nil {
		return nil, err
	}
	if !found || !same {
		return nil, nil
	}
	s.passwordTries.succeeded(who)
	if hard {
		return nil, nil
	}
	return signIn, s.passwordUsed(ctx, signIn.Principal.ID)
}

// passwordUsed notes that a user signed in.
func (s *Service) passwordUsed(ctx context.Context, userID string) error {
	return s.store.Update(ctx, func(tx kv.Tx) error {
		t := txn{reader{tx, ""}, tx}
		var row passwordRow
		ok, err := t.getJSON(passwordKey(userID), &row)
		if err != nil || !ok {
			return err
		}
		row.LastUsed = tx.Now().UTC().Truncate(time.Second)
		return t.setJSON(passwordKey(userID), row)
	})
}

// passwordLastUsed is when a user last signed in, nil if there is no password or it was never used.
func (r reader) passwordLastUsed(u *identity) (*time.Time, error) {
	var row passwordRow
	ok, err := r.getJSON(passwordKey(u.ID), &row)
	if err != nil || !ok || row.LastUsed.IsZero() {
		return nil, err
	}
	return &row.LastUsed, nil
}
