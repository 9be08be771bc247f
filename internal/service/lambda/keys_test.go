package lambda

import (
	"bytes"
	"testing"
)

func TestKeysRoundTrip(t *testing.T) {
	sc := scope{"123456789012", "eu-central-1"}
	const odd = "a\x00b\xff"
	if got, name, err := parseFunctionKey(functionKey(sc, odd)); got != sc || name != odd || err != nil {
		t.Error(got, name, err)
	}
	if got, name, n, err := parseVersionKey(versionKey(sc, odd, 1<<40)); got != sc || name != odd || n != 1<<40 || err != nil {
		t.Error(got, name, n, err)
	}
	if got, name, alias, err := parseAliasKey(aliasKey(sc, odd, "prod")); got != sc || name != odd || alias != "prod" || err != nil {
		t.Error(got, name, alias, err)
	}
	if got, name, q, err := parsePolicyKey(policyKey(sc, odd, "")); got != sc || name != odd || q != "" || err != nil {
		t.Error(got, name, q, err)
	}
	if got, err := parseReservedKey(reservedKey(sc)); got != sc || err != nil {
		t.Error(got, err)
	}
	if b, got, name, n, err := parseCodeKey(codeKey("ab12-3-cd", sc, odd, 7)); b != "ab12-3-cd" || got != sc || name != odd || n != 7 || err != nil {
		t.Error(b, got, name, n, err)
	}
	l := layerRef{sc, "lib", 7}
	if got, err := parseLayerKey(layerKey(l)); got != l || err != nil {
		t.Error(got, err)
	}
	r := ref{sc, "f", "prod"}
	for what, got := range map[string]func() (ref, error){
		"url":         func() (ref, error) { return parseURLKey(urlKey(r)) },
		"event":       func() (ref, error) { return parseEventConfigKey(eventConfigKey(r)) },
		"provisioned": func() (ref, error) { return parseRefKey(tagProvisioned, provisionedKey(r)) },
		"runtime":     func() (ref, error) { return parseRefKey(tagRuntime, runtimeKey(r)) },
	} {
		if got, err := got(); got != r || err != nil {
			t.Error(what, got, err)
		}
	}
	m := mappingRef{sc, "1-2"}
	if got, err := parseMappingKey(mappingKey(m)); got != m || err != nil {
		t.Error(got, err)
	}
	c := signingRef{sc, "csc-1"}
	if got, err := parseSigningKey(signingKey(c)); got != c || err != nil {
		t.Error(got, err)
	}
	k := meterKey{sc, "2026-01-31", "f", "arm64"}
	if got, err := parseMeterRowKey(meterRowKey(k)); got != k || err != nil {
		t.Error(got, err)
	}
	if _, _, err := parseFunctionKey(versionKey(sc, "f", 1)); err == nil {
		t.Error("the key of a version passes for that of a function")
	}
	for _, pair := range [][2][]byte{
		{versionsPrefix(sc, "f"), versionKey(sc, "f2", 1)}, {aliasesPrefix(sc, "f"), aliasKey(sc, "f2", "a")},
		{policiesPrefix(sc, "f"), policyKey(sc, "f2", "")}, {urlsPrefix(sc, "f"), urlKey(ref{sc, "f2", ""})},
		{layerVersionsPrefix(layerRef{sc, "f", 0}), layerKey(layerRef{sc, "f2", 1})}, {checkpointsPrefix("1"), checkpointKey("12", "s")}, {codePrefix("ab12"), codeKey("ab12-3-cd", sc, "f", 0)},
	} {
		if bytes.HasPrefix(pair[1], pair[0]) {
			t.Errorf("%q begins %q", pair[0], pair[1])
		}
	}
	if !bytes.HasPrefix(codeKey("ab12-3-cd", sc, "f", 0), codeDigestPrefix("ab12")) {
		t.Error("the digest does not begin the key of code")
	}
	if bytes.Compare(versionKey(sc, "f", 9), versionKey(sc, "f", 10)) >= 0 {
		t.Error("versions are not in the order of their numbers")
	}
}
