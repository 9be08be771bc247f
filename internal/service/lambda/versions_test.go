package lambda

import (
	"fmt"
	"strings"
	"testing"

	api "brume/internal/api/lambda"
)

// https://docs.aws.amazon.com/lambda/latest/dg/configuration-versions.html
func TestVersions(t *testing.T) {
	f := newFixture(t)
	f.runOutbox()
	latest := f.create("f")
	v1 := ok[api.FunctionConfiguration](f, "PublishVersion", &api.PublishVersionInput{FunctionName: new("f"), Description: new("first"), CodeSha256: latest.CodeSha256})
	if *v1.Version != "1" || *v1.FunctionArn != fnARN+"f:1" || *v1.Description != "first" || *v1.CodeSha256 != *latest.CodeSha256 {
		t.Errorf("%+v", v1)
	}
	// Nothing has changed, so there is no new version.
	if again := ok[api.FunctionConfiguration](f, "PublishVersion", &api.PublishVersionInput{FunctionName: new("f")}); *again.Version != "1" {
		t.Errorf("%s", *again.Version)
	}
	refused[api.FunctionConfiguration](f, "PublishVersion", &api.PublishVersionInput{FunctionName: new("f"), CodeSha256: new("wrong")},
		"InvalidParameterValueException", "CodeSHA256 (wrong) is different from current CodeSHA256 in $LATEST ("+*latest.CodeSha256+"). Please try again with the CodeSHA256 in $LATEST.")
	refused[api.FunctionConfiguration](f, "PublishVersion", &api.PublishVersionInput{FunctionName: new("f"), RevisionId: new("wrong")},
		"PreconditionFailedException", "Revision Id")
	ok[api.FunctionConfiguration](f, "UpdateFunctionConfiguration", &api.UpdateFunctionConfigurationInput{FunctionName: new("f"), Timeout: new(int32(9))})
	ok[api.FunctionConfiguration](f, "UpdateFunctionCode", &api.UpdateFunctionCodeInput{FunctionName: new("f"), ZipFile: zipFile(t, "index.py", "2")})
	v2 := ok[api.FunctionConfiguration](f, "PublishVersion", &api.PublishVersionInput{FunctionName: new("f")})
	if *v2.Version != "2" || *v2.Timeout != 9 {
		t.Errorf("%+v", v2)
	}
	// Version 1 is what it was, its code too.
	got := ok[api.FunctionConfiguration](f, "GetFunctionConfiguration", &api.GetFunctionConfigurationInput{FunctionName: new("f:1")})
	if *got.Timeout != 3 || *got.CodeSha256 != *latest.CodeSha256 || *got.RevisionId != *v1.RevisionId {
		t.Errorf("%+v", got)
	}
	f.download("f:1", f.input("f").Code.ZipFile)
	for _, in := range []string{"f:1", "f:prod"} {
		refused[api.FunctionConfiguration](f, "UpdateFunctionConfiguration", &api.UpdateFunctionConfigurationInput{FunctionName: &in}, "InvalidParameterValueException", "only $LATEST")
		refused[api.FunctionConfiguration](f, "UpdateFunctionCode", &api.UpdateFunctionCodeInput{FunctionName: &in, ZipFile: zipFile(t, "a", "b")}, "InvalidParameterValueException", "only $LATEST")
	}
	list := ok[api.ListVersionsByFunctionOutput](f, "ListVersionsByFunction", &api.ListVersionsByFunctionInput{FunctionName: new("f")})
	var arns []string
	for _, c := range list.Versions {
		arns = append(arns, strings.TrimPrefix(*c.FunctionArn, fnARN))
	}
	if strings.Join(arns, " ") != "f:$LATEST f:1 f:2" || list.NextMarker != nil {
		t.Errorf("%v", arns)
	}
	page := ok[api.ListVersionsByFunctionOutput](f, "ListVersionsByFunction", &api.ListVersionsByFunctionInput{FunctionName: new("f"), MaxItems: new(int32(2))})
	page = ok[api.ListVersionsByFunctionOutput](f, "ListVersionsByFunction", &api.ListVersionsByFunctionInput{FunctionName: new("f"), MaxItems: new(int32(2)), Marker: page.NextMarker})
	if len(page.Versions) != 1 || *page.Versions[0].Version != "2" {
		t.Errorf("%+v", page)
	}

	for _, alias := range []string{"prod", "beta"} {
		ok[api.AliasConfiguration](f, "CreateAlias", &api.CreateAliasInput{FunctionName: new("f"), Name: &alias, FunctionVersion: new("1")})
	}
	// https://github.com/karl-cardenas-coding/go-lambda-cleanup/issues/45 has the message.
	refused[api.DeleteFunctionOutput](f, "DeleteFunction", &api.DeleteFunctionInput{FunctionName: new("f:1")}, "ResourceConflictException",
		"Unable to delete version because the following aliases reference it: [beta prod]")
	for _, alias := range []string{"prod", "beta"} {
		ok[api.DeleteAliasOutput](f, "DeleteAlias", &api.DeleteAliasInput{FunctionName: new("f"), Name: &alias})
	}
	if f.blobs() != 2 {
		t.Errorf("%d blobs", f.blobs())
	}
	f.envs.retired = nil
	ok[api.DeleteFunctionOutput](f, "DeleteFunction", &api.DeleteFunctionInput{FunctionName: new("f:1")})
	if fmt.Sprint(f.envs.retired) != "[f 1]" {
		t.Errorf("retired: %v", f.envs.retired)
	}
	eventually(t, "its code is gone", func() bool { return f.blobs() == 1 })
	ok[api.DeleteFunctionOutput](f, "DeleteFunction", &api.DeleteFunctionInput{FunctionName: new("f:1")}) // as often as you like
	// Numbers are never used again.
	ok[api.DeleteFunctionOutput](f, "DeleteFunction", &api.DeleteFunctionInput{FunctionName: new("f:2")})
	if v := ok[api.FunctionConfiguration](f, "PublishVersion", &api.PublishVersionInput{FunctionName: new("f")}); *v.Version != "3" {
		t.Errorf("%s", *v.Version)
	}
}

// "Lambda doesn't publish a version if the function's configuration and code haven't changed since the last version":
// updates that change nothing make a new revision, and no new version.
// https://docs.aws.amazon.com/lambda/latest/api/API_PublishVersion.html
func TestPublishOnlyWhatChanged(t *testing.T) {
	f := newFixture(t)
	in := f.input("f")
	in.Environment = &api.Environment{Variables: map[string]string{"KEY": "value"}}
	ok[api.FunctionConfiguration](f, "CreateFunction", in)
	published := func(want string) {
		t.Helper()
		if v := ok[api.FunctionConfiguration](f, "PublishVersion", &api.PublishVersionInput{FunctionName: new("f"), Description: new("other")}); *v.Version != want {
			t.Errorf("version %s was published, want %s", *v.Version, want)
		}
	}
	update := func(in *api.UpdateFunctionConfigurationInput) {
		t.Helper()
		before := ok[api.FunctionConfiguration](f, "GetFunctionConfiguration", &api.GetFunctionConfigurationInput{FunctionName: new("f")})
		in.FunctionName = new("f")
		if after := ok[api.FunctionConfiguration](f, "UpdateFunctionConfiguration", in); *after.RevisionId == *before.RevisionId {
			t.Error("an update is no new revision")
		}
	}
	published("1")
	update(&api.UpdateFunctionConfigurationInput{Timeout: new(int32(3)), Environment: in.Environment})
	ok[api.FunctionConfiguration](f, "UpdateFunctionCode", &api.UpdateFunctionCodeInput{FunctionName: new("f"), ZipFile: in.Code.ZipFile})
	published("1")
	update(&api.UpdateFunctionConfigurationInput{Environment: &api.Environment{Variables: map[string]string{"KEY": "other"}}})
	published("2")
	update(&api.UpdateFunctionConfigurationInput{})
	published("2")
	update(&api.UpdateFunctionConfigurationInput{Description: new("new")})
	ok[api.FunctionConfiguration](f, "UpdateFunctionCode", &api.UpdateFunctionCodeInput{FunctionName: new("f"), ZipFile: in.Code.ZipFile})
	published("3")
	ok[api.FunctionConfiguration](f, "UpdateFunctionCode", &api.UpdateFunctionCodeInput{FunctionName: new("f"), ZipFile: zipFile(t, "a.py", "b")})
	published("4")
	published("4")
}

// https://docs.aws.amazon.com/lambda/latest/dg/configuration-aliases.html
func TestAliases(t *testing.T) {
	f := newFixture(t)
	in := f.input("f")
	in.Publish = new(true)
	if v := ok[api.FunctionConfiguration](f, "CreateFunction", in); *v.Version != "1" || *v.FunctionArn != fnARN+"f:1" {
		t.Errorf("%+v", v)
	}
	ok[api.FunctionConfiguration](f, "UpdateFunctionConfiguration", &api.UpdateFunctionConfigurationInput{FunctionName: new("f"), Description: new("new")})
	ok[api.FunctionConfiguration](f, "PublishVersion", &api.PublishVersionInput{FunctionName: new("f")})
	a := ok[api.AliasConfiguration](f, "CreateAlias", &api.CreateAliasInput{FunctionName: new("f"), Name: new("prod"), FunctionVersion: new("1"), Description: new("d")})
	if *a.AliasArn != fnARN+"f:prod" || *a.FunctionVersion != "1" || *a.Name != "prod" || *a.Description != "d" || a.RoutingConfig != nil {
		t.Errorf("%+v", a)
	}
	got := ok[api.FunctionConfiguration](f, "GetFunctionConfiguration", &api.GetFunctionConfigurationInput{FunctionName: new("f"), Qualifier: new("prod")})
	if *got.FunctionArn != fnARN+"f:prod" || *got.Version != "1" {
		t.Errorf("%+v", got)
	}
	for what, tt := range map[string]struct {
		in            *api.CreateAliasInput
		code, message string
	}{
		"twice":           {&api.CreateAliasInput{Name: new("prod"), FunctionVersion: new("1")}, "ResourceConflictException", "Alias already exists: " + fnARN + "f:prod"},
		"no version":      {&api.CreateAliasInput{Name: new("x"), FunctionVersion: new("9")}, "ResourceNotFoundException", "Function not found: " + fnARN + "f:9"},
		"a number":        {&api.CreateAliasInput{Name: new("7"), FunctionVersion: new("1")}, "ValidationException", "name"},
		"latest split":    {&api.CreateAliasInput{Name: new("x"), FunctionVersion: new("$LATEST"), RoutingConfig: weights("1", 0.5)}, "InvalidParameterValueException", "$LATEST is not supported for an alias pointing to more than 1 version"},
		"same version":    {&api.CreateAliasInput{Name: new("x"), FunctionVersion: new("1"), RoutingConfig: weights("1", 0.5)}, "InvalidParameterValueException", "Invalid function version 1."},
		"weighted 9":      {&api.CreateAliasInput{Name: new("x"), FunctionVersion: new("1"), RoutingConfig: weights("9", 0.5)}, "ResourceNotFoundException", "Function not found: " + fnARN + "f:9"},
		"too heavy":       {&api.CreateAliasInput{Name: new("x"), FunctionVersion: new("1"), RoutingConfig: weights("2", 1.5)}, "ValidationException", ""},
		"weighted latest": {&api.CreateAliasInput{Name: new("x"), FunctionVersion: new("1"), RoutingConfig: weights("$LATEST", 0.5)}, "", ""},
	} {
		tt.in.FunctionName = new("f")
		_, err := do[api.AliasConfiguration](f, root(), "CreateAlias", tt.in)
		if tt.code == "" {
			if err == nil {
				t.Errorf("%s: no error", what)
			}
			continue
		}
		t.Run(what, func(t *testing.T) { expectError(t, err, tt.code, tt.message) })
	}
	refused[api.AliasConfiguration](f, "UpdateAlias", &api.UpdateAliasInput{FunctionName: new("f"), Name: new("prod"), RevisionId: new("old")}, "PreconditionFailedException", "GetFunction/GetAlias")
	b := ok[api.AliasConfiguration](f, "UpdateAlias", &api.UpdateAliasInput{FunctionName: new("f"), Name: new("prod"), RevisionId: a.RevisionId, RoutingConfig: weights("2", 0.5)})
	if b.RoutingConfig.AdditionalVersionWeights["2"] != 0.5 || *b.Description != "d" || *b.RevisionId == *a.RevisionId {
		t.Errorf("%+v", b)
	}
	ran := map[string]int{}
	for range 400 {
		ran[*ok[api.InvokeOutput](f, "Invoke", &api.InvokeInput{FunctionName: new("f:prod")}).ExecutedVersion]++
	}
	if ran["1"] < 120 || ran["2"] < 120 || ran["1"]+ran["2"] != 400 { // further off than chance gets in the life of the universe
		t.Errorf("an even split ran %v", ran)
	}
	ok[api.AliasConfiguration](f, "UpdateAlias", &api.UpdateAliasInput{FunctionName: new("f"), Name: new("prod"), RoutingConfig: &api.AliasRoutingConfiguration{}, FunctionVersion: new("2")})
	if out := ok[api.InvokeOutput](f, "Invoke", &api.InvokeInput{FunctionName: new("f"), Qualifier: new("prod")}); *out.ExecutedVersion != "2" {
		t.Errorf("%s", *out.ExecutedVersion)
	}
	ok[api.AliasConfiguration](f, "CreateAlias", &api.CreateAliasInput{FunctionName: new("f"), Name: new("dev"), FunctionVersion: new("$LATEST")})
	names := func(in *api.ListAliasesInput) string {
		in.FunctionName = new("f")
		var s []string
		for _, a := range ok[api.ListAliasesOutput](f, "ListAliases", in).Aliases {
			s = append(s, *a.Name)
		}
		return strings.Join(s, " ")
	}
	if got := names(&api.ListAliasesInput{}) + "|" + names(&api.ListAliasesInput{FunctionVersion: new("2")}) + "|" + names(&api.ListAliasesInput{FunctionVersion: new("$LATEST")}) + "|" + names(&api.ListAliasesInput{FunctionVersion: new("1")}); got != "dev prod|prod|dev|" {
		t.Errorf("%s", got)
	}
	ok[api.DeleteAliasOutput](f, "DeleteAlias", &api.DeleteAliasInput{FunctionName: new("f"), Name: new("prod")})
	refused[api.AliasConfiguration](f, "GetAlias", &api.GetAliasInput{FunctionName: new("f"), Name: new("prod")}, "ResourceNotFoundException", "Cannot find alias arn: "+fnARN+"f:prod")
	refused[api.AliasConfiguration](f, "UpdateAlias", &api.UpdateAliasInput{FunctionName: new("f"), Name: new("prod")}, "ResourceNotFoundException", "Cannot find alias arn: "+fnARN+"f:prod")
}

func weights(version string, weight float64) *api.AliasRoutingConfiguration {
	return &api.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{version: weight}}
}

func TestTags(t *testing.T) {
	f := newFixture(t)
	f.create("f")
	arn := fnARN + "f"
	ok[api.TagResourceOutput](f, "TagResource", &api.TagResourceInput{Resource: &arn, Tags: map[string]string{"a": "1", "b": "2"}})
	ok[api.TagResourceOutput](f, "TagResource", &api.TagResourceInput{Resource: &arn, Tags: map[string]string{"b": "3"}})
	ok[api.UntagResourceOutput](f, "UntagResource", &api.UntagResourceInput{Resource: &arn, TagKeys: []string{"a", "x"}})
	if got := ok[api.ListTagsOutput](f, "ListTags", &api.ListTagsInput{Resource: &arn}).Tags; fmt.Sprint(got) != "map[b:3]" {
		t.Errorf("%v", got)
	}
	many := map[string]string{}
	for i := range maxTags {
		many[fmt.Sprintf("tag%d", i)] = ""
	}
	refused[api.TagResourceOutput](f, "TagResource", &api.TagResourceInput{Resource: &arn, Tags: many}, "InvalidParameterValueException", "Number of tags exceeds resource tag limit.")
	delete(many, "tag0")
	ok[api.TagResourceOutput](f, "TagResource", &api.TagResourceInput{Resource: &arn, Tags: many})
	for _, q := range []string{":1", ":$LATEST", ":prod"} {
		refused[api.TagResourceOutput](f, "TagResource", &api.TagResourceInput{Resource: new(arn + q), Tags: map[string]string{"a": "b"}}, "InvalidParameterValueException", "Tags on function aliases and versions are not supported.")
	}
	for what, tags := range map[string]map[string]string{
		"long key": {strings.Repeat("k", maxTagKey+1): ""}, "long value": {"k": strings.Repeat("ü", maxTagValue+1)}, "reserved": {"AWS:x": ""},
	} {
		if err := checkTags(tags); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	must(t, checkTags(map[string]string{strings.Repeat("k", maxTagKey): strings.Repeat("ü", maxTagValue)}))
}

// https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
func TestConcurrency(t *testing.T) {
	f := newFixture(t)
	f.create("f")
	f.create("g")
	put := func(name string, n int32) error {
		_, err := do[api.Concurrency](f, root(), "PutFunctionConcurrency", &api.PutFunctionConcurrencyInput{FunctionName: &name, ReservedConcurrentExecutions: &n})
		return err
	}
	must(t, put("f", 900))
	expectError(t, put("g", 1), "InvalidParameterValueException", "decreases account's UnreservedConcurrentExecution below its minimum value of [100].")
	must(t, put("f", 899))
	must(t, put("g", 1))
	must(t, put("f", 0)) // a function that may not run
	expectError(t, put("f:1", 1), "InvalidParameterValueException", "Aliases and versions do not support this operation.")
	get := func() *int32 {
		return ok[api.GetFunctionConcurrencyOutput](f, "GetFunctionConcurrency", &api.GetFunctionConcurrencyInput{FunctionName: new("f")}).ReservedConcurrentExecutions
	}
	if n := get(); n == nil || *n != 0 {
		t.Errorf("%v", n)
	}
	if c := ok[api.GetFunctionOutput](f, "GetFunction", &api.GetFunctionInput{FunctionName: new("f")}).Concurrency; c == nil || *c.ReservedConcurrentExecutions != 0 {
		t.Errorf("%v", c)
	}
	limits := func(name string) string {
		ok[api.InvokeOutput](f, "Invoke", &api.InvokeInput{FunctionName: &name})
		return fmt.Sprint(f.envs.runs[len(f.envs.runs)-1].Limits)
	}
	f.create("h")
	if got := limits("f") + limits("g") + limits("h"); got != "{0 0}{1 0}{-1 999}" {
		t.Errorf("%s", got)
	}
	ok[api.DeleteFunctionConcurrencyOutput](f, "DeleteFunctionConcurrency", &api.DeleteFunctionConcurrencyInput{FunctionName: new("g")})
	ok[api.DeleteFunctionConcurrencyOutput](f, "DeleteFunctionConcurrency", &api.DeleteFunctionConcurrencyInput{FunctionName: new("f")})
	if get() != nil || limits("g") != "{-1 1000}" {
		t.Errorf("%v, %s", get(), limits("g"))
	}
	if s := ok[api.GetAccountSettingsOutput](f, "GetAccountSettings", &api.GetAccountSettingsInput{}).AccountLimit; *s.UnreservedConcurrentExecutions != 1000 || *s.ConcurrentExecutions != 1000 {
		t.Errorf("%+v", s)
	}
}

// What Terraform asks for when it reads a function.
func TestWhatToolsAskFor(t *testing.T) {
	f := newFixture(t)
	f.create("f")
	if out := ok[api.GetFunctionCodeSigningConfigOutput](f, "GetFunctionCodeSigningConfig", &api.GetFunctionCodeSigningConfigInput{FunctionName: new("f")}); *out.FunctionName != "f" || *out.CodeSigningConfigArn != "" {
		t.Errorf("%+v", out)
	}
	if out := ok[api.GetRuntimeManagementConfigOutput](f, "GetRuntimeManagementConfig", &api.GetRuntimeManagementConfigInput{FunctionName: new("f")}); *out.UpdateRuntimeOn != "Auto" || *out.FunctionArn != fnARN+"f:$LATEST" {
		t.Errorf("%+v", out)
	}
}
