package sts

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	api "brume/internal/api/sts"
	"brume/internal/awserr"
	"brume/internal/call"
	"brume/internal/policy"
)

const (
	defaultRoleSession = time.Hour
	// maxChainedSession is the longest session of a role that is assumed by a session of a role.
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles.html#iam-term-role-chaining
	maxChainedSession = time.Hour
)

// http403 is the status of a refusal; services do not know package net/http.
const http403 = 403

func accessDenied(format string, args ...any) error {
	return awserr.New("AccessDenied", format, args...).WithStatus(http403)
}

// validation is the error that STS, unlike other services, calls ValidationError.
func validation(format string, args ...any) error {
	return awserr.New("ValidationError", format, args...)
}

// checkARN refuses what is no ARN, such as a role's name, in AWS's words:
// https://github.com/crossplane-contrib/provider-aws/issues/517
func checkARN(roleARN string) error {
	if !strings.HasPrefix(roleARN, "arn:") || strings.Count(roleARN, ":") < 5 {
		return validation("Request ARN is invalid")
	}
	return nil
}

// mayNotAssume says of a role that does not exist what is said of one that may not be assumed.
func mayNotAssume(p *call.Principal, roleARN string) error {
	return accessDenied("User: %s is not authorized to perform: sts:AssumeRole on resource: %s", p.ARN, roleARN)
}

// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
func (s *Service) AssumeRole(ctx context.Context, in *api.AssumeRoleInput) (*api.AssumeRoleOutput, error) {
	caller := &call.From(ctx).Principal
	role, err := s.assumable(ctx, caller, *in.RoleArn)
	if err == nil && role == nil {
		err = mayNotAssume(caller, *in.RoleArn)
	}
	if err != nil {
		return nil, err
	}
	// The session itself counts as one without MFA: the trust policy alone sees the code.
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_mfa_configure-api-require.html
	if _, err := s.checkMFA(ctx, caller, in.SerialNumber, in.TokenCode, true); err != nil {
		return nil, err
	}
	duration, err := roleSessionDuration(caller, role, in.DurationSeconds)
	if err != nil {
		return nil, err
	}
	session := &call.Session{SourceIdentity: inherited(caller).SourceIdentity}
	if in.SourceIdentity != nil {
		if session.SourceIdentity != "" && session.SourceIdentity != *in.SourceIdentity {
			return nil, accessDenied("User: %s is not authorized to change the source identity of its session", caller.ARN)
		}
		session.SourceIdentity = *in.SourceIdentity
	}
	if err := tagSession(session, inherited(caller), in.Tags, in.TransitiveTagKeys); err != nil {
		return nil, err
	}
	packed, err := s.restrict(ctx, session, role.Account, in.Policy, in.PolicyArns)
	if err != nil {
		return nil, err
	}
	credentials, principal, err := s.issueRole(role, *in.RoleSessionName, duration, session)
	if err != nil {
		return nil, err
	}
	out := &api.AssumeRoleOutput{
		Credentials: credentials.out(), PackedPolicySize: packed,
		AssumedRoleUser: &api.AssumedRoleUser{Arn: &principal.ARN, AssumedRoleId: &principal.ID},
	}
	if session.SourceIdentity != "" {
		out.SourceIdentity = &session.SourceIdentity
	}
	return out, nil
}

func (c *Credentials) out() *api.Credentials {
	return &api.Credentials{
		AccessKeyId: &c.AccessKeyID, SecretAccessKey: &c.SecretAccessKey, SessionToken: &c.SessionToken, Expiration: &c.Expiry,
	}
}

// assumable returns the role that the caller wants to assume, nil if there is none.
func (s *Service) assumable(ctx context.Context, caller *call.Principal, roleARN string) (*policy.Role, error) {
	switch caller.Type {
	case call.Account:
		return nil, accessDenied("Roles may not be assumed by root accounts.")
	case call.FederatedUser:
		// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_request.html#api_getfederationtoken
		return nil, mayNotAssume(caller, roleARN)
	}
	return s.identities.Role(ctx, roleARN)
}

func roleSessionDuration(caller *call.Principal, role *policy.Role, seconds *int32) (time.Duration, error) {
	if seconds == nil {
		return min(defaultRoleSession, role.MaxSession), nil
	}
	d := time.Duration(*seconds) * time.Second
	switch {
	case caller.Type == call.AssumedRole && d > maxChainedSession:
		return 0, validation("The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.")
	case d > role.MaxSession:
		return 0, validation("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	}
	return d, nil
}

// issueRole issues a session of a role. It sets what session does not say of itself yet.
func (s *Service) issueRole(role *policy.Role, name string, d time.Duration, session *call.Session) (*Credentials, *call.Principal, error) {
	session.RoleARN, session.Name = role.ARN, name
	session.IssuedAt = time.Now()
	session.Expiry = session.IssuedAt.Add(d)
	p := &call.Principal{
		Type: call.AssumedRole, Account: role.Account, Name: role.Name, ID: role.ID + ":" + name, Session: session,
		ARN: fmt.Sprintf("arn:aws:sts::%s:assumed-role/%s/%s", role.Account, role.Name, name),
	}
	c, err := s.issue(p)
	return c, p, err
}

// inherited is what the session of a role that caller assumes gets from caller's own: transitive tags and the source
// identity. It is empty for a caller without a session.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html#id_session-tags_role-chaining
func inherited(caller *call.Principal) *call.Session {
	out := &call.Session{}
	if caller.Session == nil {
		return out
	}
	out.SourceIdentity = caller.Session.SourceIdentity
	for _, key := range caller.Session.TransitiveTags {
		if out.Tags == nil {
			out.Tags = map[string]string{}
		}
		out.Tags[key] = caller.Session.Tags[key]
	}
	out.TransitiveTags = slices.Clone(caller.Session.TransitiveTags)
	return out
}

// tagSession gives a session its tags: those that it inherits, and the ones passed, whose keys differ by more than case.
func tagSession(session, from *call.Session, tags []api.Tag, transitive []string) error {
	session.Tags, session.TransitiveTags = from.Tags, from.TransitiveTags
	passed := map[string]string{} // the keys as they were written, by the folded ones
	for _, t := range tags {
		key := strings.ToLower(*t.Key)
		switch {
		case passed[key] != "":
			return awserr.New("InvalidParameterValue", "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		case strings.HasPrefix(key, "aws:"):
			return awserr.New("InvalidParameterValue", "Tag keys beginning with aws: are reserved for system use.")
		case slices.ContainsFunc(from.TransitiveTags, func(k string) bool { return strings.EqualFold(k, key) }):
			return awserr.New("InvalidParameterValue", "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.")
		}
		passed[key] = *t.Key
		if session.Tags == nil {
			session.Tags = map[string]string{}
		}
		session.Tags[*t.Key] = *t.Value
	}
	for _, key := range transitive {
		written := passed[strings.ToLower(key)]
		if written == "" {
			return awserr.New("InvalidParameterValue", "The specified transitive tag key must be included in the requested tags.")
		}
		if !slices.Contains(session.TransitiveTags, written) {
			session.TransitiveTags = append(session.TransitiveTags, written)
		}
	}
	return nil
}
