// Package call says, through a context, who makes a call, for which account and region, and from where. The wire layer
// puts an Info there after it has verified the signature; a service that calls another one puts its own.
package call

import (
	"context"
	"net/netip"
	"time"
)

// PrincipalType is the kind of a principal, in the words of aws:PrincipalType.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html#principaltable
type PrincipalType string

const (
	Anonymous     PrincipalType = "Anonymous"
	Account       PrincipalType = "Account" // the root of an account
	User          PrincipalType = "User"
	AssumedRole   PrincipalType = "AssumedRole"
	FederatedUser PrincipalType = "FederatedUser"
	Service       PrincipalType = "Service" // lambda.amazonaws.com and its like; only ever set in process
	// WebIdentity is who an identity provider vouches for, while asking for a role.
	WebIdentity PrincipalType = "WebIdentityUser"
)

// A Principal is who a call is made by.
type Principal struct {
	Type PrincipalType
	// Account is the 12-digit id of the principal's own account.
	Account string
	// ARN is "arn:aws:iam::…:root", "…:user/path/name", "arn:aws:sts::…:assumed-role/role/session" or
	// "arn:aws:sts::…:federated-user/name". For a Service it is the service's name, "apigateway.amazonaws.com", and for a
	// WebIdentity its provider.
	ARN string
	// ID is the unique id: the account id, "AIDA…", "AROA…:session", or "ACCOUNT:name" of a federated user.
	ID string
	// Name is the user's or the role's name; empty for a root.
	Name string
	// AccessKeyID is the key the call was signed with.
	AccessKeyID string
	// Session is set for temporary credentials.
	Session *Session
}

// A Session is what temporary credentials carry besides the principal.
type Session struct {
	RoleARN string // of an assumed role: the role itself
	// Name is the role session's name.
	Name string
	// Policy is the JSON of the session policy passed inline, empty if there is none. PolicyARNs are the managed policies
	// passed as session policies.
	Policy           string
	PolicyARNs       []string
	IssuedAt, Expiry time.Time
	MFA              bool
	SourceIdentity   string
	Tags             map[string]string
	// TransitiveTags are the keys of those Tags that the sessions of roles assumed with this one inherit.
	TransitiveTags []string
	// IssuerID and IssuerARN are, of a federated user, the unique id and the ARN of the user whose permissions it has; the
	// id of a root is that of its account.
	IssuerID, IssuerARN string
	// FederatedProvider names the identity provider that vouched for who assumed the role: an ARN, or "accounts.google.com".
	FederatedProvider string
	// Keys are the condition keys that the identity provider gave, "example.com:sub", in lower case.
	Keys map[string][]string
}

// Info describes one call.
type Info struct {
	RequestID string
	// Account and Region say whose state is acted on.
	Account, Region string
	Principal       Principal
	SourceIP        netip.Addr
	UserAgent       string
	Referer         string
	// TraceID is the caller's X-Amzn-Trace-Id, whatever that is; empty if there is none.
	TraceID string
	// Secure says that the call came over TLS or from inside the process.
	Secure bool
	// Time is when the call arrived.
	Time time.Time
	// Service and Operation are the model's names: "dynamodb", "PutItem".
	Service, Operation string
	// ViaService is the service that calls in a principal's name, "lambda.amazonaws.com"; empty for calls from outside.
	ViaService string
	// SourceARN and SourceAccount name the resource in whose name a service principal calls.
	SourceARN, SourceAccount string
}

type key struct{}

// With returns a context that carries info, which must not be changed afterwards.
func With(ctx context.Context, info *Info) context.Context {
	return context.WithValue(ctx, key{}, info)
}

// From returns the Info of ctx. It panics where there is none: an operation without a caller is a programming error that
// must never pass as an anonymous or a privileged call.
func From(ctx context.Context) *Info {
	info, ok := ctx.Value(key{}).(*Info)
	if !ok {
		panic("call: context carries no caller")
	}
	return info
}
