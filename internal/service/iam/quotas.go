package iam

// An accountQuota is how many things of a kind an account may have. How many there are is counted as they come and go.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
type accountQuota struct {
	name  string
	limit int
	scope func(account string) []byte // the keys of the things
}

func usersQuota() accountQuota  { return accountQuota{"UsersPerAccount", 5000, kindUser.scope} }
func groupsQuota() accountQuota { return accountQuota{"GroupsPerAccount", 300, kindGroup.scope} }
func rolesQuota() accountQuota  { return accountQuota{"RolesPerAccount", 1000, kindRole.scope} }
func policiesQuota() accountQuota {
	return accountQuota{"PoliciesPerAccount", 1500, policyScope}
}
func profilesQuota() accountQuota {
	return accountQuota{"InstanceProfilesPerAccount", 1000, profileScope}
}
func devicesQuota() accountQuota {
	return accountQuota{"VirtualMFADevicesPerAccount", 5000, deviceScope}
}
func certificatesQuota() accountQuota {
	return accountQuota{"ServerCertificatesPerAccount", 20, certificateScope}
}
func samlQuota() accountQuota { return accountQuota{"SAMLProvidersPerAccount", 100, samlScope} }
func oidcQuota() accountQuota {
	return accountQuota{"OpenIdConnectProvidersPerAccount", 100, oidcScope}
}

func (k kind) scope(account string) []byte { return identityScope(account, k) }

func (k kind) quota() accountQuota {
	switch k {
	case kindUser:
		return usersQuota()
	case kindGroup:
		return groupsQuota()
	}
	return rolesQuota()
}

// quotaCount is how many things of a kind the account has.
func (r reader) quotaCount(q accountQuota) (int, error) {
	n := 0
	ok, err := r.getJSON(countKey(r.account, q.name), &n)
	if err != nil || ok {
		return n, err
	}
	return r.count(q.scope(r.account), 0)
}

// add counts one thing more, which is not written yet, or refuses it.
func (t txn) add(q accountQuota) error {
	n, err := t.quotaCount(q)
	if err != nil {
		return err
	}
	if n >= q.limit {
		return quota(q.name, q.limit)
	}
	return t.setJSON(countKey(t.account, q.name), n+1)
}

// drop counts one thing less, which is not deleted yet.
func (t txn) drop(q accountQuota) error {
	n, err := t.quotaCount(q)
	if err != nil {
		return err
	}
	return t.setJSON(countKey(t.account, q.name), n-1)
}
