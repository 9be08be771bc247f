package sdk

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/go-jose/go-jose/v4"
)

// An idp is an OpenID Connect provider on this machine, with a certificate that it signed itself.
type idp struct {
	*httptest.Server
	key *ecdsa.PrivateKey
}

func newIDP(t *testing.T) *idp {
	t.Helper()
	p := &idp{key: ok(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(map[string]string{"issuer": p.URL, "jwks_uri": p.URL + "/keys"})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: p.key.Public(), KeyID: "1", Use: "sig", Algorithm: "ES256"}}})
	})
	p.Server = httptest.NewTLSServer(mux)
	t.Cleanup(p.Close)
	return p
}

// name is the provider's URL as ARNs and condition keys have it.
func (p *idp) name() string { return strings.TrimPrefix(p.URL, "https://") }

func (p *idp) thumbprint() string {
	sum := sha1.Sum(p.Certificate().Raw)
	return hex.EncodeToString(sum[:])
}

// token is a token for sub, of an app.
func (p *idp) token(t *testing.T, sub string, life time.Duration) string {
	t.Helper()
	now := time.Now()
	claims := ok(json.Marshal(map[string]any{"iss": p.URL, "sub": sub, "aud": "app", "iat": now.Unix(), "exp": now.Add(life).Unix()}))(t)
	signer := ok(jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: p.key, KeyID: "1"}}, nil))(t)
	return ok(ok(signer.Sign(claims))(t).CompactSerialize())(t)
}

// Somebody without AWS credentials gets those of a role for the token of a provider that the account knows.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
func TestAssumeRoleWithWebIdentity(t *testing.T) {
	account, p := newAccount(), newIDP(t)
	admin := iam.NewFromConfig(rootOf(account))
	role := newRole(t, rootOf(account), "deploy", `{"Service":"lambda.amazonaws.com"}`,
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"dynamodb:ListTables","Resource":"*","Condition":{"StringEquals":{"`+p.name()+`:sub":"repo:me/app"}}}]}`)
	anonymous := sts.New(sts.Options{Region: region, BaseEndpoint: &brume.Endpoint, RetryMaxAttempts: 1})
	assume := func(token string) (*sts.AssumeRoleWithWebIdentityOutput, error) {
		return anonymous.AssumeRoleWithWebIdentity(t.Context(), &sts.AssumeRoleWithWebIdentityInput{
			RoleArn: &role, RoleSessionName: aws.String("ci"), WebIdentityToken: &token, DurationSeconds: aws.Int32(900),
		})
	}
	_, err := assume(p.token(t, "repo:me/app", time.Minute))
	is[*ststypes.InvalidIdentityTokenException](t, err, "No OpenIDConnect provider found in your account for "+p.URL)

	provider := ok(admin.CreateOpenIDConnectProvider(t.Context(), &iam.CreateOpenIDConnectProviderInput{
		Url: &p.URL, ClientIDList: []string{"app"}, ThumbprintList: []string{p.thumbprint()},
	}))(t).OpenIDConnectProviderArn
	_, err = assume(p.token(t, "repo:me/app", time.Minute))
	hasCode(t, err, 403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")

	trust := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Federated":"` + *provider + `"},"Action":"sts:AssumeRoleWithWebIdentity",
		"Condition":{"StringEquals":{"` + p.name() + `:aud":"app"},"StringLike":{"` + p.name() + `:sub":"repo:me/*"}}}}`
	ok(admin.UpdateAssumeRolePolicy(t.Context(), &iam.UpdateAssumeRolePolicyInput{RoleName: aws.String("deploy"), PolicyDocument: &trust}))(t)
	out := ok(assume(p.token(t, "repo:me/app", time.Minute)))(t)
	same(t, "answer", []string{*out.Audience, *out.Provider, *out.SubjectFromWebIdentityToken, *out.AssumedRoleUser.Arn},
		[]string{"app", *provider, "repo:me/app", "arn:aws:sts::" + account + ":assumed-role/deploy/ci"})
	ok(dynamodb.NewFromConfig(session(out.Credentials)).ListTables(t.Context(), nil))(t)

	// What the provider said of another one is not in their session.
	other := ok(assume(p.token(t, "repo:me/other", time.Minute)))(t)
	_, err = dynamodb.NewFromConfig(session(other.Credentials)).ListTables(t.Context(), nil)
	hasCode(t, err, 400, "AccessDeniedException", "because no identity-based policy allows the dynamodb:ListTables action")

	_, err = assume(p.token(t, "repo:you/app", time.Minute))
	hasCode(t, err, 403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
	_, err = assume(p.token(t, "repo:me/app", -time.Minute))
	is[*ststypes.ExpiredTokenException](t, err, "Token expired: current date/time ")
	_, err = assume(newIDP(t).token(t, "repo:me/app", time.Minute))
	is[*ststypes.InvalidIdentityTokenException](t, err, "No OpenIDConnect provider found")
	_, err = assume(strings.Repeat("x.", 2) + "x")
	is[*ststypes.InvalidIdentityTokenException](t, err, "is not a valid JWT")
	forger := newIDP(t)
	forger.URL = p.URL
	_, err = assume(forger.token(t, "repo:me/app", time.Minute))
	is[*ststypes.InvalidIdentityTokenException](t, err, "is not signed by a key of its issuer")

	ok(admin.RemoveClientIDFromOpenIDConnectProvider(t.Context(), &iam.RemoveClientIDFromOpenIDConnectProviderInput{OpenIDConnectProviderArn: provider, ClientID: aws.String("app")}))(t)
	_, err = assume(p.token(t, "repo:me/app", time.Minute))
	is[*ststypes.InvalidIdentityTokenException](t, err, "Incorrect token audience")
	ok(admin.DeleteOpenIDConnectProvider(t.Context(), &iam.DeleteOpenIDConnectProviderInput{OpenIDConnectProviderArn: provider}))(t)
	_, err = assume(p.token(t, "repo:me/app", time.Minute))
	is[*ststypes.InvalidIdentityTokenException](t, err, "No OpenIDConnect provider found")
}
