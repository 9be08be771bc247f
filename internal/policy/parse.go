package policy

import (
	"fmt"
	"strings"
)

// A MalformedError says what is wrong with a document, in the words of AWS's MalformedPolicyDocument.
type MalformedError struct {
	Message string
}

func (e *MalformedError) Error() string { return "policy: malformed document: " + e.Message }

func malformed(format string, args ...any) *MalformedError {
	return &MalformedError{Message: fmt.Sprintf(format, args...)}
}

// Parse reads and compiles a policy of the given kind. The error is a *MalformedError.
//
// It takes the whole language: versions 2008-10-17 and 2012-10-17 (a document without a version is of 2008-10-17, which
// has no variables), one statement or an array of them, one value or an array of them wherever the grammar has a list.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
func Parse(document string, kind Kind) (*Document, error) {
	p := parser{kind: kind}
	doc, err := p.document(document)
	if err != nil {
		return nil, err
	}
	return doc, nil
}

type parser struct {
	kind      Kind
	variables bool // the language version has them
}

func (p *parser) syntax() *MalformedError {
	if p.kind == Trust {
		return malformed("Syntax error in policy.")
	}
	return malformed("Syntax errors in policy.")
}

// legacy is what IAM says of a value that has the right JSON type and the wrong form.
func (p *parser) legacy() *MalformedError { return malformed("The policy failed legacy parsing") }

func (p *parser) document(document string) (*Document, *MalformedError) {
	root, err := readJSON(document)
	if err != nil {
		if p.kind == Trust {
			return nil, malformed("This policy contains invalid Json")
		}
		return nil, p.syntax()
	}
	if root.kind != nodeObject {
		return nil, p.syntax()
	}
	var statements []node
	for i := range root.members {
		switch m := &root.members[i]; m.name {
		case "Version":
			switch {
			case m.value.kind == nodeString && m.value.text == "2012-10-17":
				p.variables = true
			case m.value.kind == nodeString && m.value.text == "2008-10-17":
			case p.kind == Trust:
				return nil, malformed("The policy must contain a valid version string")
			default:
				return nil, p.syntax()
			}
		case "Id":
			if m.value.kind != nodeString {
				return nil, p.syntax()
			}
		case "Statement":
			switch m.value.kind {
			case nodeObject:
				statements = []node{m.value}
			case nodeArray:
				statements = m.value.items
			default:
				return nil, p.syntax()
			}
		default:
			return nil, p.syntax()
		}
	}
	if len(statements) == 0 {
		if p.kind == Trust {
			return nil, malformed("Could not parse the policy: Statement is empty!")
		}
		return nil, p.syntax()
	}
	doc := &Document{kind: p.kind, statements: make([]statement, len(statements))}
	sids := make(map[string]bool)
	for i := range statements {
		s := &doc.statements[i]
		if err := p.statement(&statements[i], s); err != nil {
			return nil, err
		}
		if s.sid != "" && sids[s.sid] {
			if p.kind == Trust {
				return nil, malformed("The Statement Ids in the policy are not unique")
			}
			return nil, malformed("Statement IDs (SID) in a single policy must be unique.")
		}
		sids[s.sid] = true
	}
	return doc, nil
}

// elements are the raw elements of a statement.
type elements struct {
	sid, effect, principal, notPrincipal, action, notAction, resource, notResource, condition *node
}

func (p *parser) statement(n *node, s *statement) *MalformedError {
	if n.kind != nodeObject {
		return p.syntax()
	}
	var el elements
	fields := map[string]**node{
		"Sid": &el.sid, "Effect": &el.effect, "Principal": &el.principal, "NotPrincipal": &el.notPrincipal,
		"Action": &el.action, "NotAction": &el.notAction, "Resource": &el.resource, "NotResource": &el.notResource,
		"Condition": &el.condition,
	}
	for i := range n.members {
		field := fields[n.members[i].name]
		if field == nil {
			return p.syntax()
		}
		*field = &n.members[i].value
	}
	if el.principal != nil && el.notPrincipal != nil || el.action != nil && el.notAction != nil ||
		el.resource != nil && el.notResource != nil {
		return p.syntax()
	}
	if err := p.sid(el.sid, s); err != nil {
		return err
	}
	if err := p.effect(el.effect, s); err != nil {
		return err
	}
	if err := p.principals(&el, s); err != nil {
		return err
	}
	if err := p.actions(&el, s); err != nil {
		return err
	}
	if err := p.resources(&el, s); err != nil {
		return err
	}
	return p.conditions(el.condition, s)
}

func (p *parser) sid(n *node, s *statement) *MalformedError {
	if n == nil {
		return nil
	}
	if n.kind != nodeString {
		return p.syntax()
	}
	if p.kind != Resource {
		for _, r := range n.text {
			if !('0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z') {
				return malformed("Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*")
			}
		}
	}
	s.sid = n.text
	return nil
}

func (p *parser) effect(n *node, s *statement) *MalformedError {
	switch {
	case n == nil && p.kind == Trust:
		return malformed("Missing required field Effect")
	case n == nil || n.kind != nodeString:
		return p.syntax()
	case n.text == "Allow":
	case n.text == "Deny":
		s.deny = true
	case p.kind == Trust:
		return malformed("Invalid effect: %s", n.text)
	default:
		return p.syntax()
	}
	return nil
}

func (p *parser) actions(el *elements, s *statement) *MalformedError {
	n := el.action
	if el.notAction != nil {
		n, s.notAction = el.notAction, true
	}
	var list []string
	if n != nil {
		var ok bool
		if list, ok = n.strings(); !ok {
			return p.syntax()
		}
	}
	if len(list) == 0 {
		if p.kind == Trust {
			return malformed("Missing required field Action")
		}
		return malformed("Policy statement must contain actions.")
	}
	s.actions = make([]pattern, len(list))
	for i, action := range list {
		if err := p.checkAction(action); err != nil {
			return err
		}
		// An action never holds a variable.
		s.actions[i], _ = compilePattern(strings.ToLower(action), dialect{wildcards: true})
	}
	if !s.notAction {
		s.service = commonService(s.actions)
	}
	return nil
}

func (p *parser) checkAction(action string) *MalformedError {
	vendor, name, found := strings.Cut(action, ":")
	switch {
	case p.kind == Trust:
		if !found || !strings.EqualFold(vendor, "sts") || name == "" {
			return malformed("AssumeRole policy may only specify STS AssumeRole actions.")
		}
	case action == "*":
	case !found:
		return malformed("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
	case strings.Contains(name, ":"):
		return malformed("Actions/Condition can contain only one colon.")
	case vendor != "*" && !validVendor(vendor):
		return malformed("Vendor %s is not valid", vendor)
	case name == "":
		return p.legacy()
	}
	return nil
}

func validVendor(s string) bool {
	for _, r := range s {
		if !('0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z' || r == '-' || r == '.') {
			return false
		}
	}
	return s != ""
}

func (p *parser) resources(el *elements, s *statement) *MalformedError {
	n := el.resource
	if el.notResource != nil {
		n, s.notResource = el.notResource, true
	}
	if p.kind == Trust {
		switch {
		case s.notResource:
			return malformed("AssumeRole policy must not contain resources.")
		case n != nil:
			return malformed("Has prohibited field Resource")
		}
		return nil
	}
	var list []string
	if n != nil {
		var ok bool
		if list, ok = n.strings(); !ok {
			return p.syntax()
		}
	}
	if len(list) == 0 {
		return malformed("Policy statement must contain resources.")
	}
	s.resources = make([]arnPattern, len(list))
	for i, resource := range list {
		if p.kind == Identity {
			if err := p.checkResource(resource); err != nil {
				return err
			}
		}
		var ok bool
		if s.resources[i], ok = compileARN(resource, dialect{wildcards: true, variables: p.variables}, true); !ok {
			return p.syntax()
		}
	}
	return nil
}

// checkResource checks the form that identity policies ask for: "*", or an ARN whose service is spelled out.
func (p *parser) checkResource(resource string) *MalformedError {
	if resource == "*" {
		return nil
	}
	rest, isARN := strings.CutPrefix(resource, "arn:")
	if !isARN {
		return malformed(`Resource %s must be in ARN format or "*".`, resource)
	}
	partition, rest, _ := strings.Cut(rest, ":")
	switch partition {
	case "aws", "aws-cn", "aws-us-gov", "*":
	default:
		part := func(i int) string {
			if parts := strings.SplitN(rest, ":", 4); i < len(parts) && rest != "" {
				return parts[i]
			}
			return "*"
		}
		return malformed(`Partition "%s" is not valid for resource "arn:%s:%s:%s:%s:%s".`,
			partition, partition, part(0), part(1), part(2), part(3))
	}
	service, rest, found := strings.Cut(rest, ":")
	if !found || strings.ContainsAny(service, "*?$") {
		return malformed("Resource vendor must be fully qualified and cannot contain regexes.")
	}
	if service == "" {
		return p.legacy()
	}
	if service == "iam" && !strings.HasPrefix(rest, ":") {
		return malformed("IAM resource %s cannot contain region information.", resource)
	}
	return nil
}
