package jwks

import (
	"context"
	"errors"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Keys fetches the keys that the issuers of tokens publish.
type Keys interface {
	// SigningKeys returns the keys that the issuer signs with. Unless fresh is asked for they may be remembered ones.
	SigningKeys(ctx context.Context, issuer string, thumbprints []string, fresh bool) (*jose.JSONWebKeySet, error)
}

// algorithms are those of tokens that are taken. What is symmetric or unsigned is not among them.
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.ES256, jose.ES384, jose.ES512}

// MaxToken bounds a token, in bytes.
const MaxToken = 16 << 10

// ErrExpired and ErrIssuer say what is wrong with a token whose signature is right.
var (
	ErrExpired = jwt.ErrExpired
	ErrIssuer  = jwt.ErrInvalidIssuer
)

// Unverified returns what a token says, whoever made it.
func Unverified(token string) (map[string]any, error) {
	parsed, err := parse(token)
	if err != nil {
		return nil, err
	}
	var claims map[string]any
	return claims, parsed.UnsafeClaimsWithoutVerification(&claims)
}

// Verify returns what a token says, if the issuer signed it and it is good at this time. Whom it is for is the caller's to
// check.
func Verify(ctx context.Context, keys Keys, issuer, token string, now time.Time) (map[string]any, error) {
	parsed, err := parse(token)
	if err != nil {
		return nil, err
	}
	for _, fresh := range []bool{false, true} {
		set, err := keys.SigningKeys(ctx, issuer, nil, fresh)
		if err != nil {
			return nil, err
		}
		var standard jwt.Claims
		var claims map[string]any
		if verifyWith(parsed, set, &standard, &claims) {
			if standard.Expiry == nil {
				return nil, errors.New("the token has no end")
			}
			return claims, standard.ValidateWithLeeway(jwt.Expected{Issuer: issuer, Time: now}, 0)
		}
	}
	return nil, errors.New("no key of the issuer has signed the token")
}

func parse(token string) (*jwt.JSONWebToken, error) {
	if len(token) > MaxToken {
		return nil, errors.New("the token is too long")
	}
	return jwt.ParseSigned(token, algorithms)
}

func verifyWith(token *jwt.JSONWebToken, keys *jose.JSONWebKeySet, into ...any) bool {
	for _, h := range token.Headers {
		for _, key := range keys.Keys {
			if (h.KeyID == "" || key.KeyID == h.KeyID) && (key.Use == "" || key.Use == "sig") && token.Claims(key.Key, into...) == nil {
				return true
			}
		}
	}
	return false
}
