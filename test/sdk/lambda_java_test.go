package sdk

import (
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"brume/test/story"
)

const javaFunction = `
import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import java.net.HttpURLConnection;
import java.net.URL;
import java.util.*;

public class Function implements RequestHandler<Function.Event, List<Object>> {
    public static class Event { public String name; public int times; }

    @Override
    public List<Object> handleRequest(Event event, Context context) {
        if (event.times < 0) { throw new IllegalArgumentException("times is " + event.times); }
        context.getLogger().log("called by " + event.name);
        try {
            // AWS's own name, over TLS: the name, the address and the certificate are Brume's.
            URL url = new URL("https://dynamodb." + System.getenv("AWS_REGION") + ".amazonaws.com/");
            HttpURLConnection c = (HttpURLConnection) url.openConnection();
            return Arrays.asList(event.name.repeat(event.times), Layer.NAME, c.getResponseCode() / 100, context.getMemoryLimitInMB());
        } catch (java.io.IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }
}
`

// A function in Java, with a layer, through the API: https://docs.aws.amazon.com/lambda/latest/dg/lambda-java.html
func TestLambdaJava(t *testing.T) {
	offered := ok(story.Offered(t.Context(), brume.Binary()))(t)
	runtime := ""
	for _, o := range offered {
		if strings.HasPrefix(o.Name, "java") && runtime == "" && o.Name != "java11" {
			runtime = o.Name
		}
	}
	_, err := exec.LookPath("javac")
	if (err != nil || runtime == "") && os.Getenv("CI") == "" {
		t.Skip("there is no Java, or no compiler: install openjdk-17-jdk-headless")
	}
	dir := t.TempDir()
	for name, source := range map[string]string{"Function.java": javaFunction, "Layer.java": "public class Layer { public static final Object NAME = \"layer\"; }\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(source), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	compile := exec.Command("javac", "--release", "17", "-cp", ok(filepath.Abs("../../internal/runtimes/bootstrap/bootstrap.jar"))(t), "-d", ".", "Function.java", "Layer.java")
	compile.Dir = dir
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	class := func(name string) string { return string(ok(os.ReadFile(filepath.Join(dir, name)))(t)) }

	w := newWorld(t, "")
	layer := ok(w.lambda.PublishLayerVersion(t.Context(), &lambda.PublishLayerVersionInput{
		LayerName: aws.String("layer"), CompatibleRuntimes: []types.Runtime{types.Runtime(runtime)},
		Content: &types.LayerVersionContentInput{ZipFile: zipOf(t, "java/lib/layer.jar", string(zipOf(t, "Layer.class", class("Layer.class"))))},
	}))(t)
	w.function("f", "", func(in *lambda.CreateFunctionInput) {
		in.Runtime, in.Handler, in.Layers, in.Timeout = types.Runtime(runtime), aws.String("Function"), []string{*layer.LayerVersionArn}, aws.Int32(30)
		in.MemorySize = aws.Int32(512)
		in.Code.ZipFile = zipOf(t, "Function.class", class("Function.class"), "Function$Event.class", class("Function$Event.class"))
	})
	out := ok(w.lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("f"), Payload: []byte(`{"name":"ab","times":2}`), LogType: types.LogTypeTail}))(t)
	same(t, "the answer", string(out.Payload), `["abab","layer",4,512]`)
	log := string(ok(base64.StdEncoding.DecodeString(*out.LogResult))(t))
	if !strings.HasPrefix(log, "START RequestId: ") || !strings.Contains(log, "\ncalled by ab\n") {
		t.Errorf("the log is %q", log)
	}
	failed := ok(w.lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("f"), Payload: []byte(`{"times":-1}`)}))(t)
	same(t, "what failed", aws.ToString(failed.FunctionError), "Unhandled")
	if want := `{"errorMessage":"times is -1","errorType":"java.lang.IllegalArgumentException","stackTrace":["Function.handleRequest(Function.java:`; !strings.HasPrefix(string(failed.Payload), want) {
		t.Errorf("%s", failed.Payload)
	}
}
