package sts

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"brume/internal/accesskey"
	api "brume/internal/api/sts"
	"brume/internal/awserr"
	"brume/internal/call"
	"brume/internal/dispatch"
	"brume/internal/obs"
	"brume/internal/policy"
	"brume/internal/schema"
	"brume/internal/seal"
)

const (
	account = "123456789012"
	foreign = "999999999999"
	roleARN = "arn:aws:iam::" + account + ":role/p/worker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeIAM is an IAM with one user, bob, and the roles that a test puts there.
type fakeIAM struct {
	roles    map[string]*policy.Role
	policies map[string]*policy.Policies // by ARN of the principal
	keys     map[string]string           // status by access key
	gone     map[string]bool             // unique ids
	code     string                      // what bob's MFA device shows
	managed  map[string]bool             // ARNs of managed policies
	provider *policy.OpenIDProvider
	url      string // of provider
	err      error
}

func (f *fakeIAM) AccessKey(_ context.Context, id string) (string, call.Principal, string, error) {
	if f.keys[id] == "" {
		return "", call.Principal{}, "", f.err
	}
	p := bob()
	p.AccessKeyID = id
	return "secret of " + id, p, f.keys[id], f.err
}

func (f *fakeIAM) Role(_ context.Context, arn string) (*policy.Role, error) {
	return f.roles[arn], f.err
}

func (f *fakeIAM) Exists(_ context.Context, p *call.Principal) (bool, error) {
	id, _, _ := strings.Cut(p.ID, ":")
	if p.Type == call.FederatedUser {
		id = p.Session.IssuerID
	}
	return !f.gone[id], f.err
}

func (f *fakeIAM) PolicyExists(_ context.Context, a, arn string) (bool, error) {
	return a == account && f.managed[arn], f.err
}

func (f *fakeIAM) OpenIDProvider(_ context.Context, a, url string) (*policy.OpenIDProvider, error) {
	if a != account || url != f.url {
		return nil, f.err
	}
	return f.provider, f.err
}

// CheckMFA knows one device, of bob's, which shows a code until it is used.
func (f *fakeIAM) CheckMFA(_ context.Context, p *call.Principal, serial, code string, use bool) (known, valid bool, err error) {
	known = serial == bobsPhone && p.ID == bob().ID
	valid = known && f.code != "" && code == f.code
	if valid && use {
		f.code = ""
	}
	return known, valid, f.err
}

const bobsPhone = "arn:aws:iam::" + account + ":mfa/phone"

func (f *fakeIAM) PoliciesFor(_ context.Context, p *call.Principal) (*policy.Policies, error) {
	if found := f.policies[p.ARN]; found != nil {
		return found, nil
	}
	return &policy.Policies{}, nil
}

func bob() call.Principal {
	return call.Principal{Type: call.User, Account: account, ARN: "arn:aws:iam::" + account + ":user/bob", ID: "AIDABOBBOBBOBBOBBOBBO", Name: "bob", AccessKeyID: "AKIABOB"}
}

func root() call.Principal {
	return call.Principal{Type: call.Account, Account: account, ARN: "arn:aws:iam::" + account + ":root", ID: account, AccessKeyID: "AKIAROOT"}
}

type fixture struct {
	*Service
	iam   *fakeIAM
	keys  fakeKeys
	calls *dispatch.Dispatcher
}

func box(t testing.TB, fill byte) *seal.Box {
	t.Helper()
	master, err := seal.ParseMaster(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{fill}, seal.KeySize)))
	if err != nil {
		t.Fatal(err)
	}
	b, err := master.Box("session tokens")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{iam: &fakeIAM{roles: map[string]*policy.Role{}, policies: map[string]*policy.Policies{}, keys: map[string]string{}, gone: map[string]bool{}}}
	f.iam.managed = map[string]bool{}
	f.Service = New(Options{Identities: f.iam, Sealer: box(t, 7), Keys: &f.keys})
	f.calls = dispatch.New(f.iam, obs.NewMetrics())
	f.calls.Add(api.Schema(), api.Handlers(f.Service), f.Checks)
	return f
}

// role adds a role that trusts a principal.
func (f *fixture) role(t testing.TB, trust string) *policy.Role {
	t.Helper()
	doc, err := policy.Parse(trust, policy.Trust)
	if err != nil {
		t.Fatal(err)
	}
	r := &policy.Role{Account: account, Name: "worker", ARN: roleARN, ID: "AROAWORKERWORKERWORKE", Trust: doc, MaxSession: 2 * time.Hour, Tags: map[string]string{"env": "test"}}
	f.iam.roles[roleARN] = r
	return r
}

func trusting(principal, actions, condition string) string {
	return `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":` + principal + `,"Action":` + actions + `,"Condition":` + condition + `}}`
}

var trustsBob = trusting(`{"AWS":"arn:aws:iam::`+account+`:user/bob"}`, `"sts:AssumeRole"`, `{}`)

func as(p call.Principal) context.Context {
	return call.With(context.Background(), &call.Info{Account: p.Account, Region: "us-east-1", Principal: p, Secure: true, Time: time.Now()})
}

func run[Out any](f *fixture, p call.Principal, operation string, in schema.Struct) (*Out, error) {
	return dispatch.Run[Out](as(p), f.calls, "sts", operation, in)
}

func (f *fixture) assume(p call.Principal, in *api.AssumeRoleInput) (*api.AssumeRoleOutput, error) {
	if in.RoleArn == nil {
		in.RoleArn = new(roleARN)
	}
	if in.RoleSessionName == nil {
		in.RoleSessionName = new("work")
	}
	return run[api.AssumeRoleOutput](f, p, "AssumeRole", in)
}

// resolved returns the principal behind credentials.
func (f *fixture) resolved(t testing.TB, c *api.Credentials) call.Principal {
	t.Helper()
	secret, p, err := f.ResolveAccessKey(context.Background(), *c.AccessKeyId, *c.SessionToken)
	if err != nil || secret != *c.SecretAccessKey {
		t.Fatalf("%+v, %v", p, err)
	}
	return p
}

func fails(t testing.TB, err error, code, message string) {
	t.Helper()
	var e awserr.Error
	if !errors.As(err, &e) || e.ErrorCode() != code || message != "" && e.ErrorMessage() != message {
		t.Errorf("got %v\nwant %s: %s", err, code, message)
	}
}

// Each operation that is written has its permissions, and no other.
func TestEveryOperationHasChecks(t *testing.T) {
	f := newFixture(t)
	f.role(t, trustsBob)
	implemented := map[string]bool{
		"AssumeRole": true, "AssumeRoleWithWebIdentity": true, "DecodeAuthorizationMessage": true, "GetAccessKeyInfo": true, "GetCallerIdentity": true,
		"GetFederationToken": true, "GetSessionToken": true,
	}
	for i, op := range api.Schema().Operations {
		in := api.Handlers(f.Service)[i].New()
		if in, ok := in.(*api.AssumeRoleInput); ok {
			in.RoleArn = new(roleARN)
		}
		_, mapped, err := f.Checks(as(bob()), op.Name, in)
		if err != nil || mapped != implemented[op.Name] {
			t.Errorf("%s: mapped %v, %v", op.Name, mapped, err)
		}
		if !mapped {
			if _, err := api.Handlers(f.Service)[i].Call(as(bob()), in); err == nil {
				t.Errorf("%s does something without permissions", op.Name)
			}
		}
	}
}

// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
func TestAssumeRole(t *testing.T) {
	f := newFixture(t)
	f.role(t, trustsBob)
	before := time.Now().Truncate(time.Second)
	out, err := f.assume(bob(), &api.AssumeRoleInput{})
	if err != nil {
		t.Fatal(err)
	}
	const sessionARN = "arn:aws:sts::" + account + ":assumed-role/worker/work"
	c := out.Credentials
	if *out.AssumedRoleUser.Arn != sessionARN || *out.AssumedRoleUser.AssumedRoleId != "AROAWORKERWORKERWORKE:work" || out.PackedPolicySize != nil ||
		!regexp.MustCompile(`^ASIA[A-Z2-7]{16}$`).MatchString(*c.AccessKeyId) || c.Expiration.Sub(before) < time.Hour || c.Expiration.Sub(before) > time.Hour+time.Minute {
		t.Errorf("%+v %+v", out.AssumedRoleUser, c.Expiration)
	}
	p := f.resolved(t, c)
	if p.Type != call.AssumedRole || p.Account != account || p.ARN != sessionARN || p.ID != "AROAWORKERWORKERWORKE:work" || p.Name != "worker" || p.AccessKeyID != *c.AccessKeyId ||
		p.Session.RoleARN != roleARN || p.Session.Name != "work" || !p.Session.Expiry.Equal(*c.Expiration) || p.Session.IssuedAt.Before(before) || p.Session.Policy != "" || p.Session.MFA {
		t.Errorf("%+v %+v", p, p.Session)
	}
	// A token needs no memory of its maker.
	again := New(Options{Identities: f.iam, Sealer: box(t, 7)})
	if _, p, err := again.ResolveAccessKey(context.Background(), *c.AccessKeyId, *c.SessionToken); err != nil || p.ARN != sessionARN {
		t.Errorf("after a restart: %+v, %v", p, err)
	}
	id, err := run[api.GetCallerIdentityOutput](f, p, "GetCallerIdentity", &api.GetCallerIdentityInput{})
	if err != nil || *id.Arn != sessionARN || *id.Account != account || *id.UserId != "AROAWORKERWORKERWORKE:work" {
		t.Errorf("%+v, %v", id, err)
	}
	info, err := run[api.GetAccessKeyInfoOutput](f, root(), "GetAccessKeyInfo", &api.GetAccessKeyInfoInput{AccessKeyId: c.AccessKeyId})
	if err != nil || *info.Account != account {
		t.Errorf("%+v, %v", info, err)
	}
	_, err = run[api.GetAccessKeyInfoOutput](f, root(), "GetAccessKeyInfo", &api.GetAccessKeyInfoInput{AccessKeyId: new("AKIAIOSFODNN7NOTAKEY0")})
	fails(t, err, "ValidationError", "")
}

func TestAssumeRoleIsRefused(t *testing.T) {
	f := newFixture(t)
	eve := bob()
	eve.ARN, eve.ID, eve.Name = "arn:aws:iam::"+account+":user/eve", "AIDAEVEEVEEVEEVEEVEEV", "eve"
	// Nobody can tell a role that does not exist from one that they may not assume.
	unknown := func(err error) bool {
		fails(t, err, "AccessDenied", "User: "+eve.ARN+" is not authorized to perform: sts:AssumeRole on resource: "+roleARN+" because no role trust policy allows the sts:AssumeRole action")
		e, ok := errors.AsType[*awserr.Generic](err)
		return ok && e.Explain != nil
	}
	_, err := f.assume(eve, &api.AssumeRoleInput{})
	missing := unknown(err)
	f.role(t, trustsBob)
	if _, err = f.assume(eve, &api.AssumeRoleInput{}); unknown(err) != missing {
		t.Error("the encoded message tells that there is the role")
	}
	_, err = f.assume(eve, &api.AssumeRoleInput{})
	fails(t, err, "AccessDenied", "User: "+eve.ARN+" is not authorized to perform: sts:AssumeRole on resource: "+roleARN+" because no role trust policy allows the sts:AssumeRole action")
	_, err = f.assume(root(), &api.AssumeRoleInput{})
	fails(t, err, "AccessDenied", "Roles may not be assumed by root accounts.")
	for _, arn := range []string{"worker-with-a-long-name", "arn:aws:iam:role/worker", `"` + roleARN + `"`} {
		_, err = f.assume(bob(), &api.AssumeRoleInput{RoleArn: &arn})
		fails(t, err, "ValidationError", "Request ARN is invalid")
		_, err = run[api.AssumeRoleWithWebIdentityOutput](f, call.Principal{}, "AssumeRoleWithWebIdentity",
			&api.AssumeRoleWithWebIdentityInput{RoleArn: &arn, RoleSessionName: new("work"), WebIdentityToken: new("token")})
		fails(t, err, "ValidationError", "Request ARN is invalid")
	}

	// Another account's user needs its own account's permission too.
	f.role(t, trusting(`{"AWS":"`+foreign+`"}`, `"sts:AssumeRole"`, `{"StringEquals":{"sts:ExternalId":"s3cret"}}`))
	guest := bob()
	guest.Account, guest.ARN = foreign, "arn:aws:iam::"+foreign+":user/bob"
	_, err = f.assume(guest, &api.AssumeRoleInput{ExternalId: new("s3cret")})
	fails(t, err, "AccessDenied", "User: "+guest.ARN+" is not authorized to perform: sts:AssumeRole on resource: "+roleARN+" because no identity-based policy allows the sts:AssumeRole action")
	all, _ := policy.Parse(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:*","Resource":"*"}}`, policy.Identity)
	f.iam.policies[guest.ARN] = &policy.Policies{Identity: []*policy.Document{all}}
	if _, err := f.assume(guest, &api.AssumeRoleInput{ExternalId: new("s3cret")}); err != nil {
		t.Error(err)
	}
	for _, in := range []*api.AssumeRoleInput{{}, {ExternalId: new("guess")}} {
		_, err = f.assume(guest, in)
		fails(t, err, "AccessDenied", "")
	}
}

// Tags and a source identity are actions of their own.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html
func TestAssumeRoleWithTagsAndSourceIdentity(t *testing.T) {
	f := newFixture(t)
	in := func() *api.AssumeRoleInput {
		return &api.AssumeRoleInput{Tags: []api.Tag{{Key: new("Team"), Value: new("blue")}}, SourceIdentity: new("alice")}
	}
	f.role(t, trustsBob)
	_, err := f.assume(bob(), in())
	fails(t, err, "AccessDenied", "User: arn:aws:iam::"+account+":user/bob is not authorized to perform: sts:TagSession on resource: "+roleARN+" because no role trust policy allows the sts:TagSession action")
	f.role(t, trusting(`{"AWS":"arn:aws:iam::`+account+`:user/bob"}`, `["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"]`,
		`{"StringEquals":{"aws:RequestTag/team":"blue","sts:SourceIdentity":"alice","sts:RoleSessionName":"work","aws:ResourceTag/env":"test"},"ForAllValues:StringEquals":{"aws:TagKeys":"Team"}}`))
	out, err := f.assume(bob(), in())
	if err != nil {
		t.Fatal(err)
	}
	p := f.resolved(t, out.Credentials)
	if p.Session.Tags["Team"] != "blue" || p.Session.SourceIdentity != "alice" || *out.SourceIdentity != "alice" || *out.PackedPolicySize < 1 {
		t.Errorf("%+v %v", p.Session, *out.PackedPolicySize)
	}
	other := in()
	other.Tags[0].Value = new("red")
	_, err = f.assume(bob(), other)
	fails(t, err, "AccessDenied", "")

	// The source identity stays through a chain of roles, and cannot be changed.
	f.role(t, trusting(`{"AWS":"`+account+`"}`, `["sts:AssumeRole","sts:SetSourceIdentity","sts:TagSession"]`, `{}`))
	all, _ := policy.Parse(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:*","Resource":"*"}}`, policy.Identity)
	f.iam.policies[p.ARN] = &policy.Policies{Identity: []*policy.Document{all}}
	f.iam.policies[bob().ARN] = f.iam.policies[p.ARN]
	next, err := f.assume(p, &api.AssumeRoleInput{})
	if err != nil || *next.SourceIdentity != "alice" || len(f.resolved(t, next.Credentials).Session.Tags) != 0 {
		t.Errorf("%+v, %v", next, err)
	}
	_, err = f.assume(p, &api.AssumeRoleInput{SourceIdentity: new("mallory")})
	fails(t, err, "AccessDenied", "")

	dup := in()
	dup.Tags = append(dup.Tags, api.Tag{Key: new("TEAM"), Value: new("x")})
	_, err = f.assume(bob(), dup)
	fails(t, err, "InvalidParameterValue", "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
}

// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use.html
func TestAssumeRoleDuration(t *testing.T) {
	f := newFixture(t)
	f.role(t, trusting(`{"AWS":"`+account+`"}`, `"sts:AssumeRole"`, `{}`))
	all, _ := policy.Parse(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:*","Resource":"*"}}`, policy.Identity)
	session := call.Principal{Type: call.AssumedRole, Account: account, ARN: "arn:aws:sts::" + account + ":assumed-role/x/y", ID: "AROAX:y", Session: &call.Session{RoleARN: "arn:aws:iam::" + account + ":role/x"}}
	for _, p := range []call.Principal{bob(), session} {
		f.iam.policies[p.ARN] = &policy.Policies{Identity: []*policy.Document{all}}
	}
	for _, c := range []struct {
		caller  call.Principal
		seconds int32
		want    string
	}{
		{bob(), 900, ""},
		{bob(), 7200, ""},
		{bob(), 7201, "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."},
		{session, 3600, ""},
		{session, 3601, "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."},
		{bob(), 899, "1 validation error detected: Value '899' at 'durationSeconds' failed to satisfy constraint: Member must have value greater than or equal to 900"},
	} {
		out, err := f.assume(c.caller, &api.AssumeRoleInput{DurationSeconds: &c.seconds})
		if c.want != "" {
			fails(t, err, "ValidationError", c.want)
			continue
		}
		if err != nil {
			t.Error(err)
		} else if left := time.Until(*out.Credentials.Expiration); left > time.Duration(c.seconds)*time.Second || left < time.Duration(c.seconds-60)*time.Second {
			t.Errorf("%d s: %v", c.seconds, left)
		}
	}
}

func TestAssumeRoleSessionPolicy(t *testing.T) {
	f := newFixture(t)
	f.role(t, trustsBob)
	const narrow = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:Get*","Resource":"*"}}`
	out, err := f.assume(bob(), &api.AssumeRoleInput{Policy: new(narrow)})
	if err != nil || f.resolved(t, out.Credentials).Session.Policy != narrow || *out.PackedPolicySize < 1 || *out.PackedPolicySize > 20 {
		t.Errorf("%+v, %v", out, err)
	}
	_, err = f.assume(bob(), &api.AssumeRoleInput{Policy: new(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:Get*","Resource":"bucket"}}`)})
	fails(t, err, "MalformedPolicyDocument", `Resource bucket must be in ARN format or "*".`)

	managed := func(arns ...string) *api.AssumeRoleInput {
		in := &api.AssumeRoleInput{}
		for _, arn := range arns {
			in.PolicyArns = append(in.PolicyArns, api.PolicyDescriptorType{Arn: &arn})
		}
		return in
	}
	const readOnly, own = "arn:aws:iam::aws:policy/ReadOnlyAccess", "arn:aws:iam::" + account + ":policy/own"
	f.iam.managed[readOnly], f.iam.managed[own] = true, true
	out, err = f.assume(bob(), managed(readOnly, own, readOnly))
	if err != nil || *out.PackedPolicySize < 1 {
		t.Fatalf("%+v, %v", out, err)
	}
	if got := f.resolved(t, out.Credentials).Session; !slices.Equal(got.PolicyARNs, []string{readOnly, own}) || got.Policy != "" {
		t.Errorf("%+v", got)
	}
	_, err = f.assume(bob(), managed("arn:aws:iam::"+account+":policy/none"))
	fails(t, err, "ValidationError", "Policy arn:aws:iam::"+account+":policy/none does not exist or is not attachable.")
	many := managed(slices.Repeat([]string{own}, 10)...)
	if _, err = f.assume(bob(), many); err != nil {
		t.Error(err)
	}
	many.PolicyArns = append(many.PolicyArns, many.PolicyArns[0])
	_, err = f.assume(bob(), many)
	fails(t, err, "ValidationError", "")
	// The limit of 2,048 characters is for all of them together.
	spaced := func(n int) *string { return new(narrow + strings.Repeat(" ", n-len(narrow))) }
	both := managed(own)
	both.Policy = spaced(2048 - len(own))
	if _, err = f.assume(bob(), both); err != nil {
		t.Error(err)
	}
	both.Policy = spaced(2049 - len(own))
	_, err = f.assume(bob(), both)
	fails(t, err, "ValidationError", "")
	_, err = f.assume(bob(), &api.AssumeRoleInput{SerialNumber: new("arn:aws:iam::" + account + ":mfa/bob"), TokenCode: new("123456")})
	fails(t, err, "AccessDenied", "")
}

func TestPackedPolicyTooLarge(t *testing.T) {
	session := &call.Session{Tags: map[string]string{}}
	for i := range 50 {
		session.Tags[fmt.Sprint(i)] = accesskey.NewSecret() + accesskey.NewSecret()
	}
	_, err := packedSize(session)
	fails(t, err, "PackedPolicyTooLarge", "")
	session.PolicyARNs = []string{"arn"}
	if _, err := packedSize(session); err == nil || !strings.Contains(err.Error(), "Packed policy consumes") {
		t.Error(err)
	}
	if size, err := packedSize(&call.Session{}); size != nil || err != nil {
		t.Errorf("%v, %v", size, err)
	}
}

// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html
func TestGetSessionToken(t *testing.T) {
	f := newFixture(t)
	get := func(p call.Principal, in *api.GetSessionTokenInput) (*api.GetSessionTokenOutput, error) {
		return run[api.GetSessionTokenOutput](f, p, "GetSessionToken", in)
	}
	for _, c := range []struct {
		caller  call.Principal
		seconds *int32
		want    time.Duration
	}{
		{bob(), nil, 12 * time.Hour}, {bob(), new(int32(900)), 15 * time.Minute}, {bob(), new(int32(129600)), 36 * time.Hour},
		{root(), nil, time.Hour}, {root(), new(int32(129600)), time.Hour}, {root(), new(int32(900)), 15 * time.Minute},
	} {
		out, err := get(c.caller, &api.GetSessionTokenInput{DurationSeconds: c.seconds})
		if err != nil {
			t.Fatal(err)
		}
		if left := time.Until(*out.Credentials.Expiration); left > c.want || left < c.want-time.Minute {
			t.Errorf("%s: %v, want %v", c.caller.ARN, left, c.want)
		}
		p := f.resolved(t, out.Credentials)
		if p.ARN != c.caller.ARN || p.ID != c.caller.ID || p.Type != c.caller.Type || p.Name != c.caller.Name || p.AccessKeyID != *out.Credentials.AccessKeyId || p.Session.RoleARN != "" {
			t.Errorf("%+v", p)
		}
		_, err = get(p, &api.GetSessionTokenInput{})
		fails(t, err, "AccessDenied", "Cannot call GetSessionToken with session credentials")
	}
	_, err := get(bob(), &api.GetSessionTokenInput{SerialNumber: new("GAHT12345678"), TokenCode: new("123456")})
	fails(t, err, "AccessDenied", "")
}

func TestResolveAccessKey(t *testing.T) {
	f := newFixture(t)
	f.iam.keys["AKIAACTIVE"], f.iam.keys["AKIAINACTIVE"] = "Active", "Inactive"
	secret, p, err := f.ResolveAccessKey(context.Background(), "AKIAACTIVE", "")
	if err != nil || secret != "secret of AKIAACTIVE" || p.ARN != bob().ARN {
		t.Errorf("%+v, %v", p, err)
	}
	f.role(t, trustsBob)
	first, err := f.assume(bob(), &api.AssumeRoleInput{})
	if err != nil {
		t.Fatal(err)
	}
	second, err := f.assume(bob(), &api.AssumeRoleInput{})
	if err != nil {
		t.Fatal(err)
	}
	id, token := *first.Credentials.AccessKeyId, *first.Credentials.SessionToken
	stranger := New(Options{Identities: f.iam, Sealer: box(t, 8)})
	foreignToken, err := stranger.issue(&call.Principal{Type: call.Account, Account: account, Session: &call.Session{Expiry: time.Now().Add(time.Hour)}})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		id, token string
		want      error
	}{
		"unknown key":                  {"AKIANONE", "", ErrUnknownKey},
		"no key":                       {"", "", ErrUnknownKey},
		"inactive key":                 {"AKIAINACTIVE", "", ErrInactiveKey},
		"temporary key without token":  {id, "", ErrUnknownKey},
		"long-term key with a token":   {"AKIAACTIVE", token, ErrBadToken},
		"token of another key":         {*second.Credentials.AccessKeyId, token, ErrBadToken},
		"junk":                         {id, "junk", ErrBadToken},
		"cut":                          {id, token[:len(token)-1], ErrBadToken},
		"changed":                      {id, token[:len(token)-8] + "AAAAAAAA", ErrBadToken},
		"longer than any":              {id, strings.Repeat("A", maxToken+1), ErrBadToken},
		"sealed by somebody else":      {foreignToken.AccessKeyID, foreignToken.SessionToken, ErrBadToken},
		"test credentials when closed": {"test", "", ErrUnknownKey},
		"an account when closed":       {account, "", ErrUnknownKey},
	} {
		secret, p, err := f.ResolveAccessKey(context.Background(), c.id, c.token)
		var e *awserr.Generic
		if !errors.Is(err, c.want) || !errors.As(err, &e) || e.Code != "InvalidClientTokenId" || e.Status != 403 || e.Message != "The security token included in the request is invalid." || secret != "" || p.ARN != "" {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	f.iam.gone["AROAWORKERWORKERWORKE"] = true
	if _, _, err := f.ResolveAccessKey(context.Background(), id, token); !errors.Is(err, ErrGone) {
		t.Errorf("a role that is gone: %v", err)
	}
	// A fault of ours is no refusal.
	f.iam.err = errors.New("disk on fire")
	for _, c := range [][2]string{{"AKIAACTIVE", ""}, {id, token}} {
		var e awserr.Error
		if _, _, err := f.ResolveAccessKey(context.Background(), c[0], c[1]); !errors.Is(err, f.iam.err) || errors.As(err, &e) {
			t.Errorf("%v", err)
		}
	}
}

func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.role(t, trustsBob)
		out, err := f.assume(bob(), &api.AssumeRoleInput{DurationSeconds: new(int32(900))})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(15*time.Minute - time.Nanosecond)
		f.resolved(t, out.Credentials)
		time.Sleep(time.Nanosecond)
		_, _, err = f.ResolveAccessKey(context.Background(), *out.Credentials.AccessKeyId, *out.Credentials.SessionToken)
		fails(t, err, "ExpiredToken", "The security token included in the request is expired")
		if !errors.Is(err, ErrExpired) {
			t.Error(err)
		}
	})
}

func TestTestCredentials(t *testing.T) {
	f := newFixture(t)
	s := New(Options{Identities: f.iam, Sealer: box(t, 7), TestAccount: "000000000000"})
	for id, want := range map[string]string{"test": "000000000000", "123456789012": "123456789012"} {
		for _, token := range []string{"", "test"} {
			secret, p, err := s.ResolveAccessKey(context.Background(), id, token)
			if err != nil || secret != "test" || p.Type != call.Account || p.Account != want || p.ARN != "arn:aws:iam::"+want+":root" || p.ID != want {
				t.Errorf("%s: %+v, %v", id, p, err)
			}
		}
	}
	for _, id := range []string{"Test", "12345678901", "1234567890123", "12345678901a", "١٢٣٤٥٦"} {
		if _, _, err := s.ResolveAccessKey(context.Background(), id, ""); !errors.Is(err, ErrUnknownKey) {
			t.Errorf("%s: %v", id, err)
		}
	}
}

// https://docs.aws.amazon.com/lambda/latest/dg/lambda-intro-execution-role.html
func TestServiceSessions(t *testing.T) {
	f := newFixture(t)
	f.role(t, trusting(`{"Service":"lambda.amazonaws.com"}`, `"sts:AssumeRole"`, `{"StringEquals":{"aws:SourceAccount":"`+account+`"}}`))
	ask := ServiceSession{Service: "lambda.amazonaws.com", RoleARN: roleARN, Name: "my-function", Duration: 12 * time.Hour, SourceAccount: account}
	c, err := f.IssueRoleSession(context.Background(), ask)
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(c.Expiry); left > 2*time.Hour || left < 2*time.Hour-time.Minute {
		t.Errorf("%v is not what the role allows", left)
	}
	_, p, err := f.ResolveAccessKey(context.Background(), c.AccessKeyID, c.SessionToken)
	if err != nil || p.ARN != "arn:aws:sts::"+account+":assumed-role/worker/my-function" || p.Session.RoleARN != roleARN {
		t.Errorf("%+v, %v", p, err)
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		for _, v := range []any{c, *c} {
			if text := fmt.Sprintf(format, v); strings.Contains(text, c.SecretAccessKey) || strings.Contains(text, c.SessionToken) {
				t.Errorf("%s prints the secret", format)
			}
		}
	}
	if err := f.MayAssume(context.Background(), ask); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*ServiceSession){
		"another service": func(r *ServiceSession) { r.Service = "ec2.amazonaws.com" },
		"no such role":    func(r *ServiceSession) { r.RoleARN += "x" },
		"no ARN":          func(r *ServiceSession) { r.RoleARN = "" },
		"another source":  func(r *ServiceSession) { r.SourceAccount = foreign },
	} {
		r := ask
		change(&r)
		if c, err := f.IssueRoleSession(context.Background(), r); c != nil {
			t.Errorf("%s: issued", name)
		} else {
			fails(t, err, "AccessDenied", "")
		}
		fails(t, f.MayAssume(context.Background(), r), "AccessDenied", "")
	}
	// Whom the service is trusted for, the user is not.
	_, err = f.assume(bob(), &api.AssumeRoleInput{})
	fails(t, err, "AccessDenied", "")

	// A role whose trust policy does not ask for whom is taken on for its own account alone: whoever names the role of
	// another to a service must not get the service to act as that.
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
	f.role(t, trusting(`{"Service":"lambda.amazonaws.com"}`, `"sts:AssumeRole"`, `{}`))
	for source, allowed := range map[string]bool{account: true, foreign: false} {
		r := ask
		r.SourceAccount = source
		if err := f.MayAssume(context.Background(), r); (err == nil) != allowed {
			t.Errorf("for %s: %v", source, err)
		}
	}
}

func FuzzOpenToken(f *testing.F) {
	fx := newFixture(f)
	c, err := fx.issue(&call.Principal{Type: call.Account, Account: account, Session: &call.Session{Expiry: time.Now().Add(time.Hour)}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(c.SessionToken)
	f.Add("")
	f.Add("AQ")
	f.Fuzz(func(t *testing.T, token string) {
		// The seed of another process is sealed by the same key.
		if s, err := fx.open(token); err == nil && (s.principal.Type != call.Account || s.principal.Account != account) {
			t.Fatalf("opened a token that was not issued: %+v", s.principal)
		}
	})
}

func BenchmarkResolveSession(b *testing.B) {
	f := newFixture(b)
	f.role(b, trustsBob)
	out, err := f.assume(bob(), &api.AssumeRoleInput{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := f.ResolveAccessKey(context.Background(), *out.Credentials.AccessKeyId, *out.Credentials.SessionToken); err != nil {
			b.Fatal(err)
		}
	}
}
