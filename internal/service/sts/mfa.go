package sts

import (
	"context"

	"brume/internal/call"
)

// checkMFA checks the code of a caller's MFA device and says whether one was given. With use, the code is used up.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_mfa_configure-api-require.html
func (s *Service) checkMFA(ctx context.Context, caller *call.Principal, serial, code *string, use bool) (given bool, err error) {
	if serial == nil && code == nil {
		return false, nil
	}
	if serial == nil || code == nil {
		return false, accessDenied("MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code.")
	}
	known, valid, err := s.identities.CheckMFA(ctx, caller, *serial, *code, use)
	switch {
	case err != nil:
		return false, err
	case !known:
		return false, accessDenied("MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial number is valid and associated with this user.")
	case !valid:
		return false, accessDenied("MultiFactorAuthentication failed with invalid MFA one time pass code.")
	}
	return true, nil
}
