package lambda

import (
	"fmt"
	"testing"

	api "brume/internal/api/lambda"
)

// https://docs.aws.amazon.com/lambda/latest/dg/provisioned-concurrency.html
func TestProvisionedConcurrency(t *testing.T) {
	f := newFixture(t)
	f.create("f")
	put := func(qualifier string, n int32) *api.PutProvisionedConcurrencyConfigInput {
		return &api.PutProvisionedConcurrencyConfigInput{FunctionName: new("f"), Qualifier: &qualifier, ProvisionedConcurrentExecutions: &n}
	}
	refused[api.PutProvisionedConcurrencyConfigOutput](f, "PutProvisionedConcurrencyConfig", put("$LATEST", 1), "InvalidParameterValueException", "cannot be applied to unpublished function versions")
	ok[api.FunctionConfiguration](f, "PublishVersion", &api.PublishVersionInput{FunctionName: new("f")})
	ok[api.FunctionConfiguration](f, "UpdateFunctionConfiguration", &api.UpdateFunctionConfigurationInput{FunctionName: new("f"), Description: new("2")})
	ok[api.FunctionConfiguration](f, "PublishVersion", &api.PublishVersionInput{FunctionName: new("f")})
	ok[api.AliasConfiguration](f, "CreateAlias", &api.CreateAliasInput{FunctionName: new("f"), Name: new("prod"), FunctionVersion: new("1")})
	get := &api.GetProvisionedConcurrencyConfigInput{FunctionName: new("f"), Qualifier: new("prod")}
	refused[api.GetProvisionedConcurrencyConfigOutput](f, "GetProvisionedConcurrencyConfig", get, "ProvisionedConcurrencyConfigNotFoundException", "No Provisioned Concurrency Config found")
	ok[api.PutProvisionedConcurrencyConfigOutput](f, "PutProvisionedConcurrencyConfig", put("prod", 3))
	ok[api.PutProvisionedConcurrencyConfigOutput](f, "PutProvisionedConcurrencyConfig", put("2", 2))
	if c := ok[api.GetProvisionedConcurrencyConfigOutput](f, "GetProvisionedConcurrencyConfig", get); *c.Status != "READY" || *c.RequestedProvisionedConcurrentExecutions != 3 || *c.AllocatedProvisionedConcurrentExecutions != 3 {
		t.Errorf("%+v", c)
	}
	ready := func(want string) {
		t.Helper()
		if got := fmt.Sprint(f.envs.provisioned); got != want {
			t.Errorf("ready are %s, want %s", got, want)
		}
	}
	ready("map[1:3 2:2]")
	ok[api.AliasConfiguration](f, "UpdateAlias", &api.UpdateAliasInput{FunctionName: new("f"), Name: new("prod"), FunctionVersion: new("2")})
	ready("map[1:0 2:5]")
	ok[api.Concurrency](f, "PutFunctionConcurrency", &api.PutFunctionConcurrencyInput{FunctionName: new("f"), ReservedConcurrentExecutions: new(int32(5))})
	refused[api.PutProvisionedConcurrencyConfigOutput](f, "PutProvisionedConcurrencyConfig", put("2", 3), "InvalidParameterValueException", "should not be greater than the reservedConcurrentExecution")
	if l := ok[api.ListProvisionedConcurrencyConfigsOutput](f, "ListProvisionedConcurrencyConfigs", &api.ListProvisionedConcurrencyConfigsInput{FunctionName: new("f")}); len(l.ProvisionedConcurrencyConfigs) != 2 || *l.ProvisionedConcurrencyConfigs[1].FunctionArn != fnARN+"f:prod" {
		t.Errorf("%+v", l)
	}
	reserve := func(n int32) *api.PutFunctionConcurrencyInput {
		return &api.PutFunctionConcurrencyInput{FunctionName: new("f"), ReservedConcurrentExecutions: &n}
	}
	refused[api.Concurrency](f, "PutFunctionConcurrency", reserve(4), "InvalidParameterValueException", "should not be lower than function's total provisioned concurrency [5]")
	ok[api.Concurrency](f, "PutFunctionConcurrency", reserve(5))
	f.envs.provisioned = nil // another process
	must(t, f.ProvisionAll(t.Context()))
	ready("map[2:5]")
	ok[api.DeleteProvisionedConcurrencyConfigOutput](f, "DeleteProvisionedConcurrencyConfig", &api.DeleteProvisionedConcurrencyConfigInput{FunctionName: new("f"), Qualifier: new("prod")})
	ready("map[2:2]")
	ok[api.DeleteFunctionOutput](f, "DeleteFunction", &api.DeleteFunctionInput{FunctionName: new("f")})
	ready("map[2:0]")
}

// What is provisioned has room in what no function has reserved.
func TestProvisionedRoom(t *testing.T) {
	f := newFixture(t)
	put := func(name, qualifier string, n int32) *api.PutProvisionedConcurrencyConfigInput {
		return &api.PutProvisionedConcurrencyConfigInput{FunctionName: &name, Qualifier: &qualifier, ProvisionedConcurrentExecutions: &n}
	}
	for _, name := range []string{"f", "g", "h"} {
		f.create(name)
		ok[api.FunctionConfiguration](f, "PublishVersion", &api.PublishVersionInput{FunctionName: &name})
	}
	ok[api.Concurrency](f, "PutFunctionConcurrency", &api.PutFunctionConcurrencyInput{FunctionName: new("h"), ReservedConcurrentExecutions: new(int32(300))})
	ok[api.PutProvisionedConcurrencyConfigOutput](f, "PutProvisionedConcurrencyConfig", put("h", "1", 300)) // counts once
	ok[api.PutProvisionedConcurrencyConfigOutput](f, "PutProvisionedConcurrencyConfig", put("g", "1", 200))
	const refusal = "InvalidParameterValueException"
	refused[api.PutProvisionedConcurrencyConfigOutput](f, "PutProvisionedConcurrencyConfig", put("f", "1", 501), refusal, "greater than account's unreserved concurrency [500]")
	refused[api.PutProvisionedConcurrencyConfigOutput](f, "PutProvisionedConcurrencyConfig", put("f", "1", 401), refusal, "UnreservedConcurrentExecution below its minimum value of [100]")
	ok[api.PutProvisionedConcurrencyConfigOutput](f, "PutProvisionedConcurrencyConfig", put("f", "1", 400))
	ok[api.PutProvisionedConcurrencyConfigOutput](f, "PutProvisionedConcurrencyConfig", put("f", "1", 399)) // in place of those

	ok[api.FunctionConfiguration](f, "UpdateFunctionConfiguration", &api.UpdateFunctionConfigurationInput{FunctionName: new("g"), Description: new("2")})
	ok[api.FunctionConfiguration](f, "PublishVersion", &api.PublishVersionInput{FunctionName: new("g")})
	ok[api.AliasConfiguration](f, "CreateAlias", &api.CreateAliasInput{FunctionName: new("g"), Name: new("both"), FunctionVersion: new("1"),
		RoutingConfig: &api.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{"2": 0.5}}})
	// https://github.com/hashicorp/terraform/issues/24957
	refused[api.PutProvisionedConcurrencyConfigOutput](f, "PutProvisionedConcurrencyConfig", put("g", "both", 1), refusal, "Alias with weights can not be used with Provisioned Concurrency")
}

// https://docs.aws.amazon.com/lambda/latest/dg/configuration-codesigning.html
func TestCodeSigning(t *testing.T) {
	f := newFixture(t)
	f.create("f")
	publisher := []string{"arn:aws:signer:eu-central-1:123456789012:/signing-profiles/p/0"}
	c := ok[api.CreateCodeSigningConfigOutput](f, "CreateCodeSigningConfig", &api.CreateCodeSigningConfigInput{AllowedPublishers: &api.AllowedPublishers{SigningProfileVersionArns: publisher}}).CodeSigningConfig
	if *c.CodeSigningPolicies.UntrustedArtifactOnDeployment != "Warn" || len(*c.CodeSigningConfigId) != 21 {
		t.Errorf("%+v", c)
	}
	ok[api.PutFunctionCodeSigningConfigOutput](f, "PutFunctionCodeSigningConfig", &api.PutFunctionCodeSigningConfigInput{FunctionName: new("f"), CodeSigningConfigArn: c.CodeSigningConfigArn})
	if got := ok[api.GetFunctionCodeSigningConfigOutput](f, "GetFunctionCodeSigningConfig", &api.GetFunctionCodeSigningConfigInput{FunctionName: new("f")}); *got.CodeSigningConfigArn != *c.CodeSigningConfigArn {
		t.Errorf("%+v", got)
	}
	if l := ok[api.ListFunctionsByCodeSigningConfigOutput](f, "ListFunctionsByCodeSigningConfig", &api.ListFunctionsByCodeSigningConfigInput{CodeSigningConfigArn: c.CodeSigningConfigArn}); fmt.Sprint(l.FunctionArns) != "["+fnARN+"f]" {
		t.Errorf("%+v", l)
	}
	refused[api.DeleteCodeSigningConfigOutput](f, "DeleteCodeSigningConfig", &api.DeleteCodeSigningConfigInput{CodeSigningConfigArn: c.CodeSigningConfigArn}, "ResourceConflictException", "functions use it")
	update := &api.UpdateFunctionCodeInput{FunctionName: new("f"), ZipFile: zipFile(t, "index.py", "x = 1")}
	ok[api.FunctionConfiguration](f, "UpdateFunctionCode", update)
	ok[api.UpdateCodeSigningConfigOutput](f, "UpdateCodeSigningConfig", &api.UpdateCodeSigningConfigInput{CodeSigningConfigArn: c.CodeSigningConfigArn, CodeSigningPolicies: &api.CodeSigningPolicies{UntrustedArtifactOnDeployment: new("Enforce")}})
	refused[api.FunctionConfiguration](f, "UpdateFunctionCode", update, "CodeVerificationFailedException", "cannot deploy")
	in := f.input("g")
	in.CodeSigningConfigArn = c.CodeSigningConfigArn
	refused[api.FunctionConfiguration](f, "CreateFunction", in, "CodeVerificationFailedException", "Check the provided signature for "+fnARN+"g.")
	ok[api.DeleteFunctionCodeSigningConfigOutput](f, "DeleteFunctionCodeSigningConfig", &api.DeleteFunctionCodeSigningConfigInput{FunctionName: new("f")})
	ok[api.DeleteCodeSigningConfigOutput](f, "DeleteCodeSigningConfig", &api.DeleteCodeSigningConfigInput{CodeSigningConfigArn: c.CodeSigningConfigArn})
	refused[api.GetCodeSigningConfigOutput](f, "GetCodeSigningConfig", &api.GetCodeSigningConfigInput{CodeSigningConfigArn: c.CodeSigningConfigArn}, "ResourceNotFoundException", "cannot be found")
	if l := ok[api.ListCodeSigningConfigsOutput](f, "ListCodeSigningConfigs", &api.ListCodeSigningConfigsInput{}); len(l.CodeSigningConfigs) != 0 {
		t.Errorf("%+v", l)
	}
}

// https://docs.aws.amazon.com/lambda/latest/api/API_PutRuntimeManagementConfig.html
func TestRuntimeManagement(t *testing.T) {
	f := newFixture(t)
	f.create("f")
	get := func() *api.GetRuntimeManagementConfigOutput {
		return ok[api.GetRuntimeManagementConfigOutput](f, "GetRuntimeManagementConfig", &api.GetRuntimeManagementConfigInput{FunctionName: new("f")})
	}
	if c := get(); *c.UpdateRuntimeOn != "Auto" || *c.FunctionArn != fnARN+"f:$LATEST" || c.RuntimeVersionArn != nil {
		t.Errorf("%+v", c)
	}
	put := &api.PutRuntimeManagementConfigInput{FunctionName: new("f"), UpdateRuntimeOn: new("Manual")}
	refused[api.PutRuntimeManagementConfigOutput](f, "PutRuntimeManagementConfig", put, "InvalidParameterValueException", "RuntimeVersionArn is required")
	put.RuntimeVersionArn = new(runtimeVersionARN(region, "python3.12"))
	ok[api.PutRuntimeManagementConfigOutput](f, "PutRuntimeManagementConfig", put)
	if c := get(); *c.UpdateRuntimeOn != "Manual" || *c.RuntimeVersionArn != *put.RuntimeVersionArn {
		t.Errorf("%+v", c)
	}
}
