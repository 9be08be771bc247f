package sts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"

	api "brume/internal/api/sts"
	"brume/internal/awserr"
	"brume/internal/call"
	"brume/internal/jwks"
	"brume/internal/policy"
)

const (
	// maxTokenAge is how long ago a token may have been issued, whatever it says of its end.
	maxTokenAge = 24 * time.Hour
	// clockSkew is how far a provider's clock may be ahead.
	clockSkew = 5 * time.Minute
	// google is a provider that needs not be registered.
	google = "accounts.google.com"
)

func invalidIdentity(message string) error {
	return &api.InvalidIdentityTokenException{Message: &message}
}

var errNoToken = invalidIdentity("The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)")

var errNotAuthorized = accessDenied("Not authorized to perform sts:AssumeRoleWithWebIdentity")

// identityClaims are what a token says.
type identityClaims struct {
	jwt.Claims
	AuthorizedParty string   `json:"azp"`
	Methods         stringOr `json:"amr"`
	SourceIdentity  string   `json:"https://aws.amazon.com/source_identity"`
	Tags            struct {
		Principal  map[string]stringOr `json:"principal_tags"`
		Transitive []string            `json:"transitive_tag_keys"`
	} `json:"https://aws.amazon.com/tags"`
}

// stringOr is a list in JSON, or one string.
type stringOr []string

func (s *stringOr) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		*s = make(stringOr, 1)
		return json.Unmarshal(data, &(*s)[0])
	}
	return json.Unmarshal(data, (*[]string)(s))
}

// audience is who the token was made for; the party that asked for it counts, if it is named.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html#condition-keys-wif
func (c *identityClaims) audience() string {
	if c.AuthorizedParty != "" || len(c.Audience) == 0 {
		return c.AuthorizedParty
	}
	return c.Audience[0]
}

// The caller needs no credentials: the token says who they are.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
func (s *Service) AssumeRoleWithWebIdentity(ctx context.Context, in *api.AssumeRoleWithWebIdentityInput) (*api.AssumeRoleWithWebIdentityOutput, error) {
	if in.ProviderId != nil {
		return nil, awserr.NotImplemented("AssumeRoleWithWebIdentity with ProviderId")
	}
	if err := checkARN(*in.RoleArn); err != nil {
		return nil, err
	}
	role, err := s.identities.Role(ctx, *in.RoleArn)
	if err != nil {
		return nil, err
	}
	if role == nil {
		return nil, errNotAuthorized
	}
	now := time.Now()
	provider, claims, err := s.verifyIdentity(ctx, role.Account, *in.WebIdentityToken, now)
	if err != nil {
		return nil, err
	}
	session := &call.Session{
		FederatedProvider: provider.ARN, SourceIdentity: claims.SourceIdentity, Keys: claims.conditionKeys(),
	}
	tags := make([]api.Tag, 0, len(claims.Tags.Principal))
	for key, values := range claims.Tags.Principal {
		if len(values) != 1 {
			return nil, invalidIdentity("Principal tags must have exactly one value.")
		}
		tags = append(tags, api.Tag{Key: &key, Value: &values[0]})
	}
	if len(tags) > maxSessionTags {
		return nil, invalidIdentity("Too many principal tags.")
	}
	if err := tagSession(session, &call.Session{}, tags, claims.Tags.Transitive); err != nil {
		return nil, err
	}
	info := *call.From(ctx)
	info.Account = role.Account
	info.Principal = call.Principal{Type: call.WebIdentity, ARN: provider.ARN, ID: claims.Subject}
	if err := policy.Authorize(&info, &policy.Policies{}, webIdentityChecks(role, in, session)); err != nil {
		return nil, errNotAuthorized
	}
	duration, err := roleSessionDuration(&info.Principal, role, in.DurationSeconds)
	if err != nil {
		return nil, err
	}
	packed, err := s.restrict(ctx, session, role.Account, in.Policy, in.PolicyArns)
	if err != nil {
		return nil, err
	}
	credentials, principal, err := s.issueRole(role, *in.RoleSessionName, duration, session)
	if err != nil {
		return nil, err
	}
	audience := claims.audience()
	out := &api.AssumeRoleWithWebIdentityOutput{
		Credentials: credentials.out(), PackedPolicySize: packed, Audience: &audience, Provider: &claims.Issuer,
		SubjectFromWebIdentityToken: &claims.Subject,
		AssumedRoleUser:             &api.AssumedRoleUser{Arn: &principal.ARN, AssumedRoleId: &principal.ID},
	}
	if _, registered := strings.CutPrefix(provider.ARN, "arn:"); registered {
		out.Provider = &provider.ARN
	}
	if session.SourceIdentity != "" {
		out.SourceIdentity = &session.SourceIdentity
	}
	return out, nil
}

// maxSessionTags is how many tags may be passed for a session.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
const maxSessionTags = 50

// webIdentityChecks are what the trust policy of a role has to allow.
func webIdentityChecks(role *policy.Role, in *api.AssumeRoleWithWebIdentityInput, session *call.Session) []policy.Check {
	keys := map[string][]string{"sts:RoleSessionName": {*in.RoleSessionName}}
	for key, values := range session.Keys {
		keys[key] = values
	}
	if session.SourceIdentity != "" {
		keys["sts:SourceIdentity"] = []string{session.SourceIdentity}
	}
	for key, value := range session.Tags {
		keys["aws:RequestTag/"+key] = []string{value}
		keys["aws:TagKeys"] = append(keys["aws:TagKeys"], key)
	}
	if len(session.TransitiveTags) > 0 {
		keys["sts:TransitiveTagKeys"] = session.TransitiveTags
	}
	checks := []policy.Check{assumeCheck("sts:AssumeRoleWithWebIdentity", role, keys)}
	if len(session.Tags) > 0 {
		checks = append(checks, assumeCheck("sts:TagSession", role, keys))
	}
	if session.SourceIdentity != "" {
		checks = append(checks, assumeCheck("sts:SetSourceIdentity", role, keys))
	}
	return checks
}

// conditionKeys are the condition keys that the claims stand for, below the provider's name. They go on to the session.
func (c *identityClaims) conditionKeys() map[string][]string {
	name := strings.ToLower(strings.TrimPrefix(c.Issuer, "https://"))
	keys := map[string][]string{name + ":aud": {c.audience()}, name + ":sub": {c.Subject}}
	if c.AuthorizedParty != "" && len(c.Audience) > 0 {
		keys[name+":oaud"] = c.Audience
	}
	if len(c.Methods) > 0 {
		keys[name+":amr"] = c.Methods
	}
	return keys
}

// verifyIdentity returns what a token says and which of the account's providers vouches for it.
func (s *Service) verifyIdentity(ctx context.Context, account, token string, now time.Time) (*policy.OpenIDProvider, *identityClaims, error) {
	parsed, err := jwks.Parse(token, jwks.Asymmetric())
	if err != nil {
		return nil, nil, errNoToken
	}
	// Who issued it has to be known before it can be verified. Nothing else is believed yet.
	var unverified jwt.Claims
	if err := parsed.Unverified(&unverified); err != nil {
		return nil, nil, errNoToken
	}
	provider, err := s.provider(ctx, account, unverified.Issuer)
	if err != nil {
		return nil, nil, err
	}
	issuer := unverified.Issuer
	if issuer == google {
		issuer = "https://" + google
	}
	var claims identityClaims
	err = parsed.Verify(ctx, s.keys, jwks.Issuer{URL: issuer, Thumbprints: provider.Thumbprints}, &claims)
	switch {
	case errors.Is(err, jwks.ErrKeys):
		return nil, nil, invalidIdentity("Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity documentation for requirements")
	case err != nil:
		return nil, nil, invalidIdentity("The ID Token provided is not signed by a key of its issuer.")
	}
	if err := checkClaims(&claims, provider, now); err != nil {
		return nil, nil, err
	}
	return provider, &claims, nil
}

// provider returns the account's registration of an issuer.
func (s *Service) provider(ctx context.Context, account, issuer string) (*policy.OpenIDProvider, error) {
	name, isURL := strings.CutPrefix(issuer, "https://")
	if name == google {
		return &policy.OpenIDProvider{ARN: google}, nil
	}
	if isURL {
		provider, err := s.identities.OpenIDProvider(ctx, account, name)
		if err != nil || provider != nil {
			return provider, err
		}
	}
	return nil, invalidIdentity("No OpenIDConnect provider found in your account for " + issuer)
}

func checkClaims(c *identityClaims, provider *policy.OpenIDProvider, now time.Time) error {
	switch {
	case c.Subject == "":
		return invalidIdentity("Missing a required claim: sub")
	case c.Expiry == nil:
		return invalidIdentity("Missing a required claim: exp")
	case c.IssuedAt == nil:
		return invalidIdentity("Missing a required claim: iat")
	case c.audience() == "":
		return invalidIdentity("Missing a required claim: aud")
	case provider.ARN != google && !slices.Contains(provider.ClientIDs, c.audience()):
		return invalidIdentity("Incorrect token audience")
	case !now.Before(c.Expiry.Time()):
		return expiredIdentity("Token expired: current date/time %d must be before the expiration date/time %d", now.Unix(), c.Expiry.Time().Unix())
	case now.Sub(c.IssuedAt.Time()) > maxTokenAge:
		return expiredIdentity("Token too old: %d", int64(now.Sub(c.IssuedAt.Time())/time.Second))
	case c.IssuedAt.Time().Sub(now) > clockSkew, c.NotBefore != nil && c.NotBefore.Time().Sub(now) > clockSkew:
		return invalidIdentity("Token is not yet valid")
	}
	return nil
}

func expiredIdentity(format string, args ...any) error {
	message := fmt.Sprintf(format, args...)
	return &api.ExpiredTokenException{Message: &message}
}
