package sts

import (
	"context"
	"maps"
	"strconv"

	api "brume/internal/api/sts"
	"brume/internal/awserr"
	"brume/internal/call"
	"brume/internal/policy"
	"brume/internal/schema"
)

// Checks maps the input of an operation to the permissions it needs. Two operations need none: whoever has credentials
// may know whose they are, and may get others for the same user. Who comes with the token of an identity provider is
// nobody's principal: AssumeRoleWithWebIdentity asks the role's trust policy itself.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecuritytokenservice.html
func (s *Service) Checks(ctx context.Context, operation string, in schema.Struct) (checks []policy.Check, mapped bool, err error) {
	switch in := in.(type) {
	case *api.GetCallerIdentityInput, *api.GetSessionTokenInput, *api.AssumeRoleWithWebIdentityInput:
		return nil, true, nil
	case *api.GetAccessKeyInfoInput:
		return []policy.Check{{Action: "sts:GetAccessKeyInfo", Resource: "*"}}, true, nil
	case *api.DecodeAuthorizationMessageInput:
		return []policy.Check{{Action: "sts:DecodeAuthorizationMessage", Resource: "*"}}, true, nil
	case *api.AssumeRoleInput:
		checks, err = s.assumeRoleChecks(ctx, in)
		return checks, true, err
	case *api.GetFederationTokenInput:
		checks, err = federationTokenChecks(ctx, in)
		return checks, true, err
	}
	return nil, false, nil
}

// requestKeys are the condition keys of what is passed for a session.
type requestKeys map[string][]string

func (k requestKeys) set(key string, value *string) {
	if value != nil {
		k[key] = []string{*value}
	}
}

func (k requestKeys) tags(tags []api.Tag) {
	for _, t := range tags {
		k.set("aws:RequestTag/"+str(t.Key), t.Value)
		k["aws:TagKeys"] = append(k["aws:TagKeys"], str(t.Key))
	}
}

func (k requestKeys) duration(seconds *int32) {
	if seconds != nil {
		k["sts:DurationSeconds"] = []string{strconv.Itoa(int(*seconds))}
	}
}

func federationTokenChecks(ctx context.Context, in *api.GetFederationTokenInput) ([]policy.Check, error) {
	p, err := federatedUser(&call.From(ctx).Principal, str(in.Name))
	if err != nil {
		return nil, err
	}
	keys := requestKeys{}
	keys.duration(in.DurationSeconds)
	keys.tags(in.Tags)
	checks := []policy.Check{{Action: "sts:GetFederationToken", Resource: p.ARN, Context: keys}}
	if len(in.Tags) > 0 {
		checks = append(checks, policy.Check{Action: "sts:TagSession", Resource: p.ARN, Context: keys})
	}
	return checks, nil
}

func (s *Service) assumeRoleChecks(ctx context.Context, in *api.AssumeRoleInput) ([]policy.Check, error) {
	if len(in.ProvidedContexts) > 0 {
		return nil, awserr.NotImplemented("AssumeRole with ProvidedContexts")
	}
	if err := checkARN(str(in.RoleArn)); err != nil {
		return nil, err
	}
	caller := &call.From(ctx).Principal
	role, err := s.assumable(ctx, caller, *in.RoleArn)
	if err == nil && role == nil {
		role, err = unknownRole(*in.RoleArn) // whoever may not assume it does not learn that it is not there
	}
	if err != nil {
		return nil, err
	}
	from := inherited(caller)
	sourceIdentity := in.SourceIdentity
	if sourceIdentity == nil && from.SourceIdentity != "" {
		sourceIdentity = &from.SourceIdentity
	}
	keys := requestKeys{}
	keys.set("sts:RoleSessionName", in.RoleSessionName)
	keys.set("sts:ExternalId", in.ExternalId)
	keys.set("sts:SourceIdentity", sourceIdentity)
	keys.duration(in.DurationSeconds)
	keys.tags(in.Tags)
	if len(in.TransitiveTagKeys) > 0 {
		keys["sts:TransitiveTagKeys"] = in.TransitiveTagKeys
	}
	mfa, err := s.checkMFA(ctx, caller, in.SerialNumber, in.TokenCode, false)
	if err != nil {
		return nil, err
	}
	if mfa {
		keys["aws:MultiFactorAuthPresent"], keys["aws:MultiFactorAuthAge"] = []string{"true"}, []string{"0"}
	}
	checks := []policy.Check{assumeCheck("sts:AssumeRole", role, keys)}
	// What a session inherits it needs the same permissions for as for what is passed.
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html#id_session-tags_permissions-required
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access_monitor.html
	if len(in.Tags) > 0 || len(from.Tags) > 0 {
		checks = append(checks, assumeCheck("sts:TagSession", role, keys))
	}
	if sourceIdentity != nil {
		checks = append(checks, assumeCheck("sts:SetSourceIdentity", role, keys))
	}
	return checks, nil
}

// unknownRole stands for a role that does not exist, and trusts nobody: no principal has this id.
func unknownRole(arn string) (*policy.Role, error) {
	trust, err := policy.Parse(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"AROA0000000000000000"},"Action":"sts:AssumeRole"}}`, policy.Trust)
	return &policy.Role{ARN: arn, Trust: trust}, err
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
