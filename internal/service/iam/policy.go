package iam

import (
	"context"
	"iter"
	"net/url"
	"strconv"
	"strings"
	"time"

	api "brume/internal/api/iam"
	"brume/internal/kv"
	"brume/internal/policy"
	"brume/internal/service/iam/managed"
)

// maxPolicySize is the quota of a managed policy, in characters without white space.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
const maxPolicySize = 6144

// awsAccount stands in place of an account in the ARNs of the policies that AWS manages.
const awsAccount = "aws"

// A policyRow is the row of a customer managed policy. It also describes a policy that AWS manages, which has no row.
type policyRow struct {
	Name             string
	Path             string
	ID               string
	Created, Updated time.Time
	Description      string `json:",omitempty"`
	Tags             []tag  `json:",omitempty"`
	// Default and Latest are the numbers of the default version and of the newest there ever was.
	Default, Latest uint64

	account string
	managed *managed.Policy // of a policy that AWS manages
}

func (p *policyRow) arn() string { return arn(p.account, "policy"+p.Path+p.Name) }

func managedRow(m *managed.Policy) *policyRow {
	number, _ := parseVersionID(m.DefaultVersionID)
	return &policyRow{
		Name: m.Name, Path: m.Path, ID: m.ID(), Created: m.Created, Updated: m.Updated, Default: number, Latest: number,
		account: awsAccount, managed: m,
	}
}

func versionID(number uint64) string { return "v" + strconv.FormatUint(number, 10) }

func parseVersionID(id string) (uint64, bool) {
	digits, ok := strings.CutPrefix(id, "v")
	number, err := strconv.ParseUint(digits, 10, 64)
	return number, ok && err == nil
}

// policy returns the policy with this ARN, of the account or of AWS, or NoSuchEntity.
func (r reader) policy(policyARN string) (*policyRow, error) {
	p, err := r.findPolicy(policyARN)
	if err == nil && p == nil {
		return nil, noSuchEntity("Policy %s was not found.", policyARN)
	}
	return p, err
}

// attachable is like policy, for a policy that is to be attached.
func (r reader) attachable(policyARN string) (*policyRow, error) {
	p, err := r.findPolicy(policyARN)
	if err == nil && p == nil {
		return nil, noSuchEntity("Policy %s does not exist or is not attachable.", policyARN)
	}
	return p, err
}

// findPolicy returns nil if there is no such policy.
func (r reader) findPolicy(policyARN string) (*policyRow, error) {
	account, resource, ok := cutARN(policyARN)
	switch {
	case !ok:
		return nil, invalidInput("ARN %s is not valid.", policyARN)
	case account == awsAccount:
		if m, ok := managed.Get(policyARN); ok {
			return managedRow(&m), nil
		}
		return nil, nil
	case account != r.account:
		return nil, nil
	}
	name := resource[strings.LastIndexByte(resource, '/')+1:]
	p := &policyRow{account: r.account}
	ok, err := r.getJSON(policyKey(r.account, name), p)
	if err != nil || !ok || p.arn() != policyARN {
		return nil, err
	}
	return p, nil
}

// ownPolicy returns a policy of the account, which can be changed.
func (t txn) ownPolicy(policyARN string) (*policyRow, error) {
	if account, _, _ := cutARN(policyARN); account == awsAccount {
		return nil, invalidInput("Cannot modify the AWS managed policy %s.", policyARN)
	}
	return t.policy(policyARN)
}

func (t txn) putPolicy(p *policyRow) error { return t.setJSON(policyKey(t.account, p.Name), p) }

// uses counts the identities that use the policy in the given way.
func (r reader) usageCount(p *policyRow, usage byte) (int32, error) {
	prefix := append(usedByPolicy(r.account, p.arn()), usage)
	n, err := r.count(prefix, 0)
	return int32(n), err
}

// outPolicy is the policy as outputs have it, with its description and tags if full.
func (r reader) outPolicy(p *policyRow, full bool) (*api.Policy, error) {
	attached, err := r.usageCount(p, usageAttach)
	if err != nil {
		return nil, err
	}
	bounded, err := r.usageCount(p, usageBounded)
	if err != nil {
		return nil, err
	}
	return p.out(attached, bounded, full), nil
}

func (p *policyRow) out(attached, bounded int32, full bool) *api.Policy {
	out := &api.Policy{
		PolicyName: &p.Name, PolicyId: &p.ID, Arn: new(p.arn()), Path: &p.Path, DefaultVersionId: new(versionID(p.Default)),
		AttachmentCount: &attached, PermissionsBoundaryUsageCount: &bounded, IsAttachable: new(true),
		CreateDate: &p.Created, UpdateDate: &p.Updated,
	}
	if full {
		out.Tags = outTags(p.Tags)
		if p.Description != "" {
			out.Description = &p.Description
		}
	}
	return out
}

// checkManagedPolicy checks the document of a new version.
func checkManagedPolicy(document string) error {
	if err := policy.Validate(document, true); err != nil {
		return malformedPolicy(err)
	}
	if policy.Size(document) > maxPolicySize {
		return quota("PolicySize", maxPolicySize)
	}
	return nil
}

// encodeDocument is a document as outputs have it: percent-encoded as RFC 3986 says.
func encodeDocument(document string) *string {
	return new(strings.ReplaceAll(url.QueryEscape(document), "+", "%20"))
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreatePolicy.html
func (s *Service) CreatePolicy(ctx context.Context, in *api.CreatePolicyInput) (*api.CreatePolicyOutput, error) {
	if err := checkManagedPolicy(*in.PolicyDocument); err != nil {
		return nil, err
	}
	tags, err := newTags(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	out := &api.CreatePolicyOutput{}
	err = s.update(ctx, func(t txn) error {
		taken, err := t.has(policyKey(t.account, *in.PolicyName))
		if err != nil {
			return err
		}
		if taken {
			return alreadyExists("A policy called %s already exists. Duplicate names are not allowed.", *in.PolicyName)
		}
		if err := t.add(policiesQuota()); err != nil {
			return err
		}
		now := t.tx.Now().UTC().Truncate(time.Second)
		p := &policyRow{
			Name: *in.PolicyName, Path: "/", ID: newID(prefixPolicy), Created: now, Updated: now, Tags: tags,
			Default: 1, Latest: 1, account: t.account,
		}
		if in.Path != nil {
			p.Path = *in.Path
		}
		if in.Description != nil {
			p.Description = *in.Description
		}
		out.Policy = p.out(0, 0, false)
		out.Policy.Tags = outTags(tags)
		if err := t.setJSON(versionKey(p.ID, 1), versionRow{Created: now, Document: *in.PolicyDocument}); err != nil {
			return err
		}
		return t.putPolicy(p)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetPolicy.html
func (s *Service) GetPolicy(ctx context.Context, in *api.GetPolicyInput) (*api.GetPolicyOutput, error) {
	out := &api.GetPolicyOutput{}
	err := s.view(ctx, func(r reader) error {
		p, err := r.policy(*in.PolicyArn)
		if err != nil {
			return err
		}
		out.Policy, err = r.outPolicy(p, true)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListPolicies.html
func (s *Service) ListPolicies(ctx context.Context, in *api.ListPoliciesInput) (*api.ListPoliciesOutput, error) {
	p, err := newPage(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &api.ListPoliciesOutput{}
	err = s.view(ctx, func(r reader) error {
		usage, err := r.policyUsage()
		if err != nil {
			return err
		}
		wanted := func(p *policyRow) bool {
			u := usage[p.arn()]
			used := u.attached+u.bounded > 0
			if in.PolicyUsageFilter != nil {
				if *in.PolicyUsageFilter == "PermissionsBoundary" {
					used = u.bounded > 0
				} else {
					used = u.attached > 0
				}
			}
			onlyUsed := in.OnlyAttached != nil && *in.OnlyAttached || in.PolicyUsageFilter != nil
			return (used || !onlyUsed) && hasPathPrefix(p.Path, in.PathPrefix)
		}
		scope := "All"
		if in.Scope != nil {
			scope = *in.Scope
		}
		policies, truncated, marker, err := take(p, r.policies(scope, p.after, wanted))
		out.Policies, out.IsTruncated, out.Marker = make([]api.Policy, len(policies)), truncated, marker
		for i, p := range policies {
			u := usage[p.arn()]
			out.Policies[i] = *p.out(u.attached, u.bounded, false)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// policies lists the policies of a scope (AWS, Local or All) that are wanted: those of the account first, then those of
// AWS, both by name.
func (r reader) policies(scope, after string, wanted func(*policyRow) bool) iter.Seq2[item[*policyRow], error] {
	const local, aws = "local/", "managed/"
	return func(yield func(item[*policyRow], error) bool) {
		if scope != "AWS" && !strings.HasPrefix(after, aws) {
			for pair, err := range r.Scan(policiesAfter(r.account, strings.TrimPrefix(after, local))) {
				p := &policyRow{account: r.account}
				if err == nil {
					_, err = r.getJSON(pair.Key, p)
				}
				if err != nil {
					yield(item[*policyRow]{}, err)
					return
				}
				if wanted(p) && !yield(item[*policyRow]{local + fold(p.Name), p}, nil) {
					return
				}
			}
		}
		if scope == "Local" {
			return
		}
		for m := range managed.All() {
			if aws+m.Name <= after {
				continue
			}
			p := managedRow(&m)
			if wanted(p) && !yield(item[*policyRow]{aws + m.Name, p}, nil) {
				return
			}
		}
	}
}

func policiesAfter(account, name string) kv.Range { return after(policyScope(account), name) }

type policyUsage struct{ attached, bounded int32 }

// policyUsage counts the uses of all policies that the account uses, by ARN.
func (r reader) policyUsage() (map[string]policyUsage, error) {
	usage := map[string]policyUsage{}
	for pair, err := range r.Scan(kv.Prefix(usedByScope(r.account))) {
		if err != nil {
			return nil, err
		}
		_, policyARN, how, _, err := parseUsedByKey(pair.Key)
		if err != nil {
			return nil, err
		}
		u := usage[policyARN]
		if how == usageBounded {
			u.bounded++
		} else {
			u.attached++
		}
		usage[policyARN] = u
	}
	return usage, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeletePolicy.html
func (s *Service) DeletePolicy(ctx context.Context, in *api.DeletePolicyInput) (*api.DeletePolicyOutput, error) {
	err := s.update(ctx, func(t txn) error {
		p, err := t.ownPolicy(*in.PolicyArn)
		if err != nil {
			return err
		}
		used, err := t.any(usedByPolicy(t.account, p.arn()))
		if err != nil {
			return err
		}
		if used {
			return deleteConflict("Cannot delete a policy attached to entities.")
		}
		versions, err := t.count(versionScope(p.ID), 2)
		if err != nil {
			return err
		}
		if versions > 1 {
			return deleteConflict("This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.")
		}
		if err := t.drop(policiesQuota()); err != nil {
			return err
		}
		if err := t.tx.Delete(versionKey(p.ID, p.Default)); err != nil {
			return err
		}
		return t.tx.Delete(policyKey(t.account, p.Name))
	})
	if err != nil {
		return nil, err
	}
	return &api.DeletePolicyOutput{}, nil
}
