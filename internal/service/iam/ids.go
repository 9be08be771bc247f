package iam

import (
	"crypto/rand"
	"encoding/base32"
	"strings"

	"brume/internal/call"
)

// The prefixes of unique ids.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-prefixes
const (
	prefixUser   = "AIDA"
	prefixGroup  = "AGPA"
	prefixRole   = "AROA"
	prefixPolicy = "ANPA"
	// prefixProfile is that of instance profiles.
	prefixProfile = "AIPA"

	prefixPublicKey   = "APKA"
	prefixCertificate = "ASCA"
	prefixCredential  = "ACCA"
)

// newID returns a unique id: the prefix and 85 random bits.
func newID(prefix string) string {
	var b [11]byte
	rand.Read(b[:])
	return prefix + base32.StdEncoding.EncodeToString(b[:])[:17]
}

// arn returns an ARN of this service, which knows no regions.
func arn(account, resource string) string { return "arn:aws:iam::" + account + ":" + resource }

// cutARN returns account and resource of an ARN of this service.
func cutARN(s string) (account, resource string, ok bool) {
	rest, ok := strings.CutPrefix(s, "arn:aws:iam::")
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, ":")
}

// lastPart is the name at the end of a resource with a path.
func lastPart(resource string) string { return resource[strings.LastIndexByte(resource, '/')+1:] }

// rootPrincipal is the root of an account.
func rootPrincipal(account, accessKeyID string) call.Principal {
	return call.Principal{Type: call.Account, Account: account, ARN: arn(account, "root"), ID: account, AccessKeyID: accessKeyID}
}
