package policy

import (
	"fmt"
	"strings"
)

// A stage is a step of IAM's validation. Whatever the order of the statements, what fails at an earlier stage is told first.
type stage int

const (
	stageSyntax stage = iota
	stageVersion
	stageLegacy
	stagePrincipal
	stageSid
	stageActions   // that there are any
	stageResources // that there are any
	stageFormat    // of resources
	stageVendor    // of actions
	stages
)

// Validate checks an identity policy that is about to be saved, and words what is wrong as IAM does and in its order.
// isManaged says that it is a policy of its own, which must have the language version 2012-10-17. What Validate lets
// through, Parse may still refuse.
func Validate(document string, isManaged bool) error {
	v := &validator{}
	v.document(document, isManaged)
	for _, message := range v.found {
		if message != "" {
			return &MalformedError{Message: message}
		}
	}
	_, err := Parse(document, Identity)
	return err
}

// A validator keeps the first message of each stage.
type validator struct {
	found [stages]string
	sids  map[string]bool
}

func (v *validator) fail(s stage, format string, args ...any) {
	if v.found[s] == "" {
		v.found[s] = fmt.Sprintf(format, args...)
	}
}

func (v *validator) syntax() { v.fail(stageSyntax, "Syntax errors in policy.") }

func (v *validator) legacy() { v.fail(stageLegacy, "The policy failed legacy parsing") }

func (v *validator) document(document string, isManaged bool) {
	root, err := readJSON(document)
	if err != nil || root.kind != nodeObject {
		v.syntax()
		return
	}
	v.sids = map[string]bool{}
	current := false
	var statements []node
	for i := range root.members {
		switch m := &root.members[i]; m.name {
		case "Version":
			current = m.value.text == "2012-10-17"
			if m.value.kind != nodeString || !current && m.value.text != "2008-10-17" {
				v.syntax()
			}
		case "Id":
			if m.value.kind != nodeString {
				v.syntax()
			}
		case "Statement":
			if statements = m.value.items; m.value.kind == nodeObject {
				statements = []node{m.value}
			}
		default:
			v.syntax()
		}
	}
	if len(statements) == 0 {
		v.syntax()
	}
	if isManaged && !current {
		v.fail(stageVersion, "Policy document must be version 2012-10-17 or greater.")
	}
	for i := range statements {
		v.statement(&statements[i])
	}
}

func (v *validator) statement(n *node) {
	if n.kind != nodeObject {
		v.syntax()
		return
	}
	elements := map[string]*node{}
	for i := range n.members {
		elements[n.members[i].name] = &n.members[i].value
	}
	for name := range elements {
		switch name {
		case "Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition":
		case "Principal", "NotPrincipal":
			v.fail(stagePrincipal, "Policy document should not specify a principal.")
		default:
			v.syntax()
		}
	}
	effect := elements["Effect"]
	switch {
	case effect == nil || effect.kind != nodeString || !strings.EqualFold(effect.text, "Allow") && !strings.EqualFold(effect.text, "Deny"):
		v.syntax()
	case effect.text != "Allow" && effect.text != "Deny":
		v.legacy()
	}
	v.sid(elements["Sid"])
	if actions := v.list(elements, "Action"); len(actions) == 0 {
		v.fail(stageActions, "Policy statement must contain actions.")
	} else {
		p := parser{kind: Identity}
		for _, action := range actions {
			if err := p.checkAction(action); err != nil {
				v.fail(stageVendor, "%s", err.Message)
			}
		}
	}
	resources := v.list(elements, "Resource")
	if len(resources) == 0 {
		v.fail(stageResources, "Policy statement must contain resources.")
	}
	for _, resource := range resources {
		v.resource(resource)
	}
	if c := elements["Condition"]; c != nil {
		v.condition(c)
	}
}

// list returns the strings of an element or of its negation, of which there may be one.
func (v *validator) list(elements map[string]*node, name string) []string {
	n, not := elements[name], elements["Not"+name]
	if n != nil && not != nil {
		v.syntax()
	}
	if n == nil {
		n = not
	}
	if n == nil {
		return nil
	}
	list, ok := n.strings()
	if !ok {
		v.syntax()
	}
	return list
}

func (v *validator) sid(n *node) {
	if n == nil {
		return
	}
	if n.kind != nodeString {
		v.syntax()
		return
	}
	if strings.Trim(n.text, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") != "" {
		v.fail(stageSid, "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*")
	}
	if n.text != "" && v.sids[n.text] {
		v.fail(stageSid, "Statement IDs (SID) in a single policy must be unique.")
	}
	v.sids[n.text] = true
}

// iamResources are the beginnings of what IAM calls its resources.
const iamResources = "user/, federated-user/, role/, group/, instance-profile/, mfa/, server-certificate/, policy/, sms-mfa/, saml-provider/, oidc-provider/, report/, access-report/"

func (v *validator) resource(resource string) {
	if resource == "*" {
		return
	}
	prefix, rest, found := strings.Cut(resource, ":")
	if !found {
		v.fail(stageFormat, `Resource %s must be in ARN format or "*".`, resource)
		return
	}
	partition, rest, hasService := strings.Cut(rest, ":")
	switch partition {
	case "aws", "aws-cn", "aws-us-gov", "*":
	default:
		// What is missing shows as a star.
		parts := append(strings.SplitN(rest, ":", 4), "*", "*", "*", "*")
		if rest == "" {
			parts[0] = "*"
		}
		v.fail(stageFormat, `Partition "%s" is not valid for resource "arn:%s:%s".`, partition, partition, strings.Join(parts[:4], ":"))
		return
	}
	if prefix != "arn" {
		v.fail(stageFormat, `Resource %s must be in ARN format or "*".`, resource)
		return
	}
	service, rest, _ := strings.Cut(rest, ":")
	if !hasService || strings.ContainsAny(service, "*?$") {
		v.fail(stageFormat, "Resource vendor must be fully qualified and cannot contain regexes.")
		return
	}
	region, rest, hasAccount := strings.Cut(rest, ":")
	account, path, hasPath := strings.Cut(rest, ":")
	if service == "" {
		v.legacy()
		return
	}
	switch service {
	case "s3":
		if hasAccount && !hasPath {
			v.legacy()
		} else if region != "" && hasPath && account == "" {
			v.fail(stageFormat, "Resource %s can not contain region information.", resource)
		}
	case "iam":
		switch {
		case hasAccount && !hasPath:
			v.legacy()
		case region != "":
			v.fail(stageFormat, "IAM resource %s cannot contain region information.", resource)
		case hasPath && path != "*" && path != "root" && !startsAsIAM(path):
			v.fail(stageFormat, `IAM resource path must either be "*" or start with %s.`, iamResources)
		}
	}
}

func startsAsIAM(path string) bool {
	for start := range strings.SplitSeq(iamResources, ", ") {
		if strings.HasPrefix(path, start) {
			return true
		}
	}
	return false
}

func (v *validator) condition(n *node) {
	if n.kind != nodeObject {
		v.syntax()
		return
	}
	for i := range n.members {
		operator := &n.members[i]
		if operator.value.kind != nodeObject {
			v.syntax()
			continue
		}
		name := strings.TrimPrefix(strings.TrimPrefix(operator.name, "ForAllValues:"), "ForAnyValue:")
		form, known := operatorNamed(strings.TrimSuffix(name, "IfExists"))
		for j := range operator.value.members {
			values, ok := operator.value.members[j].value.scalars()
			if !ok || !known {
				v.syntax()
				continue
			}
			for _, text := range values {
				if !form.takes(text) {
					v.legacy()
				}
			}
		}
	}
}

// takes says whether text has the form of the operator's values.
func (f operatorForm) takes(text string) bool {
	ok := true
	switch f.operator {
	case opNumeric:
		_, ok = parseDecimal(text)
	case opDate:
		_, ok = parseDate(text)
	case opBool, opNull:
		_, ok = parseBool(text)
	case opBinary:
		_, ok = parseBinary(text)
	case opIP:
		_, ok = parsePrefix(text)
	}
	return ok
}
