package policy

import (
	"strings"

	"brume/internal/call"
)

// Message says why a check was not allowed, as AWS words it.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
func (d *Decision) Message(info *call.Info, check *Check) string {
	var b strings.Builder
	b.WriteString("User: ")
	if info.Principal.Type == call.Anonymous {
		b.WriteString("anonymous")
	} else {
		b.WriteString(info.Principal.ARN)
	}
	b.WriteString(" is not authorized to perform: ")
	b.WriteString(check.Action)
	if check.Resource != "" {
		b.WriteString(" on resource: ")
		b.WriteString(check.Resource)
	}
	if d.ExplicitDeny {
		switch b.WriteString(" with an explicit deny in "); d.Source {
		case SourceTrust:
			b.WriteString("the ")
		case SourceIdentity:
			b.WriteString("an ")
		default:
			b.WriteString("a ")
		}
		b.WriteString(d.policyType())
		return b.String()
	}
	b.WriteString(" because no ")
	b.WriteString(d.policyType())
	b.WriteString(" allows the ")
	b.WriteString(check.Action)
	b.WriteString(" action")
	return b.String()
}

// policyType is the kind of policy that a denial comes from, as AWS calls it.
func (d *Decision) policyType() string {
	switch d.Source {
	case SourceBoundary:
		return "permissions boundary"
	case SourceSession:
		return "session policy"
	case SourceResource:
		return "resource-based policy"
	case SourceTrust:
		return "role trust policy"
	}
	return "identity-based policy"
}
