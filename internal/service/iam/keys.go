package iam

import (
	"bytes"
	"strings"

	"brume/internal/kv"
	"brume/internal/kv/tuple"
)

// The layout of this service's part of the store. Names are in lower case, as IAM tells none apart by case. ID is the
// unique id of a user, group or role: what belongs to one of them is filed under it, so that it can be renamed.
//
//	iam n ACCOUNT KIND NAME      → identity, JSON
//	iam x ID                     → the key of its identity
//	iam k ACCESSKEYID            → accessKeyRow, JSON
//	iam o OWNER ACCESSKEYID      → nothing: the keys of a user by ID, of a root by account
//	iam g GROUP USER             → nothing: the members of a group, both by ID
//	iam u USER GROUP             → nothing: the groups of a user, both by ID
//	iam p ACCOUNT NAME           → policyRow, JSON
//	iam v POLICYID NUMBER        → versionRow, JSON
//	iam a ID POLICYARN           → nothing: the policies attached to an identity
//	iam A ACCOUNT POLICYARN USAGE ID → nothing: the identities that use a policy
//	iam i ID NAME                → inlineRow, JSON: the policies in an identity
//	iam l KEYID or ROLEID        → useRow, JSON: when an access key or a role was last used
//	iam I ACCOUNT NAME           → profileRow, JSON: an instance profile
//	iam R ROLEID NAME            → nothing: the instance profiles that a role is in
//	iam w USERID                 → passwordRow, JSON
//	iam W ACCOUNT                → passwordPolicyRow, JSON
//	iam m ACCOUNT PATH/NAME      → mfaRow, JSON: a virtual MFA device
//	iam M OWNER PATH/NAME        → nothing: the enabled devices of a user by ID, of a root by account
//	iam # ACCOUNT QUOTA          → number, JSON: how many things of a kind the account has
//	iam s ACCOUNT                → settingsRow, JSON: what an account has one of
//	iam z ALIAS                  → account: who has an alias
//	iam C ACCOUNT                → reportRow, JSON: the credential report
//	iam t ACCOUNT TASKID         → deletionRow, JSON: the deletion of a role that was linked to a service
//	iam O ACCOUNT URL            → oidcRow, JSON: an OpenID Connect provider
//	iam S ACCOUNT NAME           → samlRow, JSON: a SAML provider
//	iam c ACCOUNT NAME           → certificateRow, JSON: a server certificate
//	iam h USERID KEYID           → sshKeyRow, JSON
//	iam H ACCOUNT FINGERPRINT    → nothing: the SSH keys of an account, which has each once
//	iam e OWNER CERTIFICATEID    → signingRow, JSON: a signing certificate of a user by ID, of a root by account
//	iam d USERID CREDENTIALID    → credentialRow, JSON: a service-specific credential
//	iam L ID SERVICE             → accessRow, JSON: when a user or role last used a service
//	iam j ACCOUNT JOBID          → jobRow, JSON: a report of what was last accessed
//	iam r ACCOUNT                → rootRow, JSON
const (
	tagIdentity  = 'n'
	tagID        = 'x'
	tagKey       = 'k'
	tagOwner     = 'o'
	tagMember    = 'g'
	tagGroupOf   = 'u'
	tagPolicy    = 'p'
	tagVersion   = 'v'
	tagAttached  = 'a'
	tagUsedBy    = 'A'
	tagInline    = 'i'
	tagLastUsed  = 'l'
	tagProfile   = 'I'
	tagProfileOf = 'R'
	tagPassword  = 'w'
	tagPwPolicy  = 'W'
	tagDevice    = 'm'
	tagDeviceOf  = 'M'
	tagCount     = '#'
	tagSettings  = 's'
	tagAlias     = 'z'
	tagReport    = 'C'
	tagDeletion  = 't'
	tagOIDC      = 'O'
	tagSAML      = 'S'
	tagCert      = 'c'
	tagSSHKey    = 'h'
	tagSSHKeyOf  = 'H'
	tagSigning   = 'e'
	tagService   = 'd'
	tagAccess    = 'L'
	tagJob       = 'j'
	tagRoot      = 'r'
	usageAttach  = 'a'
	usageBounded = 'b'
)

func table(tag byte) []byte { return tuple.AppendByte(tuple.AppendString(nil, "iam"), tag) }

func row(tag byte, elements ...string) []byte {
	key := table(tag)
	for _, s := range elements {
		key = tuple.AppendString(key, s)
	}
	return key
}

// parseRow returns the elements of a key that row made.
func parseRow(tag byte, key []byte, elements ...*string) error {
	r := tuple.NewReader(bytes.TrimPrefix(key, table(tag)))
	for _, s := range elements {
		*s = r.String()
	}
	return r.End()
}

func fold(name string) string { return strings.ToLower(name) }

func identityScope(account string, k kind) []byte {
	return tuple.AppendByte(row(tagIdentity, account), byte(k))
}

func identityKey(account string, k kind, name string) []byte {
	return tuple.AppendString(identityScope(account, k), fold(name))
}

func parseIdentityKey(key []byte) (account string, k kind, name string, err error) {
	r := tuple.NewReader(bytes.TrimPrefix(key, table(tagIdentity)))
	account, k, name = r.String(), kind(r.Byte()), r.String()
	return account, k, name, r.End()
}

func idKey(id string) []byte { return row(tagID, id) }

func accessKeyKey(id string) []byte { return row(tagKey, id) }

func ownerScope(owner string) []byte { return row(tagOwner, owner) }

func ownerKey(owner, accessKeyID string) []byte { return row(tagOwner, owner, accessKeyID) }

func parseOwnerKey(key []byte) (owner, accessKeyID string, err error) {
	err = parseRow(tagOwner, key, &owner, &accessKeyID)
	return owner, accessKeyID, err
}

func memberScope(group string) []byte { return row(tagMember, group) }

func memberKey(group, user string) []byte { return row(tagMember, group, user) }

func parseMemberKey(key []byte) (group, user string, err error) {
	err = parseRow(tagMember, key, &group, &user)
	return group, user, err
}

func groupOfScope(user string) []byte { return row(tagGroupOf, user) }

func groupOfKey(user, group string) []byte { return row(tagGroupOf, user, group) }

func parseGroupOfKey(key []byte) (user, group string, err error) {
	err = parseRow(tagGroupOf, key, &user, &group)
	return user, group, err
}

func policyScope(account string) []byte { return row(tagPolicy, account) }

func policyKey(account, name string) []byte { return row(tagPolicy, account, fold(name)) }

func parsePolicyKey(key []byte) (account, name string, err error) {
	err = parseRow(tagPolicy, key, &account, &name)
	return account, name, err
}

func versionScope(policyID string) []byte { return row(tagVersion, policyID) }

func versionKey(policyID string, number uint64) []byte {
	return tuple.AppendUint64(versionScope(policyID), number)
}

func parseVersionKey(key []byte) (policyID string, number uint64, err error) {
	r := tuple.NewReader(bytes.TrimPrefix(key, table(tagVersion)))
	policyID, number = r.String(), r.Uint64()
	return policyID, number, r.End()
}

func attachedScope(id string) []byte { return row(tagAttached, id) }

func attachedKey(id, policyARN string) []byte { return row(tagAttached, id, policyARN) }

func parseAttachedKey(key []byte) (id, policyARN string, err error) {
	err = parseRow(tagAttached, key, &id, &policyARN)
	return id, policyARN, err
}

func usedByScope(account string) []byte { return row(tagUsedBy, account) }

func usedByPolicy(account, policyARN string) []byte { return row(tagUsedBy, account, policyARN) }

func usedByKey(account, policyARN string, usage byte, id string) []byte {
	return tuple.AppendString(tuple.AppendByte(usedByPolicy(account, policyARN), usage), id)
}

func parseUsedByKey(key []byte) (account, policyARN string, usage byte, id string, err error) {
	r := tuple.NewReader(bytes.TrimPrefix(key, table(tagUsedBy)))
	account, policyARN, usage, id = r.String(), r.String(), r.Byte(), r.String()
	return account, policyARN, usage, id, r.End()
}

func inlineScope(id string) []byte { return row(tagInline, id) }

func inlineKey(id, name string) []byte { return row(tagInline, id, fold(name)) }

func parseInlineKey(key []byte) (id, name string, err error) {
	err = parseRow(tagInline, key, &id, &name)
	return id, name, err
}

func lastUsedKey(id string) []byte { return row(tagLastUsed, id) }

func parseLastUsedKey(key []byte) (id string, err error) {
	err = parseRow(tagLastUsed, key, &id)
	return id, err
}

func profileScope(account string) []byte { return row(tagProfile, account) }

func profileKey(account, name string) []byte { return row(tagProfile, account, fold(name)) }

func profileOfScope(role string) []byte { return row(tagProfileOf, role) }

func profileOfKey(role, name string) []byte { return row(tagProfileOf, role, fold(name)) }

func parseProfileOfKey(key []byte) (role, name string, err error) {
	err = parseRow(tagProfileOf, key, &role, &name)
	return role, name, err
}

func passwordKey(user string) []byte { return row(tagPassword, user) }

func passwordPolicyKey(account string) []byte { return row(tagPwPolicy, account) }

func deviceScope(account string) []byte { return row(tagDevice, account) }

func deviceKey(account, name string) []byte { return row(tagDevice, account, name) }

func deviceOfScope(owner string) []byte { return row(tagDeviceOf, owner) }

func deviceOfKey(owner, name string) []byte { return row(tagDeviceOf, owner, name) }

func parseDeviceOfKey(key []byte) (owner, name string, err error) {
	err = parseRow(tagDeviceOf, key, &owner, &name)
	return owner, name, err
}

func countKey(account, quota string) []byte { return row(tagCount, account, quota) }

func settingsKey(account string) []byte { return row(tagSettings, account) }

func aliasKey(alias string) []byte { return row(tagAlias, alias) }

func reportKey(account string) []byte { return row(tagReport, account) }

func deletionScope(account string) []byte { return row(tagDeletion, account) }

func deletionKey(account, task string) []byte { return row(tagDeletion, account, task) }

func oidcScope(account string) []byte { return row(tagOIDC, account) }

func oidcKey(account, url string) []byte { return row(tagOIDC, account, url) }

func samlScope(account string) []byte { return row(tagSAML, account) }

func samlKey(account, name string) []byte { return row(tagSAML, account, name) }

func certificateScope(account string) []byte { return row(tagCert, account) }

func certificateKey(account, name string) []byte { return row(tagCert, account, fold(name)) }

func sshKeyScope(user string) []byte { return row(tagSSHKey, user) }

func sshKeyKey(user, id string) []byte { return row(tagSSHKey, user, id) }

func sshKeyOfKey(account, fingerprint string) []byte { return row(tagSSHKeyOf, account, fingerprint) }

func signingScope(owner string) []byte { return row(tagSigning, owner) }

func signingKey(owner, id string) []byte { return row(tagSigning, owner, id) }

func credentialScope(user string) []byte { return row(tagService, user) }

func credentialKey(user, id string) []byte { return row(tagService, user, id) }

func accessScope(id string) []byte { return row(tagAccess, id) }

func accessKey(id, service string) []byte { return row(tagAccess, id, service) }

func parseAccessKey(key []byte) (id, service string, err error) {
	err = parseRow(tagAccess, key, &id, &service)
	return id, service, err
}

func jobScope(account string) []byte { return row(tagJob, account) }

func jobKey(account, id string) []byte { return row(tagJob, account, id) }
func rootKey(account string) []byte    { return row(tagRoot, account) }

// after is the range of the keys in scope that come after the one whose last element is name.
func after(scope []byte, name string) kv.Range {
	keys := kv.Prefix(scope)
	if name != "" {
		keys.Start = append(tuple.AppendString(bytes.Clone(scope), name), 0)
	}
	return keys
}
