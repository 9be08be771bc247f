package policy

import "slices"

// Kind is what a policy is attached to. It decides which elements a statement must and must not have.
type Kind uint8

const (
	// Identity is a policy of a user, group or role, a permissions boundary, or a session policy.
	Identity Kind = iota
	// Trust is the policy that says who may assume a role. What it does not allow, no other policy can.
	Trust
	// Resource is any other policy on a resource: of a function, a queue, an API.
	Resource
)

// A Document is a compiled policy. It never changes.
type Document struct {
	kind       Kind
	statements []statement
}

type statement struct {
	sid          string
	deny         bool
	principals   *principals // nil in an identity policy
	notPrincipal bool
	actions      []pattern // lower-cased
	notAction    bool
	// service is what all actions begin with, "dynamodb:"; empty if they name several or a pattern of services, or if they
	// are what the statement does not speak of. Most statements are not about the service in question.
	service     string
	resources   []arnPattern // empty in a trust policy: the role itself
	notResource bool
	conditions  []condition
}

// A PrincipalElement is one value of a Principal or NotPrincipal element.
type PrincipalElement struct {
	// Type is "AWS", "Service", "Federated" or "CanonicalUser".
	Type string
	// Value is as it stands in the document.
	Value string
}

// principals is a compiled Principal element.
type principals struct {
	any      bool       // "*"
	accounts []string   // by their 12-digit ids
	arns     []boundARN // of users, roles and sessions
	services []string
	// federated are identity providers, by ARN or by the name of one that AWS knows.
	federated []string
	elements  []PrincipalElement
}

// Kind is the kind that the document was parsed as.
func (d *Document) Kind() Kind { return d.kind }

// Principals returns the values of all Principal and NotPrincipal elements, without duplicates, in the document's order.
func (d *Document) Principals() []PrincipalElement {
	var out []PrincipalElement
	for i := range d.statements {
		if p := d.statements[i].principals; p != nil {
			for _, el := range p.elements {
				if !slices.Contains(out, el) {
					out = append(out, el)
				}
			}
		}
	}
	return out
}
