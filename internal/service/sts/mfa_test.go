package sts

import (
	"testing"

	api "brume/internal/api/sts"
	"brume/internal/call"
)

// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_mfa_configure-api-require.html
func TestMFA(t *testing.T) {
	f := newFixture(t)
	f.iam.code = "123456"
	const (
		unknown  = "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial number is valid and associated with this user."
		wrong    = "MultiFactorAuthentication failed with invalid MFA one time pass code."
		halfOnly = "MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code."
	)
	for _, c := range []struct {
		caller       call.Principal
		serial, code *string
		message      string
	}{
		{bob(), new(bobsPhone), nil, halfOnly},
		{bob(), nil, new("123456"), halfOnly},
		{bob(), new(bobsPhone + "s"), new("123456"), unknown},
		{root(), new(bobsPhone), new("123456"), unknown},
		{bob(), new(bobsPhone), new("654321"), wrong},
	} {
		_, err := run[api.GetSessionTokenOutput](f, c.caller, "GetSessionToken", &api.GetSessionTokenInput{SerialNumber: c.serial, TokenCode: c.code})
		fails(t, err, "AccessDenied", c.message)
	}
	in := &api.GetSessionTokenInput{SerialNumber: new(bobsPhone), TokenCode: new("123456")}
	out, err := run[api.GetSessionTokenOutput](f, bob(), "GetSessionToken", in)
	if err != nil || !f.resolved(t, out.Credentials).Session.MFA {
		t.Errorf("%+v, %v", out, err)
	}
	_, err = run[api.GetSessionTokenOutput](f, bob(), "GetSessionToken", in)
	fails(t, err, "AccessDenied", wrong)
}

// The trust policy sees the code; the session does not.
func TestAssumeRoleMFA(t *testing.T) {
	f := newFixture(t)
	f.role(t, trusting(`{"AWS":"arn:aws:iam::`+account+`:user/bob"}`, `"sts:AssumeRole"`,
		`{"Bool":{"aws:MultiFactorAuthPresent":"true"},"NumericLessThan":{"aws:MultiFactorAuthAge":"60"}}`))
	_, err := f.assume(bob(), &api.AssumeRoleInput{})
	fails(t, err, "AccessDenied", "")
	f.iam.code = "123456"
	_, err = f.assume(bob(), &api.AssumeRoleInput{SerialNumber: new(bobsPhone), TokenCode: new("000000")})
	fails(t, err, "AccessDenied", "MultiFactorAuthentication failed with invalid MFA one time pass code.")
	out, err := f.assume(bob(), &api.AssumeRoleInput{SerialNumber: new(bobsPhone), TokenCode: new("123456")})
	if err != nil || f.resolved(t, out.Credentials).Session.MFA {
		t.Errorf("%+v, %v", out, err)
	}
	_, err = f.assume(bob(), &api.AssumeRoleInput{SerialNumber: new(bobsPhone), TokenCode: new("123456")})
	fails(t, err, "AccessDenied", "")
	// So does a session that was begun with a code.
	f.iam.code = "111111"
	token, err := run[api.GetSessionTokenOutput](f, bob(), "GetSessionToken", &api.GetSessionTokenInput{SerialNumber: new(bobsPhone), TokenCode: new("111111")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.assume(f.resolved(t, token.Credentials), &api.AssumeRoleInput{}); err != nil {
		t.Error(err)
	}
}
