package sts

import (
	"context"
	"time"

	"brume/internal/accesskey"
	api "brume/internal/api/sts"
	"brume/internal/call"
)

const (
	defaultUserSession = 12 * time.Hour
	// maxRootSession is the longest session of the root of an account; longer ones are cut.
	maxRootSession = time.Hour
)

// userSessionDuration is how long temporary credentials of a user or a root last.
func userSessionDuration(p *call.Principal, seconds *int32) time.Duration {
	d := defaultUserSession
	if seconds != nil {
		d = time.Duration(*seconds) * time.Second
	}
	if p.Type == call.Account {
		d = min(d, maxRootSession)
	}
	return d
}

// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html
func (s *Service) GetSessionToken(ctx context.Context, in *api.GetSessionTokenInput) (*api.GetSessionTokenOutput, error) {
	p := call.From(ctx).Principal
	if p.Session != nil || p.Type != call.User && p.Type != call.Account {
		return nil, accessDenied("Cannot call GetSessionToken with session credentials")
	}
	mfa, err := s.checkMFA(ctx, &p, in.SerialNumber, in.TokenCode, true)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	p.Session = &call.Session{IssuedAt: now, Expiry: now.Add(userSessionDuration(&p, in.DurationSeconds)), MFA: mfa}
	credentials, err := s.issue(&p)
	if err != nil {
		return nil, err
	}
	return &api.GetSessionTokenOutput{Credentials: credentials.out()}, nil
}

// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetAccessKeyInfo.html
func (s *Service) GetAccessKeyInfo(_ context.Context, in *api.GetAccessKeyInfoInput) (*api.GetAccessKeyInfoOutput, error) {
	account, ok := accesskey.Account(*in.AccessKeyId)
	if !ok {
		return nil, validation("%s is not a valid access key ID", *in.AccessKeyId)
	}
	return &api.GetAccessKeyInfoOutput{Account: &account}, nil
}
