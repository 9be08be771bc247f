package jwks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Keys fetches the keys that the issuers of tokens publish.
type Keys interface {
	// SigningKeys returns the keys that the issuer signs with. Unless fresh is asked for they may be remembered ones.
	// thumbprints are of authorities to trust for the issuer's certificate besides the system's.
	SigningKeys(ctx context.Context, issuer string, thumbprints []string, fresh bool) (*jose.JSONWebKeySet, error)
}

// MaxToken bounds a token, in bytes.
const MaxToken = 16 << 10

// What is wrong with a token.
var (
	// ErrKeys says that the issuer's keys cannot be had, ErrSigner that none of them has signed the token.
	ErrKeys   = errors.New("the issuer's keys cannot be fetched")
	ErrSigner = errors.New("no key of the issuer has signed the token")
	// ErrExpired and ErrIssuer are of tokens whose signature is right.
	ErrExpired = jwt.ErrExpired
	ErrIssuer  = jwt.ErrInvalidIssuer
)

// RSA are the algorithms that sign with RSA. What is symmetric or unsigned is never taken.
func RSA() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512}
}

// Asymmetric are the algorithms of RSA and of elliptic curves.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_create_oidc.html
func Asymmetric() []jose.SignatureAlgorithm {
	return append(RSA(), jose.ES256, jose.ES384, jose.ES512)
}

// A Token is a JSON Web Token, read. Nothing of it is to be believed until it is verified.
type Token struct{ parsed *jwt.JSONWebToken }

// Parse reads a token that is signed by one of the algorithms.
func Parse(token string, algorithms []jose.SignatureAlgorithm) (*Token, error) {
	if len(token) > MaxToken {
		return nil, errors.New("the token is too long")
	}
	parsed, err := jwt.ParseSigned(token, algorithms)
	if err != nil {
		return nil, err
	}
	return &Token{parsed}, nil
}

// Unverified reads what a token says, whoever made it.
func (t *Token) Unverified(into ...any) error {
	return t.parsed.UnsafeClaimsWithoutVerification(into...)
}

// An Issuer is whose keys count.
type Issuer struct {
	URL         string
	Thumbprints []string
	// NamedKey says that a token must name the key that signed it.
	NamedKey bool
}

// Verify reads what a token says, if the issuer signed it. Its times, and whom it is from and for, are the caller's to check.
func (t *Token) Verify(ctx context.Context, keys Keys, issuer Issuer, into ...any) error {
	header := t.parsed.Headers[0]
	if issuer.NamedKey && header.KeyID == "" {
		return ErrSigner
	}
	for _, fresh := range []bool{false, true} { // the issuer may have changed its keys since they were remembered
		set, err := keys.SigningKeys(ctx, issuer.URL, issuer.Thumbprints, fresh)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrKeys, err)
		}
		fits := func(key jose.JSONWebKey) bool {
			return (header.KeyID == "" || key.KeyID == header.KeyID) && (key.Use == "" || key.Use == "sig") &&
				(key.Algorithm == "" || key.Algorithm == header.Algorithm) && key.IsPublic() && t.parsed.Claims(key.Key, into...) == nil
		}
		if slices.ContainsFunc(set.Keys, fits) {
			return nil
		}
	}
	return ErrSigner
}

// Claims returns what a token says, if the issuer, whom it must name, signed it and it is good at this time. Whom it is for is
// the caller's to check.
func (t *Token) Claims(ctx context.Context, keys Keys, issuer Issuer, now time.Time) (map[string]any, error) {
	var standard jwt.Claims
	var claims map[string]any
	if err := t.Verify(ctx, keys, issuer, &standard, &claims); err != nil {
		return nil, err
	}
	if standard.Expiry == nil {
		return nil, errors.New("the token has no end")
	}
	return claims, standard.ValidateWithLeeway(jwt.Expected{Issuer: issuer.URL, Time: now}, 0)
}
