package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	api "brume/internal/api/lambda"
	"brume/internal/kv"
	"brume/internal/policy"
)

// maxPolicySize is how large the policy of a function may be, in bytes.
// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
const maxPolicySize = 20 << 10

// policyRow is the resource policy of a function, a version or an alias.
type policyRow struct {
	RevisionID string      `json:"revisionId"`
	Statements []statement `json:"statements"`
	// IDs holds the unique ids that the users and roles had when they were named, by their ARNs, so that nobody who later
	// gets one of their names is meant.
	IDs map[string]string `json:"ids,omitempty"`
}

// statement is a statement of such a policy, as the API shows it.
type statement struct {
	Sid       string                       `json:"Sid"`
	Effect    string                       `json:"Effect"`
	Principal json.RawMessage              `json:"Principal"`
	Action    string                       `json:"Action"`
	Resource  string                       `json:"Resource"`
	Condition map[string]map[string]string `json:"Condition,omitempty"`
}

func (p *policyRow) document() (string, error) {
	b, err := json.Marshal(struct {
		Version   string
		ID        string `json:"Id"`
		Statement []statement
	}{"2012-10-17", "default", p.Statements})
	return string(b), err
}

// parse compiles p.
func (p *policyRow) parse() (*policy.Document, error) {
	text, err := p.document()
	if err != nil {
		return nil, err
	}
	doc, err := policy.Parse(text, policy.Resource)
	if err != nil {
		return nil, err
	}
	return doc.Bind(p.IDs), nil
}

// principalID is the unique id of the user or role that a permission names, empty if it names something else.
func (s *Service) principalID(ctx context.Context, principal string) (string, error) {
	if !strings.HasPrefix(principal, "arn:") {
		return "", nil
	}
	return s.principals.PrincipalID(ctx, principal)
}

// add adds a statement to p for a principal that has a unique id, if it has one, and returns it as the API shows it.
func (p *policyRow) add(st *statement, principal, id string) (string, error) {
	if slices.ContainsFunc(p.Statements, func(other statement) bool { return other.Sid == st.Sid }) {
		return "", conflict("The statement id (%s) provided already exists. Please provide a new statement id, or remove the existing statement.", st.Sid)
	}
	p.Statements = append(p.Statements, *st)
	p.RevisionID = newUUID()
	if id != "" {
		if p.IDs == nil {
			p.IDs = map[string]string{}
		}
		p.IDs[principal] = id
	}
	text, err := p.document()
	if err != nil {
		return "", err
	}
	if len(text) > maxPolicySize {
		return "", &api.PolicyLengthExceededException{Type: new(userFault), Message: new(
			fmt.Sprintf("The final policy size (%d) is bigger than the limit (%d).", len(text), maxPolicySize))}
	}
	if _, err := policy.Parse(text, policy.Resource); err != nil {
		if _, ok := errors.AsType[*policy.MalformedError](err); ok {
			return "", invalid("The provided principal was invalid. Please check the principal and try again.")
		}
		return "", err
	}
	b, err := json.Marshal(st)
	return string(b), err
}

var errNoPolicy = notFound("No policy is associated with the given resource.")

// remove takes a statement out of p, which may be nil. where is the operation that tells the revision.
func (p *policyRow) remove(sid string, revision *string, where string) error {
	if p == nil {
		return errNoPolicy
	}
	if revision != nil && p.RevisionID != *revision {
		return staleRevision(where)
	}
	i := slices.IndexFunc(p.Statements, func(st statement) bool { return st.Sid == sid })
	if i < 0 {
		return notFound("Statement %s is not found in resource policy.", sid)
	}
	p.Statements = slices.Delete(p.Statements, i, i+1)
	p.RevisionID = newUUID()
	return nil
}

// getPolicy reads the policy of what r names, nil if it has none.
func getPolicy(rd kv.Reader, r ref) (*policyRow, error) {
	data, ok, err := rd.Get(policyKey(r.scope, r.name, r.qualifier))
	if err != nil || !ok {
		return nil, err
	}
	return decodePolicy(data)
}

func decodePolicy(data []byte) (*policyRow, error) {
	p := &policyRow{}
	if err := json.Unmarshal(data, p); err != nil {
		return nil, fmt.Errorf("lambda: row of a policy: %w", err)
	}
	return p, nil
}

// resourcePolicy returns the compiled policy that decides about a call of what r names, nil if there is none.
func (s *Service) resourcePolicy(rd kv.Reader, r ref) (*policy.Document, error) {
	key := policyKey(r.scope, r.name, r.qualifier)
	data, ok, err := rd.Get(key)
	if err != nil || !ok {
		return nil, err
	}
	return cached(&s.cache, key, data, func() (*policy.Document, error) {
		row, err := decodePolicy(data)
		if err != nil {
			return nil, err
		}
		return row.parse()
	})
}

// policyTarget is what a permission is for: a function, a version or an alias, which must exist.
func (s *Service) policyTarget(ctx context.Context, rd kv.Reader, name, qualifier *string) (ref, error) {
	r, err := resolveName(ctx, name, qualifier)
	if err != nil {
		return ref{}, err
	}
	if r.qualifier == latest {
		return ref{}, invalid("We currently do not support adding policies for $LATEST.")
	}
	_, _, err = s.find(rd, r)
	return r, err
}

// https://docs.aws.amazon.com/lambda/latest/api/API_AddPermission.html
func (s *Service) AddPermission(ctx context.Context, in *api.AddPermissionInput) (*api.AddPermissionOutput, error) {
	var out string
	id, err := s.principalID(ctx, *in.Principal)
	if err != nil {
		return nil, err
	}
	err = s.store.Update(ctx, func(tx kv.Tx) error {
		r, err := s.policyTarget(ctx, tx, in.FunctionName, in.Qualifier)
		if err != nil {
			return err
		}
		row, err := getPolicy(tx, r)
		if err != nil {
			return err
		}
		if in.RevisionId != nil && (row == nil || row.RevisionID != *in.RevisionId) {
			return staleRevision("GetPolicy")
		}
		if row == nil {
			row = &policyRow{}
		}
		st, err := newStatement(r.arn(), in)
		if err != nil {
			return err
		}
		if out, err = row.add(st, *in.Principal, id); err != nil {
			return err
		}
		return putJSON(tx, policyKey(r.scope, r.name, r.qualifier), row)
	})
	if err != nil {
		return nil, err
	}
	return &api.AddPermissionOutput{Statement: &out}, nil
}

// newStatement makes the statement that a permission is.
func newStatement(arn string, in *api.AddPermissionInput) (*statement, error) {
	st := &statement{Sid: *in.StatementId, Effect: "Allow", Action: *in.Action, Resource: arn}
	var principal any
	switch p := *in.Principal; {
	case p == "*":
		principal = "*"
	case isAccount(p):
		principal = map[string]string{"AWS": "arn:aws:iam::" + p + ":root"}
	case strings.HasPrefix(p, "arn:"):
		principal = map[string]string{"AWS": p}
	case strings.HasSuffix(p, ".amazonaws.com"):
		principal = map[string]string{"Service": p}
	default:
		return nil, invalid("The provided principal was invalid. Please check the principal and try again.")
	}
	var err error
	if st.Principal, err = json.Marshal(principal); err != nil {
		return nil, err
	}
	when := func(operator, key string, value *string) {
		if value == nil || *value == "" {
			return
		}
		if st.Condition == nil {
			st.Condition = make(map[string]map[string]string)
		}
		if st.Condition[operator] == nil {
			st.Condition[operator] = make(map[string]string)
		}
		st.Condition[operator][key] = *value
	}
	when("ArnLike", "AWS:SourceArn", in.SourceArn)
	when("StringEquals", "AWS:SourceAccount", in.SourceAccount)
	when("StringEquals", "lambda:EventSourceToken", in.EventSourceToken)
	when("StringEquals", "aws:PrincipalOrgID", in.PrincipalOrgID)
	when("StringEquals", "lambda:FunctionUrlAuthType", in.FunctionUrlAuthType)
	if in.InvokedViaFunctionUrl != nil && *in.InvokedViaFunctionUrl {
		when("Bool", "lambda:InvokedViaFunctionUrl", new("true"))
	}
	return st, nil
}

// https://docs.aws.amazon.com/lambda/latest/api/API_GetPolicy.html
func (s *Service) GetPolicy(ctx context.Context, in *api.GetPolicyInput) (*api.GetPolicyOutput, error) {
	out := &api.GetPolicyOutput{}
	err := s.store.View(ctx, func(rd kv.Reader) error {
		r, err := s.policyTarget(ctx, rd, in.FunctionName, in.Qualifier)
		if err != nil {
			return err
		}
		row, err := getPolicy(rd, r)
		if err != nil {
			return err
		}
		if row == nil {
			return notFound("The resource you requested does not exist.")
		}
		text, err := row.document()
		out.Policy, out.RevisionId = &text, &row.RevisionID
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// https://docs.aws.amazon.com/lambda/latest/api/API_RemovePermission.html
func (s *Service) RemovePermission(ctx context.Context, in *api.RemovePermissionInput) (*api.RemovePermissionOutput, error) {
	err := s.store.Update(ctx, func(tx kv.Tx) error {
		r, err := s.policyTarget(ctx, tx, in.FunctionName, in.Qualifier)
		if err != nil {
			return err
		}
		row, err := getPolicy(tx, r)
		if err != nil {
			return err
		}
		if err := row.remove(*in.StatementId, in.RevisionId, "GetPolicy"); err != nil {
			return err
		}
		key := policyKey(r.scope, r.name, r.qualifier)
		if len(row.Statements) == 0 {
			return tx.Delete(key)
		}
		return putJSON(tx, key, row)
	})
	if err != nil {
		return nil, err
	}
	return &api.RemovePermissionOutput{}, nil
}
