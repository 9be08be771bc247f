package sdk

import (
	"encoding/base32"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
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

// An account's worth of identities, policies and what ties them together, listed page by page.
func TestIAMIdentities(t *testing.T) {
	account := newAccount()
	c := iam.NewFromConfig(rootOf(account))
	tags := []iamtypes.Tag{{Key: aws.String("team"), Value: aws.String("blue")}}
	for _, name := range []string{"alice", "bob", "carol"} {
		u := ok(c.CreateUser(t.Context(), &iam.CreateUserInput{UserName: &name, Path: aws.String("/dev/"), Tags: tags}))(t).User
		same(t, "ARN", *u.Arn, "arn:aws:iam::"+account+":user/dev/"+name)
		same(t, "id", (*u.UserId)[:4], "AIDA")
	}
	_, err := c.CreateUser(t.Context(), &iam.CreateUserInput{UserName: aws.String("Alice")})
	is[*iamtypes.EntityAlreadyExistsException](t, err, "User with name Alice already exists.")
	var names []string
	pages := iam.NewListUsersPaginator(c, &iam.ListUsersInput{MaxItems: aws.Int32(2), PathPrefix: aws.String("/dev/")})
	for n := 0; pages.HasMorePages(); n++ {
		for _, u := range ok(pages.NextPage(t.Context()))(t).Users {
			names = append(names, *u.UserName)
		}
	}
	same(t, "users", names, []string{"alice", "bob", "carol"})

	document := allow("s3:Get*", "*")
	policy := ok(c.CreatePolicy(t.Context(), &iam.CreatePolicyInput{PolicyName: aws.String("reader"), PolicyDocument: &document, Tags: tags}))(t).Policy
	for range 4 {
		ok(c.CreatePolicyVersion(t.Context(), &iam.CreatePolicyVersionInput{PolicyArn: policy.Arn, PolicyDocument: &document, SetAsDefault: true}))(t)
	}
	_, err = c.CreatePolicyVersion(t.Context(), &iam.CreatePolicyVersionInput{PolicyArn: policy.Arn, PolicyDocument: &document})
	is[*iamtypes.LimitExceededException](t, err, "A managed policy can have up to 5 versions.")
	ok(c.CreateGroup(t.Context(), &iam.CreateGroupInput{GroupName: aws.String("readers")}))(t)
	ok(c.AttachGroupPolicy(t.Context(), &iam.AttachGroupPolicyInput{GroupName: aws.String("readers"), PolicyArn: policy.Arn}))(t)
	ok(c.AddUserToGroup(t.Context(), &iam.AddUserToGroupInput{GroupName: aws.String("readers"), UserName: aws.String("alice")}))(t)
	ok(c.PutUserPermissionsBoundary(t.Context(), &iam.PutUserPermissionsBoundaryInput{UserName: aws.String("bob"), PermissionsBoundary: policy.Arn}))(t)
	entities := ok(c.ListEntitiesForPolicy(t.Context(), &iam.ListEntitiesForPolicyInput{PolicyArn: policy.Arn}))(t)
	same(t, "entities", []int{len(entities.PolicyGroups), len(entities.PolicyUsers), len(entities.PolicyRoles)}, []int{1, 1, 0})
	_, err = c.DeletePolicy(t.Context(), &iam.DeletePolicyInput{PolicyArn: policy.Arn})
	is[*iamtypes.DeleteConflictException](t, err, "Cannot delete a policy attached to entities.")
	_, err = c.DeleteGroup(t.Context(), &iam.DeleteGroupInput{GroupName: aws.String("readers")})
	is[*iamtypes.DeleteConflictException](t, err, "")
	_, err = c.CreatePolicy(t.Context(), &iam.CreatePolicyInput{PolicyName: aws.String("bad"), PolicyDocument: aws.String(`{"Statement":[]}`)})
	is[*iamtypes.MalformedPolicyDocumentException](t, err, "")
	_, err = c.GetUser(t.Context(), &iam.GetUserInput{UserName: aws.String("nobody")})
	is[*iamtypes.NoSuchEntityException](t, err, "The user with name nobody cannot be found.")

	details := ok(c.GetAccountAuthorizationDetails(t.Context(), nil))(t)
	same(t, "details", []int{len(details.UserDetailList), len(details.GroupDetailList), len(details.Policies)}, []int{3, 1, 1})
	same(t, "versions", len(details.Policies[0].PolicyVersionList), 5)
	same(t, "boundary", *details.UserDetailList[1].PermissionsBoundary.PermissionsBoundaryArn, *policy.Arn)
	summary := ok(c.GetAccountSummary(t.Context(), nil))(t).SummaryMap
	same(t, "summary", []int32{summary["Users"], summary["UsersQuota"], summary["Policies"]}, []int32{3, 5000, 1})

	ok(c.CreateInstanceProfile(t.Context(), &iam.CreateInstanceProfileInput{InstanceProfileName: aws.String("web")}))(t)
	newRole(t, rootOf(account), "web", `{"Service":"ec2.amazonaws.com"}`, "")
	ok(c.AddRoleToInstanceProfile(t.Context(), &iam.AddRoleToInstanceProfileInput{InstanceProfileName: aws.String("web"), RoleName: aws.String("web")}))(t)
	profiles := ok(c.ListInstanceProfilesForRole(t.Context(), &iam.ListInstanceProfilesForRoleInput{RoleName: aws.String("web")}))(t).InstanceProfiles
	same(t, "profiles", []string{*profiles[0].InstanceProfileName, *profiles[0].Roles[0].RoleName}, []string{"web", "web"})
	_, err = c.DeleteRole(t.Context(), &iam.DeleteRoleInput{RoleName: aws.String("web")})
	is[*iamtypes.DeleteConflictException](t, err, "Cannot delete entity, must remove roles from instance profile first.")
}

// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_getting-report.html
func TestIAMAccount(t *testing.T) {
	account := newAccount()
	c := iam.NewFromConfig(rootOf(account))
	alias := aws.String("brume-" + account)
	ok(c.CreateAccountAlias(t.Context(), &iam.CreateAccountAliasInput{AccountAlias: alias}))(t)
	same(t, "aliases", ok(c.ListAccountAliases(t.Context(), nil))(t).AccountAliases, []string{*alias})
	ok(c.DeleteAccountAlias(t.Context(), &iam.DeleteAccountAliasInput{AccountAlias: alias}))(t)

	newUser(t, rootOf(account), "alice", "")
	ok(c.CreateLoginProfile(t.Context(), &iam.CreateLoginProfileInput{UserName: aws.String("alice"), Password: aws.String("A long p4ssword")}))(t)
	_, err := c.GetCredentialReport(t.Context(), nil)
	is[*iamtypes.CredentialReportNotPresentException](t, err, "")
	same(t, "state", ok(c.GenerateCredentialReport(t.Context(), nil))(t).State, iamtypes.ReportStateTypeStarted)
	same(t, "state", ok(c.GenerateCredentialReport(t.Context(), nil))(t).State, iamtypes.ReportStateTypeComplete)
	report := string(ok(c.GetCredentialReport(t.Context(), nil))(t).Content)
	if lines := strings.Split(report, "\n"); !strings.HasPrefix(lines[0], "user,arn,user_creation_time,password_enabled,") ||
		!strings.HasPrefix(lines[1], "<root_account>,arn:aws:iam::"+account+":root,") || !strings.HasPrefix(lines[2], "alice,") || !strings.Contains(lines[2], ",true,no_information,") {
		t.Error(report)
	}

	role := ok(c.CreateServiceLinkedRole(t.Context(), &iam.CreateServiceLinkedRoleInput{AWSServiceName: aws.String("ops.apigateway.amazonaws.com")}))(t).Role
	_, err = c.DeleteRole(t.Context(), &iam.DeleteRoleInput{RoleName: role.RoleName})
	is[*iamtypes.UnmodifiableEntityException](t, err, "")
	task := ok(c.DeleteServiceLinkedRole(t.Context(), &iam.DeleteServiceLinkedRoleInput{RoleName: role.RoleName}))(t).DeletionTaskId
	same(t, "deletion", ok(c.GetServiceLinkedRoleDeletionStatus(t.Context(), &iam.GetServiceLinkedRoleDeletionStatusInput{DeletionTaskId: task}))(t).Status, iamtypes.DeletionTaskStatusTypeSucceeded)

	provider := ok(c.CreateOpenIDConnectProvider(t.Context(), &iam.CreateOpenIDConnectProviderInput{Url: aws.String("https://token.example.com"), ClientIDList: []string{"sts.amazonaws.com"}}))(t).OpenIDConnectProviderArn
	got := ok(c.GetOpenIDConnectProvider(t.Context(), &iam.GetOpenIDConnectProviderInput{OpenIDConnectProviderArn: provider}))(t)
	same(t, "provider", []string{*got.Url, got.ClientIDList[0]}, []string{"token.example.com", "sts.amazonaws.com"})
}

// https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_testing-policies.html
func TestIAMSimulation(t *testing.T) {
	account := newAccount()
	root := rootOf(account)
	c := iam.NewFromConfig(root)
	arn, _ := newUser(t, root, "alice", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:Get*","Resource":"arn:aws:s3:::${aws:username}/*"},{"Effect":"Deny","Action":"s3:GetObjectAcl","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}]}`)
	in := &iam.SimulatePrincipalPolicyInput{
		PolicySourceArn: &arn, ActionNames: []string{"s3:GetObject", "s3:GetObjectAcl", "s3:PutObject"}, ResourceArns: []string{"arn:aws:s3:::alice/k"},
		ContextEntries: []iamtypes.ContextEntry{{ContextKeyName: aws.String("aws:SecureTransport"), ContextKeyType: iamtypes.ContextKeyTypeEnumBoolean, ContextKeyValues: []string{"false"}}},
		MaxItems:       aws.Int32(2),
	}
	var got []string
	pages := iam.NewSimulatePrincipalPolicyPaginator(c, in)
	for pages.HasMorePages() {
		for _, r := range ok(pages.NextPage(t.Context()))(t).EvaluationResults {
			got = append(got, *r.EvalActionName+" "+string(r.EvalDecision))
			if r.EvalDecision == iamtypes.PolicyEvaluationDecisionTypeAllowed {
				m := r.MatchedStatements[0]
				same(t, "statement", []any{*m.SourcePolicyId, m.StartPosition.Line, m.StartPosition.Column}, []any{"user_alice_inline", int32(1), int32(39)})
			}
		}
	}
	same(t, "decisions", got, []string{"s3:GetObject allowed", "s3:GetObjectAcl explicitDeny", "s3:PutObject implicitDeny"})
	keys := ok(c.GetContextKeysForPrincipalPolicy(t.Context(), &iam.GetContextKeysForPrincipalPolicyInput{PolicySourceArn: &arn}))(t).ContextKeyNames
	same(t, "keys", keys, []string{"aws:username", "aws:SecureTransport"})
	custom := ok(c.SimulateCustomPolicy(t.Context(), &iam.SimulateCustomPolicyInput{
		PolicyInputList: []string{allow("s3:*", "*")}, PermissionsBoundaryPolicyInputList: []string{allow("s3:Get*", "*")}, ActionNames: []string{"s3:PutObject"},
	}))(t).EvaluationResults[0]
	same(t, "bounded", []any{custom.EvalDecision, custom.PermissionsBoundaryDecisionDetail.AllowedByPermissionsBoundary}, []any{iamtypes.PolicyEvaluationDecisionTypeImplicitDeny, false})
	_, err := c.SimulateCustomPolicy(t.Context(), &iam.SimulateCustomPolicyInput{PolicyInputList: []string{"{}"}, ActionNames: []string{"s3:PutObject"}})
	is[*iamtypes.InvalidInputException](t, err, "PolicyInputList.1")
}

// Reports of what was last accessed come from what was really called, through whatever service.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_last-accessed.html
func TestIAMLastAccessed(t *testing.T) {
	account := newAccount()
	root := rootOf(account)
	c := iam.NewFromConfig(root)
	arn, alice := newUser(t, root, "alice", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["dynamodb:*","lambda:*"],"Resource":"*"}}`)
	before := time.Now().Add(-2 * time.Second)
	ok(dynamodb.NewFromConfig(alice).ListTables(t.Context(), nil))(t)
	job := ok(c.GenerateServiceLastAccessedDetails(t.Context(), &iam.GenerateServiceLastAccessedDetailsInput{Arn: &arn, Granularity: iamtypes.AccessAdvisorUsageGranularityTypeActionLevel}))(t).JobId
	out := ok(c.GetServiceLastAccessedDetails(t.Context(), &iam.GetServiceLastAccessedDetailsInput{JobId: job}))(t)
	same(t, "job", []any{out.JobStatus, len(out.ServicesLastAccessed)}, []any{iamtypes.JobStatusTypeCompleted, 2})
	used, unused := out.ServicesLastAccessed[0], out.ServicesLastAccessed[1]
	same(t, "services", []string{*used.ServiceNamespace, *unused.ServiceNamespace}, []string{"dynamodb", "lambda"})
	if used.LastAuthenticated == nil || used.LastAuthenticated.Before(before) || unused.LastAuthenticated != nil {
		t.Errorf("%v, %v", used.LastAuthenticated, unused.LastAuthenticated)
	}
	same(t, "action", []string{*used.TrackedActionsLastAccessed[0].ActionName, *used.LastAuthenticatedRegion, *used.LastAuthenticatedEntity}, []string{"ListTables", region, arn})
	with := ok(c.GetServiceLastAccessedDetailsWithEntities(t.Context(), &iam.GetServiceLastAccessedDetailsWithEntitiesInput{JobId: job, ServiceNamespace: aws.String("dynamodb")}))(t)
	same(t, "entities", []any{len(with.EntityDetailsList), *with.EntityDetailsList[0].EntityInfo.Name}, []any{1, "alice"})
	granting := ok(c.ListPoliciesGrantingServiceAccess(t.Context(), &iam.ListPoliciesGrantingServiceAccessInput{Arn: &arn, ServiceNamespaces: []string{"lambda", "s3"}}))(t).PoliciesGrantingServiceAccess
	same(t, "granting", []int{len(granting[0].Policies), len(granting[1].Policies)}, []int{1, 0})
}

// Parameters that are not taken into account are refused by name.
func TestIAMNotImplementedParameters(t *testing.T) {
	c := iam.NewFromConfig(rootOf(newAccount()))
	_, err := c.CreateSAMLProvider(t.Context(), &iam.CreateSAMLProviderInput{
		Name: aws.String("idp"), SAMLMetadataDocument: aws.String(strings.Repeat("x", 1000)), AssertionEncryptionMode: iamtypes.AssertionEncryptionModeTypeRequired,
	})
	hasCode(t, err, 501, "NotImplemented", "CreateSAMLProvider with encrypted assertions")
}
