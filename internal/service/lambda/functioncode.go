package lambda

import (
	"context"
	"slices"

	api "brume/internal/api/lambda"
	"brume/internal/kv"
)

// https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionCode.html
func (s *Service) UpdateFunctionCode(ctx context.Context, in *api.UpdateFunctionCodeInput) (*api.FunctionConfiguration, error) {
	r, err := resolveName(ctx, in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	if err := mustBeLatest(r); err != nil {
		return nil, err
	}
	if err := s.store.View(ctx, func(rd kv.Reader) error { // before the work with the code
		_, err := s.peek(rd, r)
		return err
	}); err != nil {
		return nil, err
	}
	zip, err := s.zipOf(ctx, "UpdateFunctionCode", &api.FunctionCode{
		ZipFile: in.ZipFile, S3Bucket: in.S3Bucket, S3Key: in.S3Key, S3ObjectVersion: in.S3ObjectVersion, ImageUri: in.ImageUri,
	})
	if err != nil {
		return nil, err
	}
	code, unzipped, err := s.packages.add(ctx, zip)
	if err != nil {
		return nil, err
	}
	dryRun := in.DryRun != nil && *in.DryRun
	publish := in.Publish != nil && *in.Publish && !dryRun
	var out *versionRow
	var generation int64
	err = s.store.Update(ctx, func(tx kv.Tx) error {
		f, err := s.getFunction(tx, r)
		if err != nil {
			return err
		}
		v := &f.Latest
		if in.RevisionId != nil && *in.RevisionId != v.RevisionID {
			return staleRevision("GetFunction/GetAlias")
		}
		if err := s.checkSigned(ctx, tx, r, f.CodeSigning); err != nil {
			return err
		}
		before := *v
		v.Code, v.Unzipped = code, unzipped
		if err := v.checkSize(); err != nil {
			return err
		}
		if len(in.Architectures) > 0 {
			v.Architectures = slices.Clone(in.Architectures)
		}
		if err := s.checkArchitecture(v); err != nil {
			return err
		}
		if out = v; dryRun {
			return nil
		}
		v.touch(tx.Now(), &before)
		generation = v.Generation
		if publish {
			if out, err = s.publish(tx, r, f, nil); err != nil {
				return err
			}
		}
		if err := s.packages.use(tx, code, r, 0); err != nil {
			return err
		}
		if err := s.packages.drop(tx, before.Code, r, 0); err != nil {
			return err
		}
		return putJSON(tx, functionKey(r.scope, r.name), f)
	})
	if err != nil || dryRun {
		err = s.withoutCode(ctx, code, err)
	}
	if err != nil {
		return nil, err
	}
	if !dryRun {
		s.environments.Retire(r.account, r.region, r.name, latest, generation)
		s.environments.Prepare(out.function(r))
	}
	if out.Number != 0 {
		r.qualifier = out.version()
	}
	if dryRun {
		return s.configuration(r, out), nil
	}
	return beingChanged(s.configuration(r, out)), nil
}
