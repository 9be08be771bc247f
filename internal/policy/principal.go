package policy

import (
	"slices"
	"strings"

	"brume/internal/call"
)

func (p *parser) principals(el *elements, s *statement) *MalformedError {
	n := el.principal
	if el.notPrincipal != nil {
		n, s.notPrincipal = el.notPrincipal, true
	}
	switch {
	case p.kind == Identity:
		if n != nil {
			return malformed("Policy document should not specify a principal.")
		}
		return nil
	case s.notPrincipal && !s.deny:
		return malformed("Allow with NotPrincipal is not allowed.")
	case s.notPrincipal && p.kind == Trust:
		return malformed("AssumeRole policy must not contain NotPrincipal field.")
	case n == nil:
		return malformed("Missing required field Principal")
	}
	s.principals = &principals{}
	switch n.kind {
	case nodeString:
		if n.text != "*" {
			return malformed("Invalid principal in policy")
		}
		s.principals.any = true
		s.principals.elements = []PrincipalElement{{Type: "AWS", Value: "*"}}
		return nil
	case nodeObject:
	default:
		return p.syntax()
	}
	for i := range n.members {
		values, ok := n.members[i].value.strings()
		if !ok {
			return p.syntax()
		}
		for _, v := range values {
			el := PrincipalElement{Type: n.members[i].name, Value: v}
			if !s.principals.add(el) || p.kind == Trust && el.Type == "CanonicalUser" {
				return el.Invalid()
			}
		}
	}
	if len(s.principals.elements) == 0 {
		return malformed("Missing required field Principal cannot be empty!")
	}
	return nil
}

// Invalid is the error for an element that names no principal.
func (el PrincipalElement) Invalid() *MalformedError {
	switch el.Type {
	case "AWS", "Service", "Federated", "CanonicalUser":
		// IAM writes the type of a service in capitals here.
		return malformed(`Invalid principal in policy: "%s":"%s"`, strings.Replace(el.Type, "Service", "SERVICE", 1), el.Value)
	}
	return malformed(`Invalid principal in policy: "%s"`, el.Type)
}

// add takes el in and says whether it has a form that can name a principal. A wildcard stands for everybody or for
// itself: it never matches a part of a name.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
func (ps *principals) add(el PrincipalElement) bool {
	switch v := el.Value; el.Type {
	case "AWS":
		switch {
		case v == "*":
			ps.any = true
		case isAccountID(v):
			ps.accounts = append(ps.accounts, v)
		case isUniqueID(v):
			ps.arns = append(ps.arns, boundARN{id: v})
		default:
			arn, ok := splitARN(v)
			if !ok || arn[3] != "" || !isAccountID(arn[4]) || strings.ContainsAny(v, "*?") {
				return false
			}
			kind, name, _ := strings.Cut(arn[5], "/")
			switch {
			case arn[2] == "iam" && arn[5] == "root":
				ps.accounts = append(ps.accounts, arn[4])
			case arn[2] == "iam" && (kind == "user" || kind == "role") && name != "",
				arn[2] == "sts" && kind == "federated-user" && name != "",
				arn[2] == "sts" && kind == "assumed-role" && strings.Contains(strings.Trim(name, "/"), "/"):
				ps.arns = append(ps.arns, boundARN{arn: v})
			default:
				return false
			}
		}
	case "Service":
		if !isServiceName(v) {
			return false
		}
		ps.services = append(ps.services, v)
	case "Federated", "CanonicalUser":
		if v == "" || v == "*" {
			return false
		}
		if el.Type == "Federated" {
			ps.federated = append(ps.federated, v)
		}
	default:
		return false
	}
	ps.elements = append(ps.elements, el)
	return true
}

func isAccountID(s string) bool {
	return len(s) == 12 && strings.Trim(s, "0123456789") == ""
}

// isUniqueID says whether s has the form that IAM shows in place of the ARN of a deleted user or role.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids
func isUniqueID(s string) bool {
	return len(s) >= 16 && len(s) <= 128 && (strings.HasPrefix(s, "AIDA") || strings.HasPrefix(s, "AROA")) &&
		strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == ""
}

func isServiceName(s string) bool {
	name, ok := strings.CutSuffix(s, ".amazonaws.com")
	return ok && name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-.") == ""
}

// A boundARN is the ARN of a user, role or session, and the unique id that it had when the policy was saved, if that is
// known. The id alone names a principal too.
type boundARN struct {
	arn, id string
}

// Bind returns a copy of d in which the ARN of a user or role stands only for the one that has the unique id
// ids[arn], so that nobody inherits what a deleted namesake was allowed. ARNs without an id stay as they are.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html#principal-roles
func (d *Document) Bind(ids map[string]string) *Document {
	out := &Document{kind: d.kind, statements: slices.Clone(d.statements)}
	for i := range out.statements {
		if out.statements[i].principals == nil {
			continue
		}
		ps := *out.statements[i].principals
		ps.arns = slices.Clone(ps.arns)
		for j := range ps.arns {
			if id, ok := ids[ps.arns[j].arn]; ok && ps.arns[j].arn != "" {
				ps.arns[j].id = id
			}
		}
		out.statements[i].principals = &ps
	}
	return out
}

// A grant says how a resource policy names the caller. It decides which other policies can still withhold what the
// resource policy allows.
type grant uint8

const (
	grantNone grant = iota
	// grantAccount names the caller's account, which then has to allow it by an identity policy.
	grantAccount
	// grantRole names the role of a session, or the user behind a federated user. Boundary and session policies still
	// limit it.
	grantRole
	// grantDirect names the user, the session, the service or everybody. Only an explicit deny is stronger.
	grantDirect
)

// grantTo returns the strongest way in which ps names p.
func (ps *principals) grantTo(p *call.Principal) grant {
	if p.Type == call.WebIdentity {
		switch {
		case slices.Contains(ps.federated, p.ARN):
			return grantDirect
		case ps.any:
			return grantAccount // enough for a Deny: who trusts a provider names it
		}
		return grantNone
	}
	if ps.any {
		return grantDirect
	}
	best := grantNone
	switch p.Type {
	case call.Anonymous:
	case call.Service:
		if slices.Contains(ps.services, p.ARN) {
			return grantDirect
		}
	case call.Account:
		if slices.Contains(ps.accounts, p.Account) {
			return grantDirect
		}
	default:
		if slices.Contains(ps.accounts, p.Account) {
			best = grantAccount
		}
		for _, b := range ps.arns {
			switch b.names(p) {
			case grantDirect:
				return grantDirect
			case grantRole:
				best = grantRole
			}
		}
	}
	return best
}

// names says how b stands for p. Where a unique id is known it alone counts, so that a principal can be renamed. The id
// of a session is that of its role, a colon, and the session's name.
func (b *boundARN) names(p *call.Principal) grant {
	// A session has an issuer, whose permissions it has: the role, or the user who asked for a federated one.
	issuerID, issuerARN, isIssued := p.ID, "", false
	if p.Session != nil {
		switch p.Type {
		case call.AssumedRole:
			issuerID, _, _ = strings.Cut(p.ID, ":")
			issuerARN, isIssued = p.Session.RoleARN, true
		case call.FederatedUser:
			issuerID, issuerARN, isIssued = p.Session.IssuerID, p.Session.IssuerARN, true
		}
	}
	switch {
	case b.id == "" && b.arn == p.ARN:
		return grantDirect
	case b.id == "" && isIssued && b.arn == issuerARN, b.id != "" && isIssued && b.id == issuerID:
		return grantRole
	case b.id != "" && b.id == issuerID:
		return grantDirect
	}
	return grantNone
}

// excludes says whether a NotPrincipal element exempts p. For a role session it must name the session and the role, as
// AWS advises to write it: whoever is not named in full is not exempt.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html
func (ps *principals) excludes(p *call.Principal) bool {
	if p.Type != call.AssumedRole {
		return ps.grantTo(p) == grantDirect
	}
	if ps.any {
		return true
	}
	session, role := false, false
	for _, b := range ps.arns {
		g := b.names(p)
		session, role = session || g == grantDirect, role || g == grantRole
	}
	return session && role
}
