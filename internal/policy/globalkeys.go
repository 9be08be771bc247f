package policy

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"brume/internal/call"
)

// lookup returns the values of a condition key, given in lower case; none if it is absent. buf holds a single value.
func (e *evaluation) lookup(key string, buf *[1]string) []string {
	if found, given := e.ofCheck(key); given {
		return found
	}
	name, isGlobal := strings.CutPrefix(key, "aws:")
	if !isGlobal || strings.HasPrefix(name, "resourcetag/") {
		if e.check.More != nil && !e.asked {
			e.asked = true
			e.more, e.err = e.check.More()
		}
		if found, given := find(e.more, key); given {
			return found
		}
		if session := e.info.Principal.Session; session != nil && !isGlobal {
			return session.Keys[key]
		}
		return nil
	}
	if tag, ok := strings.CutPrefix(name, "principaltag/"); ok {
		for k, v := range e.policies.Tags {
			if strings.EqualFold(k, tag) {
				buf[0] = v
				return buf[:]
			}
		}
		return nil
	}
	if strings.HasPrefix(name, "calledvia") {
		return e.calledVia(name, buf)
	}
	value, ok := e.globalKey(name)
	if !ok {
		return nil
	}
	buf[0] = value
	return buf[:]
}

// ofCheck finds a key among those that come with the check.
func (e *evaluation) ofCheck(key string) (found []string, given bool) {
	if e.count == 0 {
		return find(e.check.Context, key)
	}
	for i := range e.count {
		if !strings.EqualFold(e.given[i].name, key) {
			continue
		}
		if given {
			return find(e.check.Context, key) // which knows what to do with two
		}
		found, given = e.given[i].values, true
	}
	return found, given
}

func find(context map[string][]string, key string) (found []string, given bool) {
	for name, values := range context {
		if !strings.EqualFold(name, key) {
			continue
		}
		// Two tags may differ in case only. Then the key has both values.
		if given {
			values = slices.Concat(found, values)
		}
		found, given = values, true
	}
	return found, given
}

// calledVia answers aws:CalledVia, aws:CalledViaFirst and aws:CalledViaLast. A chain of services is one long here.
func (e *evaluation) calledVia(name string, buf *[1]string) []string {
	switch name {
	case "calledvia", "calledviafirst", "calledvialast":
		if via := e.info.ViaService; via != "" {
			buf[0] = via
			return buf[:]
		}
	}
	return nil
}

// globalKey returns the value of a global condition key with a single value, named without its "aws:", and false if
// the request does not have it. It is the one place that fills the global keys from a call.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
func (e *evaluation) globalKey(name string) (string, bool) {
	info := e.info
	p := &info.Principal
	isService := p.Type == call.Service
	// A WebIdentity is nobody in AWS until it has a role.
	isNobody := p.Type == call.Anonymous || p.Type == call.WebIdentity || isService
	switch name {
	// Properties of the principal.
	case "principalarn":
		if p.Session != nil && p.Session.RoleARN != "" {
			return p.Session.RoleARN, true
		}
		return p.ARN, !isNobody
	case "principalaccount":
		return p.Account, p.Account != "" && !isNobody
	case "principaltype":
		return string(p.Type), !isService && p.Type != call.WebIdentity
	case "userid":
		if p.Type == call.Anonymous {
			return "anonymous", true
		}
		return p.ID, p.ID != "" && !isNobody
	case "username":
		return p.Name, p.Type == call.User
	case "principalisawsservice":
		return strconv.FormatBool(isService), true
	case "principalservicename", "principalservicenameslist":
		return p.ARN, isService

	// Properties of the session.
	case "tokenissuetime":
		if p.Session != nil {
			return formatTime(p.Session.IssuedAt), true
		}
	case "multifactorauthpresent":
		if p.Session != nil {
			return strconv.FormatBool(p.Session.MFA), true
		}
	case "multifactorauthage":
		if p.Session != nil && p.Session.MFA {
			return strconv.FormatInt(int64(info.Time.Sub(p.Session.IssuedAt)/time.Second), 10), true
		}
	case "federatedprovider":
		if p.Session != nil {
			return p.Session.FederatedProvider, p.Session.FederatedProvider != ""
		}
		return p.ARN, p.Type == call.WebIdentity
	case "sourceidentity":
		if p.Session != nil {
			return p.Session.SourceIdentity, p.Session.SourceIdentity != ""
		}

	// Properties of the network.
	case "sourceip":
		return info.SourceIP.Unmap().String(), info.SourceIP.IsValid() && info.ViaService == "" && !isService
	case "securetransport":
		return strconv.FormatBool(info.Secure), true

	// Properties of the resource.
	case "resourceaccount":
		return e.resourceAccount(), true

	// Properties of the request.
	case "currenttime":
		return formatTime(info.Time), true
	case "epochtime":
		return strconv.FormatInt(info.Time.Unix(), 10), true
	case "requestedregion":
		return info.Region, info.Region != ""
	case "referer":
		return info.Referer, info.Referer != ""
	case "useragent":
		return info.UserAgent, info.UserAgent != ""
	case "viaawsservice":
		return strconv.FormatBool(info.ViaService != ""), true
	case "sourcearn":
		return info.SourceARN, info.SourceARN != ""
	case "sourceaccount":
		return info.SourceAccount, info.SourceAccount != ""
	}
	return "", false
}

func formatTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }
