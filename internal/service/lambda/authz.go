package lambda

import (
	"context"
	"errors"
	"maps"
	"slices"

	api "brume/internal/api/lambda"
	"brume/internal/kv"
	"brume/internal/policy"
	"brume/internal/schema"
)

// servicePrincipal is who assumes execution roles.
const servicePrincipal = "lambda.amazonaws.com"

// Checks maps the input of an operation to the permissions it needs.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awslambda.html
func (s *Service) Checks(ctx context.Context, operation string, in schema.Struct) (checks []policy.Check, mapped bool, err error) {
	action := "lambda:" + operation
	onFunction := func(name, qualifier *string) ([]policy.Check, bool, error) {
		check, err := s.functionCheck(ctx, action, name, qualifier)
		return []policy.Check{check}, true, err
	}
	onAlias := func(function, alias *string) ([]policy.Check, bool, error) {
		r, err := resolveAlias(ctx, function, alias)
		if err != nil {
			return nil, true, err
		}
		check, err := s.checkOn(ctx, action, r)
		return []policy.Check{check}, true, err
	}
	onLayer := func(name *string, number *int64) ([]policy.Check, bool, error) {
		l, err := resolveLayer(ctx, name, number)
		if err != nil {
			return nil, true, err
		}
		check, err := s.layerCheck(ctx, action, l)
		return []policy.Check{check}, true, err
	}
	onURL := func(name, qualifier, authType *string) ([]policy.Check, bool, error) {
		check, err := s.functionCheck(ctx, action, name, qualifier)
		if authType != nil {
			also(&check, "lambda:FunctionUrlAuthType", *authType)
		}
		return []policy.Check{check}, true, err
	}
	onMapping := func(uuid *string) ([]policy.Check, bool, error) {
		check, err := s.mappingCheck(ctx, action, *uuid)
		return []policy.Check{check}, true, err
	}
	onTagged := func(arn *string) ([]policy.Check, bool, error) {
		if m, ok := parseMappingARN(ctx, *arn); ok {
			return onMapping(&m.uuid)
		}
		return onFunction(arn, nil)
	}
	onARN := func(arn *string) ([]policy.Check, bool, error) {
		return []policy.Check{{Action: action, Resource: *arn}}, true, nil
	}
	onAll := func() ([]policy.Check, bool, error) {
		return []policy.Check{{Action: action, Resource: "*"}}, true, nil
	}

	switch in := in.(type) {
	case *api.CreateFunctionInput:
		checks, mapped, err = onFunction(in.FunctionName, nil)
		if err == nil {
			withTags(&checks[0], in.Tags)
			if in.CodeSigningConfigArn != nil {
				also(&checks[0], "lambda:CodeSigningConfigArn", *in.CodeSigningConfigArn)
			}
			checks = append(checks, passRole(*in.Role, checks[0].Resource))
			if checks, err = s.usesLayers(ctx, checks, in.Layers); err != nil {
				return nil, true, err
			}
			if len(in.Tags) > 0 {
				tag := policy.Check{Action: "lambda:TagResource", Resource: checks[0].Resource}
				withTags(&tag, in.Tags)
				checks = append(checks, tag)
			}
			if in.Publish != nil && *in.Publish {
				checks = append(checks, policy.Check{Action: "lambda:PublishVersion", Resource: checks[0].Resource})
			}
		}
		return checks, mapped, err
	case *api.GetFunctionInput:
		return onFunction(in.FunctionName, in.Qualifier)
	case *api.GetFunctionConfigurationInput:
		return onFunction(in.FunctionName, in.Qualifier)
	case *api.ListFunctionsInput:
		return onAll()
	case *api.DeleteFunctionInput:
		return onFunction(in.FunctionName, in.Qualifier)
	case *api.UpdateFunctionCodeInput:
		checks, mapped, err = onFunction(in.FunctionName, nil)
		if err == nil && in.Publish != nil && *in.Publish {
			publish := checks[0]
			publish.Action = "lambda:PublishVersion"
			checks = append(checks, publish)
		}
		return checks, mapped, err
	case *api.UpdateFunctionConfigurationInput:
		checks, mapped, err = onFunction(in.FunctionName, nil)
		if err == nil && in.Role != nil {
			checks = append(checks, passRole(*in.Role, checks[0].Resource))
		}
		if err == nil {
			checks, err = s.usesLayers(ctx, checks, in.Layers)
		}
		return checks, mapped, err
	case *api.InvokeInput:
		action = "lambda:InvokeFunction"
		return onFunction(in.FunctionName, in.Qualifier)

	case *api.PublishVersionInput:
		return onFunction(in.FunctionName, nil)
	case *api.ListVersionsByFunctionInput:
		return onFunction(in.FunctionName, nil)
	case *api.CreateAliasInput:
		return onAlias(in.FunctionName, in.Name)
	case *api.GetAliasInput:
		return onAlias(in.FunctionName, in.Name)
	case *api.UpdateAliasInput:
		return onAlias(in.FunctionName, in.Name)
	case *api.DeleteAliasInput:
		return onAlias(in.FunctionName, in.Name)
	case *api.ListAliasesInput:
		return onFunction(in.FunctionName, nil)

	case *api.AddPermissionInput:
		checks, mapped, err = onFunction(in.FunctionName, in.Qualifier)
		if err == nil {
			also(&checks[0], "lambda:Principal", *in.Principal)
			if in.FunctionUrlAuthType != nil {
				also(&checks[0], "lambda:FunctionUrlAuthType", *in.FunctionUrlAuthType)
			}
		}
		return checks, mapped, err
	case *api.RemovePermissionInput:
		return onFunction(in.FunctionName, in.Qualifier)
	case *api.GetPolicyInput:
		return onFunction(in.FunctionName, in.Qualifier)

	case *api.TagResourceInput:
		checks, mapped, err = onTagged(in.Resource)
		if err == nil {
			withTags(&checks[0], in.Tags)
		}
		return checks, mapped, err
	case *api.UntagResourceInput:
		checks, mapped, err = onTagged(in.Resource)
		if err == nil {
			also(&checks[0], "aws:TagKeys", in.TagKeys...)
		}
		return checks, mapped, err
	case *api.ListTagsInput:
		return onTagged(in.Resource)

	case *api.PublishLayerVersionInput:
		return onLayer(in.LayerName, nil)
	case *api.ListLayerVersionsInput:
		return onLayer(in.LayerName, nil)
	case *api.ListLayersInput:
		return onAll()
	case *api.GetLayerVersionInput:
		return onLayer(in.LayerName, in.VersionNumber)
	case *api.GetLayerVersionByArnInput:
		action = "lambda:GetLayerVersion"
		l, ok := parseLayerARN(*in.Arn)
		if !ok {
			return onAll()
		}
		check, err := s.layerCheck(ctx, action, l)
		return []policy.Check{check}, true, err
	case *api.DeleteLayerVersionInput:
		return onLayer(in.LayerName, in.VersionNumber)
	case *api.AddLayerVersionPermissionInput:
		return onLayer(in.LayerName, in.VersionNumber)
	case *api.RemoveLayerVersionPermissionInput:
		return onLayer(in.LayerName, in.VersionNumber)
	case *api.GetLayerVersionPolicyInput:
		return onLayer(in.LayerName, in.VersionNumber)

	case *api.CreateFunctionUrlConfigInput:
		return onURL(in.FunctionName, in.Qualifier, in.AuthType)
	case *api.UpdateFunctionUrlConfigInput:
		return onURL(in.FunctionName, in.Qualifier, in.AuthType)
	case *api.GetFunctionUrlConfigInput:
		return onURL(in.FunctionName, in.Qualifier, nil)
	case *api.DeleteFunctionUrlConfigInput:
		return onURL(in.FunctionName, in.Qualifier, nil)
	case *api.ListFunctionUrlConfigsInput:
		return onURL(in.FunctionName, nil, nil)

	case *api.CreateEventSourceMappingInput:
		check := policy.Check{Action: action, Resource: "*"}
		err := mapsTo(ctx, &check, in.FunctionName)
		withTags(&check, in.Tags)
		return []policy.Check{check}, true, err
	case *api.GetEventSourceMappingInput:
		return onMapping(in.UUID)
	case *api.UpdateEventSourceMappingInput:
		checks, mapped, err = onMapping(in.UUID)
		if err == nil && in.FunctionName != nil && *in.FunctionName != "" {
			moved := policy.Check{Action: action, Resource: checks[0].Resource, Context: maps.Clone(checks[0].Context)}
			err = mapsTo(ctx, &moved, in.FunctionName)
			checks = append(checks, moved)
		}
		return checks, mapped, err
	case *api.DeleteEventSourceMappingInput:
		return onMapping(in.UUID)
	case *api.ListEventSourceMappingsInput:
		return onAll()

	case *api.InvokeWithResponseStreamInput:
		action = "lambda:InvokeFunction"
		return onFunction(in.FunctionName, in.Qualifier)
	case *api.InvokeAsyncInput:
		action = "lambda:InvokeFunction"
		return onFunction(in.FunctionName, nil)
	case *api.PutFunctionEventInvokeConfigInput:
		return onFunction(in.FunctionName, in.Qualifier)
	case *api.UpdateFunctionEventInvokeConfigInput:
		return onFunction(in.FunctionName, in.Qualifier)
	case *api.GetFunctionEventInvokeConfigInput:
		return onFunction(in.FunctionName, in.Qualifier)
	case *api.DeleteFunctionEventInvokeConfigInput:
		return onFunction(in.FunctionName, in.Qualifier)
	case *api.ListFunctionEventInvokeConfigsInput:
		return onFunction(in.FunctionName, nil)
	case *api.PutFunctionRecursionConfigInput:
		return onFunction(in.FunctionName, nil)
	case *api.GetFunctionRecursionConfigInput:
		return onFunction(in.FunctionName, nil)

	case *api.PutFunctionConcurrencyInput:
		return onFunction(in.FunctionName, nil)
	case *api.GetFunctionConcurrencyInput:
		return onFunction(in.FunctionName, nil)
	case *api.DeleteFunctionConcurrencyInput:
		return onFunction(in.FunctionName, nil)
	case *api.GetAccountSettingsInput:
		return onAll()
	case *api.GetFunctionCodeSigningConfigInput:
		return onFunction(in.FunctionName, nil)
	case *api.PutFunctionCodeSigningConfigInput:
		checks, mapped, err = onFunction(in.FunctionName, nil)
		if err == nil {
			also(&checks[0], "lambda:CodeSigningConfigArn", *in.CodeSigningConfigArn)
		}
		return checks, mapped, err
	case *api.DeleteFunctionCodeSigningConfigInput:
		return onFunction(in.FunctionName, nil)
	case *api.CreateCodeSigningConfigInput:
		return onAll()
	case *api.ListCodeSigningConfigsInput:
		return onAll()
	case *api.GetCodeSigningConfigInput:
		return onARN(in.CodeSigningConfigArn)
	case *api.UpdateCodeSigningConfigInput:
		return onARN(in.CodeSigningConfigArn)
	case *api.DeleteCodeSigningConfigInput:
		return onARN(in.CodeSigningConfigArn)
	case *api.ListFunctionsByCodeSigningConfigInput:
		return onARN(in.CodeSigningConfigArn)
	case *api.PutProvisionedConcurrencyConfigInput:
		return onFunction(in.FunctionName, in.Qualifier)
	case *api.GetProvisionedConcurrencyConfigInput:
		return onFunction(in.FunctionName, in.Qualifier)
	case *api.DeleteProvisionedConcurrencyConfigInput:
		return onFunction(in.FunctionName, in.Qualifier)
	case *api.ListProvisionedConcurrencyConfigsInput:
		return onFunction(in.FunctionName, nil)
	case *api.PutRuntimeManagementConfigInput:
		return onFunction(in.FunctionName, in.Qualifier)
	case *api.GetRuntimeManagementConfigInput:
		return onFunction(in.FunctionName, in.Qualifier)
	}
	return nil, false, nil
}

// functionCheck is a check on what a name names.
func (s *Service) functionCheck(ctx context.Context, action string, name, qualifier *string) (policy.Check, error) {
	r, err := resolveName(ctx, name, qualifier)
	if err != nil {
		return policy.Check{}, err
	}
	return s.checkOn(ctx, action, r)
}

// checkOn is a check on r, with the policy and the tags that it has, if it is there.
func (s *Service) checkOn(ctx context.Context, action string, r ref) (policy.Check, error) {
	check := policy.Check{Action: action, Resource: r.arn()}
	err := s.store.View(ctx, func(rd kv.Reader) error {
		f, err := s.peek(rd, r)
		if _, missing := errors.AsType[*api.ResourceNotFoundException](err); missing {
			return nil // the operation itself says so, to who may ask
		}
		if err != nil {
			return err
		}
		for k, v := range f.row.Tags {
			also(&check, "aws:ResourceTag/"+k, v)
		}
		check.ResourcePolicy, err = s.resourcePolicy(rd, r)
		return err
	})
	return check, err
}

// mapsTo makes check one on having events sent to a function. It belongs to the function's account, so that nobody has
// events sent to another's.
func mapsTo(ctx context.Context, check *policy.Check, function *string) error {
	r, err := resolveName(ctx, function, nil)
	also(check, "lambda:FunctionArn", r.arn())
	check.ResourceAccount = r.account
	return err
}

// passRole is the permission to hand a role over to Lambda.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html
func passRole(roleARN, functionARN string) policy.Check {
	return policy.Check{Action: "iam:PassRole", Resource: roleARN, Context: map[string][]string{
		"iam:PassedToService": {servicePrincipal}, "iam:AssociatedResourceArn": {functionARN},
	}}
}

// also adds a condition key to a check.
func also(check *policy.Check, key string, values ...string) {
	if check.Context == nil {
		check.Context = make(map[string][]string)
	}
	check.Context[key] = values
}

// withTags adds the condition keys for tags in a request.
func withTags(check *policy.Check, tags map[string]string) {
	if len(tags) == 0 {
		return
	}
	also(check, "aws:TagKeys", slices.Sorted(maps.Keys(tags))...)
	for k, v := range tags {
		also(check, "aws:RequestTag/"+k, v)
	}
}
