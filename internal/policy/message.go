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
		b.WriteString(" with an explicit deny in ")
		switch d.Source {
		case SourceBoundary:
			b.WriteString("a permissions boundary")
		case SourceSession:
			b.WriteString("a session policy")
		case SourceResource:
			b.WriteString("a resource-based policy")
		case SourceTrust:
			b.WriteString("the role trust policy")
		default:
			b.WriteString("an identity-based policy")
		}
		return b.String()
	}
	b.WriteString(" because no ")
	switch d.Source {
	case SourceBoundary:
		b.WriteString("permissions boundary")
	case SourceSession:
		b.WriteString("session policy")
	case SourceResource:
		b.WriteString("resource-based policy")
	case SourceTrust:
		b.WriteString("role trust policy")
	default:
		b.WriteString("identity-based policy")
	}
	b.WriteString(" allows the ")
	b.WriteString(check.Action)
	b.WriteString(" action")
	return b.String()
}
