package policy

import (
	"strings"

	"brume/internal/call"
)

// Source is the kind of policy that a decision comes from.
type Source uint8

const (
	// SourceNone is the source of a decision that no policy made: the root of an account may do everything in it.
	SourceNone Source = iota
	SourceIdentity
	SourceBoundary
	SourceSession
	SourceResource
	SourceTrust
)

// A Decision is the answer to one Check.
type Decision struct {
	Allowed bool
	// ExplicitDeny says that a Deny statement applies; otherwise a refusal means that no statement allows.
	ExplicitDeny bool
	// Source is the kind of policy that allows, that denies, or that would have had to allow.
	Source Source
	// Document is the policy whose statement decided, and Sid that statement's Sid. Document is nil for an implicit deny.
	Document *Document
	Sid      string
	// Err is that of the check's More; nothing is allowed then.
	Err error
}

// Evaluate decides whether the caller of info may do what check says. An explicit deny in any policy wins. Then, within
// one account, a resource policy that names the caller is enough, and an identity policy is enough unless the resource
// policy is a trust policy; boundary and session policies must allow what identity policies allow. Across accounts both
// sides must allow. Services and anonymous callers have only what a resource policy gives them. The root of an account is
// allowed everything there that no resource or session policy denies.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
func Evaluate(info *call.Info, policies *Policies, check *Check) Decision {
	var e evaluation
	e.prepare(info, policies, check)
	d := e.decide()
	if e.err != nil {
		return Decision{Err: e.err}
	}
	return d
}

func (e *evaluation) decide() Decision {
	info, policies, check := e.info, e.policies, e.check

	// Explicit denies first, and on the way what is allowed.
	identity := e.identityEffect(policies.Identity)
	if identity.effect == effectDeny {
		return identity.denied(SourceIdentity)
	}
	var resource resourceOutcome
	resourceSource := SourceResource
	if check.ResourcePolicy != nil {
		if check.ResourcePolicy.kind == Trust {
			resourceSource = SourceTrust
		}
		if resource = e.resourceEffect(check.ResourcePolicy); resource.effect == effectDeny {
			return resource.denied(resourceSource)
		}
	}
	boundary := outcome{effect: effectAllow}
	if policies.Boundary != nil {
		if boundary = e.documentEffect(policies.Boundary); boundary.effect == effectDeny {
			return boundary.denied(SourceBoundary)
		}
	}
	session := outcome{effect: effectAllow}
	if policies.Session != nil {
		if session = e.identityEffect(policies.Session); session.effect == effectDeny {
			return session.denied(SourceSession)
		}
	}

	principal := &info.Principal
	sameAccount := principal.Account == e.resourceAccount()
	switch principal.Type {
	case call.Anonymous, call.Service, call.WebIdentity:
		if resource.grant == grantDirect {
			return resource.allowed(resourceSource)
		}
		return Decision{Source: resourceSource}
	case call.Account, call.User, call.AssumedRole, call.FederatedUser:
	default:
		return Decision{Source: SourceIdentity} // no such principal
	}

	if sameAccount && resource.grant == grantDirect {
		return resource.allowed(resourceSource)
	}
	if resource.grant == grantNone && (!sameAccount || resourceSource == SourceTrust) {
		return Decision{Source: resourceSource}
	}
	isRoot := principal.Type == call.Account || principal.Type == call.FederatedUser && principal.Session != nil &&
		principal.Session.IssuerID == principal.Account
	switch {
	case sameAccount && resource.grant == grantRole:
		identity = resource.outcome
	case isRoot:
		identity = outcome{effect: effectAllow}
	}
	switch {
	case identity.effect != effectAllow:
		return Decision{Source: SourceIdentity}
	case boundary.effect != effectAllow:
		return Decision{Source: SourceBoundary}
	case session.effect != effectAllow:
		return Decision{Source: SourceSession}
	case identity.document == nil:
		return Decision{Allowed: true}
	case identity.document == resource.document:
		return identity.allowed(resourceSource)
	}
	return identity.allowed(SourceIdentity)
}

type effect uint8

const (
	effectNone effect = iota
	effectAllow
	effectDeny
)

// An outcome is what a policy, or several together, say of a check, and the statement that says so.
type outcome struct {
	effect   effect
	document *Document
	sid      string
}

func (o *outcome) denied(source Source) Decision {
	return Decision{ExplicitDeny: true, Source: source, Document: o.document, Sid: o.sid}
}

func (o *outcome) allowed(source Source) Decision {
	return Decision{Allowed: true, Source: source, Document: o.document, Sid: o.sid}
}

type resourceOutcome struct {
	outcome
	grant grant
}

// An evaluation is one check with what its statements are compared with, prepared once.
type evaluation struct {
	info     *call.Info
	policies *Policies
	check    *Check
	action   string // lower-cased
	arn      arnParts
	isARN    bool
	// more is what check.More has returned.
	asked bool
	more  map[string][]string
	err   error
	// given are the first keys of check.Context, if there are but few: a map takes longer to go through.
	given [6]contextKey
	count int
}

type contextKey struct {
	name   string
	values []string
}

func newEvaluation(info *call.Info, policies *Policies, check *Check) *evaluation {
	e := new(evaluation)
	e.prepare(info, policies, check)
	return e
}

// prepare is newEvaluation for one that lives on the stack.
func (e *evaluation) prepare(info *call.Info, policies *Policies, check *Check) {
	e.info, e.policies, e.check, e.action = info, policies, check, strings.ToLower(check.Action)
	e.arn, e.isARN = splitARN(check.Resource)
	if len(check.Context) <= len(e.given) {
		for name, values := range check.Context {
			e.given[e.count] = contextKey{name, values}
			e.count++
		}
	}
}

func (e *evaluation) resourceAccount() string {
	switch {
	case e.check.ResourceAccount != "":
		return e.check.ResourceAccount
	case e.isARN && isAccountID(e.arn[4]):
		return e.arn[4]
	}
	return e.info.Account
}

func (e *evaluation) identityEffect(documents []*Document) outcome {
	var out outcome
	for _, d := range documents {
		switch o := e.documentEffect(d); {
		case o.effect == effectDeny:
			return o
		case out.effect == effectNone:
			out = o
		}
	}
	return out
}

func (e *evaluation) documentEffect(d *Document) outcome {
	var out outcome
	for i := range d.statements {
		s := &d.statements[i]
		if !s.deny && out.effect == effectAllow || !s.applies(e) {
			continue
		}
		if s.deny {
			return outcome{effect: effectDeny, document: d, sid: s.sid}
		}
		out = outcome{effect: effectAllow, document: d, sid: s.sid}
	}
	return out
}

func (e *evaluation) resourceEffect(d *Document) resourceOutcome {
	var out resourceOutcome
	for i := range d.statements {
		s := &d.statements[i]
		if s.principals == nil {
			continue
		}
		var g grant
		if s.notPrincipal {
			// A Deny exempts nobody who has a permissions boundary.
			// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html
			if s.deny && e.policies.Boundary != nil || !s.principals.excludes(&e.info.Principal) {
				g = grantDirect
			}
		} else {
			g = s.principals.grantTo(&e.info.Principal)
		}
		// A Deny applies to whomever it names in any way.
		if g == grantNone || !s.deny && g <= out.grant || !s.applies(e) {
			continue
		}
		if s.deny {
			return resourceOutcome{outcome: outcome{effect: effectDeny, document: d, sid: s.sid}}
		}
		out = resourceOutcome{outcome: outcome{effect: effectAllow, document: d, sid: s.sid}, grant: g}
	}
	return out
}

// applies says whether the statement speaks of the action and the resource and its conditions hold.
func (s *statement) applies(e *evaluation) bool {
	if !strings.HasPrefix(e.action, s.service) || s.matchesAction(e) == s.notAction || !s.matchesResource(e) {
		return false
	}
	for i := range s.conditions {
		if !s.conditions[i].holds(e, s.deny) {
			return false
		}
	}
	return true
}

// commonService is what all of the patterns of actions begin with up to their colon, if that has no wildcard.
func commonService(actions []pattern) string {
	service := ""
	for i := range actions {
		text := actions[i].text
		if elems := actions[i].elems; len(elems) > 0 && elems[0].kind == elemText {
			text = elems[0].text
		}
		colon := strings.IndexByte(text, ':')
		if colon < 0 || i > 0 && text[:colon+1] != service {
			return ""
		}
		service = text[:colon+1]
	}
	return service
}

func (s *statement) matchesAction(e *evaluation) bool {
	for i := range s.actions {
		if matched, _ := s.actions[i].match(e, e.action); matched {
			return true
		}
	}
	return false
}

// matchesResource says whether the Resource or NotResource element covers the resource. A NotResource with a variable
// that cannot be resolved may have meant this very resource: then it does not allow, but it does deny.
func (s *statement) matchesResource(e *evaluation) bool {
	if len(s.resources) == 0 {
		return true
	}
	understood := true
	for i := range s.resources {
		matched, resolved := s.resources[i].match(e, e.check.Resource, &e.arn, e.isARN)
		if matched {
			return !s.notResource
		}
		understood = understood && resolved
	}
	return s.notResource && (understood || s.deny)
}
