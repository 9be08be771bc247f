package policy

import (
	"net/http"

	"brume/internal/awserr"
	"brume/internal/call"
)

// A Check is one thing that a caller must be allowed to do for an operation to go ahead. A service's authz.go maps each
// operation's input to its checks; most operations need one, some several: lambda:CreateFunction also needs iam:PassRole
// on the role that it hands over.
type Check struct {
	// Action is the IAM action, "dynamodb:PutItem". Its case does not matter.
	Action string
	// Resource is the ARN acted on, or "*" where the service authorization reference names no resource type.
	// https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
	Resource string
	// ResourceAccount owns the resource. If empty, it is the account in the ARN, and where the ARN has none, the account
	// that the call acts on.
	ResourceAccount string
	// Context holds the condition keys that belong to this check: the service's own ("dynamodb:LeadingKeys") and the
	// global ones that only the service knows ("aws:RequestTag/team", "aws:ResourceTag/team", "aws:TagKeys"). The case of
	// the keys does not matter. A key given here wins over the global key of the same name; one with no values counts as
	// absent, and of keys that differ in case only, all values count.
	Context map[string][]string
	// More, if not nil, returns further keys of the service's own and tags of the resource, in the form of Context. It is
	// called once at most, and only if a policy asks for such a key: for those that cost something to find. If it fails, the
	// check is not allowed.
	More func() (map[string][]string, error)
	// ResourcePolicy is the policy on the resource itself, nil if it has none: a function's policy, a role's trust policy.
	ResourcePolicy *Document
}

// Policies are those that apply to a principal.
type Policies struct {
	// Identity are the policies of the user and of the groups they are in, or of the role.
	Identity []*Document
	// Boundary is the permissions boundary, nil if there is none.
	Boundary *Document
	// Session are the session policies. Nil means that none was passed; a non-nil empty slice means that
	// none of those passed exists any more, so that they allow nothing.
	Session []*Document
	// Tags are the principal's own tags and those of its session, for aws:PrincipalTag. The case of their keys does not matter.
	Tags map[string]string
}

// Authorize decides all checks for the caller of info, and returns nil if each is allowed. Otherwise it returns an
// AccessDenied (403) that explains the first one that is not, or the error of its More. No checks at all are allowed: for an operation that needs
// no permission. A caller must tell that from an operation without a mapping.
func Authorize(info *call.Info, policies *Policies, checks []Check) error {
	for i := range checks {
		d := Evaluate(info, policies, &checks[i])
		if d.Err != nil {
			return d.Err
		}
		if !d.Allowed {
			denied := d // so that only a denial is on the heap
			return denied.Error(info, policies, &checks[i])
		}
	}
	return nil
}

// Error returns the AccessDenied (403) for a check that was not allowed.
func (d *Decision) Error(info *call.Info, policies *Policies, check *Check) *awserr.Generic {
	return &awserr.Generic{
		Code: "AccessDenied", Message: d.Message(info, check), Status: http.StatusForbidden,
		Explain: func() []byte { return d.Explanation(info, policies, check) },
	}
}
