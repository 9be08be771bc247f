package iam

import (
	"context"
	"strings"

	api "brume/internal/api/iam"
)

// A settingsRow holds what an account has one of.
type settingsRow struct {
	Alias        string `json:",omitempty"`
	TokenVersion int32  `json:",omitempty"` // of the global STS endpoint; 0 means 1
}

func (r reader) settings() (settingsRow, error) {
	var row settingsRow
	_, err := r.getJSON(settingsKey(r.account), &row)
	return row, err
}

// CreateAccountAlias replaces the alias of the account: there is one at the most. No two accounts have the same.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateAccountAlias.html
func (s *Service) CreateAccountAlias(ctx context.Context, in *api.CreateAccountAliasInput) (*api.CreateAccountAliasOutput, error) {
	alias := *in.AccountAlias
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/console_account-alias.html
	if isDigits(alias) && len(alias) == 12 || strings.Contains(alias, "--") {
		return nil, validation("1 validation error detected: Value at 'accountAlias' failed to satisfy constraint: "+
			"Member must satisfy regular expression pattern: %s", "^[a-z0-9]([a-z0-9]|-(?!-)){1,61}[a-z0-9]$")
	}
	err := s.update(ctx, func(t txn) error {
		taken, err := t.has(aliasKey(alias))
		if err != nil {
			return err
		}
		if taken {
			return alreadyExists("The account alias %s already exists.", alias)
		}
		row, err := t.settings()
		if err != nil {
			return err
		}
		if row.Alias != "" {
			if err := t.tx.Delete(aliasKey(row.Alias)); err != nil {
				return err
			}
		}
		row.Alias = alias
		if err := t.tx.Set(aliasKey(alias), []byte(t.account)); err != nil {
			return err
		}
		return t.setJSON(settingsKey(t.account), row)
	})
	return &api.CreateAccountAliasOutput{}, err
}

func isDigits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteAccountAlias.html
func (s *Service) DeleteAccountAlias(ctx context.Context, in *api.DeleteAccountAliasInput) (*api.DeleteAccountAliasOutput, error) {
	err := s.update(ctx, func(t txn) error {
		row, err := t.settings()
		if err != nil {
			return err
		}
		if row.Alias != *in.AccountAlias {
			return noSuchEntity("The account alias %s cannot be found.", *in.AccountAlias)
		}
		row.Alias = ""
		if err := t.tx.Delete(aliasKey(*in.AccountAlias)); err != nil {
			return err
		}
		return t.setJSON(settingsKey(t.account), row)
	})
	return &api.DeleteAccountAliasOutput{}, err
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListAccountAliases.html
func (s *Service) ListAccountAliases(ctx context.Context, in *api.ListAccountAliasesInput) (*api.ListAccountAliasesOutput, error) {
	p, err := newPage(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &api.ListAccountAliasesOutput{}
	err = s.view(ctx, func(r reader) error {
		row, err := r.settings()
		if err != nil {
			return err
		}
		var aliases []item[string]
		if row.Alias != "" {
			aliases = append(aliases, item[string]{row.Alias, row.Alias})
		}
		out.AccountAliases, out.IsTruncated, out.Marker, err = take(p, beyond(aliases, p.after))
		return err
	})
	return out, err
}

// AccountOfAlias is the account that has an alias, empty if none has.
func (s *Service) AccountOfAlias(ctx context.Context, alias string) (account string, err error) {
	err = s.viewAny(ctx, func(r reader) error {
		value, _, err := r.Get(aliasKey(alias))
		account = string(value)
		return err
	})
	return account, err
}

// SetSecurityTokenServicePreferences records the version: every session token of Brume's counts in all regions.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_SetSecurityTokenServicePreferences.html
func (s *Service) SetSecurityTokenServicePreferences(ctx context.Context, in *api.SetSecurityTokenServicePreferencesInput) (*api.SetSecurityTokenServicePreferencesOutput, error) {
	version := int32(1)
	if *in.GlobalEndpointTokenVersion == "v2Token" {
		version = 2
	}
	err := s.update(ctx, func(t txn) error {
		row, err := t.settings()
		if err != nil {
			return err
		}
		row.TokenVersion = version
		return t.setJSON(settingsKey(t.account), row)
	})
	return &api.SetSecurityTokenServicePreferencesOutput{}, err
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountSummary.html
func (s *Service) GetAccountSummary(ctx context.Context, _ *api.GetAccountSummaryInput) (*api.GetAccountSummaryOutput, error) {
	summary := map[string]int32{
		"AccessKeysPerUserQuota": maxAccessKeys, "SigningCertificatesPerUserQuota": maxSigningCertificates,
		"GroupsPerUserQuota": maxGroupsPerUser, "VersionsPerPolicyQuota": maxVersions,
		"UserPolicySizeQuota": int32(kindUser.inlineQuota()), "GroupPolicySizeQuota": int32(kindGroup.inlineQuota()),
		"RolePolicySizeQuota": int32(kindRole.inlineQuota()), "AssumeRolePolicySizeQuota": maxTrustSize,
		"AttachedPoliciesPerUserQuota": maxAttached, "AttachedPoliciesPerGroupQuota": maxAttached,
		"AttachedPoliciesPerRoleQuota": maxAttached, "PolicySizeQuota": maxPolicySize,
		"PolicyVersionsInUseQuota": maxVersionsInUse, "AccountPasswordPresent": 0,
	}
	err := s.view(ctx, func(r reader) error {
		counts := map[string]int{}
		for name, q := range map[string]accountQuota{
			"Users": usersQuota(), "Groups": groupsQuota(), "Roles": rolesQuota(), "Policies": policiesQuota(),
			"InstanceProfiles": profilesQuota(), "ServerCertificates": certificatesQuota(), "MFADevices": devicesQuota(),
			"SAML": samlQuota(), "OIDC": oidcQuota(),
		} {
			n, err := r.quotaCount(q)
			if err != nil {
				return err
			}
			counts[name] = n
			summary[name+"Quota"] = int32(q.limit)
			summary[name] = int32(n)
		}
		summary["Providers"] = int32(counts["SAML"] + counts["OIDC"])
		for _, name := range []string{"SAML", "OIDC", "SAMLQuota", "OIDCQuota", "MFADevicesQuota"} {
			delete(summary, name)
		}
		usage, err := r.policyUsage()
		if err != nil {
			return err
		}
		summary["PolicyVersionsInUse"] = int32(len(usage))
		inUse, rootDevices := 0, 0
		for d, err := range r.devices("", new("Assigned")) {
			if err != nil {
				return err
			}
			inUse++
			if d.value.User == nil {
				rootDevices++
			}
		}
		summary["MFADevicesInUse"], summary["AccountMFAEnabled"] = int32(inUse), int32(min(rootDevices, 1))
		for name, scope := range map[string][]byte{
			"AccountAccessKeysPresent": ownerScope(r.account), "AccountSigningCertificatesPresent": signingScope(r.account),
		} {
			present, err := r.any(scope)
			if err != nil {
				return err
			}
			summary[name] = 0
			if present {
				summary[name] = 1
			}
		}
		settings, err := r.settings()
		summary["GlobalEndpointTokenVersion"] = max(settings.TokenVersion, 1)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &api.GetAccountSummaryOutput{SummaryMap: summary}, nil
}

// maxVersionsInUse is what AWS reports as the quota of policies in use. Brume does not enforce it.
const maxVersionsInUse = 10000
