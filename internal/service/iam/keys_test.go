package iam

import (
	"bytes"
	"slices"
	"testing"

	"brume/internal/kv"
)

var odd = []string{"a", "", "a\x00b", "\xff\xfe", "a/b", "ü", "arn:aws:iam::aws:policy/X"}

// Every key comes apart into what it was made of.
func TestKeysRoundTrip(t *testing.T) {
	for _, a := range odd {
		for _, b := range odd {
			pairs := map[string]func() (string, string, error){
				"owner":    func() (string, string, error) { return parseOwnerKey(ownerKey(a, b)) },
				"member":   func() (string, string, error) { return parseMemberKey(memberKey(a, b)) },
				"groupOf":  func() (string, string, error) { return parseGroupOfKey(groupOfKey(a, b)) },
				"attached": func() (string, string, error) { return parseAttachedKey(attachedKey(a, b)) },
				"access":   func() (string, string, error) { return parseAccessKey(accessKey(a, b)) },
				"deviceOf": func() (string, string, error) { return parseDeviceOfKey(deviceOfKey(a, b)) },
			}
			for name, parse := range pairs {
				if x, y, err := parse(); err != nil || x != a || y != b {
					t.Errorf("%s %q %q: %q %q %v", name, a, b, x, y, err)
				}
			}
			for _, k := range []kind{kindUser, kindGroup, kindRole} {
				if x, kk, y, err := parseIdentityKey(identityKey(a, k, b)); err != nil || x != a || kk != k || y != fold(b) {
					t.Errorf("identity %q %v %q: %q %v %q %v", a, k, b, x, kk, y, err)
				}
			}
			if x, y, err := parseProfileOfKey(profileOfKey(a, b)); err != nil || x != a || y != fold(b) {
				t.Errorf("profileOf %q %q: %q %q %v", a, b, x, y, err)
			}
			if x, y, err := parsePolicyKey(policyKey(a, b)); err != nil || x != a || y != fold(b) {
				t.Errorf("policy %q %q: %q %q %v", a, b, x, y, err)
			}
			if x, y, err := parseInlineKey(inlineKey(a, b)); err != nil || x != a || y != fold(b) {
				t.Errorf("inline %q %q: %q %q %v", a, b, x, y, err)
			}
			for _, n := range []uint64{0, 1, 1 << 40} {
				if x, m, err := parseVersionKey(versionKey(a, n)); err != nil || x != a || m != n {
					t.Errorf("version %q %d: %q %d %v", a, n, x, m, err)
				}
			}
			for _, usage := range []byte{usageAttach, usageBounded} {
				if x, y, u, z, err := parseUsedByKey(usedByKey(a, b, usage, a)); err != nil || x != a || y != b || u != usage || z != a {
					t.Errorf("usedBy %q %q: %q %q %c %q %v", a, b, x, y, u, z, err)
				}
			}
		}
		if x, err := parseLastUsedKey(lastUsedKey(a)); err != nil || x != a {
			t.Errorf("lastUsed %q: %q %v", a, x, err)
		}
	}
}

// No key of one table lies in the scope of another one, or of another owner.
func TestScopesAreApart(t *testing.T) {
	scopes := [][]byte{
		identityScope("1", kindUser), identityScope("1", kindRole), identityScope("12", kindUser), ownerScope("1"), ownerScope("12"), memberScope("1"),
		groupOfScope("1"), policyScope("1"), versionScope("1"), attachedScope("1"), usedByScope("1"), usedByPolicy("2", "p"), usedByPolicy("2", "pq"), inlineScope("1"),
		idKey("1"), accessKeyKey("1"), lastUsedKey("1"),
		profileScope("1"), profileOfScope("1"), passwordKey("1"), passwordPolicyKey("1"), deviceScope("1"), deviceOfScope("1"),
		countKey("1", "q"), settingsKey("1"), aliasKey("1"), reportKey("1"), deletionScope("1"), oidcScope("1"), samlScope("1"),
		certificateScope("1"), sshKeyScope("1"), sshKeyOfKey("1", "f"), signingScope("1"), credentialScope("1"), accessScope("1"), jobScope("1"),
		rootKey("1"),
	}
	for i, a := range scopes {
		for j, b := range scopes {
			if i != j && bytes.HasPrefix(b, a) {
				t.Errorf("scope %d holds scope %d", i, j)
			}
		}
	}
}

func TestAfter(t *testing.T) {
	scope := ownerScope("1")
	inside := func(r kv.Range, key []byte) bool {
		return bytes.Compare(key, r.Start) >= 0 && bytes.Compare(key, r.End) < 0
	}
	keys := []string{"a", "aa", "b"}
	for i := range keys {
		var got []string
		for _, k := range keys {
			if inside(after(scope, keys[i]), ownerKey("1", k)) {
				got = append(got, k)
			}
		}
		if !slices.Equal(got, keys[i+1:]) {
			t.Errorf("after %s: %v", keys[i], got)
		}
	}
	if !inside(after(scope, ""), ownerKey("1", "a")) {
		t.Error("the first key is left out")
	}
}
