package lambda

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	api "brume/internal/api/lambda"
	"brume/internal/kv"
)

func (f *fixture) layer(name, file, body string) *api.PublishLayerVersionOutput {
	f.t.Helper()
	return ok[api.PublishLayerVersionOutput](f, "PublishLayerVersion", &api.PublishLayerVersionInput{
		LayerName: &name, Description: new("about " + name), CompatibleRuntimes: []string{"python3.12"},
		Content: &api.LayerVersionContentInput{ZipFile: zipFile(f.t, file, body)},
	})
}

const layerARN = "arn:aws:lambda:eu-central-1:123456789012:layer:"

// https://docs.aws.amazon.com/lambda/latest/api/API_PublishLayerVersion.html
func TestLayers(t *testing.T) {
	f := newFixture(t)
	one := f.layer("lib", "python/lib.py", "x = 1")
	if *one.Version != 1 || *one.LayerVersionArn != layerARN+"lib:1" || *one.LayerArn != layerARN+"lib" || len(*one.Content.CodeSha256) != 44 {
		t.Errorf("%+v", one)
	}
	two := f.layer("lib", "python/lib.py", "x = 2")
	f.layer("other", "python/other.py", "y = 1")

	got := ok[api.GetLayerVersionResponse](f, "GetLayerVersion", &api.GetLayerVersionInput{LayerName: new(layerARN + "lib"), VersionNumber: new(int64(2))})
	byARN := ok[api.GetLayerVersionResponse](f, "GetLayerVersionByArn", &api.GetLayerVersionByArnInput{Arn: two.LayerVersionArn})
	for _, v := range []*api.GetLayerVersionResponse{got, byARN} {
		if *v.Version != 2 || *v.Content.CodeSha256 != *two.Content.CodeSha256 || !strings.Contains(*v.Content.Location, CodePath) {
			t.Errorf("%+v", v)
		}
	}
	versions := ok[api.ListLayerVersionsOutput](f, "ListLayerVersions", &api.ListLayerVersionsInput{LayerName: new("lib")})
	if len(versions.LayerVersions) != 2 || *versions.LayerVersions[0].Version != 2 {
		t.Errorf("the newest is first: %+v", versions)
	}
	page := ok[api.ListLayersOutput](f, "ListLayers", &api.ListLayersInput{MaxItems: new(int32(1)), CompatibleRuntime: new("python3.12")})
	if len(page.Layers) != 1 || *page.Layers[0].LayerName != "lib" || *page.Layers[0].LatestMatchingVersion.Version != 2 || page.NextMarker == nil {
		t.Errorf("%+v", page)
	}
	page = ok[api.ListLayersOutput](f, "ListLayers", &api.ListLayersInput{MaxItems: new(int32(1)), Marker: page.NextMarker})
	if len(page.Layers) != 1 || *page.Layers[0].LayerName != "other" || page.NextMarker != nil {
		t.Errorf("%+v", page)
	}
	if none := ok[api.ListLayersOutput](f, "ListLayers", &api.ListLayersInput{CompatibleRuntime: new("nodejs22.x")}); len(none.Layers) != 0 {
		t.Errorf("%+v", none)
	}

	ok[api.DeleteLayerVersionOutput](f, "DeleteLayerVersion", &api.DeleteLayerVersionInput{LayerName: new("lib"), VersionNumber: new(int64(2))})
	ok[api.DeleteLayerVersionOutput](f, "DeleteLayerVersion", &api.DeleteLayerVersionInput{LayerName: new("lib"), VersionNumber: new(int64(2))})
	refused[api.GetLayerVersionResponse](f, "GetLayerVersion", &api.GetLayerVersionInput{LayerName: new("lib"), VersionNumber: new(int64(2))}, "ResourceNotFoundException", "does not exist")
	if three := f.layer("lib", "python/lib.py", "x = 3"); *three.Version != 3 {
		t.Errorf("a number was used again: %d", *three.Version)
	}
}

// A function has its layers in their order, and keeps them when they are deleted.
// https://docs.aws.amazon.com/lambda/latest/dg/adding-layers.html
func TestFunctionsWithLayers(t *testing.T) {
	f := newFixture(t)
	lib, over := f.layer("lib", "python/m.py", "lib"), f.layer("over", "python/m.py", "over")
	in := f.input("f")
	in.Layers = []string{*lib.LayerVersionArn, *over.LayerVersionArn}
	c := ok[api.FunctionConfiguration](f, "CreateFunction", in)
	if len(c.Layers) != 2 || *c.Layers[0].Arn != *lib.LayerVersionArn || *c.Layers[1].CodeSize != *over.Content.CodeSize {
		t.Errorf("%+v", c.Layers)
	}
	ok[api.InvokeOutput](f, "Invoke", &api.InvokeInput{FunctionName: new("f")})
	names := f.envs.ran[0].Layers
	dir, err := f.packages.AcquireLayers(t.Context(), names)
	must(t, err)
	defer dir.Release()
	if body, err := os.ReadFile(filepath.Join(dir.Path, "python/m.py")); err != nil || string(body) != "over" {
		t.Errorf("%q, %v", body, err)
	}

	// What is deleted stays with the function, what the function lets go of is removed.
	f.runOutbox()
	ok[api.DeleteLayerVersionOutput](f, "DeleteLayerVersion", &api.DeleteLayerVersionInput{LayerName: new("lib"), VersionNumber: new(int64(1))})
	published := ok[api.FunctionConfiguration](f, "PublishVersion", &api.PublishVersionInput{FunctionName: new("f")})
	c = ok[api.FunctionConfiguration](f, "UpdateFunctionConfiguration", &api.UpdateFunctionConfigurationInput{FunctionName: new("f"), Layers: []string{*over.LayerVersionArn}})
	if len(c.Layers) != 1 || len(published.Layers) != 2 {
		t.Errorf("%+v, %+v", c.Layers, published.Layers)
	}
	c = ok[api.FunctionConfiguration](f, "UpdateFunctionConfiguration", &api.UpdateFunctionConfigurationInput{FunctionName: new("f"), Layers: []string{}})
	if len(c.Layers) != 0 {
		t.Errorf("%+v", c.Layers)
	}
	count := func() (n int) {
		must(t, f.store.View(t.Context(), func(rd kv.Reader) error {
			for _, err := range rd.Scan(kv.Prefix(table(tagCode))) {
				must(t, err)
				n++
			}
			return nil
		}))
		return n
	}
	if n := count(); n != 5 { // $LATEST's code, version 1's code and two layers, the layer over
		t.Errorf("%d uses", n)
	}
	blobs := func() (n int) {
		for _, err := range f.packages.blobs.List(t.Context()) {
			must(t, err)
			n++
		}
		return n
	}
	ok[api.DeleteFunctionOutput](f, "DeleteFunction", &api.DeleteFunctionInput{FunctionName: new("f")})
	eventually(t, "only the layer over is left", func() bool { return count() == 1 && blobs() == 1 })
}

func TestLayersThatCannotBeUsed(t *testing.T) {
	f := newFixture(t)
	f.create("f")
	lib := f.layer("lib", "a", "1")
	lib2 := f.layer("lib", "a", "2")
	many := []string{}
	for i := range 6 {
		many = append(many, *f.layer(fmt.Sprint("l", i), "a", "1").LayerVersionArn)
	}
	for _, c := range []struct {
		layers []string
		want   string
	}{
		{[]string{layerARN + "nobody:1"}, "Layer version " + layerARN + "nobody:1 does not exist."},
		{[]string{strings.Replace(*lib.LayerVersionArn, "eu-central-1", "us-east-1", 1)}, "Layers are expected to be in region eu-central-1."},
		{[]string{*lib.LayerVersionArn, *lib2.LayerVersionArn}, "Two different versions of the same layer"},
		{many, "Cannot reference more than 5 layers."},
	} {
		refused[api.FunctionConfiguration](f, "UpdateFunctionConfiguration",
			&api.UpdateFunctionConfigurationInput{FunctionName: new("f"), Layers: c.layers}, "InvalidParameterValueException", c.want)
	}
	ok[api.FunctionConfiguration](f, "UpdateFunctionConfiguration", &api.UpdateFunctionConfigurationInput{FunctionName: new("f"), Layers: many[:5]})
	big := &versionRow{Unzipped: 200 << 20, Layers: []layerUse{{Unzipped: 50<<20 + 1}}}
	expectError(t, big.checkSize(), "InvalidParameterValueException", "exceeds the maximum allowed size of 262144000 bytes. The actual size is 262144001 bytes.")
	big.Unzipped--
	must(t, big.checkSize())
}

// Another account may use a layer when its policy says so.
// https://docs.aws.amazon.com/lambda/latest/dg/permissions-layer-cross-account.html
func TestLayerPermissions(t *testing.T) {
	f := newFixture(t)
	lib := f.layer("lib", "a", "1")
	get := &api.GetLayerVersionByArnInput{Arn: lib.LayerVersionArn}
	other := as(callPrincipal("210987654321"))
	_, err := do[api.GetLayerVersionResponse](f, other, "GetLayerVersionByArn", get)
	expectError(t, err, "AccessDenied", "lambda:GetLayerVersion")
	add := &api.AddLayerVersionPermissionInput{LayerName: new("lib"), VersionNumber: new(int64(1)), StatementId: new("s"), Action: new("lambda:GetLayerVersion"), Principal: new("210987654321")}
	out := ok[api.AddLayerVersionPermissionOutput](f, "AddLayerVersionPermission", add)
	if !strings.Contains(*out.Statement, `"Principal":{"AWS":"arn:aws:iam::210987654321:root"}`) || !strings.Contains(*out.Statement, `"Resource":"`+layerARN+`lib:1"`) {
		t.Error(*out.Statement)
	}
	refused[api.AddLayerVersionPermissionOutput](f, "AddLayerVersionPermission", add, "ResourceConflictException", "already exists")
	_, err = do[api.GetLayerVersionResponse](f, other, "GetLayerVersionByArn", get)
	must(t, err)
	in := f.input("theirs")
	in.Role, in.Layers = new("arn:aws:iam::210987654321:role/r"), []string{*lib.LayerVersionArn}
	_, err = do[api.FunctionConfiguration](f, other, "CreateFunction", in)
	must(t, err)

	doc := ok[api.GetLayerVersionPolicyOutput](f, "GetLayerVersionPolicy", &api.GetLayerVersionPolicyInput{LayerName: new("lib"), VersionNumber: new(int64(1))})
	if !strings.Contains(*doc.Policy, `"Sid":"s"`) || *doc.RevisionId != *out.RevisionId {
		t.Errorf("%+v", doc)
	}
	remove := &api.RemoveLayerVersionPermissionInput{LayerName: new("lib"), VersionNumber: new(int64(1)), StatementId: new("s"), RevisionId: new("stale")}
	refused[api.RemoveLayerVersionPermissionOutput](f, "RemoveLayerVersionPermission", remove, "PreconditionFailedException", "Revision Id")
	remove.RevisionId = out.RevisionId
	ok[api.RemoveLayerVersionPermissionOutput](f, "RemoveLayerVersionPermission", remove)
	refused[api.GetLayerVersionPolicyOutput](f, "GetLayerVersionPolicy", &api.GetLayerVersionPolicyInput{LayerName: new("lib"), VersionNumber: new(int64(1))}, "ResourceNotFoundException", "No policy")
	in.FunctionName = new("again")
	_, err = do[api.FunctionConfiguration](f, other, "CreateFunction", in)
	expectError(t, err, "AccessDenied", "lambda:GetLayerVersion")
}
