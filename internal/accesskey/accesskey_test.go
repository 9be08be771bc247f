package accesskey

import (
	"regexp"
	"testing"
)

func TestIDs(t *testing.T) {
	form := regexp.MustCompile(`^(AKIA|ASIA)[A-Z2-7]{16}$`)
	seen := map[string]bool{}
	for _, account := range []string{"000000000000", "123456789012", "999999999999"} {
		for _, prefix := range []string{LongTerm, Temporary} {
			for range 1000 {
				id := NewID(prefix, account)
				if got, ok := Account(id); !form.MatchString(id) || seen[id] || !ok || got != account {
					t.Fatalf("%s of %s: %s %v", id, account, got, ok)
				}
				seen[id] = true
			}
		}
	}
	for _, bad := range []string{
		"", "test", "AKIA", "AKIAIOSFODNN7EXAMPL", "AKIAIOSFODNN7EXAMPLE1", "AKIAQAAAAAAAAAAAAAA1", "AIDAQAAAAAAAAAAAAAAA",
		"AKIAAAAAAAAAAAAAAAAA", "AKIA7777777777777777", "123456789012",
	} {
		if account, ok := Account(bad); ok {
			t.Errorf("%q is of %s", bad, account)
		}
	}
}

func TestNewSecret(t *testing.T) {
	form := regexp.MustCompile(`^[A-Za-z0-9+/]{40}$`)
	if a, b := NewSecret(), NewSecret(); a == b || !form.MatchString(a) {
		t.Error(a, b)
	}
}

func FuzzAccount(f *testing.F) {
	f.Add("AKIAIOSFODNN7EXAMPLE")
	f.Add(NewID(Temporary, "123456789012"))
	f.Fuzz(func(t *testing.T, id string) {
		if account, ok := Account(id); ok && len(account) != 12 {
			t.Fatalf("%q of %q", id, account)
		}
	})
}
