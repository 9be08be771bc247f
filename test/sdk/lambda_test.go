package sdk

import (
	"archive/zip"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"brume/test/story"
)

const lambdaService = `{"Service":"lambda.amazonaws.com"}`

// zipOf makes an archive: names and contents in turn.
func zipOf(t *testing.T, files ...string) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for i := 0; i < len(files); i += 2 {
		e, err := w.Create(files[i])
		if err == nil {
			_, err = io.WriteString(e, files[i+1])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// pythonRuntime and nodeRuntime are the newest that the machine offers for functions.
func pythonRuntime(t *testing.T) types.Runtime { return newestRuntime(t, "python") }
func nodeRuntime(t *testing.T) types.Runtime   { return newestRuntime(t, "nodejs") }

func newestRuntime(t *testing.T, family string) types.Runtime {
	t.Helper()
	offered, err := story.Runtimes(t.Context(), brume.Binary())
	if err != nil {
		t.Fatal(err)
	}
	name := ""
	for _, rt := range offered {
		if strings.HasPrefix(rt.Name, family) {
			name = rt.Name
		}
	}
	if name == "" {
		t.Skipf("the machine offers no runtime for %s: see scripts/prerequisites", family)
	}
	return types.Runtime(name)
}

// A world is an account with a role for functions and clients of its root.
type world struct {
	t       *testing.T
	account string
	config  aws.Config
	lambda  *lambda.Client
	role    string
}

func newWorld(t *testing.T, rolePolicy string) *world {
	t.Helper()
	account := newAccount()
	cfg := rootOf(account)
	return &world{t, account, cfg, lambda.NewFromConfig(cfg), newRole(t, cfg, "functions", lambdaService, rolePolicy)}
}

// function makes a Python function whose module index has this body.
func (w *world) function(name, body string, change func(*lambda.CreateFunctionInput)) *lambda.CreateFunctionOutput {
	w.t.Helper()
	in := &lambda.CreateFunctionInput{
		FunctionName: &name, Runtime: pythonRuntime(w.t), Role: &w.role, Handler: aws.String("index.handler"), Timeout: aws.Int32(10),
		Code: &types.FunctionCode{ZipFile: zipOf(w.t, "index.py", body)},
	}
	if change != nil {
		change(in)
	}
	out := ok(w.lambda.CreateFunction(w.t.Context(), in))(w.t)
	active := lambda.NewFunctionActiveV2Waiter(w.lambda, func(o *lambda.FunctionActiveV2WaiterOptions) { o.MinDelay = 50 * time.Millisecond })
	if err := active.Wait(w.t.Context(), &lambda.GetFunctionInput{FunctionName: &name}, 20*time.Second); err != nil {
		w.t.Fatal(err)
	}
	return out
}

// invoke runs a function, which must not fail, and returns what it answers.
func (w *world) invoke(name, payload string) string {
	w.t.Helper()
	out := ok(w.lambda.Invoke(w.t.Context(), &lambda.InvokeInput{FunctionName: &name, Payload: []byte(payload)}))(w.t)
	if out.FunctionError != nil {
		w.t.Fatalf("%s failed: %s", name, out.Payload)
	}
	return string(out.Payload)
}

// download fetches a presigned address with nothing but HTTP.
func download(t *testing.T, url string) []byte {
	t.Helper()
	resp := ok(http.Get(url))(t)
	defer resp.Body.Close()
	body := ok(io.ReadAll(resp.Body))(t)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", resp.Status, body)
	}
	return body
}

// https://docs.aws.amazon.com/lambda/latest/dg/chapter-layers.html
func TestLambdaLayers(t *testing.T) {
	w := newWorld(t, "")
	publish := func(name, file, body string) string {
		out := ok(w.lambda.PublishLayerVersion(t.Context(), &lambda.PublishLayerVersionInput{
			LayerName: &name, Content: &types.LayerVersionContentInput{ZipFile: zipOf(t, file, body)},
		}))(t)
		same(t, "the downloaded layer", int64(len(download(t, *out.Content.Location))), out.Content.CodeSize)
		return *out.LayerVersionArn
	}
	first := publish("first", "python/layered.py", "name = 'first'")
	second := publish("second", "python/layered.py", "name = 'second'")
	data := publish("data", "data/x.txt", "text")
	w.function("f", "import layered\ndef handler(e, c):\n  return [layered.name, layered.__file__, open('/opt/data/x.txt').read()]", func(in *lambda.CreateFunctionInput) {
		in.Layers = []string{first, second, data}
	})
	same(t, "the upper layer is seen", w.invoke("f", "{}"), `["second", "/opt/python/layered.py", "text"]`)
	out := ok(w.lambda.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String("f"), Layers: []string{second, first, data}}))(t)
	same(t, "layers", len(out.Layers), 3)
	same(t, "the order counts", w.invoke("f", "{}"), `["first", "/opt/python/layered.py", "text"]`)
	_, err := w.lambda.GetLayerVersion(t.Context(), &lambda.GetLayerVersionInput{LayerName: aws.String("first"), VersionNumber: aws.Int64(7)})
	is[*types.ResourceNotFoundException](t, err, "does not exist")
	_, err = w.lambda.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String("f"), Layers: []string{first + "0"}})
	is[*types.InvalidParameterValueException](t, err, "does not exist.")
}
