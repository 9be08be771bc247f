package iam

import (
	"context"
	"time"

	api "brume/internal/api/iam"
	"brume/internal/kv"
)

// maxVersions is how many versions of a managed policy there may be at one time.
const maxVersions = 5

// A versionRow is a version of a customer managed policy.
type versionRow struct {
	Created  time.Time
	Document string
}

// version returns a version of a policy, or NoSuchEntity. Of the policies that AWS manages, the current one is known.
func (r reader) version(p *policyRow, number uint64) (*versionRow, error) {
	var v versionRow
	if p.managed != nil {
		if number == p.Default {
			return &versionRow{Created: p.managed.VersionCreated, Document: p.managed.Document}, nil
		}
	} else if ok, err := r.getJSON(versionKey(p.ID, number), &v); err != nil || ok {
		return &v, err
	}
	return nil, noSuchEntity("Policy %s version %s does not exist or is not attachable.", p.arn(), versionID(number))
}

func (v *versionRow) out(p *policyRow, number uint64) *api.PolicyVersion {
	return &api.PolicyVersion{VersionId: new(versionID(number)), IsDefaultVersion: new(number == p.Default), CreateDate: &v.Created}
}

// versionNumber reads the version id of an input.
func versionNumber(p *policyRow, id string) (uint64, error) {
	number, ok := parseVersionID(id)
	if !ok || versionID(number) != id {
		return 0, noSuchEntity("Policy %s version %s does not exist or is not attachable.", p.arn(), id)
	}
	return number, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreatePolicyVersion.html
func (s *Service) CreatePolicyVersion(ctx context.Context, in *api.CreatePolicyVersionInput) (*api.CreatePolicyVersionOutput, error) {
	if err := checkManagedPolicy(*in.PolicyDocument); err != nil {
		return nil, err
	}
	out := &api.CreatePolicyVersionOutput{}
	err := s.update(ctx, func(t txn) error {
		p, err := t.ownPolicy(*in.PolicyArn)
		if err != nil {
			return err
		}
		versions, err := t.count(versionScope(p.ID), maxVersions)
		if err != nil {
			return err
		}
		if versions == maxVersions {
			return limitExceeded("A managed policy can have up to %d versions. Before you create a new version, you must delete an existing version.", maxVersions)
		}
		v := versionRow{Created: t.tx.Now().UTC().Truncate(time.Second), Document: *in.PolicyDocument}
		p.Latest++
		if in.SetAsDefault != nil && *in.SetAsDefault {
			p.Default = p.Latest
		}
		p.Updated = v.Created
		out.PolicyVersion = v.out(p, p.Latest)
		if err := t.setJSON(versionKey(p.ID, p.Latest), v); err != nil {
			return err
		}
		return t.putPolicy(p)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetPolicyVersion.html
func (s *Service) GetPolicyVersion(ctx context.Context, in *api.GetPolicyVersionInput) (*api.GetPolicyVersionOutput, error) {
	out := &api.GetPolicyVersionOutput{}
	err := s.view(ctx, func(r reader) error {
		p, err := r.policy(*in.PolicyArn)
		if err != nil {
			return err
		}
		number, err := versionNumber(p, *in.VersionId)
		if err != nil {
			return err
		}
		v, err := r.version(p, number)
		if err != nil {
			return err
		}
		out.PolicyVersion = v.out(p, number)
		out.PolicyVersion.Document = encodeDocument(v.Document)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListPolicyVersions.html
func (s *Service) ListPolicyVersions(ctx context.Context, in *api.ListPolicyVersionsInput) (*api.ListPolicyVersionsOutput, error) {
	page, err := newPage(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &api.ListPolicyVersionsOutput{}
	err = s.view(ctx, func(r reader) error {
		p, err := r.policy(*in.PolicyArn)
		if err != nil {
			return err
		}
		versions, err := r.versions(p)
		if err != nil {
			return err
		}
		out.Versions, out.IsTruncated, out.Marker, err = take(page, beyond(versions, page.after))
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// versions returns the versions of a policy, the newest first.
func (r reader) versions(p *policyRow) ([]item[api.PolicyVersion], error) {
	var versions []item[api.PolicyVersion]
	add := func(number uint64, v *versionRow) {
		// There are five at the most, so their places in the list are its keys.
		versions = append(versions, item[api.PolicyVersion]{string(rune('a' + len(versions))), *v.out(p, number)})
	}
	if p.managed != nil {
		v, err := r.version(p, p.Default)
		if err == nil {
			add(p.Default, v)
		}
		return versions, err
	}
	newest := kv.Prefix(versionScope(p.ID))
	newest.Reverse = true
	for pair, err := range r.Scan(newest) {
		if err != nil {
			return nil, err
		}
		_, number, err := parseVersionKey(pair.Key)
		if err != nil {
			return nil, err
		}
		v, err := r.version(p, number)
		if err != nil {
			return nil, err
		}
		add(number, v)
	}
	return versions, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_SetDefaultPolicyVersion.html
func (s *Service) SetDefaultPolicyVersion(ctx context.Context, in *api.SetDefaultPolicyVersionInput) (*api.SetDefaultPolicyVersionOutput, error) {
	err := s.update(ctx, func(t txn) error {
		p, err := t.ownPolicy(*in.PolicyArn)
		if err != nil {
			return err
		}
		number, err := versionNumber(p, *in.VersionId)
		if err != nil {
			return err
		}
		if _, err := t.version(p, number); err != nil {
			return err
		}
		p.Default, p.Updated = number, t.tx.Now().UTC().Truncate(time.Second)
		return t.putPolicy(p)
	})
	if err != nil {
		return nil, err
	}
	return &api.SetDefaultPolicyVersionOutput{}, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeletePolicyVersion.html
func (s *Service) DeletePolicyVersion(ctx context.Context, in *api.DeletePolicyVersionInput) (*api.DeletePolicyVersionOutput, error) {
	err := s.update(ctx, func(t txn) error {
		p, err := t.ownPolicy(*in.PolicyArn)
		if err != nil {
			return err
		}
		number, err := versionNumber(p, *in.VersionId)
		if err != nil {
			return err
		}
		if _, err := t.version(p, number); err != nil {
			return err
		}
		if number == p.Default {
			return deleteConflict("Cannot delete the default version of a policy.")
		}
		return t.tx.Delete(versionKey(p.ID, number))
	})
	if err != nil {
		return nil, err
	}
	return &api.DeletePolicyVersionOutput{}, nil
}
