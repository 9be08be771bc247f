package iam

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	api "brume/internal/api/iam"
	"brume/internal/call"
	"brume/internal/schema"
)

// https://docs.aws.amazon.com/IAM/latest/UserGuide/console_account-alias.html
func TestAccountAlias(t *testing.T) {
	f := newFixture(t)
	list := func(ctx context.Context) []string {
		return must(run[api.ListAccountAliasesOutput](f, ctx, &api.ListAccountAliasesInput{}))(t).AccountAliases
	}
	ok(t, f.do(root(), &api.CreateAccountAliasInput{AccountAlias: new("first")}))
	ok(t, f.do(root(), &api.CreateAccountAliasInput{AccountAlias: new("second")}))
	if got := list(root()); !slices.Equal(got, []string{"second"}) {
		t.Errorf("aliases %q", got)
	}
	other := as(rootPrincipal("999999999999", "AKIAOTHER"))
	fails(t, f.do(other, &api.CreateAccountAliasInput{AccountAlias: new("second")}), "EntityAlreadyExists", "The account alias second already exists.")
	ok(t, f.do(other, &api.CreateAccountAliasInput{AccountAlias: new("first")})) // it is free again
	if got, err := f.AccountOfAlias(context.Background(), "first"); got != "999999999999" || err != nil {
		t.Errorf("first is %q, %v", got, err)
	}
	for _, bad := range []string{"ab", "-ab", "ab-", "a--b", "Abc", "123456789012", strings.Repeat("a", 64)} {
		fails(t, f.do(root(), &api.CreateAccountAliasInput{AccountAlias: &bad}), "ValidationError", "")
	}
	fails(t, f.do(root(), &api.DeleteAccountAliasInput{AccountAlias: new("first")}), "NoSuchEntity", "The account alias first cannot be found.")
	ok(t, f.do(root(), &api.DeleteAccountAliasInput{AccountAlias: new("second")}))
	if got := list(root()); len(got) != 0 {
		t.Errorf("aliases %q", got)
	}
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountSummary.html
func TestAccountSummary(t *testing.T) {
	f := newFixture(t)
	summary := func() map[string]int32 {
		return must(run[api.GetAccountSummaryOutput](f, root(), &api.GetAccountSummaryInput{}))(t).SummaryMap
	}
	before := summary()
	for key, want := range map[string]int32{
		"UsersQuota": 5000, "GroupsQuota": 300, "RolesQuota": 1000, "PoliciesQuota": 1500, "InstanceProfilesQuota": 1000,
		"ServerCertificatesQuota": 20, "AccessKeysPerUserQuota": 2, "GroupsPerUserQuota": 10, "UserPolicySizeQuota": 2048,
		"GroupPolicySizeQuota": 5120, "RolePolicySizeQuota": 10240, "AssumeRolePolicySizeQuota": 2048, "PolicySizeQuota": 6144,
		"VersionsPerPolicyQuota": 5, "AttachedPoliciesPerUserQuota": 10, "SigningCertificatesPerUserQuota": 2,
		"GlobalEndpointTokenVersion": 1, "Users": 0, "AccountMFAEnabled": 0, "AccountAccessKeysPresent": 0, "Providers": 0,
	} {
		if got, there := before[key]; got != want || !there {
			t.Errorf("%s is %d, want %d", key, got, want)
		}
	}
	f.user(t, "alice")
	f.user(t, "bob")
	ok(t, f.do(root(), &api.CreateAccessKeyInput{}))
	ok(t, f.do(root(), &api.CreateGroupInput{GroupName: new("g")}))
	ok(t, f.do(root(), &api.CreateRoleInput{RoleName: new("r"), AssumeRolePolicyDocument: new(lambdaTrust)}))
	ok(t, f.do(root(), &api.CreatePolicyInput{PolicyName: new("p"), PolicyDocument: new(allowAll)}))
	ok(t, f.do(root(), &api.AttachUserPolicyInput{UserName: new("bob"), PolicyArn: new(powerUser)}))
	ok(t, f.do(root(), &api.CreateInstanceProfileInput{InstanceProfileName: new("i")}))
	ok(t, f.do(root(), &api.CreateOpenIDConnectProviderInput{Url: new("https://example.com")}))
	ok(t, f.do(root(), &api.SetSecurityTokenServicePreferencesInput{GlobalEndpointTokenVersion: new("v2Token")}))
	f.device(t, "phone")
	ok(t, f.do(root(), &api.DeleteUserInput{UserName: new("alice")}))
	changed := map[string]int32{}
	for key, n := range summary() {
		if n != before[key] {
			changed[key] = n
		}
	}
	want := map[string]int32{
		"Users": 1, "Groups": 1, "Roles": 1, "Policies": 1, "InstanceProfiles": 1, "Providers": 1, "MFADevices": 1,
		"AccountAccessKeysPresent": 1, "PolicyVersionsInUse": 1, "GlobalEndpointTokenVersion": 2,
	}
	if !maps.Equal(changed, want) {
		t.Errorf("got %v, want %v", changed, want)
	}
}

// Each quota of an account lets the last one in and refuses the next, and what is deleted makes room again.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
func TestAccountQuotas(t *testing.T) {
	f := newFixture(t)
	cert := newCertificate(t)
	for _, c := range []struct {
		quota  accountQuota
		create func(name string) schema.Struct
		remove func(name string) schema.Struct
	}{
		{usersQuota(), func(n string) schema.Struct { return &api.CreateUserInput{UserName: &n} },
			func(n string) schema.Struct { return &api.DeleteUserInput{UserName: &n} }},
		{groupsQuota(), func(n string) schema.Struct { return &api.CreateGroupInput{GroupName: &n} },
			func(n string) schema.Struct { return &api.DeleteGroupInput{GroupName: &n} }},
		{rolesQuota(), func(n string) schema.Struct {
			return &api.CreateRoleInput{RoleName: &n, AssumeRolePolicyDocument: new(lambdaTrust)}
		}, func(n string) schema.Struct { return &api.DeleteRoleInput{RoleName: &n} }},
		{policiesQuota(), func(n string) schema.Struct {
			return &api.CreatePolicyInput{PolicyName: &n, PolicyDocument: new(allowAll)}
		}, func(n string) schema.Struct { return &api.DeletePolicyInput{PolicyArn: new(arn(account, "policy/"+n))} }},
		{profilesQuota(), func(n string) schema.Struct { return &api.CreateInstanceProfileInput{InstanceProfileName: &n} },
			func(n string) schema.Struct { return &api.DeleteInstanceProfileInput{InstanceProfileName: &n} }},
		{devicesQuota(), func(n string) schema.Struct { return &api.CreateVirtualMFADeviceInput{VirtualMFADeviceName: &n} },
			func(n string) schema.Struct {
				return &api.DeleteVirtualMFADeviceInput{SerialNumber: new(arn(account, "mfa/"+n))}
			}},
		{certificatesQuota(), func(n string) schema.Struct {
			return &api.UploadServerCertificateInput{ServerCertificateName: &n, CertificateBody: &cert.body, PrivateKey: &cert.key}
		}, func(n string) schema.Struct { return &api.DeleteServerCertificateInput{ServerCertificateName: &n} }},
		{samlQuota(), func(n string) schema.Struct {
			return &api.CreateSAMLProviderInput{Name: &n, SAMLMetadataDocument: new(metadata(cert, ""))}
		}, func(n string) schema.Struct {
			return &api.DeleteSAMLProviderInput{SAMLProviderArn: new(arn(account, "saml-provider/"+n))}
		}},
		{oidcQuota(), func(n string) schema.Struct { return &api.CreateOpenIDConnectProviderInput{Url: new("https://" + n)} },
			func(n string) schema.Struct {
				return &api.DeleteOpenIDConnectProviderInput{OpenIDConnectProviderArn: new(arn(account, "oidc-provider/"+n))}
			}},
	} {
		t.Run(c.quota.name, func(t *testing.T) {
			ok(t, f.do(root(), c.create("first")))
			ok(t, f.update(root(), func(t txn) error { return t.setJSON(countKey(account, c.quota.name), c.quota.limit-1) }))
			ok(t, f.do(root(), c.create("last")))
			message := fmt.Sprintf("Cannot exceed quota for %s: %d", c.quota.name, c.quota.limit)
			fails(t, f.do(root(), c.create("more")), "LimitExceeded", message)
			ok(t, f.do(root(), c.remove("first")))
			ok(t, f.do(root(), c.create("more")))
			fails(t, f.do(root(), c.create("first")), "LimitExceeded", message)
			// A store from before there were counts is counted when it is first asked.
			ok(t, f.update(root(), func(t txn) error { return t.tx.Delete(countKey(account, c.quota.name)) }))
			ok(t, f.view(root(), func(r reader) error {
				if n, err := r.quotaCount(c.quota); n != 2 || err != nil {
					t.Errorf("counted %d, %v", n, err)
				}
				return nil
			}))
		})
	}
}

// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_getting-report.html
func TestCredentialReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		_, err := run[api.GetCredentialReportOutput](f, root(), &api.GetCredentialReportInput{})
		fails(t, err, "ReportNotPresent", "")
		ok(t, f.do(root(), &api.UpdateAccountPasswordPolicyInput{MaxPasswordAge: new(int32(90))}))
		f.user(t, "plain")
		f.user(t, "alice")
		ok(t, f.do(root(), &api.CreateLoginProfileInput{UserName: new("alice"), Password: new("correct Horse 1")}))
		key := must(run[api.CreateAccessKeyOutput](f, root(), &api.CreateAccessKeyInput{UserName: new("alice")}))(t).AccessKey
		p := call.Principal{Type: call.User, Account: account, AccessKeyID: *key.AccessKeyId}
		f.RecordUse(&call.Info{Principal: p, Time: time.Now(), Service: "dynamodb", Region: "eu-west-1"})
		cert := newCertificate(t)
		ok(t, f.do(root(), &api.UploadSigningCertificateInput{UserName: new("alice"), CertificateBody: &cert.body}))
		now := reportTime(time.Now())

		state := func() string {
			return *must(run[api.GenerateCredentialReportOutput](f, root(), &api.GenerateCredentialReportInput{}))(t).State
		}
		if got := state() + " " + state(); got != "STARTED COMPLETE" {
			t.Errorf("states %s", got)
		}
		out := must(run[api.GetCredentialReportOutput](f, root(), &api.GetCredentialReportInput{}))(t)
		if *out.ReportFormat != "text/csv" || time.Since(*out.GeneratedTime) > time.Second {
			t.Errorf("%+v", out)
		}
		lines := must(csv.NewReader(bytes.NewReader(out.Content)).ReadAll())(t)
		want := [][]string{
			reportColumns(),
			{"<root_account>", arn(account, "root"), "", "not_supported", "no_information", "not_supported", "not_supported", "false",
				"false", "N/A", "N/A", "N/A", "N/A", "false", "N/A", "N/A", "N/A", "N/A", "false", "N/A", "false", "N/A"},
			{"alice", arn(account, "user/alice"), now, "true", "no_information", now, reportTime(time.Now().AddDate(0, 0, 90)), "false",
				"true", now, now, "eu-west-1", "dynamodb", "false", "N/A", "N/A", "N/A", "N/A", "true", now, "false", "N/A"},
			{"plain", arn(account, "user/plain"), now, "false", "N/A", "N/A", "N/A", "false",
				"false", "N/A", "N/A", "N/A", "N/A", "false", "N/A", "N/A", "N/A", "N/A", "false", "N/A", "false", "N/A"},
		}
		lines[1][2] = ""
		if !reflect.DeepEqual(lines, want) {
			t.Errorf("got  %q\nwant %q", lines, want)
		}
		time.Sleep(reportLife)
		_, err = run[api.GetCredentialReportOutput](f, root(), &api.GetCredentialReportInput{})
		var expired *api.CredentialReportExpiredException
		if !errors.As(err, &expired) {
			t.Errorf("got %v", err)
		}
		if got := state(); got != "STARTED" {
			t.Errorf("state %s", got)
		}
	})
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountAuthorizationDetails.html
func TestAccountAuthorizationDetails(t *testing.T) {
	f := newFixture(t)
	own := arn(account, "policy/own")
	ok(t, f.do(root(), &api.CreatePolicyInput{PolicyName: new("own"), PolicyDocument: new(allowAll)}))
	ok(t, f.do(root(), &api.CreatePolicyVersionInput{PolicyArn: &own, PolicyDocument: new(statement("Deny", "s3:*", "*")), SetAsDefault: new(true)}))
	f.user(t, "alice")
	ok(t, f.do(root(), &api.PutUserPermissionsBoundaryInput{UserName: new("alice"), PermissionsBoundary: &own}))
	ok(t, f.do(root(), &api.PutUserPolicyInput{UserName: new("alice"), PolicyName: new("in"), PolicyDocument: new(allowAll)}))
	ok(t, f.do(root(), &api.AttachUserPolicyInput{UserName: new("alice"), PolicyArn: new(powerUser)}))
	ok(t, f.do(root(), &api.CreateGroupInput{GroupName: new("g")}))
	ok(t, f.do(root(), &api.AddUserToGroupInput{GroupName: new("g"), UserName: new("alice")}))
	ok(t, f.do(root(), &api.CreateRoleInput{RoleName: new("r"), AssumeRolePolicyDocument: new(lambdaTrust)}))
	ok(t, f.do(root(), &api.CreateInstanceProfileInput{InstanceProfileName: new("i")}))
	ok(t, f.do(root(), &api.AddRoleToInstanceProfileInput{InstanceProfileName: new("i"), RoleName: new("r")}))

	// All at once, and one at a time.
	for _, size := range []int32{1000, 1, 2} {
		var names []string
		in := &api.GetAccountAuthorizationDetailsInput{MaxItems: &size}
		for {
			out := must(run[api.GetAccountAuthorizationDetailsOutput](f, root(), in))(t)
			n := 0
			for _, u := range out.UserDetailList {
				names = append(names, "user "+*u.UserName)
				if len(u.UserPolicyList) != 1 || *u.UserPolicyList[0].PolicyDocument != *encodeDocument(allowAll) ||
					!slices.Equal(u.GroupList, []string{"g"}) || *u.AttachedManagedPolicies[0].PolicyArn != powerUser ||
					*u.PermissionsBoundary.PermissionsBoundaryArn != own {
					t.Errorf("%+v", u)
				}
				n++
			}
			for _, g := range out.GroupDetailList {
				names = append(names, "group "+*g.GroupName)
				n++
			}
			for _, r := range out.RoleDetailList {
				names = append(names, "role "+*r.RoleName)
				if len(r.InstanceProfileList) != 1 || *r.AssumeRolePolicyDocument != *encodeDocument(lambdaTrust) {
					t.Errorf("%+v", r)
				}
				n++
			}
			for _, p := range out.Policies {
				names = append(names, "policy "+*p.PolicyName)
				if *p.PolicyName == "own" && (len(p.PolicyVersionList) != 2 || *p.DefaultVersionId != "v2" || *p.PermissionsBoundaryUsageCount != 1 || *p.AttachmentCount != 0) {
					t.Errorf("%+v", p)
				}
				n++
			}
			if int32(n) > size {
				t.Errorf("%d on a page of %d", n, size)
			}
			if !*out.IsTruncated {
				break
			}
			in.Marker = out.Marker
		}
		if want := []string{"user alice", "group g", "role r", "policy own", "policy PowerUserAccess"}; !slices.Equal(names, want) {
			t.Errorf("pages of %d: %q", size, names)
		}
	}
	out := must(run[api.GetAccountAuthorizationDetailsOutput](f, root(), &api.GetAccountAuthorizationDetailsInput{Filter: []string{"Role", "AWSManagedPolicy"}}))(t)
	if len(out.UserDetailList)+len(out.GroupDetailList) != 0 || len(out.RoleDetailList) != 1 || len(out.Policies) != 1 {
		t.Errorf("filtered: %+v", out)
	}
}
