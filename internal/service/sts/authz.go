package sts

import (
	"context"
	"maps"

	api "brume/internal/api/sts"
	"brume/internal/awserr"
	"brume/internal/call"
	"brume/internal/policy"
	"brume/internal/schema"
)

// Checks maps the input of an operation to the permissions it needs. Two operations need none: whoever has credentials
// may know whose they are, and may get others for the same user.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecuritytokenservice.html
func (s *Service) Checks(ctx context.Context, operation string, in schema.Struct) (checks []policy.Check, mapped bool, err error) {
	switch in := in.(type) {
	case *api.GetCallerIdentityInput, *api.GetSessionTokenInput:
		return nil, true, nil
	case *api.GetAccessKeyInfoInput:
		return []policy.Check{{Action: "sts:GetAccessKeyInfo", Resource: "*"}}, true, nil
	case *api.AssumeRoleInput:
		checks, err = s.assumeRoleChecks(ctx, in)
		return checks, true, err
	}
	return nil, false, nil
}

func (s *Service) assumeRoleChecks(ctx context.Context, in *api.AssumeRoleInput) ([]policy.Check, error) {
	switch {
	case len(in.PolicyArns) > 0:
		return nil, awserr.NotImplemented("AssumeRole with PolicyArns")
	case len(in.TransitiveTagKeys) > 0:
		return nil, awserr.NotImplemented("AssumeRole with TransitiveTagKeys")
	case len(in.ProvidedContexts) > 0:
		return nil, awserr.NotImplemented("AssumeRole with ProvidedContexts")
	}
	role, err := s.assumable(ctx, &call.From(ctx).Principal, str(in.RoleArn))
	if err != nil {
		return nil, err
	}
	keys := map[string][]string{}
	set := func(key string, value *string) {
		if value != nil {
			keys[key] = []string{*value}
		}
	}
	set("sts:RoleSessionName", in.RoleSessionName)
	set("sts:ExternalId", in.ExternalId)
	set("sts:SourceIdentity", in.SourceIdentity)
	for _, t := range in.Tags {
		set("aws:RequestTag/"+str(t.Key), t.Value)
		keys["aws:TagKeys"] = append(keys["aws:TagKeys"], str(t.Key))
	}
	mfa, err := s.checkMFA(ctx, &call.From(ctx).Principal, in.SerialNumber, in.TokenCode, false)
	if err != nil {
		return nil, err
	}
	if mfa {
		keys["aws:MultiFactorAuthPresent"], keys["aws:MultiFactorAuthAge"] = []string{"true"}, []string{"0"}
	}
	checks := []policy.Check{assumeCheck("sts:AssumeRole", role, keys)}
	if len(in.Tags) > 0 {
		checks = append(checks, assumeCheck("sts:TagSession", role, keys))
	}
	if in.SourceIdentity != nil {
		checks = append(checks, assumeCheck("sts:SetSourceIdentity", role, keys))
	}
	return checks, nil
}

// assumeCheck is the check of an action on a role that its trust policy has to allow.
func assumeCheck(action string, role *policy.Role, keys map[string][]string) policy.Check {
	check := policy.Check{Action: action, Resource: role.ARN, ResourcePolicy: role.Trust, Context: maps.Clone(keys)}
	for key, value := range role.Tags {
		check.Context["aws:ResourceTag/"+key] = []string{value}
		check.Context["iam:ResourceTag/"+key] = []string{value}
	}
	return check
}

func str(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
