package apigateway

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"brume/internal/service/apigateway/vtl"
)

// A KeySource fetches the keys that the issuers of tokens publish.
type KeySource interface {
	// SigningKeys returns the keys that the issuer signs with. Unless fresh is asked for they may be remembered ones.
	SigningKeys(ctx context.Context, issuer string, thumbprints []string, fresh bool) (*jose.JSONWebKeySet, error)
}

// tokenAlgorithms are those of tokens that are taken. What is symmetric or unsigned is not among them.
var tokenAlgorithms = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.ES256, jose.ES384, jose.ES512}

// maxToken bounds a token, in bytes.
const maxToken = 16 << 10

// claims are what a token says.
type claims map[string]any

// issuerOf is who issues the tokens of a user pool.
func (s *Service) issuerOf(poolARN string) (string, bool) {
	_, pool, ok := strings.Cut(poolARN, ":userpool/")
	if !ok {
		return "", false
	}
	issuer, ok := s.issuers[pool]
	return issuer, ok
}

func unverifiedClaims(token string) (claims, error) {
	if len(token) > maxToken {
		return nil, errors.New("the token is too long")
	}
	parsed, err := jwt.ParseSigned(token, tokenAlgorithms)
	if err != nil {
		return nil, err
	}
	var c claims
	return c, parsed.UnsafeClaimsWithoutVerification(&c)
}

// verifyToken returns what a token says, if the issuer signed it and it is good at this time.
func (s *Service) verifyToken(ctx context.Context, issuer, token string, now time.Time) (claims, error) {
	if len(token) > maxToken {
		return nil, errors.New("the token is too long")
	}
	parsed, err := jwt.ParseSigned(token, tokenAlgorithms)
	if err != nil {
		return nil, err
	}
	if s.keySource == nil {
		return nil, errors.New("there is nobody to ask for the issuer's keys")
	}
	for _, fresh := range []bool{false, true} {
		keys, err := s.keySource.SigningKeys(ctx, issuer, nil, fresh)
		if err != nil {
			return nil, err
		}
		var standard jwt.Claims
		var c claims
		if verifyWith(parsed, keys, &standard, &c) {
			if standard.Expiry == nil {
				return nil, errors.New("the token has no end")
			}
			return c, standard.ValidateWithLeeway(jwt.Expected{Issuer: issuer, Time: now}, 0)
		}
	}
	return nil, errors.New("no key of the issuer has signed the token")
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

func (c claims) text(name string) string {
	switch v := c[name].(type) {
	case nil:
		return ""
	case string:
		return v
	default:
		data, err := json.Marshal(v)
		if err != nil {
			return ""
		}
		return string(data)
	}
}

func (c claims) audience() string {
	if aud := c.text("aud"); aud != "" {
		return aud
	}
	return c.text("client_id")
}

// allows says whether a token has one of the scopes. Without scopes the method takes identity tokens.
func (c claims) allows(scopes []string) bool {
	if len(scopes) == 0 {
		return c.text("token_use") != "access"
	}
	have := strings.Fields(c.text("scope"))
	return slices.ContainsFunc(scopes, func(s string) bool { return slices.Contains(have, s) })
}

func (c claims) contextMap() *vtl.Map {
	m := lenientMap(nil)
	for _, name := range sortedKeys(c) {
		m.Set(name, c.text(name))
	}
	return m
}
