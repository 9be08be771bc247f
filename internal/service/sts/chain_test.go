package sts

import (
	"maps"
	"slices"
	"testing"

	api "brume/internal/api/sts"
	"brume/internal/call"
	"brume/internal/policy"
)

func allowing(t testing.TB, action string) *policy.Policies {
	t.Helper()
	doc, err := policy.Parse(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"`+action+`","Resource":"*"}}`, policy.Identity)
	if err != nil {
		t.Fatal(err)
	}
	return &policy.Policies{Identity: []*policy.Document{doc}}
}

func tag(key, value string) api.Tag { return api.Tag{Key: &key, Value: &value} }

// Star, Heart and Lightning are the example of AWS.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html#id_session-tags_role-chaining
func TestTransitiveTags(t *testing.T) {
	f := newFixture(t)
	role := f.role(t, trusting(`{"AWS":"`+account+`"}`, `["sts:AssumeRole","sts:TagSession"]`, `{}`))
	f.iam.policies[bob().ARN] = allowing(t, "sts:*")
	f.iam.policies["arn:aws:sts::"+account+":assumed-role/worker/work"] = allowing(t, "sts:*")

	first, err := f.assume(bob(), &api.AssumeRoleInput{
		Tags: []api.Tag{tag("Star", "1"), tag("Heart", "1"), tag("Moon", "1")}, TransitiveTagKeys: []string{"star", "Heart"},
	})
	if err != nil {
		t.Fatal(err)
	}
	p := f.resolved(t, first.Credentials)
	if !slices.Equal(p.Session.TransitiveTags, []string{"Star", "Heart"}) || len(p.Session.Tags) != 3 {
		t.Errorf("first %+v", p.Session)
	}
	second, err := f.assume(p, &api.AssumeRoleInput{Tags: []api.Tag{tag("Sun", "2")}})
	if err != nil {
		t.Fatal(err)
	}
	p = f.resolved(t, second.Credentials)
	if !maps.Equal(p.Session.Tags, map[string]string{"Star": "1", "Heart": "1", "Sun": "2"}) || !slices.Equal(p.Session.TransitiveTags, []string{"Star", "Heart"}) {
		t.Errorf("second %+v", p.Session)
	}
	_, err = f.assume(p, &api.AssumeRoleInput{Tags: []api.Tag{tag("HEART", "3")}})
	fails(t, err, "InvalidParameterValue", "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.")
	third, err := f.assume(p, &api.AssumeRoleInput{})
	if err != nil {
		t.Fatal(err)
	}
	if p = f.resolved(t, third.Credentials); !maps.Equal(p.Session.Tags, map[string]string{"Star": "1", "Heart": "1"}) {
		t.Errorf("third %+v", p.Session)
	}

	_, err = f.assume(bob(), &api.AssumeRoleInput{Tags: []api.Tag{tag("a", "1")}, TransitiveTagKeys: []string{"b"}})
	fails(t, err, "InvalidParameterValue", "The specified transitive tag key must be included in the requested tags.")
	_, err = f.assume(bob(), &api.AssumeRoleInput{Tags: []api.Tag{tag("aws:x", "1")}})
	fails(t, err, "InvalidParameterValue", "Tag keys beginning with aws: are reserved for system use.")

	// Inheriting needs sts:TagSession as passing does.
	role.Trust = mustTrust(t, trusting(`{"AWS":"`+account+`"}`, `"sts:AssumeRole"`, `{}`))
	_, err = f.assume(p, &api.AssumeRoleInput{})
	fails(t, err, "AccessDenied", "User: "+p.ARN+" is not authorized to perform: sts:TagSession on resource: "+roleARN+" because no role trust policy allows the sts:TagSession action")
	// Which tags may go on is for the policy to say.
	role.Trust = mustTrust(t, trusting(`{"AWS":"`+account+`"}`, `["sts:AssumeRole","sts:TagSession"]`, `{"ForAllValues:StringEquals":{"sts:TransitiveTagKeys":["a"]}}`))
	in := &api.AssumeRoleInput{Tags: []api.Tag{tag("a", "1"), tag("b", "1")}, TransitiveTagKeys: []string{"a"}}
	if _, err := f.assume(bob(), in); err != nil {
		t.Error(err)
	}
	in.TransitiveTagKeys = []string{"a", "b"}
	_, err = f.assume(bob(), in)
	fails(t, err, "AccessDenied", "")
}

func mustTrust(t testing.TB, text string) *policy.Document {
	t.Helper()
	d, err := policy.Parse(text, policy.Trust)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// A chain keeps its source identity, and each role in it must let it be set.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access_monitor.html
func TestSourceIdentityOfAChain(t *testing.T) {
	f := newFixture(t)
	role := f.role(t, trusting(`{"AWS":"`+account+`"}`, `["sts:AssumeRole","sts:SetSourceIdentity"]`, `{"StringEquals":{"sts:SourceIdentity":"alice"}}`))
	f.iam.policies[bob().ARN] = allowing(t, "sts:*")
	f.iam.policies["arn:aws:sts::"+account+":assumed-role/worker/work"] = allowing(t, "sts:*")
	_, err := f.assume(bob(), &api.AssumeRoleInput{})
	fails(t, err, "AccessDenied", "")
	out, err := f.assume(bob(), &api.AssumeRoleInput{SourceIdentity: new("alice")})
	if err != nil {
		t.Fatal(err)
	}
	p := f.resolved(t, out.Credentials)
	if out, err = f.assume(p, &api.AssumeRoleInput{}); err != nil || *out.SourceIdentity != "alice" {
		t.Errorf("%+v, %v", out, err)
	}
	role.Trust = mustTrust(t, trusting(`{"AWS":"`+account+`"}`, `"sts:AssumeRole"`, `{}`))
	_, err = f.assume(p, &api.AssumeRoleInput{})
	fails(t, err, "AccessDenied", "User: "+p.ARN+" is not authorized to perform: sts:SetSourceIdentity on resource: "+roleARN+" because no role trust policy allows the sts:SetSourceIdentity action")
}

// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetFederationToken.html
func TestGetFederationToken(t *testing.T) {
	f := newFixture(t)
	get := func(p call.Principal, in *api.GetFederationTokenInput) (*api.GetFederationTokenOutput, error) {
		if in.Name == nil {
			in.Name = new("Bob")
		}
		return run[api.GetFederationTokenOutput](f, p, "GetFederationToken", in)
	}
	const federated = "arn:aws:sts::" + account + ":federated-user/Bob"
	_, err := get(bob(), &api.GetFederationTokenInput{})
	fails(t, err, "AccessDenied", "User: arn:aws:iam::"+account+":user/bob is not authorized to perform: sts:GetFederationToken on resource: "+federated+
		" because no identity-based policy allows the sts:GetFederationToken action")

	f.iam.policies[bob().ARN] = allowing(t, "sts:GetFederationToken")
	const narrow = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:Get*","Resource":"*"}}`
	out, err := get(bob(), &api.GetFederationTokenInput{Policy: new(narrow)})
	if err != nil {
		t.Fatal(err)
	}
	if *out.FederatedUser.Arn != federated || *out.FederatedUser.FederatedUserId != account+":Bob" || *out.PackedPolicySize < 1 {
		t.Errorf("%+v", out.FederatedUser)
	}
	p := f.resolved(t, out.Credentials)
	if p.Type != call.FederatedUser || p.ARN != federated || p.ID != account+":Bob" || p.Session.IssuerID != bob().ID ||
		p.Session.IssuerARN != bob().ARN || p.Session.Policy != narrow {
		t.Errorf("%+v %+v", p, p.Session)
	}
	id, err := run[api.GetCallerIdentityOutput](f, p, "GetCallerIdentity", &api.GetCallerIdentityInput{})
	if err != nil || *id.Arn != federated || *id.UserId != account+":Bob" {
		t.Errorf("%+v, %v", id, err)
	}
	_, err = get(bob(), &api.GetFederationTokenInput{Tags: []api.Tag{tag("a", "b")}})
	fails(t, err, "AccessDenied", "User: arn:aws:iam::"+account+":user/bob is not authorized to perform: sts:TagSession on resource: "+federated+
		" because no identity-based policy allows the sts:TagSession action")

	// It gets nothing further from STS.
	_, err = get(p, &api.GetFederationTokenInput{})
	fails(t, err, "AccessDenied", "Cannot call GetFederationToken with session credentials")
	_, err = run[api.GetSessionTokenOutput](f, p, "GetSessionToken", &api.GetSessionTokenInput{})
	fails(t, err, "AccessDenied", "Cannot call GetSessionToken with session credentials")
	f.role(t, trusting(`"*"`, `"sts:*"`, `{}`))
	_, err = f.assume(p, &api.AssumeRoleInput{})
	fails(t, err, "AccessDenied", "User: "+federated+" is not authorized to perform: sts:AssumeRole on resource: "+roleARN)

	// Who vouches for it must be there.
	f.iam.gone[p.Session.IssuerID] = true
	_, _, err = f.ResolveAccessKey(t.Context(), *out.Credentials.AccessKeyId, *out.Credentials.SessionToken)
	fails(t, err, "InvalidClientTokenId", "")
	out, err = get(root(), &api.GetFederationTokenInput{DurationSeconds: new(int32(129600))})
	if err != nil || out.Credentials.Expiration.Sub(f.resolved(t, out.Credentials).Session.IssuedAt) > maxRootSession {
		t.Errorf("%+v, %v", out, err)
	}
}
