package lambda

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	api "brume/internal/api/lambda"
	"brume/internal/kv"
)

const signingPageSize = 50

// signingRow is a code signing configuration. Brume has no AWS Signer, so no code is signed: where unsigned code is to be
// refused, all is.
type signingRow struct {
	Description string    `json:"description,omitempty"`
	Publishers  []string  `json:"publishers"`
	Policy      string    `json:"policy"` // "Warn" or "Enforce"
	Modified    time.Time `json:"modified"`
}

// A signingRef names a code signing configuration.
type signingRef struct {
	scope
	id string
}

func (c signingRef) arn() string {
	return "arn:aws:lambda:" + c.region + ":" + c.account + ":code-signing-config:" + c.id
}

func signingNotFound(arn string) error {
	return &api.CodeSigningConfigNotFoundException{Type: new(userFault), Message: new(
		"The code signing configuration cannot be found. Check that the provided configuration is not deleted: " + arn)}
}

// resolveSigning reads the ARN of a configuration, which must be one of the caller's account and region.
func resolveSigning(ctx context.Context, arn string) (signingRef, error) {
	c := signingRef{scope: scopeOf(ctx), id: arn[strings.LastIndexByte(arn, ':')+1:]}
	if c.arn() != arn {
		return c, notFound("The code signing configuration cannot be found: %s", arn)
	}
	return c, nil
}

func getSigning(rd kv.Reader, c signingRef) (*signingRow, error) {
	data, ok, err := rd.Get(signingKey(c))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, notFound("The code signing configuration cannot be found: %s", c.arn())
	}
	return decodeSigning(data)
}

func decodeSigning(data []byte) (*signingRow, error) {
	row := &signingRow{}
	if err := json.Unmarshal(data, row); err != nil {
		return nil, fmt.Errorf("lambda: row of a code signing configuration: %w", err)
	}
	return row, nil
}

func (row *signingRow) config(c signingRef) *api.CodeSigningConfig {
	return &api.CodeSigningConfig{
		CodeSigningConfigId: new(c.id), CodeSigningConfigArn: new(c.arn()), Description: new(row.Description),
		AllowedPublishers:   &api.AllowedPublishers{SigningProfileVersionArns: row.Publishers},
		CodeSigningPolicies: &api.CodeSigningPolicies{UntrustedArtifactOnDeployment: new(row.Policy)},
		LastModified:        new(lastModified(row.Modified)),
	}
}

// apply follows what a request says; nil leaves all as it is.
func (row *signingRow) apply(description *string, publishers *api.AllowedPublishers, policies *api.CodeSigningPolicies) {
	set(&row.Description, description)
	if publishers != nil {
		row.Publishers = publishers.SigningProfileVersionArns
	}
	if policies != nil {
		set(&row.Policy, policies.UntrustedArtifactOnDeployment)
	}
}

// https://docs.aws.amazon.com/lambda/latest/api/API_CreateCodeSigningConfig.html
func (s *Service) CreateCodeSigningConfig(ctx context.Context, in *api.CreateCodeSigningConfigInput) (*api.CreateCodeSigningConfigOutput, error) {
	var b [9]byte
	rand.Read(b[:])
	c := signingRef{scopeOf(ctx), "csc-" + hex.EncodeToString(b[:])[:17]}
	row := &signingRow{Policy: api.CodeSigningPolicyWarn}
	row.apply(in.Description, in.AllowedPublishers, in.CodeSigningPolicies)
	err := s.store.Update(ctx, func(tx kv.Tx) error {
		row.Modified = tx.Now()
		return putJSON(tx, signingKey(c), row)
	})
	if err != nil {
		return nil, err
	}
	return &api.CreateCodeSigningConfigOutput{CodeSigningConfig: row.config(c)}, nil
}

// https://docs.aws.amazon.com/lambda/latest/api/API_GetCodeSigningConfig.html
func (s *Service) GetCodeSigningConfig(ctx context.Context, in *api.GetCodeSigningConfigInput) (*api.GetCodeSigningConfigOutput, error) {
	c, err := resolveSigning(ctx, *in.CodeSigningConfigArn)
	if err != nil {
		return nil, err
	}
	out := &api.GetCodeSigningConfigOutput{}
	err = s.store.View(ctx, func(rd kv.Reader) error {
		row, err := getSigning(rd, c)
		if err == nil {
			out.CodeSigningConfig = row.config(c)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// https://docs.aws.amazon.com/lambda/latest/api/API_UpdateCodeSigningConfig.html
func (s *Service) UpdateCodeSigningConfig(ctx context.Context, in *api.UpdateCodeSigningConfigInput) (*api.UpdateCodeSigningConfigOutput, error) {
	c, err := resolveSigning(ctx, *in.CodeSigningConfigArn)
	if err != nil {
		return nil, err
	}
	out := &api.UpdateCodeSigningConfigOutput{}
	err = s.store.Update(ctx, func(tx kv.Tx) error {
		row, err := getSigning(tx, c)
		if err != nil {
			return err
		}
		row.apply(in.Description, in.AllowedPublishers, in.CodeSigningPolicies)
		row.Modified = tx.Now()
		out.CodeSigningConfig = row.config(c)
		return putJSON(tx, signingKey(c), row)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// https://docs.aws.amazon.com/lambda/latest/api/API_DeleteCodeSigningConfig.html
func (s *Service) DeleteCodeSigningConfig(ctx context.Context, in *api.DeleteCodeSigningConfigInput) (*api.DeleteCodeSigningConfigOutput, error) {
	c, err := resolveSigning(ctx, *in.CodeSigningConfigArn)
	if err != nil {
		return nil, err
	}
	err = s.store.Update(ctx, func(tx kv.Tx) error {
		if _, err := getSigning(tx, c); err != nil {
			return err
		}
		users, err := s.signingUsers(tx, c)
		if err != nil {
			return err
		}
		if len(users) > 0 {
			return conflict("You cannot delete the code signing configuration %s: functions use it.", c.arn())
		}
		return tx.Delete(signingKey(c))
	})
	if err != nil {
		return nil, err
	}
	return &api.DeleteCodeSigningConfigOutput{}, nil
}

// https://docs.aws.amazon.com/lambda/latest/api/API_ListCodeSigningConfigs.html
func (s *Service) ListCodeSigningConfigs(ctx context.Context, in *api.ListCodeSigningConfigsInput) (*api.ListCodeSigningConfigsOutput, error) {
	p, err := newPage(in.Marker, in.MaxItems, signingPageSize)
	if err != nil {
		return nil, err
	}
	out := &api.ListCodeSigningConfigsOutput{CodeSigningConfigs: []api.CodeSigningConfig{}}
	err = s.store.View(ctx, func(rd kv.Reader) error {
		for pair, err := range rd.Scan(kv.Prefix(inScope(tagSigning, scopeOf(ctx)))) {
			if err != nil {
				return err
			}
			c, err := parseSigningKey(pair.Key)
			if err != nil {
				return err
			}
			row, err := decodeSigning(pair.Value)
			if err != nil {
				return err
			}
			if p.take(c.id) {
				out.CodeSigningConfigs = append(out.CodeSigningConfigs, *row.config(c))
			} else if p.full() {
				return nil
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out.NextMarker = p.next()
	return out, nil
}

// signingUsers are the names of the functions that have a configuration.
func (s *Service) signingUsers(rd kv.Reader, c signingRef) (names []string, err error) {
	for pair, err := range rd.Scan(kv.Prefix(inScope(tagFunction, c.scope))) {
		if err != nil {
			return nil, err
		}
		var row struct {
			CodeSigning string `json:"codeSigning"`
		}
		if err := json.Unmarshal(pair.Value, &row); err != nil {
			return nil, fmt.Errorf("lambda: row of a function: %w", err)
		}
		if row.CodeSigning == c.arn() {
			_, name, err := parseFunctionKey(pair.Key)
			if err != nil {
				return nil, err
			}
			names = append(names, name)
		}
	}
	return names, nil
}

// https://docs.aws.amazon.com/lambda/latest/api/API_ListFunctionsByCodeSigningConfig.html
func (s *Service) ListFunctionsByCodeSigningConfig(ctx context.Context, in *api.ListFunctionsByCodeSigningConfigInput) (*api.ListFunctionsByCodeSigningConfigOutput, error) {
	c, err := resolveSigning(ctx, *in.CodeSigningConfigArn)
	if err != nil {
		return nil, err
	}
	p, err := newPage(in.Marker, in.MaxItems, signingPageSize)
	if err != nil {
		return nil, err
	}
	out := &api.ListFunctionsByCodeSigningConfigOutput{FunctionArns: []string{}}
	err = s.store.View(ctx, func(rd kv.Reader) error {
		if _, err := getSigning(rd, c); err != nil {
			return err
		}
		names, err := s.signingUsers(rd, c)
		for _, name := range names {
			if p.take(name) {
				out.FunctionArns = append(out.FunctionArns, ref{c.scope, name, ""}.arn())
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	out.NextMarker = p.next()
	return out, nil
}

// https://docs.aws.amazon.com/lambda/latest/api/API_PutFunctionCodeSigningConfig.html
func (s *Service) PutFunctionCodeSigningConfig(ctx context.Context, in *api.PutFunctionCodeSigningConfigInput) (*api.PutFunctionCodeSigningConfigOutput, error) {
	r, err := s.setSigning(ctx, in.FunctionName, *in.CodeSigningConfigArn)
	if err != nil {
		return nil, err
	}
	return &api.PutFunctionCodeSigningConfigOutput{FunctionName: new(r.name), CodeSigningConfigArn: in.CodeSigningConfigArn}, nil
}

// https://docs.aws.amazon.com/lambda/latest/api/API_DeleteFunctionCodeSigningConfig.html
func (s *Service) DeleteFunctionCodeSigningConfig(ctx context.Context, in *api.DeleteFunctionCodeSigningConfigInput) (*api.DeleteFunctionCodeSigningConfigOutput, error) {
	if _, err := s.setSigning(ctx, in.FunctionName, ""); err != nil {
		return nil, err
	}
	return &api.DeleteFunctionCodeSigningConfigOutput{}, nil
}

func (s *Service) setSigning(ctx context.Context, name *string, arn string) (r ref, err error) {
	if r, err = resolveName(ctx, name, nil); err != nil {
		return r, err
	}
	r = r.function()
	return r, s.store.Update(ctx, func(tx kv.Tx) error {
		f, err := s.getFunction(tx, r)
		if err != nil {
			return err
		}
		if arn != "" {
			c, err := resolveSigning(ctx, arn)
			if err == nil {
				_, err = getSigning(tx, c)
			}
			if err != nil {
				return signingNotFound(arn)
			}
		}
		f.CodeSigning = arn
		return putJSON(tx, functionKey(r.scope, r.name), f)
	})
}

// checkSigned refuses unsigned code, which all code is, where the configuration of a function says so.
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-codesigning.html
func (s *Service) checkSigned(ctx context.Context, rd kv.Reader, r ref, arn string) error {
	if arn == "" {
		return nil
	}
	c, err := resolveSigning(ctx, arn)
	if err != nil {
		return signingNotFound(arn)
	}
	row, err := getSigning(rd, c)
	if err != nil {
		return signingNotFound(arn)
	}
	if row.Policy == api.CodeSigningPolicyEnforce {
		return &api.CodeVerificationFailedException{Type: new(userFault), Message: new(
			"Lambda cannot deploy the function. The function or layer might be signed using a signature that the client is not configured to accept. Check the provided signature for " + r.function().arn() + ".")}
	}
	return nil
}
