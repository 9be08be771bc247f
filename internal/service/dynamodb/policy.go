package dynamodb

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	api "brume/internal/api/dynamodb"
	"brume/internal/awserr"
	"brume/internal/call"
	"brume/internal/kv"
	"brume/internal/policy"
)

const (
	// maxPolicySize counts white space too.
	// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_PutResourcePolicy.html
	maxPolicySize = 20 << 10
	// noPolicy, as ExpectedRevisionId, stands for there being no policy.
	noPolicy = "NO_POLICY"
)

// A resourcePolicy is the policy on a table, which is that of its indexes too, or on a stream.
type resourcePolicy struct {
	Document, Revision string
	// IDs holds the unique ids that the users and roles in it had when it was put, by their ARNs, so that nobody who later
	// gets one of their names is meant.
	IDs map[string]string `json:",omitempty"`
}

// Principals knows whom policies name.
type Principals interface {
	// PrincipalID returns the unique id of the user or role that an ARN names now, empty if it names none.
	PrincipalID(ctx context.Context, arn string) (string, error)
}

// SetPrincipals has policies mean whom p knows by the names in them. It must be set before the first call.
func (s *Service) SetPrincipals(p Principals) { s.principals = p }

// principalIDs are those of a policy. One that is not well formed has none, and is refused later.
func (s *Service) principalIDs(ctx context.Context, document string) (map[string]string, error) {
	parsed, err := policy.Parse(document, policy.Resource)
	if err != nil || s.principals == nil {
		return nil, nil //nolint:nilerr // see above
	}
	ids := map[string]string{}
	for _, el := range parsed.Principals() {
		if el.Type != "AWS" || !strings.HasPrefix(el.Value, "arn:") {
			continue
		}
		id, err := s.principals.PrincipalID(ctx, el.Value)
		if err != nil {
			return nil, err
		}
		if id != "" {
			ids[el.Value] = id
		}
	}
	return ids, nil
}

// parse returns the policy as evaluation takes it, nil if there is none.
func (p *resourcePolicy) parse() (*policy.Document, error) {
	if p == nil {
		return nil, nil
	}
	doc, err := policy.Parse(p.Document, policy.Resource)
	if err != nil {
		return nil, err
	}
	return doc.Bind(p.IDs), nil
}

// A policyHint knows whether any table has a policy. Most stores have none, and then no call need look for one.
type policyHint struct {
	loaded, some atomic.Bool
}

// any reports whether some table may have a policy.
func (h *policyHint) any(ctx context.Context, s *Service) (bool, error) {
	if h.some.Load() || h.loaded.Load() {
		return h.some.Load(), nil
	}
	err := s.view(ctx, func(r kv.Reader) error {
		for pair, err := range r.Scan(kv.Prefix(rows(tagTable))) {
			if err != nil {
				return err
			}
			sc, name, err := parseTableKey(pair.Key)
			if err != nil {
				return err
			}
			t, err := s.findTable(r, sc, name)
			if err != nil {
				return err
			}
			if t.Policy != nil {
				h.expect()
				return nil
			}
		}
		return nil
	})
	if err != nil {
		return true, err
	}
	h.loaded.Store(true)
	return h.some.Load(), nil
}

// expect says that a policy will be written. It comes before the commit, so that no call misses one that is there.
func (h *policyHint) expect() { h.some.Store(true) }

// A policyResource is what has a policy: a table, or one of its streams if label is not empty.
type policyResource struct{ table, label string }

func (sc scope) policyResource(arn string) (policyResource, error) {
	switch parts := strings.SplitN(arn, ":", 6); {
	case parts[0] != "arn":
		return policyResource{}, invalid("ARNs must start with 'arn:': %s", arn)
	case len(parts) != 6 || parts[2] != "dynamodb":
		return policyResource{}, invalid("Provided Arn is not a DynamoDB resource arn: %s", arn)
	case parts[3] != sc.region:
		return policyResource{}, invalid("Invalid resource Arn: %s", arn)
	case parts[4] != sc.account:
		return policyResource{}, awserr.Validation("This action is only supported by accounts that match the resource owner’s account.")
	}
	table, label, isStream := strings.Cut(arn, "/stream/")
	name, err := sc.tableOfARN(table)
	if err != nil || isStream && label == "" {
		return policyResource{}, invalid("Invalid resource arn provided, only table or stream is accepted. Provided resource arn: %s", arn)
	}
	return policyResource{name, label}, nil
}

// newPolicy checks a document and returns it with the revision that it has after old.
func newPolicy(document string, ids map[string]string, old *resourcePolicy, millis int64) (*resourcePolicy, *policy.Document, error) {
	if len(document) > maxPolicySize {
		return nil, nil, invalid("Maximum policy size of %d bytes exceeded", maxPolicySize)
	}
	parsed, err := policy.Parse(document, policy.Resource)
	if err != nil {
		return nil, nil, invalid("Invalid policy document: %s", err.Error())
	}
	if isPublic(document) {
		return nil, nil, awserr.Validation("Resource-based policy grants unbounded access in one or more elements. Please revise the policy to " +
			"ensure least-privilege form of access")
	}
	if old != nil {
		if old.Document == document && maps.Equal(old.IDs, ids) {
			return old, parsed, nil
		}
		if last, err := strconv.ParseInt(old.Revision, 10, 64); err == nil && millis <= last {
			millis = last + 1
		}
	}
	return &resourcePolicy{document, strconv.FormatInt(millis, 10), ids}, parsed, nil
}

// isPublic reports whether a well-formed policy gives something to everybody without a condition.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/rbac-bpa-rbp.html
func isPublic(document string) bool {
	type statement struct {
		Effect                  string
		Principal, NotPrincipal any
		Condition               map[string]any
	}
	var one struct{ Statement statement }
	var many struct{ Statement []statement }
	if json.Unmarshal([]byte(document), &many) != nil {
		if json.Unmarshal([]byte(document), &one) != nil {
			return false
		}
		many.Statement = []statement{one.Statement}
	}
	return slices.ContainsFunc(many.Statement, func(s statement) bool {
		if s.Effect != "Allow" || len(s.Condition) > 0 {
			return false
		}
		if s.NotPrincipal != nil {
			return true
		}
		p := s.Principal
		if m, ok := p.(map[string]any); ok {
			p = m["AWS"]
		}
		list, ok := p.([]any)
		return p == "*" || ok && slices.Contains(list, any("*"))
	})
}

func policyNotFound(arn string) error {
	return &api.PolicyNotFoundException{Message: new("Resource-based policy not found for the provided ResourceArn: " + arn)}
}

// checkRevision holds a policy to the revision that the caller expects, nil for any.
func checkRevision(arn string, p *resourcePolicy, expected *string) error {
	switch {
	case expected == nil || p == nil && *expected == noPolicy || p != nil && *expected == p.Revision:
		return nil
	}
	return policyNotFound(arn)
}

// withPolicy calls change with the policy of a resource and puts what it returns in its place.
func (s *Service) withPolicy(tx kv.Tx, sc scope, arn string, change func(*resourcePolicy) (*resourcePolicy, error)) error {
	res, err := sc.policyResource(arn)
	if err != nil {
		return err
	}
	if res.label != "" {
		key := streamKey(sc, res.table, res.label)
		data, ok, err := tx.Get(key)
		if err != nil {
			return err
		}
		if !ok {
			return noResource(arn)
		}
		row, err := decodeStream(data)
		if err != nil {
			return err
		}
		if row.Policy, err = change(row.Policy); err != nil {
			return err
		}
		return putStream(tx, key, row)
	}
	t, err := s.findTable(tx, sc, res.table)
	if err != nil {
		return err
	}
	if t == nil {
		return noResource(arn)
	}
	row := t.tableRow
	if row.Policy, err = change(row.Policy); err != nil {
		return err
	}
	return setTable(tx, sc, &row)
}

func noResource(arn string) error {
	return &api.ResourceNotFoundException{Message: new("Requested resource not found: ResourcArn: " + arn + " not found")}
}

// PutResourcePolicy sets the policy of a table or a stream.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_PutResourcePolicy.html
func (s *Service) PutResourcePolicy(ctx context.Context, in *api.PutResourcePolicyInput) (*api.PutResourcePolicyOutput, error) {
	arn := *in.ResourceArn
	out := new(api.PutResourcePolicyOutput)
	s.policies.expect()
	ids, err := s.principalIDs(ctx, *in.Policy)
	if err != nil {
		return nil, err
	}
	err = s.update(ctx, func(tx kv.Tx) error {
		return s.withPolicy(tx, scopeOf(ctx), arn, func(old *resourcePolicy) (*resourcePolicy, error) {
			if err := checkRevision(arn, old, in.ExpectedRevisionId); err != nil {
				return nil, err
			}
			p, parsed, err := newPolicy(*in.Policy, ids, old, tx.Now().UnixMilli())
			if err != nil {
				return nil, err
			}
			if !deref(in.ConfirmRemoveSelfResourceAccess) && locksOut(call.From(ctx), arn, parsed) {
				return nil, invalid("The policy denies you to change it again. Set ConfirmRemoveSelfResourceAccess to true if you want that")
			}
			out.RevisionId = new(p.Revision)
			return p, nil
		})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// locksOut reports whether a policy denies the caller to change it.
func locksOut(info *call.Info, arn string, p *policy.Document) bool {
	d := policy.Evaluate(info, new(policy.Policies), &policy.Check{Action: "dynamodb:PutResourcePolicy", Resource: arn, ResourcePolicy: p})
	return d.ExplicitDeny
}

// GetResourcePolicy returns the policy of a table or a stream.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_GetResourcePolicy.html
func (s *Service) GetResourcePolicy(ctx context.Context, in *api.GetResourcePolicyInput) (*api.GetResourcePolicyOutput, error) {
	sc := scopeOf(ctx)
	res, err := sc.policyResource(*in.ResourceArn)
	if err != nil {
		return nil, err
	}
	var p *resourcePolicy
	err = s.view(ctx, func(r kv.Reader) error {
		var found bool
		if p, found, err = s.policyOf(r, sc, res); err == nil && !found {
			err = noResource(*in.ResourceArn)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if p == nil {
		return nil, policyNotFound(*in.ResourceArn)
	}
	return &api.GetResourcePolicyOutput{Policy: new(p.Document), RevisionId: new(p.Revision)}, nil
}

// policyOf returns the policy of a resource, nil if it has none, and whether there is the resource.
func (s *Service) policyOf(r kv.Reader, sc scope, res policyResource) (p *resourcePolicy, found bool, err error) {
	if res.label == "" {
		t, err := s.findTable(r, sc, res.table)
		if err != nil || t == nil {
			return nil, false, err
		}
		return t.Policy, true, nil
	}
	data, ok, err := r.Get(streamKey(sc, res.table, res.label))
	if err != nil || !ok {
		return nil, false, err
	}
	row, err := decodeStream(data)
	if err != nil {
		return nil, false, err
	}
	return row.Policy, true, nil
}

// DeleteResourcePolicy removes the policy of a table or a stream. It is no error if there is none.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_DeleteResourcePolicy.html
func (s *Service) DeleteResourcePolicy(ctx context.Context, in *api.DeleteResourcePolicyInput) (*api.DeleteResourcePolicyOutput, error) {
	arn := *in.ResourceArn
	out := new(api.DeleteResourcePolicyOutput)
	err := s.update(ctx, func(tx kv.Tx) error {
		return s.withPolicy(tx, scopeOf(ctx), arn, func(old *resourcePolicy) (*resourcePolicy, error) {
			out.RevisionId = nil
			if err := checkRevision(arn, old, in.ExpectedRevisionId); err != nil {
				return nil, err
			}
			if old != nil {
				out.RevisionId = new(old.Revision)
			}
			return nil, nil
		})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// resourceOf finds what an ARN names that can have a policy: a table, also by one of its indexes, or a stream.
func resourceOf(ctx context.Context, arn string) (sc scope, res policyResource, ok bool) {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || parts[3] != scopeOf(ctx).region {
		return sc, res, false
	}
	resource := strings.Split(parts[5], "/")
	if len(resource) < 2 || resource[0] != "table" {
		return sc, res, false
	}
	sc, res.table = scope{account: parts[4], region: parts[3]}, resource[1]
	switch {
	case len(resource) == 4 && resource[2] == "stream":
		res.label = resource[3]
	case len(resource) != 2 && resource[2] != "index":
		return sc, res, false
	}
	return sc, res, true
}

// guarded adds the policies of the resources to checks, and how to find their tags.
func (s *Service) guarded(ctx context.Context, checks []policy.Check) error {
	for i := range checks {
		sc, res, ok := resourceOf(ctx, checks[i].Resource)
		if !ok {
			continue
		}
		if err := s.guard(ctx, &checks[i], sc, res); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) guard(ctx context.Context, c *policy.Check, sc scope, res policyResource) error {
	return s.view(ctx, func(r kv.Reader) error {
		if res.label != "" {
			row, _, err := s.policyOf(r, sc, res)
			if err == nil {
				c.ResourcePolicy, err = row.parse()
			}
			return err
		}
		t, err := s.findTable(r, sc, res.table)
		if err != nil || t == nil {
			return err
		}
		c.ResourcePolicy = t.policy
		if len(t.Tags) > 0 {
			c.More = func() (map[string][]string, error) {
				context := make(map[string][]string, len(t.Tags))
				t.tagKeys(context)
				return context, nil
			}
		}
		return nil
	})
}
