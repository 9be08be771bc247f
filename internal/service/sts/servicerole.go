package sts

import (
	"context"
	"time"

	"brume/internal/call"
	"brume/internal/policy"
)

// A ServiceSession is what a service asks for that wants to act as a role: Lambda with a function's execution role.
type ServiceSession struct {
	// Service is who asks: "lambda.amazonaws.com".
	Service string
	RoleARN string
	// Name is the session's name.
	Name string
	// Duration is how long the session should last; it is cut to what the role allows.
	Duration time.Duration
	// SourceARN and SourceAccount name the resource that the service asks for, for the conditions of the trust policy.
	// The role must be of that account, even if its trust policy does not say so: a service is nobody's deputy elsewhere.
	SourceARN, SourceAccount string
}

// MayAssume says whether the trust policy lets the service assume the role. If not, or if there is no such role, the
// error is an *awserr.Generic with the code AccessDenied.
func (s *Service) MayAssume(ctx context.Context, r ServiceSession) error {
	_, err := s.serviceRole(ctx, r)
	return err
}

// IssueRoleSession issues credentials to a service of this process, if MayAssume has no objection.
func (s *Service) IssueRoleSession(ctx context.Context, r ServiceSession) (*Credentials, error) {
	role, err := s.serviceRole(ctx, r)
	if err != nil {
		return nil, err
	}
	c, _, err := s.issueRole(role, r.Name, min(r.Duration, role.MaxSession), &call.Session{})
	return c, err
}

func (s *Service) serviceRole(ctx context.Context, r ServiceSession) (*policy.Role, error) {
	caller := call.Principal{Type: call.Service, ARN: r.Service}
	role, err := s.identities.Role(ctx, r.RoleARN)
	if err != nil {
		return nil, err
	}
	if role == nil || role.Account != r.SourceAccount {
		return nil, mayNotAssume(&caller, r.RoleARN)
	}
	info := &call.Info{
		Account: role.Account, Principal: caller, Secure: true, Time: time.Now(), Service: "sts", Operation: "AssumeRole",
		SourceARN: r.SourceARN, SourceAccount: r.SourceAccount,
	}
	check := assumeCheck("sts:AssumeRole", role, map[string][]string{"sts:RoleSessionName": {r.Name}})
	return role, policy.Authorize(info, &policy.Policies{}, []policy.Check{check})
}
