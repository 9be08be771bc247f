package sts

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	api "brume/internal/api/sts"
	"brume/internal/call"
	"brume/internal/policy"
)

// fakeKeys are those of the provider at issuerURL: old ones until fresh ones are asked for.
type fakeKeys struct {
	old, fresh []jose.JSONWebKey
	asked      []string
	err        error
}

func (k *fakeKeys) SigningKeys(_ context.Context, issuer string, thumbprints []string, fresh bool) (*jose.JSONWebKeySet, error) {
	k.asked = append(k.asked, fmt.Sprint(issuer, thumbprints, fresh))
	if fresh {
		return &jose.JSONWebKeySet{Keys: k.fresh}, k.err
	}
	return &jose.JSONWebKeySet{Keys: k.old}, k.err
}

const (
	issuerURL   = "https://idp.example.com/realm"
	providerARN = "arn:aws:iam::" + account + ":oidc-provider/idp.example.com/realm"
)

var (
	ecKey, _  = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	rsaKey, _ = rsa.GenerateKey(rand.Reader, 2048)
)

// identityToken signs claims.
func identityToken(t testing.TB, algorithm jose.SignatureAlgorithm, key any, id string, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: key, KeyID: id}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// goodClaims are of a token for the client app, with changes; nil takes a claim out.
func goodClaims(changes map[string]any) map[string]any {
	now := time.Now().Unix()
	claims := map[string]any{"iss": issuerURL, "sub": "alice", "aud": "app", "iat": now - 10, "exp": now + 300}
	for name, value := range changes {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	return claims
}

func publicKey(key crypto.Signer, id string) jose.JSONWebKey {
	return jose.JSONWebKey{Key: key.Public(), KeyID: id, Use: "sig"}
}

func newWebFixture(t testing.TB, actions, condition string) *fixture {
	t.Helper()
	f := newFixture(t)
	f.role(t, trusting(`{"Federated":"`+providerARN+`"}`, actions, condition))
	f.iam.provider, f.iam.url = &policy.OpenIDProvider{ARN: providerARN, ClientIDs: []string{"app", "other"}, Thumbprints: []string{"ab"}}, "idp.example.com/realm"
	f.keys.old = []jose.JSONWebKey{publicKey(ecKey, "ec"), publicKey(rsaKey, "rsa")}
	f.keys.fresh = f.keys.old
	return f
}

func (f *fixture) withToken(token string) (*api.AssumeRoleWithWebIdentityOutput, error) {
	return run[api.AssumeRoleWithWebIdentityOutput](f, call.Principal{Type: call.Anonymous}, "AssumeRoleWithWebIdentity",
		&api.AssumeRoleWithWebIdentityInput{RoleArn: new(roleARN), RoleSessionName: new("app1"), WebIdentityToken: &token})
}

// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
func TestAssumeRoleWithWebIdentity(t *testing.T) {
	f := newWebFixture(t, `"sts:AssumeRoleWithWebIdentity"`, `{"StringEquals":{"idp.example.com/realm:aud":"app","idp.example.com/realm:sub":"alice","sts:RoleSessionName":"app1",
		"aws:FederatedProvider":"`+providerARN+`"},"ForAnyValue:StringEquals":{"IDP.example.com/realm:amr":"mfa"}}`)
	for _, token := range []string{
		identityToken(t, jose.ES256, ecKey, "ec", goodClaims(map[string]any{"amr": []string{"pwd", "mfa"}})),
		identityToken(t, jose.RS256, rsaKey, "rsa", goodClaims(map[string]any{"amr": "mfa"})),
		identityToken(t, jose.RS512, rsaKey, "", goodClaims(map[string]any{"amr": "mfa", "aud": []string{"app"}})),
	} {
		out, err := f.withToken(token)
		if err != nil {
			t.Fatal(err)
		}
		const arn = "arn:aws:sts::" + account + ":assumed-role/worker/app1"
		if *out.AssumedRoleUser.Arn != arn || *out.Audience != "app" || *out.SubjectFromWebIdentityToken != "alice" || *out.Provider != providerARN {
			t.Errorf("%+v %s %s %s", *out.AssumedRoleUser.Arn, *out.Audience, *out.SubjectFromWebIdentityToken, *out.Provider)
		}
		p := f.resolved(t, out.Credentials)
		if p.ARN != arn || p.Session.RoleARN != roleARN || p.Session.FederatedProvider != providerARN ||
			!slices.Equal(p.Session.Keys["idp.example.com/realm:sub"], []string{"alice"}) || !slices.Contains(p.Session.Keys["idp.example.com/realm:amr"], "mfa") {
			t.Errorf("%+v %+v", p, p.Session)
		}
		// What the provider said is there for the policies of every later call.
		allow, err := policy.Parse(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/${idp.example.com/realm:sub}/*"}}`, policy.Identity)
		if err != nil {
			t.Fatal(err)
		}
		policies := &policy.Policies{Identity: []*policy.Document{allow}}
		for object, want := range map[string]bool{"alice/x": true, "bob/x": false} {
			if got := policy.Evaluate(call.From(as(p)), policies, &policy.Check{Action: "s3:GetObject", Resource: "arn:aws:s3:::b/" + object}); got.Allowed != want {
				t.Errorf("%s: %+v", object, got)
			}
		}
	}
	if f.keys.asked[0] != issuerURL+"[ab] false" || len(f.keys.asked) != 3 {
		t.Errorf("%q", f.keys.asked)
	}
}

// Whatever is wrong with a token, it gets nobody a role.
func TestWebIdentityIsRefused(t *testing.T) {
	const (
		notJWT = "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"
		noKey  = "The ID Token provided is not signed by a key of its issuer."
	)
	otherEC, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	now := time.Now().Unix()
	sign := func(changes map[string]any) string {
		return identityToken(t, jose.ES256, ecKey, "ec", goodClaims(changes))
	}
	good := sign(nil)
	header, rest, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	tests := []struct {
		name, token, code, message string
	}{
		{"no token at all", "not a token", "InvalidIdentityToken", notJWT},
		{"no signature", header + "." + payload + ".", "InvalidIdentityToken", ""},
		{"alg none", "eyJhbGciOiJub25lIn0." + payload + ".", "InvalidIdentityToken", notJWT},
		{"a shared secret: the public key as text", identityToken(t, jose.HS256, []byte(strings.Repeat("k", 32)), "ec", goodClaims(nil)), "InvalidIdentityToken", notJWT},
		{"another's signature", header + "." + payload + "." + strings.Split(sign(map[string]any{"sub": "eve"}), ".")[2], "InvalidIdentityToken", noKey},
		{"another's payload", header + "." + strings.Split(sign(map[string]any{"sub": "eve"}), ".")[1] + "." + signature, "InvalidIdentityToken", noKey},
		{"a key of nobody's", identityToken(t, jose.ES256, otherEC, "ec", goodClaims(nil)), "InvalidIdentityToken", noKey},
		{"an unknown key id", identityToken(t, jose.ES256, ecKey, "gone", goodClaims(nil)), "InvalidIdentityToken", noKey},
		{"an issuer that is not registered", sign(map[string]any{"iss": "https://other.example.com"}), "InvalidIdentityToken", "No OpenIDConnect provider found in your account for https://other.example.com"},
		{"an issuer without TLS", sign(map[string]any{"iss": "http://idp.example.com/realm"}), "InvalidIdentityToken", "No OpenIDConnect provider found in your account for http://idp.example.com/realm"},
		{"no issuer", sign(map[string]any{"iss": nil}), "InvalidIdentityToken", "No OpenIDConnect provider found in your account for "},
		{"another audience", sign(map[string]any{"aud": "stranger"}), "InvalidIdentityToken", "Incorrect token audience"},
		{"another party", sign(map[string]any{"azp": "stranger"}), "InvalidIdentityToken", "Incorrect token audience"},
		{"no audience", sign(map[string]any{"aud": nil}), "InvalidIdentityToken", "Missing a required claim: aud"},
		{"no subject", sign(map[string]any{"sub": nil}), "InvalidIdentityToken", "Missing a required claim: sub"},
		{"no end", sign(map[string]any{"exp": nil}), "InvalidIdentityToken", "Missing a required claim: exp"},
		{"no time", sign(map[string]any{"iat": nil}), "InvalidIdentityToken", "Missing a required claim: iat"},
		{"expired", sign(map[string]any{"exp": now - 1000}), "ExpiredTokenException", ""},
		{"too old", sign(map[string]any{"iat": now - 25*3600}), "ExpiredTokenException", ""},
		{"not yet", sign(map[string]any{"nbf": now + 1000}), "InvalidIdentityToken", "Token is not yet valid"},
		{"of the future", sign(map[string]any{"iat": now + 1000, "exp": now + 2000}), "InvalidIdentityToken", "Token is not yet valid"},
		{"a subject that the role does not trust", sign(map[string]any{"sub": "eve"}), "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity"},
		{"tags that the role does not take", sign(map[string]any{"https://aws.amazon.com/tags": map[string]any{"principal_tags": map[string]any{"a": "b"}}}), "AccessDenied", ""},
		{"a source identity that the role does not take", sign(map[string]any{"https://aws.amazon.com/source_identity": "eve"}), "AccessDenied", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newWebFixture(t, `"sts:AssumeRoleWithWebIdentity"`, `{"StringEquals":{"idp.example.com/realm:sub":"alice"}}`)
			_, err := f.withToken(tt.token)
			fails(t, err, tt.code, tt.message)
		})
	}
	f := newWebFixture(t, `"sts:AssumeRoleWithWebIdentity"`, `{}`)
	if _, err := f.withToken(good); err != nil {
		t.Error(err)
	}
	f.keys.err = errors.New("unreachable")
	_, err := f.withToken(good)
	fails(t, err, "InvalidIdentityToken", "Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity documentation for requirements")
	delete(f.iam.roles, roleARN)
	_, err = f.withToken(good)
	fails(t, err, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
	// A role that trusts everybody trusts no provider by that, and one for users none at all.
	for _, principal := range []string{`"*"`, `{"AWS":"*"}`, `{"AWS":"` + account + `"}`, `{"Federated":"` + providerARN + `x"}`} {
		f := newWebFixture(t, `"sts:AssumeRoleWithWebIdentity"`, `{}`)
		f.iam.roles[roleARN].Trust = mustTrust(t, trusting(principal, `"sts:*"`, `{}`))
		_, err = f.withToken(good)
		fails(t, err, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
	}
}

// A provider that has changed its keys is asked again, once.
func TestWebIdentityKeyRotation(t *testing.T) {
	f := newWebFixture(t, `"sts:AssumeRoleWithWebIdentity"`, `{}`)
	f.keys.old = []jose.JSONWebKey{publicKey(rsaKey, "rsa")}
	if _, err := f.withToken(identityToken(t, jose.ES256, ecKey, "ec", goodClaims(nil))); err != nil {
		t.Error(err)
	}
	if want := []string{issuerURL + "[ab] false", issuerURL + "[ab] true"}; !slices.Equal(f.keys.asked, want) {
		t.Errorf("%q", f.keys.asked)
	}
}

// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html#id_session-tags_adding-assume-role-idp
func TestWebIdentityTags(t *testing.T) {
	f := newWebFixture(t, `["sts:AssumeRoleWithWebIdentity","sts:TagSession","sts:SetSourceIdentity"]`,
		`{"StringEquals":{"aws:RequestTag/Project":"Automation"}}`)
	out, err := f.withToken(identityToken(t, jose.ES256, ecKey, "ec", goodClaims(map[string]any{
		"azp": "other", "https://aws.amazon.com/source_identity": "alice@example.com",
		"https://aws.amazon.com/tags": map[string]any{
			"principal_tags":      map[string]any{"Project": []string{"Automation"}, "Department": "Engineering"},
			"transitive_tag_keys": []string{"Project"},
		},
	})))
	if err != nil {
		t.Fatal(err)
	}
	p := f.resolved(t, out.Credentials)
	if p.Session.Tags["Project"] != "Automation" || p.Session.Tags["Department"] != "Engineering" || !slices.Equal(p.Session.TransitiveTags, []string{"Project"}) ||
		p.Session.SourceIdentity != "alice@example.com" || *out.SourceIdentity != "alice@example.com" || *out.Audience != "other" ||
		!slices.Equal(p.Session.Keys["idp.example.com/realm:oaud"], []string{"app"}) {
		t.Errorf("%+v", p.Session)
	}
	_, err = f.withToken(identityToken(t, jose.ES256, ecKey, "ec", goodClaims(map[string]any{
		"https://aws.amazon.com/tags": map[string]any{"principal_tags": map[string]any{"Project": []string{"a", "b"}}},
	})))
	fails(t, err, "InvalidIdentityToken", "")
}

// Google needs no registration.
func TestWebIdentityOfGoogle(t *testing.T) {
	for _, issuer := range []string{"https://accounts.google.com", "accounts.google.com"} {
		f := newWebFixture(t, `"sts:*"`, `{}`)
		f.iam.roles[roleARN].Trust = mustTrust(t, trusting(`{"Federated":"accounts.google.com"}`, `"sts:AssumeRoleWithWebIdentity"`, `{"StringEquals":{"accounts.google.com:aud":"mine"}}`))
		out, err := f.withToken(identityToken(t, jose.ES256, ecKey, "ec", goodClaims(map[string]any{"iss": issuer, "aud": "mine"})))
		if err != nil {
			t.Fatal(err)
		}
		if *out.Provider != issuer || f.resolved(t, out.Credentials).Session.FederatedProvider != "accounts.google.com" || f.keys.asked[0] != "https://accounts.google.com[] false" {
			t.Errorf("%s %q", *out.Provider, f.keys.asked)
		}
	}
}

// FuzzIdentityToken: no bytes make a token that nobody signed.
func FuzzIdentityToken(f *testing.F) {
	f.Add("a.b.c")
	f.Add(identityToken(f, jose.ES256, ecKey, "ec", goodClaims(map[string]any{"aud": []string{"x"}})) + "x")
	f.Add(`{"payload":"e30","signatures":[{"protected":"eyJhbGciOiJFUzI1NiJ9","signature":""}]}`)
	service := newWebFixture(f, `"sts:*"`, `{}`)
	f.Fuzz(func(t *testing.T, token string) {
		provider, claims, err := service.verifyIdentity(t.Context(), account, token, time.Now())
		if err == nil {
			t.Fatalf("%+v %+v", provider, claims)
		}
	})
}
