package sdk

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// newUser makes a user with an access key and one inline policy, if it is not empty.
func newUser(t *testing.T, root aws.Config, name, policy string) (arn string, cfg aws.Config) {
	t.Helper()
	client := iam.NewFromConfig(root)
	user := ok(client.CreateUser(t.Context(), &iam.CreateUserInput{UserName: &name}))(t)
	key := ok(client.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: &name}))(t)
	if policy != "" {
		ok(client.PutUserPolicy(t.Context(), &iam.PutUserPolicyInput{UserName: &name, PolicyName: aws.String("inline"), PolicyDocument: &policy}))(t)
	}
	return *user.User.Arn, as(*key.AccessKey.AccessKeyId, *key.AccessKey.SecretAccessKey, "")
}

// newRole makes a role that principal, in JSON, may assume, with one inline policy, if it is not empty.
func newRole(t *testing.T, root aws.Config, name, principal, policy string) (arn string) {
	t.Helper()
	client := iam.NewFromConfig(root)
	trust := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":` + principal + `,"Action":["sts:AssumeRole","sts:TagSession"]}}`
	role := ok(client.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust}))(t)
	if policy != "" {
		ok(client.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: &name, PolicyName: aws.String("inline"), PolicyDocument: &policy}))(t)
	}
	return *role.Role.Arn
}

func allow(action, resource string) string {
	return `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"` + action + `","Resource":"` + resource + `"}}`
}

// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
func TestGetCallerIdentity(t *testing.T) {
	account := newAccount()
	root := rootOf(account)
	out := ok(sts.NewFromConfig(root).GetCallerIdentity(t.Context(), nil))(t)
	same(t, "root", []string{*out.Account, *out.Arn, *out.UserId}, []string{account, "arn:aws:iam::" + account + ":root", account})

	arn, user := newUser(t, root, "alice", "")
	out = ok(sts.NewFromConfig(user).GetCallerIdentity(t.Context(), nil))(t)
	same(t, "user", []string{*out.Account, *out.Arn}, []string{account, arn})
	if !strings.HasPrefix(*out.UserId, "AIDA") || len(*out.UserId) != 21 {
		t.Errorf("user id %q", *out.UserId)
	}
}

// A presigned GetCallerIdentity is how clusters and vaults learn who somebody is.
func TestPresignedGetCallerIdentity(t *testing.T) {
	account := newAccount()
	presigned := ok(sts.NewPresignClient(sts.NewFromConfig(rootOf(account))).PresignGetCallerIdentity(t.Context(), nil))(t)
	get := func(url string) int {
		req := ok(http.NewRequestWithContext(t.Context(), presigned.Method, url, nil))(t)
		for k, v := range presigned.SignedHeader {
			if k != "Host" {
				req.Header[k] = v
			}
		}
		resp := ok(http.DefaultClient.Do(req))(t)
		resp.Body.Close()
		return resp.StatusCode
	}
	same(t, "status", get(presigned.URL), 200)
	same(t, "status of another operation", get(strings.Replace(presigned.URL, "GetCallerIdentity", "GetSessionToken", 1)), 403)
}

// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
func TestAssumeRole(t *testing.T) {
	account := newAccount()
	root := rootOf(account)
	role := newRole(t, root, "reader", `{"AWS":"`+account+`"}`, allow("iam:Get*", "*"))
	arn, user := newUser(t, root, "alice", allow("sts:*", role))
	client := sts.NewFromConfig(user)
	before := time.Now()
	out := ok(client.AssumeRole(t.Context(), &sts.AssumeRoleInput{
		RoleArn: &role, RoleSessionName: aws.String("session-1"), DurationSeconds: aws.Int32(900),
		Tags: []ststypes.Tag{{Key: aws.String("team"), Value: aws.String("blue")}},
	}))(t)
	c := out.Credentials
	if !strings.HasPrefix(*c.AccessKeyId, "ASIA") || c.Expiration.Before(before.Add(890*time.Second)) || c.Expiration.After(time.Now().Add(901*time.Second)) {
		t.Errorf("%s until %v", *c.AccessKeyId, c.Expiration)
	}
	sessionARN := "arn:aws:sts::" + account + ":assumed-role/reader/session-1"
	same(t, "session", *out.AssumedRoleUser.Arn, sessionARN)

	session := as(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
	who := ok(sts.NewFromConfig(session).GetCallerIdentity(t.Context(), nil))(t)
	same(t, "caller", []string{*who.Account, *who.Arn, *who.UserId}, []string{account, sessionARN, *out.AssumedRoleUser.AssumedRoleId})
	ok(iam.NewFromConfig(session).GetRole(t.Context(), &iam.GetRoleInput{RoleName: aws.String("reader")}))(t)
	_, err := iam.NewFromConfig(session).CreateUser(t.Context(), &iam.CreateUserInput{UserName: aws.String("mallory")})
	hasCode(t, err, 403, "AccessDenied", "User: "+sessionARN+" is not authorized to perform: iam:CreateUser on resource: arn:aws:iam::"+account+":user/mallory "+
		"because no identity-based policy allows the iam:CreateUser action")

	// A session policy takes away, and never adds.
	out = ok(client.AssumeRole(t.Context(), &sts.AssumeRoleInput{
		RoleArn: &role, RoleSessionName: aws.String("narrow"), Policy: aws.String(allow("iam:ListUsers", "*")),
	}))(t)
	c = out.Credentials
	narrow := iam.NewFromConfig(as(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken))
	_, err = narrow.GetRole(t.Context(), &iam.GetRoleInput{RoleName: aws.String("reader")})
	hasCode(t, err, 403, "AccessDenied", "because no session policy allows the iam:GetRole action")
	_, err = narrow.ListUsers(t.Context(), nil)
	hasCode(t, err, 403, "AccessDenied", "because no identity-based policy allows the iam:ListUsers action")

	for name, tt := range map[string]struct {
		cfg          aws.Config
		in           sts.AssumeRoleInput
		status       int
		code, reason string
	}{
		"no such role": {user, sts.AssumeRoleInput{RoleArn: aws.String(role + "x"), RoleSessionName: aws.String("ss")}, 403, "AccessDenied",
			"User: " + arn + " is not authorized to perform: sts:AssumeRole on resource: " + role + "x because no role trust policy allows the sts:AssumeRole action"},
		"root":                   {root, sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("ss")}, 403, "AccessDenied", "Roles may not be assumed by root accounts."},
		"another account's root": {rootOf(newAccount()), sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("ss")}, 403, "AccessDenied", ""},
		"too long": {user, sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("ss"), DurationSeconds: aws.Int32(7200)}, 400, "ValidationError",
			"The requested DurationSeconds exceeds the MaxSessionDuration set for this role."},
		"chained too long": {session, sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("ss"), DurationSeconds: aws.Int32(3601)}, 403, "AccessDenied", ""},
		"short name": {user, sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("s")}, 400, "ValidationError",
			"1 validation error detected: Value 's' at 'roleSessionName' failed to satisfy constraint: Member must have length greater than or equal to 2"},
		"too short": {user, sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("ss"), DurationSeconds: aws.Int32(899)}, 400, "ValidationError",
			"Member must have value greater than or equal to 900"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := sts.NewFromConfig(tt.cfg).AssumeRole(t.Context(), &tt.in)
			hasCode(t, err, tt.status, tt.code, tt.reason)
		})
	}
	_, err = client.AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("ss"), Policy: aws.String(`{"Version":"2012-10-17"}`)})
	is[*ststypes.MalformedPolicyDocumentException](t, err, "")
}

// Sessions end with who they are for: a deleted role or user may do nothing any more.
func TestSessionsOfTheDeleted(t *testing.T) {
	account := newAccount()
	root := rootOf(account)
	admin := iam.NewFromConfig(root)
	role := newRole(t, root, "short-lived", `{"AWS":"`+account+`"}`, "")
	_, user := newUser(t, root, "alice", allow("sts:AssumeRole", "*"))
	assumed := ok(sts.NewFromConfig(user).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("ss")}))(t).Credentials
	got := ok(sts.NewFromConfig(user).GetSessionToken(t.Context(), nil))(t).Credentials
	sessions := map[string]aws.Config{
		"role": as(*assumed.AccessKeyId, *assumed.SecretAccessKey, *assumed.SessionToken),
		"user": as(*got.AccessKeyId, *got.SecretAccessKey, *got.SessionToken),
	}
	for _, cfg := range sessions {
		ok(sts.NewFromConfig(cfg).GetCallerIdentity(t.Context(), nil))(t)
	}
	ok(admin.DeleteRole(t.Context(), &iam.DeleteRoleInput{RoleName: aws.String("short-lived")}))(t)
	ok(admin.DeleteUserPolicy(t.Context(), &iam.DeleteUserPolicyInput{UserName: aws.String("alice"), PolicyName: aws.String("inline")}))(t)
	for _, k := range ok(admin.ListAccessKeys(t.Context(), &iam.ListAccessKeysInput{UserName: aws.String("alice")}))(t).AccessKeyMetadata {
		ok(admin.DeleteAccessKey(t.Context(), &iam.DeleteAccessKeyInput{UserName: aws.String("alice"), AccessKeyId: k.AccessKeyId}))(t)
	}
	ok(admin.DeleteUser(t.Context(), &iam.DeleteUserInput{UserName: aws.String("alice")}))(t)
	// The same names again are somebody else.
	newRole(t, root, "short-lived", `{"AWS":"`+account+`"}`, "")
	newUser(t, root, "alice", "")
	sessions["the user's key"] = user
	for name, cfg := range sessions {
		_, err := sts.NewFromConfig(cfg).GetCallerIdentity(t.Context(), nil)
		if err == nil {
			t.Errorf("the session of the deleted %s goes on", name)
			continue
		}
		hasCode(t, err, 403, "InvalidClientTokenId", "The security token included in the request is invalid.")
	}
}

// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html
func TestGetSessionToken(t *testing.T) {
	account := newAccount()
	arn, user := newUser(t, rootOf(account), "alice", allow("iam:GetUser", "*"))
	c := ok(sts.NewFromConfig(user).GetSessionToken(t.Context(), &sts.GetSessionTokenInput{DurationSeconds: aws.Int32(900)}))(t).Credentials
	session := as(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
	who := ok(sts.NewFromConfig(session).GetCallerIdentity(t.Context(), nil))(t)
	same(t, "caller", *who.Arn, arn)
	_, err := sts.NewFromConfig(session).GetSessionToken(t.Context(), nil)
	hasCode(t, err, 403, "AccessDenied", "Cannot call GetSessionToken with session credentials")
	for name, cfg := range map[string]aws.Config{
		"without its token":    as(*c.AccessKeyId, *c.SecretAccessKey, ""),
		"with another token":   as(*c.AccessKeyId, *c.SecretAccessKey, strings.ToUpper(*c.SessionToken)),
		"of nobody":            as("AKIAIOSFODNN7EXAMPLE", *c.SecretAccessKey, ""),
		"with another's token": as(brume.AccessKeyID, brume.SecretAccessKey, *c.SessionToken),
	} {
		t.Run("a key "+name, func(t *testing.T) {
			_, err := sts.NewFromConfig(cfg).GetCallerIdentity(t.Context(), nil)
			hasCode(t, err, 403, "InvalidClientTokenId", "The security token included in the request is invalid.")
		})
	}
	_, err = sts.NewFromConfig(as(*c.AccessKeyId, "a guess", *c.SessionToken)).GetCallerIdentity(t.Context(), nil)
	hasCode(t, err, 403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided.")
	_, err = sts.NewFromConfig(user).GetSessionToken(t.Context(), &sts.GetSessionTokenInput{DurationSeconds: aws.Int32(899)})
	hasCode(t, err, 400, "ValidationError", "Member must have value greater than or equal to 900")
}

// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetAccessKeyInfo.html
func TestGetAccessKeyInfo(t *testing.T) {
	account := newAccount()
	client := sts.NewFromConfig(rootOf(account))
	key := ok(iam.NewFromConfig(rootOf(account)).CreateAccessKey(t.Context(), nil))(t).AccessKey.AccessKeyId
	same(t, "account", *ok(client.GetAccessKeyInfo(t.Context(), &sts.GetAccessKeyInfoInput{AccessKeyId: key}))(t).Account, account)
	_, err := client.GetAccessKeyInfo(t.Context(), &sts.GetAccessKeyInfoInput{AccessKeyId: aws.String("AKIA!notakey!notakey")})
	hasCode(t, err, 400, "ValidationError", "")
}

// session is the configuration of the caller that credentials are for.
func session(c *ststypes.Credentials) aws.Config {
	return as(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
}

// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetFederationToken.html
func TestGetFederationToken(t *testing.T) {
	account := newAccount()
	root := rootOf(account)
	_, user := newUser(t, root, "broker", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["dynamodb:*","sts:GetFederationToken","sts:TagSession"],"Resource":"*"}]}`)
	get := func(in *sts.GetFederationTokenInput) *sts.GetFederationTokenOutput {
		in.Name = aws.String("guest")
		return ok(sts.NewFromConfig(user).GetFederationToken(t.Context(), in))(t)
	}
	arn := "arn:aws:sts::" + account + ":federated-user/guest"
	list := func(c *ststypes.Credentials) error {
		_, err := dynamodb.NewFromConfig(session(c)).ListTables(t.Context(), nil)
		return err
	}
	out := get(&sts.GetFederationTokenInput{Policy: aws.String(allow("dynamodb:List*", "*")), Tags: []ststypes.Tag{{Key: aws.String("team"), Value: aws.String("blue")}}})
	who := ok(sts.NewFromConfig(session(out.Credentials)).GetCallerIdentity(t.Context(), nil))(t)
	same(t, "caller", []string{*who.Arn, *who.UserId, *out.FederatedUser.Arn, *out.FederatedUser.FederatedUserId}, []string{arn, account + ":guest", arn, account + ":guest"})
	if err := list(out.Credentials); err != nil {
		t.Error(err)
	}
	_, err := dynamodb.NewFromConfig(session(out.Credentials)).DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String("ttt")})
	hasCode(t, err, 400, "AccessDeniedException", "User: "+arn+" is not authorized to perform: dynamodb:DescribeTable on resource: arn:aws:dynamodb:"+region+":"+account+":table/ttt because no session policy allows the dynamodb:DescribeTable action")
	// Without session policies it may do nothing, with what the user lacks no more, and in IAM nothing at all.
	hasCode(t, list(get(&sts.GetFederationTokenInput{}).Credentials), 400, "AccessDeniedException", "because no session policy allows the dynamodb:ListTables action")
	all := get(&sts.GetFederationTokenInput{PolicyArns: []ststypes.PolicyDescriptorType{{Arn: aws.String("arn:aws:iam::aws:policy/AdministratorAccess")}}}).Credentials
	if err := list(all); err != nil {
		t.Error(err)
	}
	_, err = lambda.NewFromConfig(session(all)).ListFunctions(t.Context(), nil)
	hasCode(t, err, 403, "AccessDeniedException", "because no identity-based policy allows the lambda:ListFunctions action")
	_, err = iam.NewFromConfig(session(all)).ListUsers(t.Context(), nil)
	hasCode(t, err, 403, "InvalidClientTokenId", "")
	_, err = sts.NewFromConfig(session(all)).GetSessionToken(t.Context(), nil)
	hasCode(t, err, 403, "AccessDenied", "Cannot call GetSessionToken with session credentials")
	// What the user loses the federated user loses at once.
	ok(iam.NewFromConfig(root).DeleteUserPolicy(t.Context(), &iam.DeleteUserPolicyInput{UserName: aws.String("broker"), PolicyName: aws.String("inline")}))(t)
	hasCode(t, list(all), 400, "AccessDeniedException", "because no identity-based policy allows the dynamodb:ListTables action")

	// A root's federated user may do what the session policies say.
	root1 := ok(sts.NewFromConfig(root).GetFederationToken(t.Context(), &sts.GetFederationTokenInput{Name: aws.String("visitor"), Policy: aws.String(allow("dynamodb:ListTables", "*"))}))(t)
	if err := list(root1.Credentials); err != nil {
		t.Error(err)
	}
}

// Managed session policies count as they are at the time of each call.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies.html#policies_session
func TestManagedSessionPolicies(t *testing.T) {
	account := newAccount()
	root := rootOf(account)
	admin := iam.NewFromConfig(root)
	role := newRole(t, root, "worker", `{"AWS":"`+account+`"}`, allow("*", "*"))
	_, user := newUser(t, root, "alice", allow("sts:*", "*"))
	own := ok(admin.CreatePolicy(t.Context(), &iam.CreatePolicyInput{PolicyName: aws.String("own"), PolicyDocument: aws.String(allow("dynamodb:List*", "*"))}))(t).Policy.Arn
	out := ok(sts.NewFromConfig(user).AssumeRole(t.Context(), &sts.AssumeRoleInput{
		RoleArn: &role, RoleSessionName: aws.String("ss"), PolicyArns: []ststypes.PolicyDescriptorType{{Arn: own}},
	}))(t)
	tables := dynamodb.NewFromConfig(session(out.Credentials))
	ok(tables.ListTables(t.Context(), nil))(t)
	_, err := tables.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String("ttt")})
	hasCode(t, err, 400, "AccessDeniedException", "because no session policy allows the dynamodb:DescribeTable action")
	ok(admin.CreatePolicyVersion(t.Context(), &iam.CreatePolicyVersionInput{PolicyArn: own, SetAsDefault: true, PolicyDocument: aws.String(allow("dynamodb:Describe*", "*"))}))(t)
	_, err = tables.ListTables(t.Context(), nil)
	hasCode(t, err, 400, "AccessDeniedException", "because no session policy allows the dynamodb:ListTables action")
	ok(admin.DeletePolicyVersion(t.Context(), &iam.DeletePolicyVersionInput{PolicyArn: own, VersionId: aws.String("v1")}))(t)
	ok(admin.DeletePolicy(t.Context(), &iam.DeletePolicyInput{PolicyArn: own}))(t)
	_, err = tables.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String("ttt")})
	hasCode(t, err, 400, "AccessDeniedException", "because no session policy allows the dynamodb:DescribeTable action")
	_, err = sts.NewFromConfig(user).AssumeRole(t.Context(), &sts.AssumeRoleInput{
		RoleArn: &role, RoleSessionName: aws.String("ss"), PolicyArns: []ststypes.PolicyDescriptorType{{Arn: own}},
	})
	hasCode(t, err, 400, "ValidationError", "does not exist or is not attachable")
}

// The console's "Revoke active sessions" puts this policy on the role.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_revoke-sessions.html
func TestRevokingTheSessionsOfARole(t *testing.T) {
	account := newAccount()
	root := rootOf(account)
	role := newRole(t, root, "worker", `{"AWS":"`+account+`"}`, allow("*", "*"))
	_, user := newUser(t, root, "alice", allow("sts:*", "*"))
	assume := func() *dynamodb.Client {
		out := ok(sts.NewFromConfig(user).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("ss")}))(t)
		return dynamodb.NewFromConfig(session(out.Credentials))
	}
	old := assume()
	ok(old.ListTables(t.Context(), nil))(t)
	time.Sleep(1100 * time.Millisecond) // times of issue have whole seconds
	now := time.Now().UTC().Truncate(time.Second).Format("2006-01-02T15:04:05.000Z")
	ok(iam.NewFromConfig(root).PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{
		RoleName: aws.String("worker"), PolicyName: aws.String("AWSRevokeOlderSessions"),
		PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":["*"],"Resource":["*"],"Condition":{"DateLessThan":{"aws:TokenIssueTime":"` + now + `"}}}]}`),
	}))(t)
	_, err := old.ListTables(t.Context(), nil)
	hasCode(t, err, 400, "AccessDeniedException", "with an explicit deny in an identity-based policy")
	ok(assume().ListTables(t.Context(), nil))(t)
}

// Whoever is denied gets a message that they need not understand, and that who may can have decoded.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_DecodeAuthorizationMessage.html
func TestDecodeAuthorizationMessage(t *testing.T) {
	account := newAccount()
	root := rootOf(account)
	arn, user := newUser(t, root, "alice", `{"Version":"2012-10-17","Statement":[{"Sid":"NoTables","Effect":"Deny","Action":"dynamodb:*","Resource":"*"}]}`)
	denials := map[string]error{}
	_, denials["dynamodb"] = dynamodb.NewFromConfig(user).DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String("ttt")})
	_, denials["iam"] = iam.NewFromConfig(user).ListUsers(t.Context(), nil)
	_, denials["lambda"] = lambda.NewFromConfig(user).ListFunctions(t.Context(), nil)
	for service, err := range denials {
		var response *smithyhttp.ResponseError
		if !errors.As(err, &response) {
			t.Fatalf("%s: %v", service, err)
		}
		encoded := response.HTTPResponse().Header.Get("X-Brume-Authorization-Message")
		out := ok(sts.NewFromConfig(root).DecodeAuthorizationMessage(t.Context(), &sts.DecodeAuthorizationMessageInput{EncodedMessage: &encoded}))(t)
		for _, part := range []string{`"allowed":false`, `"arn":"` + arn + `"`, `"action":"` + service + `:`, `"key":"aws:SourceIp","values":{"items":[{"value":"127.0.0.1"}]}`} {
			if !strings.Contains(*out.DecodedMessage, part) {
				t.Errorf("%s: no %s in %s", service, part, *out.DecodedMessage)
			}
		}
		if strings.Contains(*out.DecodedMessage, `"statementId":"NoTables"`) != (service == "dynamodb") {
			t.Error(*out.DecodedMessage)
		}
		_, err = sts.NewFromConfig(rootOf(newAccount())).DecodeAuthorizationMessage(t.Context(), &sts.DecodeAuthorizationMessageInput{EncodedMessage: &encoded})
		is[*ststypes.InvalidAuthorizationMessageException](t, err, "Message is not valid")
	}
}

// An operation that is not there yet says so by its name.
func TestNotImplemented(t *testing.T) {
	_, err := sts.NewFromConfig(rootOf(newAccount())).AssumeRoleWithSAML(t.Context(), &sts.AssumeRoleWithSAMLInput{
		PrincipalArn: aws.String("arn:aws:iam::123456789012:saml-provider/p"), RoleArn: aws.String("arn:aws:iam::123456789012:role/r"),
		SAMLAssertion: aws.String("PHNhbWw+"),
	})
	hasCode(t, err, 501, "NotImplemented", "AssumeRoleWithSAML")
	_, err = iam.NewFromConfig(rootOf(newAccount())).GenerateOrganizationsAccessReport(t.Context(),
		&iam.GenerateOrganizationsAccessReportInput{EntityPath: aws.String("o-a1b2c3d4e5/r-f6g7h8i9j0example")})
	hasCode(t, err, 501, "NotImplemented", "GenerateOrganizationsAccessReport")
	_, err = iam.NewFromConfig(rootOf(newAccount())).ListOrganizationsFeatures(t.Context(), nil)
	hasCode(t, err, 501, "NotImplemented", "ListOrganizationsFeatures")
}

// A clock that is off by more than a quarter of an hour makes signatures that do not count.
func TestClockSkew(t *testing.T) {
	cfg := rootOf(newAccount())
	for _, off := range []time.Duration{-16 * time.Minute, 16 * time.Minute} {
		_, err := iam.NewFromConfig(cfg, func(o *iam.Options) { o.HTTPSignerV4 = skewed{v4.NewSigner(), off} }).ListUsers(t.Context(), nil)
		hasCode(t, err, 403, "SignatureDoesNotMatch", "Signature ")
	}
	var gone *iamtypes.NoSuchEntityException
	_, err := iam.NewFromConfig(cfg, func(o *iam.Options) { o.HTTPSignerV4 = skewed{v4.NewSigner(), 14 * time.Minute} }).
		GetUser(t.Context(), &iam.GetUserInput{UserName: aws.String("nobody")})
	if !errors.As(err, &gone) {
		t.Errorf("14 minutes off: %v", err)
	}
}

// skewed signs as if it were another time.
type skewed struct {
	*v4.Signer
	off time.Duration
}

func (s skewed) SignHTTP(ctx context.Context, c aws.Credentials, r *http.Request, hash, service, region string, at time.Time, opts ...func(*v4.SignerOptions)) error {
	return s.Signer.SignHTTP(ctx, c, r, hash, service, region, at.Add(s.off), opts...)
}
