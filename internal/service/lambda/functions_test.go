package lambda

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	api "brume/internal/api/lambda"
	"brume/internal/blob"
	"brume/internal/service/lambda/code"
)

// What a new function looks like: https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html
func TestCreateFunction(t *testing.T) {
	f := newFixture(t)
	in := f.input("hello")
	in.Tags = map[string]string{"team": "blue"}
	c := ok[api.FunctionConfiguration](f, "CreateFunction", in)
	if *c.State != "Pending" || *c.StateReasonCode != "Creating" || c.LastUpdateStatus != nil {
		t.Errorf("made: %+v", c)
	}
	c = ok[api.FunctionConfiguration](f, "GetFunctionConfiguration", &api.GetFunctionConfigurationInput{FunctionName: new("hello")})
	sum := sha256.Sum256(in.Code.ZipFile)
	for what, pair := range map[string][2]any{
		"FunctionArn": {*c.FunctionArn, fnARN + "hello"}, "Version": {*c.Version, "$LATEST"}, "State": {*c.State, "Active"},
		"LastUpdateStatus": {*c.LastUpdateStatus, "Successful"}, "CodeSize": {*c.CodeSize, int64(len(in.Code.ZipFile))},
		"CodeSha256": {*c.CodeSha256, base64.StdEncoding.EncodeToString(sum[:])}, "Timeout": {*c.Timeout, int32(3)},
		"MemorySize": {*c.MemorySize, int32(128)}, "EphemeralStorage": {*c.EphemeralStorage.Size, int32(512)},
		"TracingConfig": {*c.TracingConfig.Mode, "PassThrough"}, "PackageType": {*c.PackageType, "Zip"},
		"SnapStart": {*c.SnapStart.ApplyOn + *c.SnapStart.OptimizationStatus, "NoneOff"}, "Description": {*c.Description, ""},
		"LogFormat": {*c.LoggingConfig.LogFormat, "Text"}, "LogGroup": {*c.LoggingConfig.LogGroup, "/aws/lambda/hello"},
		"Architectures": {fmt.Sprint(c.Architectures), "[x86_64]"}, "Role": {*c.Role, roleARN},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %v, want %v", what, pair[0], pair[1])
		}
	}
	if c.Environment != nil || c.LoggingConfig.ApplicationLogLevel != nil || c.StateReason != nil {
		t.Errorf("too much is said: %+v", c)
	}
	for what, pair := range map[string][2]string{
		"LastModified":      {*c.LastModified, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000$`},
		"RevisionId":        {*c.RevisionId, `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`},
		"RuntimeVersionArn": {*c.RuntimeVersionConfig.RuntimeVersionArn, `^arn:aws:lambda:eu-central-1::runtime:[0-9a-f]{64}$`},
	} {
		if !regexp.MustCompile(pair[1]).MatchString(pair[0]) {
			t.Errorf("%s is %q", what, pair[0])
		}
	}

	got := ok[api.GetFunctionOutput](f, "GetFunction", &api.GetFunctionInput{FunctionName: new("hello")})
	if *got.Configuration.RevisionId != *c.RevisionId || *got.Code.RepositoryType != "S3" || got.Tags["team"] != "blue" || got.Concurrency != nil {
		t.Errorf("%+v", got)
	}
	for _, name := range []string{"hello", fnARN + "hello", account + ":function:hello", "function:hello"} {
		conf := ok[api.FunctionConfiguration](f, "GetFunctionConfiguration", &api.GetFunctionConfigurationInput{FunctionName: &name})
		if *conf.FunctionArn != fnARN+"hello" {
			t.Errorf("%s: %s", name, *conf.FunctionArn)
		}
	}
	conf := ok[api.FunctionConfiguration](f, "GetFunctionConfiguration", &api.GetFunctionConfigurationInput{FunctionName: new("hello:$LATEST")})
	if *conf.FunctionArn != fnARN+"hello:$LATEST" || *conf.FunctionName != "hello" {
		t.Errorf("%s", *conf.FunctionArn)
	}
	refused[api.FunctionConfiguration](f, "CreateFunction", in, "ResourceConflictException", "Function already exist: hello")
}

func TestCreateFunctionRefuses(t *testing.T) {
	f := newFixture(t)
	f.roles.denied["arn:aws:iam::123456789012:role/denied"] = true
	fits := map[string]string{"AB": strings.Repeat("x", 4<<10-len(`{"AB":""}`))}
	big := map[string]string{"AB": fits["AB"] + "x"}
	for what, tt := range map[string]struct {
		change        func(in *api.CreateFunctionInput)
		code, message string
	}{
		"no runtime":      {func(in *api.CreateFunctionInput) { in.Runtime = nil }, "InvalidParameterValueException", "Runtime and Handler are mandatory parameters"},
		"no handler":      {func(in *api.CreateFunctionInput) { in.Handler = nil }, "InvalidParameterValueException", "Runtime and Handler are mandatory parameters"},
		"strange runtime": {func(in *api.CreateFunctionInput) { in.Runtime = new("cobol74") }, "ValidationException", "Member must satisfy enum value set"},
		"retired runtime": {func(in *api.CreateFunctionInput) { in.Runtime = new("nodejs14.x") }, "InvalidParameterValueException", "The runtime parameter of nodejs14.x is no longer supported for creating or updating AWS Lambda functions."},
		"missing runtime": {func(in *api.CreateFunctionInput) { in.Runtime = new("ruby3.3") }, "InvalidParameterValueException", "Install it with: apt-get install ruby3.3"},
		"long name":       {func(in *api.CreateFunctionInput) { in.FunctionName = new(strings.Repeat("x", 65)) }, "ValidationException", "less than or equal to 64"},
		"qualified name":  {func(in *api.CreateFunctionInput) { in.FunctionName = new("f:1") }, "ValidationException", "functionName"},
		"other region":    {func(in *api.CreateFunctionInput) { in.FunctionName = new("us-east-1:f") }, "ResourceNotFoundException", "Functions from 'us-east-1' are not reachable in this region ('eu-central-1')"},
		"long timeout":    {func(in *api.CreateFunctionInput) { in.Timeout = new(int32(901)) }, "ValidationException", "Value '901' at 'timeout' failed to satisfy constraint: Member must have value less than or equal to 900"},
		"no timeout":      {func(in *api.CreateFunctionInput) { in.Timeout = new(int32(0)) }, "ValidationException", "timeout"},
		"little memory":   {func(in *api.CreateFunctionInput) { in.MemorySize = new(int32(127)) }, "ValidationException", "memorySize"},
		"much memory":     {func(in *api.CreateFunctionInput) { in.MemorySize = new(int32(10241)) }, "ValidationException", "memorySize"},
		"little disk":     {func(in *api.CreateFunctionInput) { in.EphemeralStorage = &api.EphemeralStorage{Size: new(int32(511))} }, "ValidationException", "ephemeralStorage"},
		"image":           {func(in *api.CreateFunctionInput) { in.PackageType = new("Image") }, "InvalidParameterValueException", "PackageType Image is not supported"},
		"image uri":       {func(in *api.CreateFunctionInput) { in.Code = &api.FunctionCode{ImageUri: new("x")} }, "InvalidParameterValueException", "ImageUri is not supported"},
		"S3": {func(in *api.CreateFunctionInput) {
			in.Code = &api.FunctionCode{S3Bucket: new("bucket"), S3Key: new("k")}
		}, "InvalidParameterValueException", "Brume has no Amazon S3 yet"},
		"no code":      {func(in *api.CreateFunctionInput) { in.Code = &api.FunctionCode{} }, "InvalidParameterValueException", "Please provide a source for function code."},
		"two sources":  {func(in *api.CreateFunctionInput) { in.Code.S3Bucket = new("bucket") }, "InvalidParameterValueException", "more than one source"},
		"no zip":       {func(in *api.CreateFunctionInput) { in.Code.ZipFile = []byte("print(1)") }, "InvalidParameterValueException", "Could not unzip uploaded file. Please check your file, then try to upload again."},
		"escaping zip": {func(in *api.CreateFunctionInput) { in.Code.ZipFile = zipFile(t, "../evil", "x") }, "InvalidParameterValueException", "Could not unzip uploaded file."},
		"empty zip":    {func(in *api.CreateFunctionInput) { in.Code.ZipFile = append([]byte("PK\x05\x06"), make([]byte, 18)...) }, "InvalidParameterValueException", "Uploaded file must be a non-empty zip"},
		"huge zip":     {func(in *api.CreateFunctionInput) { in.Code.ZipFile = make([]byte, code.MaxZipped+1) }, "RequestEntityTooLargeException", "Request must be smaller than 70167211 bytes for the CreateFunction operation"},
		"reserved name": {func(in *api.CreateFunctionInput) {
			in.Environment = &api.Environment{Variables: map[string]string{"AWS_REGION": "x", "OK": "y"}}
		}, "InvalidParameterValueException", "Lambda was unable to configure your environment variables because the environment variables you have provided contains reserved keys that are currently not supported for modification. Reserved keys used in this request: AWS_REGION"},
		"big environment": {func(in *api.CreateFunctionInput) { in.Environment = &api.Environment{Variables: big} }, "InvalidParameterValueException", "exceeded the 4KB limit. String measured: {"},
		"zero byte": {func(in *api.CreateFunctionInput) {
			in.Environment = &api.Environment{Variables: map[string]string{"AB": "a\x00b"}}
		}, "InvalidParameterValueException", "no environment can hold"},
		"denied role":  {func(in *api.CreateFunctionInput) { in.Role = new("arn:aws:iam::123456789012:role/denied") }, "InvalidParameterValueException", "The role defined for the function cannot be assumed by Lambda."},
		"foreign role": {func(in *api.CreateFunctionInput) { in.Role = new("arn:aws:iam::999999999999:role/r") }, "AccessDenied", ""},
		"VPC":          {func(in *api.CreateFunctionInput) { in.VpcConfig = &api.VpcConfig{SubnetIds: []string{"subnet-1"}} }, "InvalidParameterValueException", "Brume has no VPCs"},
		"layer": {func(in *api.CreateFunctionInput) {
			in.Layers = []string{"arn:aws:lambda:eu-central-1:123456789012:layer:l:1"}
		}, "InvalidParameterValueException", "Layer version arn:aws:lambda:eu-central-1:123456789012:layer:l:1 does not exist."},
		"dead letters": {func(in *api.CreateFunctionInput) {
			in.DeadLetterConfig = &api.DeadLetterConfig{TargetArn: new("arn:aws:sns:eu-central-1:123456789012:q")}
		}, "InvalidParameterValueException", "DeadLetterConfig"},
		"key":            {func(in *api.CreateFunctionInput) { in.KMSKeyArn = new("arn:aws:kms:eu-central-1:123456789012:key/k") }, "InvalidParameterValueException", "KMSKeyArn"},
		"levels of text": {func(in *api.CreateFunctionInput) { in.LoggingConfig = &api.LoggingConfig{SystemLogLevel: new("WARN")} }, "InvalidParameterValueException", "LogFormat JSON"},
		"other machine": {func(in *api.CreateFunctionInput) {
			in.Runtime, in.Architectures = new("provided.al2023"), []string{"arm64"}
		}, "InvalidParameterValueException", "x86_64"},
		"aws tag": {func(in *api.CreateFunctionInput) { in.Tags = map[string]string{"aws:x": "y"} }, "InvalidParameterValueException", "aws:"},
		"signed code": {func(in *api.CreateFunctionInput) {
			in.CodeSigningConfigArn = new("arn:aws:lambda:eu-central-1:123456789012:code-signing-config:csc-0123456789abcdef0")
		}, "CodeSigningConfigNotFoundException", "cannot be found"},
	} {
		in := f.input("refused")
		tt.change(in)
		t.Run(what, func(t *testing.T) {
			_, err := do[api.FunctionConfiguration](f, root(), "CreateFunction", in)
			expectError(t, err, tt.code, tt.message)
		})
	}
	if n := f.blobs(); n != 0 {
		t.Errorf("%d blobs are left of what was refused", n)
	}
	for what, change := range map[string]func(in *api.CreateFunctionInput){
		"bounds":      func(in *api.CreateFunctionInput) { in.Timeout, in.MemorySize = new(int32(900)), new(int32(10240)) },
		"environment": func(in *api.CreateFunctionInput) { in.Environment = &api.Environment{Variables: fits} },
		"nothing of anything": func(in *api.CreateFunctionInput) {
			in.VpcConfig, in.DeadLetterConfig, in.KMSKeyArn, in.Layers = &api.VpcConfig{SubnetIds: []string{}}, &api.DeadLetterConfig{TargetArn: new("")}, new(""), []string{}
		},
		"other machine": func(in *api.CreateFunctionInput) { in.Architectures = []string{"arm64"} },
	} {
		in := f.input(strings.ReplaceAll(what, " ", "-"))
		change(in)
		ok[api.FunctionConfiguration](f, "CreateFunction", in)
	}
}

// blobs counts the files of the blob store.
func (f *fixture) blobs() (n int) {
	f.t.Helper()
	must(f.t, filepath.WalkDir(f.blobDir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && strings.Count(d.Name(), "-") == 2 {
			n++
		}
		return err
	}))
	return n
}

func TestFunctionsOfOtherAccountsAndRegions(t *testing.T) {
	f := newFixture(t)
	f.create("f")
	refused[api.GetFunctionOutput](f, "GetFunction", &api.GetFunctionInput{FunctionName: new("us-east-1:f")}, "ResourceNotFoundException",
		"Functions from 'us-east-1' are not reachable in this region ('eu-central-1')")
	refused[api.GetFunctionOutput](f, "GetFunction", &api.GetFunctionInput{FunctionName: new("999999999999:function:f")}, "AccessDenied", "")
}

// https://docs.aws.amazon.com/lambda/latest/api/API_GetFunction.html
func TestWhatIsNotThere(t *testing.T) {
	f := newFixture(t)
	f.create("f")
	for _, tt := range []struct {
		name      string
		qualifier *string
		message   string
	}{
		{"nobody", nil, "Function not found: " + fnARN + "nobody"},
		{"nobody", new("$LATEST"), "Function not found: " + fnARN + "nobody:$LATEST"},
		{"f", new("1"), "Function not found: " + fnARN + "f:1"},
		{"f", new("01"), "Function not found: " + fnARN + "f:01"},
		{"f", new("prod"), "Function not found: " + fnARN + "f:prod"},
	} {
		refused[api.GetFunctionOutput](f, "GetFunction", &api.GetFunctionInput{FunctionName: &tt.name, Qualifier: tt.qualifier}, "ResourceNotFoundException", tt.message)
		refused[api.FunctionConfiguration](f, "GetFunctionConfiguration", &api.GetFunctionConfigurationInput{FunctionName: &tt.name, Qualifier: tt.qualifier}, "ResourceNotFoundException", tt.message)
		refused[api.InvokeOutput](f, "Invoke", &api.InvokeInput{FunctionName: &tt.name, Qualifier: tt.qualifier}, "ResourceNotFoundException", tt.message)
		refused[api.InvokeOutput](f, "Invoke", &api.InvokeInput{FunctionName: &tt.name, Qualifier: tt.qualifier, InvocationType: new("Event")}, "ResourceNotFoundException", tt.message)
	}
	refused[api.GetFunctionOutput](f, "GetFunction", &api.GetFunctionInput{FunctionName: new("f:1"), Qualifier: new("2")}, "InvalidParameterValueException",
		"The derived qualifier from the function name does not match the specified qualifier.")
	for _, err := range []error{
		func() error {
			_, err := do[api.DeleteFunctionOutput](f, root(), "DeleteFunction", &api.DeleteFunctionInput{FunctionName: new("nobody")})
			return err
		}(),
		func() error {
			_, err := do[api.FunctionConfiguration](f, root(), "UpdateFunctionConfiguration", &api.UpdateFunctionConfigurationInput{FunctionName: new("nobody")})
			return err
		}(),
		func() error {
			_, err := do[api.FunctionConfiguration](f, root(), "UpdateFunctionCode", &api.UpdateFunctionCodeInput{FunctionName: new("nobody"), ZipFile: zipFile(t, "a", "b")})
			return err
		}(),
		func() error {
			_, err := do[api.ListVersionsByFunctionOutput](f, root(), "ListVersionsByFunction", &api.ListVersionsByFunctionInput{FunctionName: new("nobody")})
			return err
		}(),
		func() error {
			_, err := do[api.ListTagsOutput](f, root(), "ListTags", &api.ListTagsInput{Resource: new(fnARN + "nobody")})
			return err
		}(),
		func() error {
			_, err := do[api.Concurrency](f, root(), "PutFunctionConcurrency", &api.PutFunctionConcurrencyInput{FunctionName: new("nobody"), ReservedConcurrentExecutions: new(int32(1))})
			return err
		}(),
		func() error {
			_, err := do[api.GetFunctionCodeSigningConfigOutput](f, root(), "GetFunctionCodeSigningConfig", &api.GetFunctionCodeSigningConfigInput{FunctionName: new("nobody")})
			return err
		}(),
	} {
		expectError(t, err, "ResourceNotFoundException", "Function not found: "+fnARN+"nobody")
	}
}

func TestUpdateFunctionConfiguration(t *testing.T) {
	f := newFixture(t)
	first := f.create("f")
	c := ok[api.FunctionConfiguration](f, "UpdateFunctionConfiguration", &api.UpdateFunctionConfigurationInput{
		FunctionName: new("f"), Description: new("d"), Timeout: new(int32(10)), RevisionId: first.RevisionId,
		Environment:   &api.Environment{Variables: map[string]string{"SECRET": "sesame"}},
		LoggingConfig: &api.LoggingConfig{LogFormat: new("JSON"), LogGroup: new("/mine")},
	})
	if *c.Description != "d" || *c.Timeout != 10 || *c.MemorySize != 128 || c.Environment.Variables["SECRET"] != "sesame" ||
		*c.LoggingConfig.LogGroup != "/mine" || *c.LoggingConfig.ApplicationLogLevel != "INFO" || *c.LoggingConfig.SystemLogLevel != "INFO" {
		t.Errorf("%+v", c)
	}
	if *c.RevisionId == *first.RevisionId || *c.CodeSha256 != *first.CodeSha256 {
		t.Error("the revision is the same, or the code is not")
	}
	if fmt.Sprint(f.envs.retired) != "[f $LATEST]" {
		t.Errorf("retired: %v", f.envs.retired)
	}
	refused[api.FunctionConfiguration](f, "UpdateFunctionConfiguration", &api.UpdateFunctionConfigurationInput{FunctionName: new("f"), RevisionId: first.RevisionId},
		"PreconditionFailedException", "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id")
	refused[api.FunctionConfiguration](f, "UpdateFunctionConfiguration", &api.UpdateFunctionConfigurationInput{FunctionName: new("f"), Timeout: new(int32(901))},
		"ValidationException", "timeout")
	f.roles.denied[roleARN] = true
	refused[api.FunctionConfiguration](f, "UpdateFunctionConfiguration", &api.UpdateFunctionConfigurationInput{FunctionName: new("f"), Role: new(roleARN)},
		"InvalidParameterValueException", "cannot be assumed by Lambda")
	// What is not named stays, and an empty map is a value.
	c = ok[api.FunctionConfiguration](f, "UpdateFunctionConfiguration", &api.UpdateFunctionConfigurationInput{FunctionName: new("f"), MemorySize: new(int32(256))})
	if c.Environment.Variables["SECRET"] != "sesame" || *c.Timeout != 10 || *c.MemorySize != 256 {
		t.Errorf("%+v", c)
	}
	c = ok[api.FunctionConfiguration](f, "UpdateFunctionConfiguration", &api.UpdateFunctionConfigurationInput{
		FunctionName: new("f"), Environment: &api.Environment{}, LoggingConfig: &api.LoggingConfig{LogFormat: new("Text")}})
	if len(c.Environment.Variables) != 0 || c.LoggingConfig.SystemLogLevel != nil {
		t.Errorf("%+v", c)
	}
}

// The store alone gives no secret away.
func TestEnvironmentIsSealed(t *testing.T) {
	f := newFixture(t)
	in := f.input("f")
	in.Environment = &api.Environment{Variables: map[string]string{"PASSWORD": "open sesame"}}
	ok[api.FunctionConfiguration](f, "CreateFunction", in)
	r := ref{scope{account, region}, "f", ""}
	found := 0
	must(t, f.store.View(t.Context(), func(rd kvReader) error {
		for pair, err := range rd.Scan(kvRange{}) {
			if err != nil {
				return err
			}
			found++
			if bytes.Contains(pair.Value, []byte("sesame")) || bytes.Contains(pair.Value, []byte(base64.StdEncoding.EncodeToString([]byte("open sesame")))) {
				t.Errorf("the row %q gives it away", pair.Key)
			}
		}
		row, err := f.getFunction(rd, r)
		if err == nil && row.Latest.variables["PASSWORD"] != "open sesame" {
			t.Errorf("%v", row.Latest.variables)
		}
		// Nor does it open for another function.
		other := row.Latest
		if err := f.unseal(ref{scope{account, region}, "g", ""}, &other); err == nil {
			t.Error("it opens for another function")
		}
		return err
	}))
	if found == 0 {
		t.Error("nothing was looked at")
	}
}

func TestUpdateFunctionCode(t *testing.T) {
	f := newFixture(t)
	f.runOutbox()
	first := f.create("f")
	next := zipFile(t, "index.py", "def handler(e, c): return 2")
	c := ok[api.FunctionConfiguration](f, "UpdateFunctionCode", &api.UpdateFunctionCodeInput{FunctionName: new("f"), ZipFile: next, DryRun: new(true)})
	if *c.CodeSha256 == *first.CodeSha256 || *c.CodeSize != int64(len(next)) {
		t.Errorf("a dry run says %+v", c)
	}
	if f.blobs() != 1 || len(f.envs.retired) != 0 {
		t.Errorf("a dry run leaves %d blobs and retires %v", f.blobs(), f.envs.retired)
	}
	c = ok[api.FunctionConfiguration](f, "GetFunctionConfiguration", &api.GetFunctionConfigurationInput{FunctionName: new("f")})
	if *c.CodeSha256 != *first.CodeSha256 || *c.RevisionId != *first.RevisionId {
		t.Error("a dry run changed the function")
	}
	refused[api.FunctionConfiguration](f, "UpdateFunctionCode", &api.UpdateFunctionCodeInput{FunctionName: new("f"), ZipFile: next, RevisionId: new("old")},
		"PreconditionFailedException", "The Revision Id provided does not match")
	refused[api.FunctionConfiguration](f, "UpdateFunctionCode", &api.UpdateFunctionCodeInput{FunctionName: new("f"), ZipFile: []byte("PK")},
		"InvalidParameterValueException", "Could not unzip")
	if f.blobs() != 1 {
		t.Errorf("%d blobs after refused updates", f.blobs())
	}
	c = ok[api.FunctionConfiguration](f, "UpdateFunctionCode", &api.UpdateFunctionCodeInput{FunctionName: new("f"), ZipFile: next, RevisionId: first.RevisionId})
	if *c.CodeSha256 == *first.CodeSha256 || *c.RevisionId == *first.RevisionId || *c.Version != "$LATEST" {
		t.Errorf("%+v", c)
	}
	if fmt.Sprint(f.envs.retired) != "[f $LATEST]" {
		t.Errorf("retired: %v", f.envs.retired)
	}
	eventually(t, "the old code is gone", func() bool { return f.blobs() == 1 })
	// The same code once more is a new revision, and still there afterwards.
	again := ok[api.FunctionConfiguration](f, "UpdateFunctionCode", &api.UpdateFunctionCodeInput{FunctionName: new("f"), ZipFile: next})
	if *again.CodeSha256 != *c.CodeSha256 || *again.RevisionId == *c.RevisionId {
		t.Errorf("%+v", again)
	}
	eventually(t, "one blob is left", func() bool { return f.blobs() == 1 })
	f.download("f", next)
	published := ok[api.FunctionConfiguration](f, "UpdateFunctionCode", &api.UpdateFunctionCodeInput{FunctionName: new("f"), ZipFile: next, Publish: new(true)})
	if *published.Version != "1" || *published.FunctionArn != fnARN+"f:1" {
		t.Errorf("%+v", published)
	}
}

// download fetches a function's code by the link in GetFunction.
func (f *fixture) download(name string, want []byte) {
	f.t.Helper()
	out := ok[api.GetFunctionOutput](f, "GetFunction", &api.GetFunctionInput{FunctionName: &name})
	u, err := url.Parse(*out.Code.Location)
	must(f.t, err)
	r, err := f.links.Open(f.t.Context(), u.Path, u.Query())
	must(f.t, err)
	defer r.Close()
	got, err := io.ReadAll(r)
	must(f.t, err)
	if !bytes.Equal(got, want) {
		f.t.Errorf("the code of %s is another one", name)
	}
}

func TestLinks(t *testing.T) {
	f := newFixture(t)
	in := f.input("f")
	ok[api.FunctionConfiguration](f, "CreateFunction", in)
	f.download("f", in.Code.ZipFile)
	out := ok[api.GetFunctionOutput](f, "GetFunction", &api.GetFunctionInput{FunctionName: new("f")})
	if !strings.HasPrefix(*out.Code.Location, "http://127.0.0.1:4566"+CodePath) {
		t.Errorf("%s", *out.Code.Location)
	}
	u, err := url.Parse(*out.Code.Location)
	must(t, err)
	other := blob.Ref{Size: 3}
	with := func(k, v string) url.Values {
		q := u.Query()
		q.Set(k, v)
		return q
	}
	for what, tt := range map[string]struct {
		path  string
		query url.Values
	}{
		"no signature":    {u.Path, with("Signature", "")},
		"wrong signature": {u.Path, with("Signature", strings.Repeat("0", 64))},
		"later":           {u.Path, with("Expires", "99999999999")},
		"no time":         {u.Path, with("Expires", "")},
		"other code":      {CodePath + other.String(), u.Query()},
		"other path":      {"/x" + u.Path, u.Query()},
		"no code":         {CodePath, url.Values{"Expires": {"99999999999"}, "Signature": {f.links.sign("", "99999999999")}}},
	} {
		_, err := f.links.Open(t.Context(), tt.path, tt.query)
		if err == nil {
			t.Errorf("%s: opens", what)
		} else {
			expectError(t, err, "AccessDeniedException", "The link is not valid")
		}
	}
	now := time.Now()
	f.links.now = func() time.Time { return now.Add(codeURLValid - 2*time.Second) }
	f.download("f", in.Code.ZipFile)
	f.links.now = func() time.Time { return now.Add(codeURLValid + 2*time.Second) }
	_, err = f.links.Open(t.Context(), u.Path, u.Query())
	expectError(t, err, "AccessDeniedException", "The link is not valid")
}

func TestDeleteFunction(t *testing.T) {
	f := newFixture(t)
	f.runOutbox()
	first := f.create("f")
	f.create("other")
	ok[api.FunctionConfiguration](f, "PublishVersion", &api.PublishVersionInput{FunctionName: new("f")})
	ok[api.AliasConfiguration](f, "CreateAlias", &api.CreateAliasInput{FunctionName: new("f"), Name: new("prod"), FunctionVersion: new("1")})
	ok[api.AddPermissionOutput](f, "AddPermission", &api.AddPermissionInput{FunctionName: new("f"), StatementId: new("s"), Action: new("lambda:InvokeFunction"), Principal: new("*")})
	ok[api.Concurrency](f, "PutFunctionConcurrency", &api.PutFunctionConcurrencyInput{FunctionName: new("f"), ReservedConcurrentExecutions: new(int32(7))})
	refused[api.DeleteFunctionOutput](f, "DeleteFunction", &api.DeleteFunctionInput{FunctionName: new("f"), Qualifier: new("$LATEST")},
		"InvalidParameterValueException", "$LATEST version cannot be deleted without deleting the function.")
	refused[api.DeleteFunctionOutput](f, "DeleteFunction", &api.DeleteFunctionInput{FunctionName: new("f:prod")},
		"InvalidParameterValueException", "Deletion of aliases is not currently supported.")
	ok[api.DeleteFunctionOutput](f, "DeleteFunction", &api.DeleteFunctionInput{FunctionName: new("f")})
	if fmt.Sprint(f.envs.retired) != "[f ]" {
		t.Errorf("retired: %q", f.envs.retired)
	}
	eventually(t, "its code is gone", func() bool { return f.blobs() == 1 })
	must(t, f.store.View(t.Context(), func(rd kvReader) error {
		for pair, err := range rd.Scan(kvRange{}) {
			if err != nil {
				return err
			}
			if bytes.Contains(pair.Key, []byte(account)) && !bytes.Contains(pair.Key, []byte("other")) && pair.Key[len(table(0))-1] != tagReserved {
				t.Errorf("left behind: %q", pair.Key)
			}
		}
		return nil
	}))
	refused[api.DeleteFunctionOutput](f, "DeleteFunction", &api.DeleteFunctionInput{FunctionName: new("f")}, "ResourceNotFoundException", "Function not found: "+fnARN+"f")
	again := f.create("f")
	if *again.RevisionId == *first.RevisionId {
		t.Error("the new function has the old revision")
	}
	settings := ok[api.GetAccountSettingsOutput](f, "GetAccountSettings", &api.GetAccountSettingsInput{})
	if *settings.AccountLimit.UnreservedConcurrentExecutions != 1000 || *settings.AccountUsage.FunctionCount != 2 ||
		*settings.AccountUsage.TotalCodeSize != *again.CodeSize+int64(len(f.input("other").Code.ZipFile)) {
		t.Errorf("%+v %+v", settings.AccountLimit, settings.AccountUsage)
	}
	if v := ok[api.FunctionConfiguration](f, "PublishVersion", &api.PublishVersionInput{FunctionName: new("f")}); *v.Version != "1" {
		t.Errorf("the first version of the new function is %s", *v.Version)
	}
}

// What is measured is the JSON of all variables.
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
func TestEnvironmentLimit(t *testing.T) {
	f := newFixture(t)
	in := f.input("f")
	in.Environment = &api.Environment{Variables: map[string]string{"URL": strings.Repeat("&<>ü ", (4096-10)/6)}}
	ok[api.FunctionConfiguration](f, "CreateFunction", in)
	in = f.input("g")
	in.Environment = &api.Environment{Variables: map[string]string{"URL": strings.Repeat("x", 4096-9)}}
	refused[api.FunctionConfiguration](f, "CreateFunction", in, "InvalidParameterValueException",
		`exceeded the 4KB limit. String measured: {"URL":"x`)
	in.Environment.Variables["URL"] = strings.Repeat("x", 4096-10)
	ok[api.FunctionConfiguration](f, "CreateFunction", in)
}

func TestListFunctions(t *testing.T) {
	f := newFixture(t)
	for i := range 7 {
		f.create(fmt.Sprintf("f%d", i))
	}
	ok[api.FunctionConfiguration](f, "PublishVersion", &api.PublishVersionInput{FunctionName: new("f1")})
	list := func(in *api.ListFunctionsInput) (names []string, pages int) {
		for {
			out := ok[api.ListFunctionsOutput](f, "ListFunctions", in)
			pages++
			for _, c := range out.Functions {
				names = append(names, strings.TrimPrefix(*c.FunctionArn, fnARN))
				// https://docs.aws.amazon.com/lambda/latest/api/API_ListFunctions.html: not all fields are listed.
				if c.State != nil || c.LastUpdateStatus != nil || c.RuntimeVersionConfig != nil || c.Timeout == nil {
					t.Errorf("%+v", c)
				}
			}
			if out.NextMarker == nil {
				return names, pages
			}
			in.Marker = out.NextMarker
		}
	}
	for size := int32(1); size <= 8; size++ {
		names, pages := list(&api.ListFunctionsInput{MaxItems: &size})
		if strings.Join(names, " ") != "f0 f1 f2 f3 f4 f5 f6" || pages != (7+int(size)-1)/int(size) {
			t.Errorf("pages of %d: %v in %d", size, names, pages)
		}
		names, _ = list(&api.ListFunctionsInput{MaxItems: &size, FunctionVersion: new("ALL")})
		if strings.Join(names, " ") != "f0:$LATEST f1:$LATEST f1:1 f2:$LATEST f3:$LATEST f4:$LATEST f5:$LATEST f6:$LATEST" {
			t.Errorf("all, in pages of %d: %v", size, names)
		}
	}
	refused[api.ListFunctionsOutput](f, "ListFunctions", &api.ListFunctionsInput{Marker: new("no marker")}, "InvalidParameterValueException", "Invalid Marker")
	elsewhere, err := do[api.ListFunctionsOutput](f, as(callPrincipal("999999999999")), "ListFunctions", &api.ListFunctionsInput{})
	must(t, err)
	if len(elsewhere.Functions) != 0 || elsewhere.Functions == nil {
		t.Errorf("another account has %v", elsewhere.Functions)
	}
}

// What a crash between storing code and writing the row leaves behind.
func TestSweep(t *testing.T) {
	f := newFixture(t)
	in := f.input("f")
	ok[api.FunctionConfiguration](f, "CreateFunction", in)
	lost, err := f.packages.blobs.Put(t.Context(), strings.NewReader("lost"))
	must(t, err)
	must(t, f.packages.Sweep(t.Context(), time.Now().Add(-time.Hour)))
	if f.blobs() != 2 {
		t.Errorf("%d blobs: what is younger than the process was taken", f.blobs())
	}
	must(t, f.packages.Sweep(t.Context(), time.Now().Add(time.Hour)))
	if _, err := f.packages.blobs.Open(t.Context(), lost); err == nil || f.blobs() != 1 {
		t.Errorf("%d blobs are left", f.blobs())
	}
	f.download("f", in.Code.ZipFile)
}
