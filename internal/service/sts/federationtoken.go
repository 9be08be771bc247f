package sts

import (
	"context"
	"time"

	api "brume/internal/api/sts"
	"brume/internal/call"
)

// federatedUser is the principal that a caller's federation token is for. Only who has long-term credentials may ask.
func federatedUser(caller *call.Principal, name string) (*call.Principal, error) {
	if caller.Session != nil || caller.Type != call.User && caller.Type != call.Account {
		return nil, accessDenied("Cannot call GetFederationToken with session credentials")
	}
	return &call.Principal{
		Type: call.FederatedUser, Account: caller.Account, Name: name, ID: caller.Account + ":" + name,
		ARN:     "arn:aws:sts::" + caller.Account + ":federated-user/" + name,
		Session: &call.Session{Name: name, IssuerID: caller.ID, IssuerARN: caller.ARN},
	}, nil
}

// A federated user may do what both the caller and the session policies may. Without session policies it may do nothing
// but what a resource policy that names it allows.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetFederationToken.html
func (s *Service) GetFederationToken(ctx context.Context, in *api.GetFederationTokenInput) (*api.GetFederationTokenOutput, error) {
	caller := &call.From(ctx).Principal
	p, err := federatedUser(caller, *in.Name)
	if err != nil {
		return nil, err
	}
	if err := tagSession(p.Session, &call.Session{}, in.Tags, nil); err != nil {
		return nil, err
	}
	packed, err := s.restrict(ctx, p.Session, p.Account, in.Policy, in.PolicyArns)
	if err != nil {
		return nil, err
	}
	p.Session.IssuedAt = time.Now()
	p.Session.Expiry = p.Session.IssuedAt.Add(userSessionDuration(caller, in.DurationSeconds))
	credentials, err := s.issue(p)
	if err != nil {
		return nil, err
	}
	return &api.GetFederationTokenOutput{
		Credentials: credentials.out(), PackedPolicySize: packed,
		FederatedUser: &api.FederatedUser{Arn: &p.ARN, FederatedUserId: &p.ID},
	}, nil
}
