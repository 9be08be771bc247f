package lambda

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	api "brume/internal/api/lambda"
	"brume/internal/kv"
	"brume/internal/runtimes"
)

// Limits and defaults of a function's configuration.
// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
// https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html
const (
	maxTimeout         = 900 // seconds
	defaultTimeout     = 3
	defaultMemorySize  = 128 // MB
	defaultTmpSize     = 512 // MB
	maxEnvironmentSize = 4 << 10
)

// reservedVariables are the environment variables that only Lambda sets.
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime
func reservedVariables() []string {
	return []string{
		"_HANDLER", "_X_AMZN_TRACE_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV", "AWS_LAMBDA_FUNCTION_NAME",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_INITIALIZATION_TYPE",
		"AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
		"AWS_SESSION_TOKEN", "AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR",
	}
}

// retiredRuntimes are those that Lambda's model still names, and that it takes for no function any more.
// https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html#runtimes-deprecated
func retiredRuntimes() []string {
	return []string{
		"nodejs", "nodejs4.3", "nodejs4.3-edge", "nodejs6.10", "nodejs8.10", "nodejs10.x", "nodejs12.x", "nodejs14.x",
		"nodejs16.x", "java8", "python2.7", "python3.6", "python3.7", "dotnetcore1.0", "dotnetcore2.0", "dotnetcore2.1",
		"dotnetcore3.1", "dotnet6", "go1.x", "ruby2.5", "ruby2.7", "provided",
	}
}

// newVersion is the configuration that a function has before anything is said about it.
func (s *Service) newVersion() *versionRow {
	return &versionRow{
		Timeout: defaultTimeout, MemorySize: defaultMemorySize, TmpSize: defaultTmpSize,
		Architectures: []string{s.architecture}, TracingMode: api.TracingModePassThrough, SnapStart: api.SnapStartApplyOnNone,
		Logging: loggingRow{Format: api.LogFormatText},
	}
}

// vet refuses what in asks for and no function can have. It looks at nothing in the store.
func (s *Service) vet(ctx context.Context, in *api.UpdateFunctionConfigurationInput) error {
	if err := refuseMissing(in); err != nil {
		return err
	}
	if in.Timeout != nil && *in.Timeout > maxTimeout {
		return failsConstraint(*in.Timeout, "timeout", "Member must have value less than or equal to 900")
	}
	if in.DeadLetterConfig != nil && in.DeadLetterConfig.TargetArn != nil && *in.DeadLetterConfig.TargetArn != "" {
		if err := s.checkDeadLetter(*in.DeadLetterConfig.TargetArn); err != nil {
			return err
		}
	}
	if in.Environment != nil {
		if err := checkVariables(in.Environment.Variables); err != nil {
			return err
		}
	}
	if in.Runtime != nil {
		return s.checkRuntime(ctx, *in.Runtime)
	}
	return nil
}

// apply does to v what in says, which vet has let pass.
func (s *Service) apply(r ref, v *versionRow, in *api.UpdateFunctionConfigurationInput) error {
	set(&v.Runtime, in.Runtime)
	set(&v.Role, in.Role)
	set(&v.Handler, in.Handler)
	set(&v.Description, in.Description)
	set(&v.Timeout, in.Timeout)
	set(&v.MemorySize, in.MemorySize)
	if in.DeadLetterConfig != nil {
		v.DeadLetter = ""
		set(&v.DeadLetter, in.DeadLetterConfig.TargetArn)
	}
	if in.EphemeralStorage != nil {
		set(&v.TmpSize, in.EphemeralStorage.Size)
	}
	if in.TracingConfig != nil {
		set(&v.TracingMode, in.TracingConfig.Mode)
	}
	if in.SnapStart != nil {
		set(&v.SnapStart, in.SnapStart.ApplyOn)
	}
	if in.Environment != nil {
		variables := in.Environment.Variables
		if variables == nil {
			variables = map[string]string{}
		}
		if err := s.seal(r, v, variables); err != nil {
			return err
		}
	}
	if in.LoggingConfig != nil {
		if err := v.Logging.apply(in.LoggingConfig); err != nil {
			return err
		}
	}
	return s.checkArchitecture(v)
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// refuseMissing refuses what a function would rely on and not get. Empty values ask for nothing.
func refuseMissing(in *api.UpdateFunctionConfigurationInput) error {
	switch {
	case in.VpcConfig != nil && len(in.VpcConfig.SubnetIds)+len(in.VpcConfig.SecurityGroupIds) > 0:
		return invalid("VpcConfig is not supported: Brume has no VPCs. Leave it out.")
	case len(in.FileSystemConfigs) > 0:
		return invalid("FileSystemConfigs is not supported: Brume has no Amazon EFS. Leave it out.")
	case in.DurableConfig != nil:
		return invalid("DurableConfig is not supported: Brume has no durable functions. Leave it out.")
	case in.CapacityProviderConfig != nil:
		return invalid("CapacityProviderConfig is not supported: Brume has no capacity providers. Leave it out.")
	case in.ImageConfig != nil:
		return invalid("ImageConfig is for functions with PackageType Image, which Brume does not support.")
	case in.KMSKeyArn != nil && *in.KMSKeyArn != "":
		return invalid("KMSKeyArn is not supported: Brume has no AWS KMS. Environment variables are encrypted with a key of Brume's own.")
	}
	return nil
}

// checkRuntime looks whether this machine can run functions of a runtime.
func (s *Service) checkRuntime(ctx context.Context, name string) error {
	if slices.Contains(retiredRuntimes(), name) {
		return invalid("The runtime parameter of %s is no longer supported for creating or updating AWS Lambda functions. "+
			"We recommend you use a supported runtime while creating or updating functions.", name)
	}
	r, err := s.runtimes.Find(ctx, name)
	if err == nil && r.InstallSDK != "" {
		s.log.Warn("functions find no AWS SDK here unless they bring it", "runtime", name, "install", r.InstallSDK)
	}
	if missing, ok := errors.AsType[*runtimes.UnavailableError](err); ok {
		return invalid("%s", missing.Error())
	}
	return err
}

func checkVariables(variables map[string]string) error {
	const refused = "Lambda was unable to configure your environment variables because the environment variables you have provided "
	var reserved []string
	for _, name := range reservedVariables() {
		if _, ok := variables[name]; ok {
			reserved = append(reserved, name)
		}
	}
	if len(reserved) > 0 {
		return invalid(refused+"contains reserved keys that are currently not supported for modification. Reserved keys used in this request: %s",
			strings.Join(reserved, ", "))
	}
	for name, value := range variables {
		if strings.ContainsRune(name, '=') || strings.ContainsRune(name+value, 0) {
			return invalid(refused + "contain a key or value that no environment can hold.")
		}
	}
	var buf bytes.Buffer
	w := json.NewEncoder(&buf)
	w.SetEscapeHTML(false)
	if err := w.Encode(variables); err != nil {
		return err
	}
	if measured := bytes.TrimSuffix(buf.Bytes(), []byte{'\n'}); len(measured) > maxEnvironmentSize {
		return invalid(refused+"exceeded the 4KB limit. String measured: %s", measured)
	}
	return nil
}

// apply follows in, whose members all have defaults.
// https://docs.aws.amazon.com/lambda/latest/api/API_LoggingConfig.html
func (l *loggingRow) apply(in *api.LoggingConfig) error {
	set(&l.Format, in.LogFormat)
	set(&l.Group, in.LogGroup)
	if l.Format != api.LogFormatJson {
		if in.ApplicationLogLevel != nil || in.SystemLogLevel != nil {
			return invalid("ApplicationLogLevel and SystemLogLevel can only be set with LogFormat JSON.")
		}
		l.ApplicationLevel, l.SystemLevel = "", ""
		return nil
	}
	set(&l.ApplicationLevel, in.ApplicationLogLevel)
	set(&l.SystemLevel, in.SystemLogLevel)
	if l.ApplicationLevel == "" {
		l.ApplicationLevel = api.ApplicationLogLevelInfo
	}
	if l.SystemLevel == "" {
		l.SystemLevel = api.SystemLogLevelInfo
	}
	return nil
}

// checkRole looks whether a function can have a role.
func (s *Service) checkRole(ctx context.Context, r ref, roleARN string) error {
	parts := strings.SplitN(roleARN, ":", 6)
	if len(parts) != 6 || parts[4] != r.account {
		return accessDenied("Cross-account pass role is not allowed.")
	}
	err := s.roles.MayAssume(ctx, roleARN, r.function().arn())
	if errors.Is(err, ErrRoleDenied) {
		return invalid("The role defined for the function cannot be assumed by Lambda.")
	}
	return err
}

// https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionConfiguration.html
func (s *Service) UpdateFunctionConfiguration(ctx context.Context, in *api.UpdateFunctionConfigurationInput) (*api.FunctionConfiguration, error) {
	r, err := resolveName(ctx, in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	if err := mustBeLatest(r); err != nil {
		return nil, err
	}
	if err := s.vet(ctx, in); err != nil {
		return nil, err
	}
	if in.Role != nil {
		if err := s.checkRole(ctx, r, *in.Role); err != nil {
			return nil, err
		}
	}
	var v *versionRow
	err = s.store.Update(ctx, func(tx kv.Tx) error {
		f, err := s.getFunction(tx, r)
		if err != nil {
			return err
		}
		v = &f.Latest
		if in.RevisionId != nil && *in.RevisionId != v.RevisionID {
			return staleRevision("GetFunction/GetAlias")
		}
		before := *v
		if err := s.apply(r, v, in); err != nil {
			return err
		}
		if in.Layers != nil {
			if err := s.setLayers(tx, r, v, in.Layers); err != nil {
				return err
			}
			if err := s.packages.useAll(tx, v, r); err != nil {
				return err
			}
			for _, l := range before.Layers {
				if !slices.ContainsFunc(v.Layers, func(kept layerUse) bool { return kept.Code == l.Code }) {
					if err := s.packages.drop(tx, l.Code, r, 0); err != nil {
						return err
					}
				}
			}
		}
		v.touch(tx.Now(), &before)
		return putJSON(tx, functionKey(r.scope, r.name), f)
	})
	if err != nil {
		return nil, err
	}
	s.environments.Retire(r.account, r.region, r.name, latest, v.Generation)
	s.environments.Prepare(v.function(r))
	return beingChanged(s.configuration(r, v)), nil
}

// mustBeLatest refuses to change anything but $LATEST.
func mustBeLatest(r ref) error {
	if r.qualifier == "" || r.qualifier == latest {
		return nil
	}
	return invalid("The operation cannot be performed on a version or an alias of a function: only $LATEST can be changed.")
}

// checkArchitecture refuses programs that this machine cannot execute. Interpreted code runs on any.
func (s *Service) checkArchitecture(v *versionRow) error {
	if strings.HasPrefix(v.Runtime, "provided") && !slices.Contains(v.Architectures, s.architecture) {
		return invalid("This machine executes programs for the architecture %s, not for %s. Build the function for it.",
			s.architecture, strings.Join(v.Architectures, ", "))
	}
	return nil
}

// https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionConfiguration.html
func (s *Service) GetFunctionConfiguration(ctx context.Context, in *api.GetFunctionConfigurationInput) (*api.FunctionConfiguration, error) {
	r, err := resolveName(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	var out *api.FunctionConfiguration
	err = s.store.View(ctx, func(rd kv.Reader) error {
		_, v, err := s.find(rd, r)
		if err == nil {
			out = s.configuration(r, v)
		}
		return err
	})
	return out, err
}
