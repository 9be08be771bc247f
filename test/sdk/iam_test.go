package sdk

import (
	"encoding/base32"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"brume/internal/service/iam/totp"
)

// Permissions that ask for MFA are there for sessions that were begun with the code of a device, and for nobody else.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_mfa_configure-api-require.html
func TestMFA(t *testing.T) {
	account := newAccount()
	root := rootOf(account)
	admin := iam.NewFromConfig(root)
	const withMFA = `"Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"},"NumericLessThan":{"aws:MultiFactorAuthAge":"300"}}`
	_, alice := newUser(t, root, "alice", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:*","Resource":"*",`+withMFA+`}}`)
	device := ok(admin.CreateVirtualMFADevice(t.Context(), &iam.CreateVirtualMFADeviceInput{VirtualMFADeviceName: aws.String("phone")}))(t).VirtualMFADevice
	seed := ok(base32.StdEncoding.DecodeString(string(device.Base32StringSeed)))(t)
	// A step's code counts once, so each one after the other: those of the step before, of this one and of the next.
	step := totp.Counter(time.Now())
	code := func(ahead int64) *string { return aws.String(totp.Code(seed, step+ahead)) }
	ok(admin.EnableMFADevice(t.Context(), &iam.EnableMFADeviceInput{
		UserName: aws.String("alice"), SerialNumber: device.SerialNumber, AuthenticationCode1: code(-3), AuthenticationCode2: code(-2),
	}))(t)
	same(t, "devices", len(ok(admin.ListMFADevices(t.Context(), &iam.ListMFADevicesInput{UserName: aws.String("alice")}))(t).MFADevices), 1)

	_, err := iam.NewFromConfig(alice).ListUsers(t.Context(), nil)
	hasCode(t, err, 403, "AccessDenied", "")
	get := func(code *string) (*sts.GetSessionTokenOutput, error) {
		return sts.NewFromConfig(alice).GetSessionToken(t.Context(), &sts.GetSessionTokenInput{SerialNumber: device.SerialNumber, TokenCode: code})
	}
	c := ok(get(code(-1)))(t).Credentials
	_, err = get(code(-1))
	hasCode(t, err, 403, "AccessDenied", "MultiFactorAuthentication failed with invalid MFA one time pass code")
	session := as(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
	ok(iam.NewFromConfig(session).ListUsers(t.Context(), nil))(t)
	without := ok(sts.NewFromConfig(alice).GetSessionToken(t.Context(), nil))(t).Credentials
	_, err = iam.NewFromConfig(as(*without.AccessKeyId, *without.SecretAccessKey, *without.SessionToken)).ListUsers(t.Context(), nil)
	hasCode(t, err, 403, "InvalidClientTokenId", "")

	trust := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + account + `:user/alice"},"Action":"sts:AssumeRole",` + withMFA + `}}`
	role := ok(admin.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("guarded"), AssumeRolePolicyDocument: &trust}))(t).Role
	in := &sts.AssumeRoleInput{RoleArn: role.Arn, RoleSessionName: aws.String("alice")}
	_, err = sts.NewFromConfig(alice).AssumeRole(t.Context(), in)
	hasCode(t, err, 403, "AccessDenied", "")
	ok(sts.NewFromConfig(session).AssumeRole(t.Context(), in))(t)
	in.SerialNumber, in.TokenCode = device.SerialNumber, code(0)
	ok(sts.NewFromConfig(alice).AssumeRole(t.Context(), in))(t)

	_, err = admin.DeleteVirtualMFADevice(t.Context(), &iam.DeleteVirtualMFADeviceInput{SerialNumber: device.SerialNumber})
	is[*iamtypes.DeleteConflictException](t, err, "MFA VirtualDevice is in use. Must deactivate first.")
	ok(admin.DeactivateMFADevice(t.Context(), &iam.DeactivateMFADeviceInput{UserName: aws.String("alice"), SerialNumber: device.SerialNumber}))(t)
	ok(admin.DeleteVirtualMFADevice(t.Context(), &iam.DeleteVirtualMFADeviceInput{SerialNumber: device.SerialNumber}))(t)
}
