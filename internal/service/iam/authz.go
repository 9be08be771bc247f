package iam

import (
	"context"
	"errors"
	"strings"

	api "brume/internal/api/iam"
	"brume/internal/awserr"
	"brume/internal/call"
	"brume/internal/policy"
	"brume/internal/schema"
)

// Checks maps the input of an operation to the permissions it needs.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html
func (s *Service) Checks(ctx context.Context, operation string, in schema.Struct) (checks []policy.Check, mapped bool, err error) {
	if _, ok := resourceOf(in); !ok {
		return nil, false, nil
	}
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_request.html#api_getsessiontoken
	if p := &call.From(ctx).Principal; p.Session != nil && !p.Session.MFA && p.Type != call.AssumedRole {
		return nil, true, awserr.New("InvalidClientTokenId", "The security token included in the request is invalid").
			WithStatus(http403)
	}
	err = s.view(ctx, func(r reader) error {
		check, err := r.check(ctx, in)
		if err != nil {
			return err
		}
		check.Action = "iam:" + operation
		checks = []policy.Check{check}
		more, err := s.furtherChecks(ctx, r, in, &checks[0])
		if err != nil {
			return err
		}
		checks = append(checks, more...)
		// Who renames a user or group must be allowed to under the new name too.
		if to := renamedTo(r.account, check.Resource, in); to != "" && to != check.Resource {
			renamed := check
			renamed.Resource = to
			checks = append(checks, renamed)
		}
		return nil
	})
	return checks, true, err
}

// furtherChecks adds to the check of an operation what depends on more than its resource, and returns the other checks
// that it needs.
func (s *Service) furtherChecks(ctx context.Context, r reader, in schema.Struct, check *policy.Check) ([]policy.Check, error) {
	switch in := in.(type) {
	case *api.AddRoleToInstanceProfileInput:
		// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html
		role, err := r.targetOf(ctx, resource{target: onRole, name: in.RoleName}, kindRole, str(in.RoleName))
		if err != nil {
			return nil, err
		}
		return []policy.Check{{
			Action: "iam:PassRole", Resource: role.arn(r.account),
			Context: map[string][]string{"iam:PassedToService": {"ec2.amazonaws.com"}},
		}}, nil
	case *api.ChangePasswordInput, *api.GetAccountPasswordPolicyInput:
		// The password policy can give every user these two permissions.
		// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_passwords_enable-user-change.html
		p, err := r.passwordPolicy()
		if err != nil {
			return nil, err
		}
		if p != nil && p.UsersMayChange && call.From(ctx).Principal.Type == call.User {
			check.ResourcePolicy = s.usersMay
		}
	}
	return nil, nil
}

// http403 is the status of a refusal; services do not know package net/http.
const http403 = 403

// target is what an operation acts on.
type target byte

const (
	onUser    target = iota // by name; without a name the caller
	onNewUser               // by name and path
	onUsers                 // all of them
	onGroup
	onNewGroup
	onGroups
	onRole
	onNewRole
	onRoles
	onPolicy // by ARN
	onNewPolicy
	onPolicies
	onKey // the user that an access key belongs to
	onProfile
	onNewProfile
	onProfiles
	onDevice // by serial number
	onNewDevice
	onCertificate
	onNewCertificate
	onCertificates
	onSAML // by ARN
	onNewSAML
	onOIDC // by ARN
	onNewOIDC
	onTask    // the role that a deletion task is for
	onEntity  // a user, group, role or policy by ARN
	onAccount // no resource of its own
)

// A resource is what an operation acts on, and the condition keys that are in its input.
type resource struct {
	target target
	name   *string // or ARN, or access key id
	path   *string
	// keys
	policyARN  *string
	boundary   *string
	tags       []api.Tag
	tagKeys    []string
	showTarget bool // the target's own boundary is a condition key
	keys       map[string]*string
}

// resourceOf returns what an input acts on, and false for the input of an operation that is not implemented.
func resourceOf(in schema.Struct) (resource, bool) {
	switch in := in.(type) {
	case *api.CreateUserInput:
		return resource{target: onNewUser, name: in.UserName, path: in.Path, boundary: in.PermissionsBoundary, tags: in.Tags}, true
	case *api.GetUserInput:
		return resource{target: onUser, name: in.UserName}, true
	case *api.ListUsersInput:
		return resource{target: onUsers, path: in.PathPrefix}, true
	case *api.UpdateUserInput:
		return resource{target: onUser, name: in.UserName}, true
	case *api.DeleteUserInput:
		return resource{target: onUser, name: in.UserName}, true
	case *api.ListGroupsForUserInput:
		return resource{target: onUser, name: in.UserName}, true
	case *api.TagUserInput:
		return resource{target: onUser, name: in.UserName, tags: in.Tags}, true
	case *api.UntagUserInput:
		return resource{target: onUser, name: in.UserName, tagKeys: in.TagKeys}, true
	case *api.ListUserTagsInput:
		return resource{target: onUser, name: in.UserName}, true
	case *api.PutUserPermissionsBoundaryInput:
		return resource{target: onUser, name: in.UserName, boundary: in.PermissionsBoundary}, true
	case *api.DeleteUserPermissionsBoundaryInput:
		return resource{target: onUser, name: in.UserName, showTarget: true}, true

	case *api.CreateAccessKeyInput:
		return resource{target: onUser, name: in.UserName}, true
	case *api.ListAccessKeysInput:
		return resource{target: onUser, name: in.UserName}, true
	case *api.UpdateAccessKeyInput:
		return resource{target: onUser, name: in.UserName}, true
	case *api.DeleteAccessKeyInput:
		return resource{target: onUser, name: in.UserName}, true
	case *api.GetAccessKeyLastUsedInput:
		return resource{target: onKey, name: in.AccessKeyId}, true

	case *api.CreateGroupInput:
		return resource{target: onNewGroup, name: in.GroupName, path: in.Path}, true
	case *api.GetGroupInput:
		return resource{target: onGroup, name: in.GroupName}, true
	case *api.ListGroupsInput:
		return resource{target: onGroups, path: in.PathPrefix}, true
	case *api.UpdateGroupInput:
		return resource{target: onGroup, name: in.GroupName}, true
	case *api.DeleteGroupInput:
		return resource{target: onGroup, name: in.GroupName}, true
	case *api.AddUserToGroupInput:
		return resource{target: onGroup, name: in.GroupName}, true
	case *api.RemoveUserFromGroupInput:
		return resource{target: onGroup, name: in.GroupName}, true

	case *api.CreateRoleInput:
		return resource{target: onNewRole, name: in.RoleName, path: in.Path, boundary: in.PermissionsBoundary, tags: in.Tags}, true
	case *api.GetRoleInput:
		return resource{target: onRole, name: in.RoleName}, true
	case *api.ListRolesInput:
		return resource{target: onRoles, path: in.PathPrefix}, true
	case *api.UpdateRoleInput:
		return resource{target: onRole, name: in.RoleName}, true
	case *api.UpdateRoleDescriptionInput:
		return resource{target: onRole, name: in.RoleName}, true
	case *api.UpdateAssumeRolePolicyInput:
		return resource{target: onRole, name: in.RoleName}, true
	case *api.DeleteRoleInput:
		return resource{target: onRole, name: in.RoleName}, true
	case *api.ListInstanceProfilesForRoleInput:
		return resource{target: onRole, name: in.RoleName}, true
	case *api.TagRoleInput:
		return resource{target: onRole, name: in.RoleName, tags: in.Tags}, true
	case *api.UntagRoleInput:
		return resource{target: onRole, name: in.RoleName, tagKeys: in.TagKeys}, true
	case *api.ListRoleTagsInput:
		return resource{target: onRole, name: in.RoleName}, true
	case *api.PutRolePermissionsBoundaryInput:
		return resource{target: onRole, name: in.RoleName, boundary: in.PermissionsBoundary}, true
	case *api.DeleteRolePermissionsBoundaryInput:
		return resource{target: onRole, name: in.RoleName, showTarget: true}, true

	case *api.CreatePolicyInput:
		return resource{target: onNewPolicy, name: in.PolicyName, path: in.Path, tags: in.Tags}, true
	case *api.GetPolicyInput:
		return resource{target: onPolicy, name: in.PolicyArn}, true
	case *api.ListPoliciesInput:
		return resource{target: onPolicies, path: in.PathPrefix}, true
	case *api.DeletePolicyInput:
		return resource{target: onPolicy, name: in.PolicyArn}, true
	case *api.CreatePolicyVersionInput:
		return resource{target: onPolicy, name: in.PolicyArn}, true
	case *api.GetPolicyVersionInput:
		return resource{target: onPolicy, name: in.PolicyArn}, true
	case *api.ListPolicyVersionsInput:
		return resource{target: onPolicy, name: in.PolicyArn}, true
	case *api.SetDefaultPolicyVersionInput:
		return resource{target: onPolicy, name: in.PolicyArn}, true
	case *api.DeletePolicyVersionInput:
		return resource{target: onPolicy, name: in.PolicyArn}, true
	case *api.ListEntitiesForPolicyInput:
		return resource{target: onPolicy, name: in.PolicyArn}, true
	case *api.TagPolicyInput:
		return resource{target: onPolicy, name: in.PolicyArn, tags: in.Tags}, true
	case *api.UntagPolicyInput:
		return resource{target: onPolicy, name: in.PolicyArn, tagKeys: in.TagKeys}, true
	case *api.ListPolicyTagsInput:
		return resource{target: onPolicy, name: in.PolicyArn}, true

	case *api.AttachUserPolicyInput:
		return resource{target: onUser, name: in.UserName, policyARN: in.PolicyArn, showTarget: true}, true
	case *api.DetachUserPolicyInput:
		return resource{target: onUser, name: in.UserName, policyARN: in.PolicyArn, showTarget: true}, true
	case *api.ListAttachedUserPoliciesInput:
		return resource{target: onUser, name: in.UserName}, true
	case *api.AttachGroupPolicyInput:
		return resource{target: onGroup, name: in.GroupName, policyARN: in.PolicyArn}, true
	case *api.DetachGroupPolicyInput:
		return resource{target: onGroup, name: in.GroupName, policyARN: in.PolicyArn}, true
	case *api.ListAttachedGroupPoliciesInput:
		return resource{target: onGroup, name: in.GroupName}, true
	case *api.AttachRolePolicyInput:
		return resource{target: onRole, name: in.RoleName, policyARN: in.PolicyArn, showTarget: true}, true
	case *api.DetachRolePolicyInput:
		return resource{target: onRole, name: in.RoleName, policyARN: in.PolicyArn, showTarget: true}, true
	case *api.ListAttachedRolePoliciesInput:
		return resource{target: onRole, name: in.RoleName}, true

	case *api.PutUserPolicyInput:
		return resource{target: onUser, name: in.UserName, showTarget: true}, true
	case *api.GetUserPolicyInput:
		return resource{target: onUser, name: in.UserName}, true
	case *api.ListUserPoliciesInput:
		return resource{target: onUser, name: in.UserName}, true
	case *api.DeleteUserPolicyInput:
		return resource{target: onUser, name: in.UserName, showTarget: true}, true
	case *api.PutGroupPolicyInput:
		return resource{target: onGroup, name: in.GroupName}, true
	case *api.GetGroupPolicyInput:
		return resource{target: onGroup, name: in.GroupName}, true
	case *api.ListGroupPoliciesInput:
		return resource{target: onGroup, name: in.GroupName}, true
	case *api.DeleteGroupPolicyInput:
		return resource{target: onGroup, name: in.GroupName}, true
	case *api.PutRolePolicyInput:
		return resource{target: onRole, name: in.RoleName, showTarget: true}, true
	case *api.GetRolePolicyInput:
		return resource{target: onRole, name: in.RoleName}, true
	case *api.ListRolePoliciesInput:
		return resource{target: onRole, name: in.RoleName}, true
	case *api.DeleteRolePolicyInput:
		return resource{target: onRole, name: in.RoleName, showTarget: true}, true

	case *api.CreateInstanceProfileInput:
		return resource{target: onNewProfile, name: in.InstanceProfileName, path: in.Path, tags: in.Tags}, true
	case *api.GetInstanceProfileInput:
		return resource{target: onProfile, name: in.InstanceProfileName}, true
	case *api.ListInstanceProfilesInput:
		return resource{target: onProfiles, path: in.PathPrefix}, true
	case *api.AddRoleToInstanceProfileInput:
		return resource{target: onProfile, name: in.InstanceProfileName}, true
	case *api.RemoveRoleFromInstanceProfileInput:
		return resource{target: onProfile, name: in.InstanceProfileName}, true
	case *api.DeleteInstanceProfileInput:
		return resource{target: onProfile, name: in.InstanceProfileName}, true
	case *api.TagInstanceProfileInput:
		return resource{target: onProfile, name: in.InstanceProfileName, tags: in.Tags}, true
	case *api.UntagInstanceProfileInput:
		return resource{target: onProfile, name: in.InstanceProfileName, tagKeys: in.TagKeys}, true
	case *api.ListInstanceProfileTagsInput:
		return resource{target: onProfile, name: in.InstanceProfileName}, true

	case *api.CreateLoginProfileInput:
		return resource{target: onUser, name: in.UserName}, true
	case *api.GetLoginProfileInput:
		return resource{target: onUser, name: in.UserName}, true
	case *api.UpdateLoginProfileInput:
		return resource{target: onUser, name: in.UserName}, true
	case *api.DeleteLoginProfileInput:
		return resource{target: onUser, name: in.UserName}, true
	case *api.ChangePasswordInput:
		return resource{target: onUser}, true
	case *api.GetAccountPasswordPolicyInput, *api.UpdateAccountPasswordPolicyInput, *api.DeleteAccountPasswordPolicyInput:
		return resource{target: onAccount}, true

	case *api.CreateVirtualMFADeviceInput:
		return resource{target: onNewDevice, name: in.VirtualMFADeviceName, path: in.Path, tags: in.Tags}, true
	case *api.DeleteVirtualMFADeviceInput:
		return resource{target: onDevice, name: in.SerialNumber}, true
	case *api.ListVirtualMFADevicesInput:
		return resource{target: onAccount}, true
	case *api.EnableMFADeviceInput:
		return resource{target: onUser, name: in.UserName}, true
	case *api.DeactivateMFADeviceInput:
		return resource{target: onUser, name: in.UserName}, true
	case *api.ResyncMFADeviceInput:
		return resource{target: onUser, name: in.UserName}, true
	case *api.ListMFADevicesInput:
		return resource{target: onUser, name: in.UserName}, true
	case *api.GetMFADeviceInput:
		return resource{target: onUser, name: in.UserName}, true
	case *api.TagMFADeviceInput:
		return resource{target: onDevice, name: in.SerialNumber, tags: in.Tags}, true
	case *api.UntagMFADeviceInput:
		return resource{target: onDevice, name: in.SerialNumber, tagKeys: in.TagKeys}, true
	case *api.ListMFADeviceTagsInput:
		return resource{target: onDevice, name: in.SerialNumber}, true

	case *api.CreateAccountAliasInput, *api.DeleteAccountAliasInput, *api.ListAccountAliasesInput, *api.GetAccountSummaryInput,
		*api.SetSecurityTokenServicePreferencesInput, *api.GenerateCredentialReportInput, *api.GetCredentialReportInput,
		*api.GetAccountAuthorizationDetailsInput:
		return resource{target: onAccount}, true

	case *api.UploadSSHPublicKeyInput:
		return resource{target: onUser, name: in.UserName}, true
	case *api.GetSSHPublicKeyInput:
		return resource{target: onUser, name: in.UserName}, true
	case *api.ListSSHPublicKeysInput:
		return resource{target: onUser, name: in.UserName}, true
	case *api.UpdateSSHPublicKeyInput:
		return resource{target: onUser, name: in.UserName}, true
	case *api.DeleteSSHPublicKeyInput:
		return resource{target: onUser, name: in.UserName}, true

	case *api.UploadSigningCertificateInput:
		return resource{target: onUser, name: in.UserName}, true
	case *api.ListSigningCertificatesInput:
		return resource{target: onUser, name: in.UserName}, true
	case *api.UpdateSigningCertificateInput:
		return resource{target: onUser, name: in.UserName}, true
	case *api.DeleteSigningCertificateInput:
		return resource{target: onUser, name: in.UserName}, true

	case *api.CreateServiceSpecificCredentialInput:
		return resource{target: onUser, name: in.UserName, keys: map[string]*string{"iam:ServiceSpecificCredentialServiceName": in.ServiceName}}, true
	case *api.ListServiceSpecificCredentialsInput:
		return resource{target: onUser, name: in.UserName}, true
	case *api.UpdateServiceSpecificCredentialInput:
		return resource{target: onUser, name: in.UserName}, true
	case *api.ResetServiceSpecificCredentialInput:
		return resource{target: onUser, name: in.UserName}, true
	case *api.DeleteServiceSpecificCredentialInput:
		return resource{target: onUser, name: in.UserName}, true

	case *api.UploadServerCertificateInput:
		return resource{target: onNewCertificate, name: in.ServerCertificateName, path: in.Path, tags: in.Tags}, true
	case *api.GetServerCertificateInput:
		return resource{target: onCertificate, name: in.ServerCertificateName}, true
	case *api.ListServerCertificatesInput:
		return resource{target: onCertificates, path: in.PathPrefix}, true
	case *api.UpdateServerCertificateInput:
		return resource{target: onCertificate, name: in.ServerCertificateName}, true
	case *api.DeleteServerCertificateInput:
		return resource{target: onCertificate, name: in.ServerCertificateName}, true
	case *api.TagServerCertificateInput:
		return resource{target: onCertificate, name: in.ServerCertificateName, tags: in.Tags}, true
	case *api.UntagServerCertificateInput:
		return resource{target: onCertificate, name: in.ServerCertificateName, tagKeys: in.TagKeys}, true
	case *api.ListServerCertificateTagsInput:
		return resource{target: onCertificate, name: in.ServerCertificateName}, true

	case *api.CreateSAMLProviderInput:
		return resource{target: onNewSAML, name: in.Name, tags: in.Tags}, true
	case *api.GetSAMLProviderInput:
		return resource{target: onSAML, name: in.SAMLProviderArn}, true
	case *api.ListSAMLProvidersInput, *api.ListOpenIDConnectProvidersInput:
		return resource{target: onAccount}, true
	case *api.UpdateSAMLProviderInput:
		return resource{target: onSAML, name: in.SAMLProviderArn}, true
	case *api.DeleteSAMLProviderInput:
		return resource{target: onSAML, name: in.SAMLProviderArn}, true
	case *api.TagSAMLProviderInput:
		return resource{target: onSAML, name: in.SAMLProviderArn, tags: in.Tags}, true
	case *api.UntagSAMLProviderInput:
		return resource{target: onSAML, name: in.SAMLProviderArn, tagKeys: in.TagKeys}, true
	case *api.ListSAMLProviderTagsInput:
		return resource{target: onSAML, name: in.SAMLProviderArn}, true

	case *api.CreateOpenIDConnectProviderInput:
		return resource{target: onNewOIDC, name: in.Url, tags: in.Tags}, true
	case *api.GetOpenIDConnectProviderInput:
		return resource{target: onOIDC, name: in.OpenIDConnectProviderArn}, true
	case *api.AddClientIDToOpenIDConnectProviderInput:
		return resource{target: onOIDC, name: in.OpenIDConnectProviderArn}, true
	case *api.RemoveClientIDFromOpenIDConnectProviderInput:
		return resource{target: onOIDC, name: in.OpenIDConnectProviderArn}, true
	case *api.UpdateOpenIDConnectProviderThumbprintInput:
		return resource{target: onOIDC, name: in.OpenIDConnectProviderArn}, true
	case *api.DeleteOpenIDConnectProviderInput:
		return resource{target: onOIDC, name: in.OpenIDConnectProviderArn}, true
	case *api.TagOpenIDConnectProviderInput:
		return resource{target: onOIDC, name: in.OpenIDConnectProviderArn, tags: in.Tags}, true
	case *api.UntagOpenIDConnectProviderInput:
		return resource{target: onOIDC, name: in.OpenIDConnectProviderArn, tagKeys: in.TagKeys}, true
	case *api.ListOpenIDConnectProviderTagsInput:
		return resource{target: onOIDC, name: in.OpenIDConnectProviderArn}, true

	case *api.CreateServiceLinkedRoleInput:
		name := linkedRoleName(str(in.AWSServiceName), in.CustomSuffix)
		path := linkedRolePath + str(in.AWSServiceName) + "/"
		return resource{target: onNewRole, name: &name, path: &path, keys: map[string]*string{"iam:AWSServiceName": in.AWSServiceName}}, true
	case *api.DeleteServiceLinkedRoleInput:
		return resource{target: onRole, name: in.RoleName}, true
	case *api.SimulateCustomPolicyInput, *api.GetContextKeysForCustomPolicyInput, *api.GetServiceLastAccessedDetailsInput,
		*api.GetServiceLastAccessedDetailsWithEntitiesInput:
		return resource{target: onAccount}, true
	case *api.SimulatePrincipalPolicyInput:
		return resource{target: onEntity, name: in.PolicySourceArn}, true
	case *api.GetContextKeysForPrincipalPolicyInput:
		return resource{target: onEntity, name: in.PolicySourceArn}, true
	case *api.GenerateServiceLastAccessedDetailsInput:
		return resource{target: onEntity, name: in.Arn}, true
	case *api.ListPoliciesGrantingServiceAccessInput:
		return resource{target: onEntity, name: in.Arn}, true
	case *api.GetServiceLinkedRoleDeletionStatusInput:
		return resource{target: onTask, name: in.DeletionTaskId}, true
	}
	return resource{}, false
}

// check returns the check for an input, but for its action. Names are not told apart by case and their owners have paths
// and tags, so the resource is what the store has under the name; what it does not have goes by its bare name.
func (r reader) check(ctx context.Context, in schema.Struct) (policy.Check, error) {
	res, _ := resourceOf(in)
	check := policy.Check{Context: map[string][]string{}}
	name, path := str(res.name), "/"
	if res.path != nil {
		path = *res.path
	}
	var tags []tag
	switch res.target {
	case onUser, onGroup, onRole, onKey:
		k := kindUser
		switch res.target {
		case onGroup:
			k = kindGroup
		case onRole:
			k = kindRole
		}
		i, err := r.targetOf(ctx, res, k, name)
		if err != nil {
			return check, err
		}
		if i == nil {
			check.Resource = arn(r.account, "root")
			return check, nil
		}
		check.Resource, tags = i.arn(r.account), i.Tags
		if res.showTarget && i.Boundary != "" {
			check.Context["iam:PermissionsBoundary"] = []string{i.Boundary}
		}
	case onPolicy:
		check.Resource = name
		p, err := r.findPolicy(name)
		if err != nil && !isClientError(err) {
			return check, err
		}
		if p != nil {
			tags = p.Tags
		}
	case onNewUser, onUsers:
		check.Resource = arn(r.account, "user"+path+name)
	case onNewGroup, onGroups:
		check.Resource = arn(r.account, "group"+path+name)
	case onNewRole, onRoles:
		check.Resource = arn(r.account, "role"+path+name)
	case onNewPolicy:
		check.Resource = arn(r.account, "policy"+path+name)
	case onProfile:
		p, err := r.profile(name)
		switch {
		case err == nil:
			check.Resource, tags = p.arn(r.account), p.Tags
		case isClientError(err):
			check.Resource = arn(r.account, "instance-profile/"+name)
		default:
			return check, err
		}
	case onNewProfile, onProfiles:
		check.Resource = arn(r.account, "instance-profile"+path+name)
	case onDevice:
		check.Resource = name
		d, err := r.findDevice(name)
		if err != nil {
			return check, err
		}
		if d != nil {
			tags = d.Tags
		}
	case onNewDevice:
		check.Resource = arn(r.account, "mfa"+path+name)
	case onCertificate:
		c, err := r.certificate(name)
		switch {
		case err == nil:
			check.Resource, tags = c.arn(r.account), c.Tags
		case isClientError(err):
			check.Resource = arn(r.account, "server-certificate/"+name)
		default:
			return check, err
		}
	case onNewCertificate, onCertificates:
		check.Resource = arn(r.account, "server-certificate"+path+name)
	case onSAML:
		check.Resource = name
		p, err := r.findSAML(name)
		if err != nil && !isClientError(err) {
			return check, err
		}
		if p != nil {
			tags = p.Tags
		}
	case onNewSAML:
		check.Resource = arn(r.account, "saml-provider/"+name)
	case onOIDC:
		check.Resource = name
		p, err := r.findOIDC(name)
		if err != nil && !isClientError(err) {
			return check, err
		}
		if p != nil {
			tags = p.Tags
		}
	case onNewOIDC:
		check.Resource = arn(r.account, "oidc-provider/"+strings.TrimPrefix(name, "https://"))
	case onTask:
		// "task/aws-service-role/SERVICE/ROLE/ID"
		role, _ := strings.CutPrefix(name, "task/")
		check.Resource = arn(r.account, "role/"+role[:max(0, strings.LastIndexByte(role, '/'))])
	case onEntity:
		check.Resource = name
		if account, resource, ok := cutARN(name); ok && account == r.account && !strings.HasPrefix(resource, "policy/") {
			i, err := r.entity(name)
			if err != nil && !isClientError(err) {
				return check, err
			}
			if err == nil {
				tags = i.Tags
			}
		}
	case onAccount:
		check.Resource = "*"
	case onPolicies:
		check.Resource = "policy path " + path // it is no ARN: AWS calls it so
	}
	for _, t := range tags {
		check.Context["aws:ResourceTag/"+t.Key] = []string{t.Value}
		check.Context["iam:ResourceTag/"+t.Key] = []string{t.Value}
	}
	if res.policyARN != nil {
		check.Context["iam:PolicyARN"] = []string{*res.policyARN}
	}
	if res.boundary != nil {
		check.Context["iam:PermissionsBoundary"] = []string{*res.boundary}
	}
	for key, value := range res.keys {
		if value != nil {
			check.Context[key] = []string{*value}
		}
	}
	keys := res.tagKeys
	for _, t := range res.tags {
		check.Context["aws:RequestTag/"+str(t.Key)] = []string{str(t.Value)}
		keys = append(keys, str(t.Key))
	}
	if len(keys) > 0 {
		check.Context["aws:TagKeys"] = keys
	}
	return check, nil
}

// targetOf returns the user, group or role that an operation acts on, nil for the root of the account. For one that does
// not exist it returns what it would be.
func (r reader) targetOf(ctx context.Context, res resource, k kind, name string) (*identity, error) {
	var (
		i   *identity
		err error
	)
	switch {
	case res.target == onKey:
		if i, err = r.keyUser(name); err == nil {
			return i, nil
		}
		name = "*"
	case res.name == nil && res.target == onUser:
		p := &call.From(ctx).Principal
		if p.Type != call.User {
			return nil, nil
		}
		name = p.Name
		i, err = r.identity(k, name)
	default:
		i, err = r.identity(k, name)
	}
	if err != nil {
		if !isClientError(err) {
			return nil, err
		}
		i = &identity{Kind: k, Path: "/", Name: name}
	}
	return i, nil
}

// renamedTo returns the ARN that an operation gives to the user or group with the ARN from.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_users_manage.html
func renamedTo(account, from string, in schema.Struct) string {
	var k kind
	var newName, newPath *string
	switch in := in.(type) {
	case *api.UpdateUserInput:
		k, newName, newPath = kindUser, in.NewUserName, in.NewPath
	case *api.UpdateGroupInput:
		k, newName, newPath = kindGroup, in.NewGroupName, in.NewPath
	default:
		return ""
	}
	path := strings.TrimPrefix(from, arn(account, k.String()))
	name := path[strings.LastIndexByte(path, '/')+1:]
	path = strings.TrimSuffix(path, name)
	if newName != nil {
		name = *newName
	}
	if newPath != nil {
		path = *newPath
	}
	return arn(account, k.String()+path+name)
}

// isClientError says whether err is one for the caller, who is told by the operation itself if they may know.
func isClientError(err error) bool {
	var missing *api.NoSuchEntityException
	var invalid *api.InvalidInputException
	return errors.As(err, &missing) || errors.As(err, &invalid)
}

func str(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
