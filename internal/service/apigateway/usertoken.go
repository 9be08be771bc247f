package apigateway

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"brume/internal/jwks"
	"brume/internal/vtl"
)

// A KeySource fetches the keys that the issuers of tokens publish.
type KeySource = jwks.Keys

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

func unverifiedClaims(token string) (c claims, err error) {
	parsed, err := jwks.Parse(token, jwks.Asymmetric())
	if err != nil {
		return nil, err
	}
	return c, parsed.Unverified(&c)
}

// verifyToken returns what a token says, if the issuer signed it and it is good at this time.
func (s *Service) verifyToken(ctx context.Context, issuer, token string, now time.Time) (claims, error) {
	if s.keySource == nil {
		return nil, errors.New("there is nobody to ask for the issuer's keys")
	}
	parsed, err := jwks.Parse(token, jwks.Asymmetric())
	if err != nil {
		return nil, err
	}
	return parsed.Claims(ctx, s.keySource, jwks.Issuer{URL: issuer}, now)
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
