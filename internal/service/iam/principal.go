package iam

import (
	"context"
	"maps"
	"strings"

	"brume/internal/call"
	"brume/internal/kv"
	"brume/internal/policy"
)

// A longTermKey is what the verification of a signature needs to know of an access key.
type longTermKey struct {
	secret    string
	principal call.Principal
	status    string
}

// AccessKey returns the secret of a long-term access key and who it belongs to. status is "Active" or "Inactive", and
// empty if there is no such key.
func (s *Service) AccessKey(ctx context.Context, id string) (secret string, p call.Principal, status string, err error) {
	if k, ok := s.keys.remembered(id); ok {
		return k.secret, k.principal, k.status, nil
	}
	// The id is a part of a request's headers, which the cache must not keep.
	k, ok, err := s.keys.get(strings.Clone(id), func() (*longTermKey, bool, error) { return s.loadKey(ctx, id) })
	if err != nil || !ok {
		return "", call.Principal{}, "", err
	}
	return k.secret, k.principal, k.status, nil
}

func (s *Service) loadKey(ctx context.Context, id string) (k *longTermKey, ok bool, err error) {
	if len(id) > maxAccessKeyID {
		return nil, false, nil
	}
	err = s.store.View(ctx, func(r kv.Reader) error {
		var row accessKeyRow
		found, err := (reader{r, ""}).getJSON(accessKeyKey(id), &row)
		if err != nil || !found {
			return err
		}
		principal := rootPrincipal(row.Account, id)
		if row.Owner != row.Account {
			account, u, err := identityByID(r, row.Owner)
			if err != nil || u == nil {
				return err
			}
			principal = call.Principal{
				Type: call.User, Account: account, ARN: u.arn(account), ID: u.ID, Name: u.Name, AccessKeyID: id,
			}
		}
		secret, err := s.sealer.Open(row.Secret, []byte(id))
		if err != nil {
			return err
		}
		k, ok = &longTermKey{string(secret), principal, row.Status}, true
		return nil
	})
	return k, ok, err
}

// maxAccessKeyID is the longest access key id that is looked for.
const maxAccessKeyID = 128

// principalPolicies is what a user or role brings to every call.
type principalPolicies struct {
	exists   bool
	policies policy.Policies
}

// PoliciesFor returns the policies that apply to what p does. They must not be changed. A user or role that no longer
// exists has none, and so may do nothing.
func (s *Service) PoliciesFor(ctx context.Context, p *call.Principal) (*policy.Policies, error) {
	own, err := s.principal(ctx, p)
	if err != nil {
		return nil, err
	}
	session := p.Session
	restricted := p.Type == call.FederatedUser || session != nil && (session.Policy != "" || len(session.PolicyARNs) > 0)
	if !restricted && (session == nil || len(session.Tags) == 0) {
		return &own.policies, nil
	}
	policies := own.policies
	if restricted {
		if policies.Session, err = s.sessionPolicies(ctx, p); err != nil {
			return nil, err
		}
	}
	if session != nil && len(session.Tags) > 0 {
		// The tags of the session win, whatever their case.
		policies.Tags = make(map[string]string, len(own.policies.Tags)+len(session.Tags))
		for key, value := range own.policies.Tags {
			policies.Tags[fold(key)] = value
		}
		for key, value := range session.Tags {
			policies.Tags[fold(key)] = value
		}
	}
	return &policies, nil
}

// sessionPolicies returns the compiled session policies of a session, never nil: managed ones as they are now, without
// those that are gone.
func (s *Service) sessionPolicies(ctx context.Context, p *call.Principal) ([]*policy.Document, error) {
	documents := []*policy.Document{}
	if p.Session == nil {
		return documents, nil
	}
	if p.Session.Policy != "" {
		doc, err := s.documents.parse(p.Session.Policy)
		if err != nil {
			return nil, err
		}
		documents = append(documents, doc)
	}
	for _, policyARN := range p.Session.PolicyARNs {
		doc, err := s.managedPolicy(ctx, p.Account, policyARN)
		if err != nil {
			return nil, err
		}
		if doc != nil {
			documents = append(documents, doc)
		}
	}
	return documents, nil
}

// PolicyExists says whether an account has a managed policy, or AWS has it for all.
func (s *Service) PolicyExists(ctx context.Context, account, policyARN string) (bool, error) {
	doc, err := s.managedPolicy(ctx, account, policyARN)
	return doc != nil, err
}

// managedPolicy compiles the default version of a managed policy, nil if there is none of this ARN.
func (s *Service) managedPolicy(ctx context.Context, account, policyARN string) (*policy.Document, error) {
	type key = [2]string
	doc, _, err := s.sessionDocuments.get(key{account, policyARN}, func() (doc *policy.Document, ok bool, err error) {
		err = s.store.View(ctx, func(kvr kv.Reader) error {
			r := reader{kvr, account}
			p, err := r.findPolicy(policyARN)
			if err != nil || p == nil {
				return err
			}
			v, err := r.version(p, p.Default)
			if err != nil {
				return err
			}
			doc, err = s.documents.parse(v.Document)
			ok = err == nil
			return err
		})
		if isClientError(err) {
			err = nil
		}
		return doc, ok, err
	})
	return doc, err
}

// Exists says whether the user or role behind p still does, or the root's session was not ended. Principals of other types
// always exist.
func (s *Service) Exists(ctx context.Context, p *call.Principal) (bool, error) {
	own, err := s.principal(ctx, p)
	return err == nil && own.exists, err
}

func (s *Service) principal(ctx context.Context, p *call.Principal) (*principalPolicies, error) {
	id, _, _ := strings.Cut(p.ID, ":")
	if p.Type == call.FederatedUser && p.Session != nil {
		id = p.Session.IssuerID
	}
	switch {
	case p.Session != nil && id == p.Account:
		return s.rootSession(ctx, p)
	case p.Type != call.User && p.Type != call.AssumedRole && p.Type != call.FederatedUser:
		return &principalPolicies{exists: true}, nil
	}
	if own, ok := s.principals.remembered(id); ok {
		return own, nil
	}
	own, ok, err := s.principals.get(strings.Clone(id), func() (own *principalPolicies, ok bool, err error) {
		err = s.store.View(ctx, func(r kv.Reader) error {
			account, i, err := identityByID(r, id)
			if err != nil || i == nil || account != p.Account {
				return err
			}
			own, ok = &principalPolicies{exists: true}, true
			own.policies, err = s.policiesOf(reader{r, account}, i)
			return err
		})
		return own, ok, err
	})
	if err != nil {
		return nil, err
	}
	if !ok {
		return &principalPolicies{}, nil
	}
	return own, nil
}

// policiesOf compiles the policies of a user and its groups, or of a role.
func (s *Service) policiesOf(r reader, i *identity) (policies policy.Policies, err error) {
	sources, err := r.sourcesOf(i)
	if err != nil {
		return policy.Policies{}, err
	}
	for _, source := range sources {
		doc, err := s.documents.parse(source.text)
		if err != nil {
			return policy.Policies{}, err
		}
		policies.Identity = append(policies.Identity, doc)
	}
	if i.Boundary != "" {
		if policies.Boundary, err = s.boundaryOf(r, i.Boundary); err != nil {
			return policy.Policies{}, err
		}
	}
	policies.Tags = tagMap(i.Tags)
	return policies, nil
}

// boundaryOf compiles a permissions boundary. One whose policy is gone allows nothing.
func (s *Service) boundaryOf(r reader, policyARN string) (*policy.Document, error) {
	p, err := r.findPolicy(policyARN)
	if err != nil {
		return nil, err
	}
	if p == nil {
		return new(policy.Document), nil
	}
	v, err := r.version(p, p.Default)
	if err != nil {
		return nil, err
	}
	return s.documents.parse(v.Document)
}

func tagMap(tags []tag) map[string]string {
	if len(tags) == 0 {
		return nil
	}
	return maps.Collect(func(yield func(string, string) bool) {
		for _, t := range tags {
			if !yield(t.Key, t.Value) {
				return
			}
		}
	})
}
