package sts

import (
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"maps"
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
	// maxPacked is how much room session policy and tags have in a token when they are packed, in bytes.
	maxPacked = 2048
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

// mayNotAssume says of a role that does not exist what is said of one that may not be assumed.
func mayNotAssume(p *call.Principal, roleARN string) error {
	return accessDenied("User: %s is not authorized to perform: sts:AssumeRole on resource: %s", p.ARN, roleARN)
}

// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
func (s *Service) AssumeRole(ctx context.Context, in *api.AssumeRoleInput) (*api.AssumeRoleOutput, error) {
	caller := &call.From(ctx).Principal
	role, err := s.assumable(ctx, caller, *in.RoleArn)
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
	session := &call.Session{}
	if caller.Session != nil {
		session.SourceIdentity = caller.Session.SourceIdentity
	}
	if in.SourceIdentity != nil {
		if session.SourceIdentity != "" && session.SourceIdentity != *in.SourceIdentity {
			return nil, accessDenied("User: %s is not authorized to change the source identity of its session", caller.ARN)
		}
		session.SourceIdentity = *in.SourceIdentity
	}
	if in.Policy != nil {
		if _, err := policy.Parse(*in.Policy, policy.Identity); err != nil {
			var m *policy.MalformedError
			if errors.As(err, &m) {
				return nil, &api.MalformedPolicyDocumentException{Message: &m.Message}
			}
			return nil, err
		}
		session.Policy = *in.Policy
	}
	if session.Tags, err = sessionTags(in.Tags); err != nil {
		return nil, err
	}
	out := &api.AssumeRoleOutput{}
	if out.PackedPolicySize, err = packedSize(session); err != nil {
		return nil, err
	}
	credentials, principal, err := s.issueRole(role, *in.RoleSessionName, duration, session)
	if err != nil {
		return nil, err
	}
	out.Credentials = credentials.out()
	out.AssumedRoleUser = &api.AssumedRoleUser{Arn: &principal.ARN, AssumedRoleId: &principal.ID}
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

// assumable returns the role that the caller wants to assume.
func (s *Service) assumable(ctx context.Context, caller *call.Principal, roleARN string) (*policy.Role, error) {
	if caller.Type == call.Account {
		return nil, accessDenied("Roles may not be assumed by root accounts.")
	}
	role, err := s.identities.Role(ctx, roleARN)
	if err == nil && role == nil {
		err = mayNotAssume(caller, roleARN)
	}
	return role, err
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

// sessionTags checks the tags of a session, whose keys differ by more than case.
func sessionTags(tags []api.Tag) (map[string]string, error) {
	if len(tags) == 0 {
		return nil, nil
	}
	out, seen := map[string]string{}, map[string]bool{}
	for _, t := range tags {
		key := strings.ToLower(*t.Key)
		switch {
		case seen[key]:
			return nil, awserr.New("InvalidParameterValue", "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		case strings.HasPrefix(key, "aws:"):
			return nil, awserr.New("InvalidParameterValue", "Tag keys beginning with aws: are reserved for system use.")
		}
		seen[key] = true
		out[*t.Key] = *t.Value
	}
	return out, nil
}

// packedSize returns which part of the room in a token session policy and tags take, in percent; nil if there are none.
func packedSize(session *call.Session) (*int32, error) {
	if session.Policy == "" && len(session.Tags) == 0 {
		return nil, nil
	}
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.BestCompression)
	if err != nil {
		return nil, err
	}
	text := session.Policy
	for _, key := range slices.Sorted(maps.Keys(session.Tags)) {
		text += "\n" + key + "\n" + session.Tags[key]
	}
	// Writing to a buffer does not fail.
	_, err = w.Write([]byte(text))
	if err := errors.Join(err, w.Close()); err != nil {
		return nil, err
	}
	percent := int32((packed.Len()*100 + maxPacked - 1) / maxPacked)
	if percent > 100 {
		return nil, &api.PackedPolicyTooLargeException{Message: new(fmt.Sprintf("Packed size of session tags consumes %d%% of allotted space.", percent))}
	}
	return &percent, nil
}
