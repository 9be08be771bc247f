package policy

import (
	"strings"
	"unicode/utf8"

	"brume/internal/call"
)

// A Match is a statement that takes part in a decision: the document, and the statement's number in it, from 0.
type Match struct {
	Document  *Document
	Statement int
}

// A Verdict is what a policy, or several together, say of a check, in the words of IAM's simulator.
type Verdict string

const (
	Allowed      Verdict = "allowed"
	ExplicitDeny Verdict = "explicitDeny"
	ImplicitDeny Verdict = "implicitDeny"
)

// A Simulation is a decision with all that led to it.
type Simulation struct {
	Decision Decision
	// Matches are the statements that decided: those that deny if any does, else those that allow; none if nothing does.
	Matches []Match
	// Identity, Boundary and Resource are what the policies of each kind say by themselves.
	Identity, Boundary, Resource Verdict
}

// Verdict is the decision as the simulator names it.
func (d *Decision) Verdict() Verdict {
	switch {
	case d.Allowed:
		return Allowed
	case d.ExplicitDeny:
		return ExplicitDeny
	}
	return ImplicitDeny
}

func (e effect) verdict() Verdict {
	switch e {
	case effectAllow:
		return Allowed
	case effectDeny:
		return ExplicitDeny
	}
	return ImplicitDeny
}

// Simulate decides as Evaluate does, and says which statements made the decision.
func Simulate(info *call.Info, policies *Policies, check *Check) Simulation {
	e := newEvaluation(info, policies, check)
	s := Simulation{
		Decision: Evaluate(info, policies, check), Boundary: Allowed, Resource: ImplicitDeny,
		Identity: e.identityEffect(policies.Identity).effect.verdict(),
	}
	documents := policies.Identity
	if policies.Boundary != nil {
		s.Boundary = e.documentEffect(policies.Boundary).effect.verdict()
		if s.Decision.ExplicitDeny {
			documents = append(documents[:len(documents):len(documents)], policies.Boundary)
		}
	}
	if check.ResourcePolicy != nil {
		s.Resource = e.resourceEffect(check.ResourcePolicy).effect.verdict()
	}
	if !s.Decision.Allowed && !s.Decision.ExplicitDeny {
		return s
	}
	for _, d := range documents {
		for i := range d.statements {
			if st := &d.statements[i]; st.deny == s.Decision.ExplicitDeny && st.applies(e) {
				s.Matches = append(s.Matches, Match{d, i})
			}
		}
	}
	if d := check.ResourcePolicy; d != nil {
		for i := range d.statements {
			if st := &d.statements[i]; st.deny == s.Decision.ExplicitDeny && st.names(&info.Principal) && st.applies(e) {
				s.Matches = append(s.Matches, Match{d, i})
			}
		}
	}
	return s
}

// names says whether a statement of a resource policy speaks of a principal.
func (s *statement) names(p *call.Principal) bool {
	switch {
	case s.principals == nil:
		return false
	case s.notPrincipal:
		return !s.principals.excludes(p)
	}
	return s.principals.grantTo(p) != grantNone
}

// Provided says whether a check has a value for a condition key.
func Provided(info *call.Info, policies *Policies, check *Check, key string) bool {
	var buf [1]string
	return len(newEvaluation(info, policies, check).lookup(strings.ToLower(key), &buf)) > 0
}

// Grants says whether a document has a statement that allows an action of a service, by its prefix in actions. What
// resources and conditions say does not count.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_last-accessed.html
func (d *Document) Grants(service string) bool {
	for i := range d.statements {
		s := &d.statements[i]
		if s.deny {
			continue
		}
		if s.notAction {
			// All is allowed but what is named: the service, unless all of it is named.
			if !s.namesAll(service) {
				return true
			}
			continue
		}
		for j := range s.actions {
			if s.actions[j].mayName(service) {
				return true
			}
		}
	}
	return false
}

// namesAll says whether the actions of a statement hold all of a service's.
func (s *statement) namesAll(service string) bool {
	for i := range s.actions {
		if a := &s.actions[i]; a.shape == shapeAll || a.shape == shapePrefix && a.text == service+":" {
			return true
		}
	}
	return false
}

// mayName says whether an action's pattern can match an action of a service. A vendor is "*" or has no wildcards.
func (p *pattern) mayName(service string) bool {
	text := p.text
	switch p.shape {
	case shapeAll:
		return true
	case shapeGlob:
		if p.elems[0].kind != elemText {
			return true
		}
		text = p.elems[0].text
	}
	return strings.HasPrefix(text, service+":")
}

// A Position is a place in a text: line and column, as IAM counts them.
type Position struct{ Line, Column int32 }

// A Span is where a statement stands.
type Span struct{ Start, End Position }

// Spans returns where the statements of a document stand, in their order; none if it is malformed. As IAM does, it counts
// from 1, and gives the places behind the opening and behind the closing brace.
func Spans(document string) []Span {
	statements := statementNodes(document)
	spans := make([]Span, len(statements))
	for i := range statements {
		spans[i] = Span{positionOf(document, statements[i].start+1), positionOf(document, statements[i].end)}
	}
	return spans
}

func positionOf(text string, offset int) Position {
	before := text[:offset]
	line := before[strings.LastIndexByte(before, '\n')+1:]
	return Position{int32(strings.Count(before, "\n") + 1), int32(utf8.RuneCountInString(line) + 1)}
}

func statementNodes(document string) []node {
	root, err := readJSON(document)
	if err != nil {
		return nil
	}
	for i := range root.members {
		if root.members[i].name != "Statement" {
			continue
		}
		switch v := root.members[i].value; v.kind {
		case nodeObject:
			return []node{v}
		case nodeArray:
			return v.items
		}
	}
	return nil
}

// ContextKeys returns the condition keys that a document asks for, in conditions and in variables, as it writes them and
// each once. The document must be one that Parse takes.
func ContextKeys(document string) []string {
	var keys []string
	seen := map[string]bool{}
	add := func(key string) {
		if folded := strings.ToLower(key); !seen[folded] {
			seen[folded] = true
			keys = append(keys, key)
		}
	}
	variables := strings.Contains(document, `"2012-10-17"`)
	for _, s := range statementNodes(document) {
		for _, m := range s.members {
			if m.name == "Condition" {
				for _, operator := range m.value.members {
					for _, key := range operator.value.members {
						add(key.name)
					}
				}
			}
			if variables && (m.name == "Condition" || m.name == "Resource" || m.name == "NotResource") {
				m.value.eachString(func(text string) {
					for {
						_, after, found := strings.Cut(text, "${")
						if !found {
							return
						}
						end := strings.IndexAny(after, ",'}")
						if end < 0 {
							return
						}
						if name := strings.TrimSpace(after[:end]); validVariableName(name) {
							add(name)
						}
						text = after[end:]
					}
				})
			}
		}
	}
	return keys
}

// eachString calls fn for every string in n.
func (n *node) eachString(fn func(string)) {
	if n.kind == nodeString {
		fn(n.text)
	}
	for i := range n.items {
		n.items[i].eachString(fn)
	}
	for i := range n.members {
		n.members[i].value.eachString(fn)
	}
}

// Comparable says whether a value of a condition key is of a type: string, numeric, boolean, ip, binary or date.
func Comparable(kind, value string) bool {
	ok := true
	switch kind {
	case "numeric":
		_, ok = parseDecimal(value)
	case "boolean":
		_, ok = parseBool(value)
	case "ip":
		_, ok = parsePrefix(value)
	case "binary":
		_, ok = parseBinary(value)
	case "date":
		_, ok = parseDate(value)
	}
	return ok
}
