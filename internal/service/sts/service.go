// Package sts is AWS Security Token Service: temporary credentials, and whose credentials are in use.
//
// Temporary credentials are self-contained: the session token holds, sealed, all that there is to know of them, so that
// they need no room in the store and outlive a restart. They end at their time; until then the user or role behind them
// must exist, and may do what their policies allow at the time of each call.
//
// https://docs.aws.amazon.com/STS/latest/APIReference/welcome.html
package sts

import (
	"context"

	api "brume/internal/api/sts"
	"brume/internal/call"
	"brume/internal/jwks"
	"brume/internal/policy"
	"brume/internal/recent"
)

// A Sealer encrypts session tokens.
type Sealer interface {
	Seal(plaintext, context []byte) []byte
	Open(sealed, context []byte) ([]byte, error)
}

// Identities is what STS asks of IAM.
type Identities interface {
	// AccessKey returns the secret of a long-term access key and who it belongs to. status is "Active" or "Inactive",
	// and empty if there is no such key.
	AccessKey(ctx context.Context, id string) (secret string, p call.Principal, status string, err error)
	// Role returns the role with this ARN, nil if there is none.
	Role(ctx context.Context, arn string) (*policy.Role, error)
	// Exists says whether the user or role behind p still does.
	Exists(ctx context.Context, p *call.Principal) (bool, error)
	// PolicyExists says whether an account has a managed policy of this ARN, or AWS has it for all.
	PolicyExists(ctx context.Context, account, arn string) (bool, error)
	// OpenIDProvider returns an account's registration of the provider with this URL, without its "https://"; nil if there
	// is none.
	OpenIDProvider(ctx context.Context, account, url string) (*policy.OpenIDProvider, error)
	// CheckMFA says whether p has the MFA device, and whether code is what it shows now. With use, the code counts this
	// once and never again.
	CheckMFA(ctx context.Context, p *call.Principal, serial, code string, use bool) (known, valid bool, err error)
}

// Options configure the service.
type Options struct {
	Identities Identities
	Sealer     Sealer
	Keys       jwks.Keys
	// TestAccount, if it is set, is the account whose root the access key "test" belongs to. Then any twelve digits are
	// the access key of the root of that account too. The secret is always "test", and session tokens are ignored.
	TestAccount string
}

// Service implements the operations. Create it with New.
type Service struct {
	api.Unimplemented
	identities  Identities
	sealer      Sealer
	keys        jwks.Keys
	testAccount string
	// sessions remembers what session tokens hold, by token.
	sessions *recent.Map[string, *session]
}

var _ api.Service = (*Service)(nil)

// maxCachedSessions is how many opened session tokens are remembered, at least.
const maxCachedSessions = 2048

// New returns the service.
func New(o Options) *Service {
	return &Service{
		identities: o.Identities, sealer: o.Sealer, keys: o.Keys, testAccount: o.TestAccount,
		sessions: recent.NewMap[string, *session](maxCachedSessions),
	}
}

// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
func (s *Service) GetCallerIdentity(ctx context.Context, _ *api.GetCallerIdentityInput) (*api.GetCallerIdentityOutput, error) {
	p := &call.From(ctx).Principal
	return &api.GetCallerIdentityOutput{Account: &p.Account, Arn: &p.ARN, UserId: &p.ID}, nil
}
