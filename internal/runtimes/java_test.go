package runtimes

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"brume/internal/runtimeapi"
)

// javaClasses are the compiled classes of testdata/java, by the names of their files.
var javaClasses = sync.OnceValues(func() (map[string]string, error) {
	dir, err := os.MkdirTemp("", "brume-java-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var sources []string
	if err := filepath.WalkDir("testdata/java", func(path string, d fs.DirEntry, err error) error {
		if filepath.Ext(path) == ".java" {
			sources = append(sources, path)
		}
		return err
	}); err != nil {
		return nil, err
	}
	out, err := exec.Command("javac", append([]string{"-encoding", "UTF-8", "-cp", "bootstrap/bootstrap.jar", "-d", dir}, sources...)...).CombinedOutput()
	if err != nil {
		return nil, errors.Join(err, errors.New(string(out)))
	}
	classes := make(map[string]string)
	return classes, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			var b []byte
			b, err = os.ReadFile(path)
			classes[strings.TrimPrefix(path, dir+"/")] = string(b)
		}
		return err
	})
})

// eachJava runs a test with every Java here that runs what the compiler here makes.
func eachJava(t *testing.T, test func(t *testing.T, r *Runtime, classes map[string]string)) {
	if _, err := exec.LookPath("javac"); err != nil && os.Getenv("CI") == "" {
		t.Skip("no javac: install openjdk-17-jdk-headless to run this")
	}
	classes, err := javaClasses()
	if err != nil {
		t.Fatal(err)
	}
	task := make(map[string]string)
	for name, content := range classes {
		task["task/"+name] = content
	}
	each(t, java, func(t *testing.T, r *Runtime) {
		if compareVersions(r.Version, "17") < 0 {
			t.Skipf("the tests are written in Java 17, here is %s", r.Version)
		}
		test(t, r, task)
	})
}

// jar makes an archive of Java.
func jar(t *testing.T, files map[string]string) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, content := range files {
		f, err := w.Create(name)
		if err == nil {
			_, err = f.Write([]byte(content))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// https://docs.aws.amazon.com/lambda/latest/dg/java-handler.html
func TestJavaHandlers(t *testing.T) {
	const order = `{"orderId":"7","paid":true,"total":1.10,"items":[{"name":"a","count":2},{"name":"b"}],"counts":{"OPEN":5},"state":"CLOSED",` +
		`"address":{"street":"S","number":"3","lines":"one"},"note":"n","blob":"AQI=","numbers":[1,2],"tags":["x"],"at":1.5,"day":"2024-02-29",` +
		`"id":"00000000-0000-4000-8000-000000000001","letter":"l","unknown":{"a":1}}`
	eachJava(t, func(t *testing.T, r *Runtime, classes map[string]string) {
		for handler, calls := range map[string][][2]string{
			"::text":        {{`"a"`, `"a!"`}, {`12`, `"12!"`}, {`true`, `"true!"`}, {`null`, `"null!"`}, {`"\u00fc\n\ud83d\ude00"`, `"ü\n😀!"`}, {`["x"]`, `"x!"`}},
			"::number":      {{`1`, `2`}, {`"1"`, `2`}, {`1.9`, `2`}, {`null`, `1`}, {`""`, `1`}, {`007`, `8`}},
			"::boxed":       {{`9223372036854775807`, `9223372036854775807`}, {`null`, `null`}, {`""`, `null`}},
			"::real":        {{`1`, `0.5`}, {`1e2`, `50.0`}, {`NaN`, `"NaN"`}, {`-Infinity`, `"-Infinity"`}},
			"::not":         {{`true`, `false`}, {`"false"`, `true`}, {`0`, `true`}},
			"::big":         {{`123456789012345678901234567890`, `123456789012345678901234567891`}},
			"::state":       {{`"OPEN"`, `"OPEN"`}, {`"other"`, `null`}, {`1`, `"CLOSED"`}},
			"::map":         {{`{"a":[1,2.5,{"b":null}],"c":null}`, `{"a":[1,2.5,{}]}`}, {`null`, `null`}, {`{a:'b'}`, `{"a":"b"}`}},
			"::list":        {{`[1,"2"]`, `[1,2,null]`}, {`3`, `[3,null]`}},
			"::any":         {{`{"n":[1,12345678901,1.10,"s",false,null]}`, `{"n":[1,12345678901,1.1,"s",false,null]}`}},
			"::kind":        {{`1`, `"Integer"`}, {`12345678901`, `"Long"`}, {`1.0`, `"Double"`}, {`{}`, `"LinkedHashMap"`}, {`[]`, `"ArrayList"`}, {`123456789012345678901`, `"BigInteger"`}},
			"::odd":         {{`{}`, `["NaN",1.0,"c","x",[1],"java.lang.String"]`}},
			"::nothing":     {{`{}`, `null`}},
			"::onlyContext": {{`{}`, `"f"`}},
			"::fixed":       {{`"s"`, `"static s"`}},
			"::record":      {{`{"street":"S","lines":["a","b"]}`, `{"street":"S","number":0,"lines":["a","b"]}`}},
			"::abstractly":  {{`"s"`, `"s"`}},
			"::events": {{`{"Records":[{"eventSourceARN":"arn","detail-type":"d","ApproximateCreationDateTime":1.5,"B":"AQI="}]}`,
				`[1500,{"records":[{"eventSourceArn":"arn","detailType":"d","approximateCreationDateTime":1500,"b":"AQI="}]}]`}},
			"::order": {{order, `{"orderId":"7","paid":true,"total":1.10,"items":[{"name":"a","count":2},{"name":"b","count":1}],"counts":{"OPEN":5},"state":"CLOSED",` +
				`"address":{"street":"S","number":3,"lines":["one"]},"note":"n","blob":"AQI=","numbers":[1,2],"tags":["x"],"at":1.500000000,"day":[2024,2,29],` +
				`"id":"00000000-0000-4000-8000-000000000001","letter":"l","URL":"/orders/7"}`}, {`{}`, `{"paid":false,"state":"OPEN","note":null}`}, {`""`, `null`}},
			"::stream":              {{`{"a": 1}`, `f {"a": 1}`}},
			"::both":                {{`[ 1 ]`, `[ 1 ]`}},
			"::reads":               {{`{}`, `null`}},
			"::writes":              {{`1`, `{}`}},
			"::over":                {{`""`, `"with context"`}},
			"$Upper":                {{`"abc"`, `"ABC"`}},
			"$Generic":              {{`[{"orderId":"1","items":[{},{}]},{"orderId":"2"}]`, `{"1":2}`}},
			"$Bytes":                {{`[ 1 ]`, `[ 1 ]`}},
			"$Silent":               {{`{}`, `null`}},
			"$Upper::handleRequest": {{`"abc"`, `"ABC"`}},
		} {
			f := run(t, r, "example.Functions"+handler, classes)
			for _, c := range calls {
				f.returns(c[0], c[1])
			}
			f.kill()
		}
	})
}

func TestJavaLargePayloads(t *testing.T) {
	eachJava(t, func(t *testing.T, r *Runtime, classes map[string]string) {
		f := run(t, r, "example.Functions::any", classes)
		big := `"` + strings.Repeat("0123456789abcdef", 300<<10) + `"`
		f.returns(big, big)
		f.returns(`1`, `1`)
		if r := f.invoke(`"` + strings.Repeat("\x01", 1100<<10) + `"`); r.ErrorType != "Function.ResponseSizeTooLarge" {
			t.Errorf("%s", r.ErrorType)
		}
		f.returns(`2`, `2`)
	})
}

// https://docs.aws.amazon.com/lambda/latest/dg/java-exceptions.html
func TestJavaErrors(t *testing.T) {
	eachJava(t, func(t *testing.T, r *Runtime, classes map[string]string) {
		const user, code = "Runtime.UserException", "Runtime.BadFunctionCode"
		f := run(t, r, "example.Functions::fail", classes)
		got := f.failsAs(`"checked"`, user, "example.Functions$Odd", "two\nlines")
		if len(got.StackTrace) == 0 || !regexp.MustCompile(`^example\.Functions\.fail\(Functions\.java:\d+\)$`).MatchString(got.StackTrace[0]) || strings.Contains(strings.Join(got.StackTrace, " "), "brume") {
			t.Errorf("stack trace %q", got.StackTrace)
		}
		if c := got.Cause; c == nil || c.ErrorType != "java.lang.IllegalArgumentException" || c.ErrorMessage != "why" || c.Cause == nil || c.Cause.ErrorType != "java.lang.NullPointerException" {
			t.Errorf("cause %+v", got.Cause)
		}
		events := f.logs("Caused by: java.lang.NullPointerException")
		if len(events) != 1 || !strings.HasPrefix(events[0], "two\nlines: example.Functions$Odd\nexample.Functions$Odd: two\nlines\n\tat example.Functions.fail(") {
			t.Errorf("log %q", events)
		}
		f.failsAs(`"silent"`, user, "java.lang.IllegalStateException", "java.lang.IllegalStateException")
		f.failsAs(`"other"`, user, "java.lang.UnsupportedOperationException", "other")
		parsing := f.failsAs(`{"a":1}`, user, "java.lang.RuntimeException", "An error occurred during JSON parsing")
		if len(parsing.StackTrace) != 0 || parsing.Cause == nil || parsing.Cause.ErrorType != "java.io.UncheckedIOException" ||
			parsing.Cause.ErrorMessage != "Cannot deserialize value of type `java.lang.String` from Object value (token `JsonToken.START_OBJECT`)" {
			t.Errorf("%+v %+v", parsing, parsing.Cause)
		}
		f.failsAs(`{`, user, "java.lang.RuntimeException", "An error occurred during JSON parsing")
		// Errors of the virtual machine end the process.
		f.failsAs(`"memory"`, user, "java.lang.OutOfMemoryError", "Java heap space")
		f.exits(1)
		f = run(t, r, "example.Functions::fail", classes)
		f.failsAs(`"deep"`, user, "java.lang.StackOverflowError", "java.lang.StackOverflowError")
		f.exits(1)
		f = run(t, r, "example.Functions::fail", classes)
		if _, err := f.tryInvoke(`"exit"`); err == nil {
			t.Error("no error")
		}
		f.exits(3)

		for _, c := range []struct{ handler, event, cause string }{
			{"::number", `"x"`, "Cannot deserialize value of type `int` from String \"x\": not a valid representation"},
			{"::number", `2147483648`, "Cannot deserialize value of type `int` from Number value (2147483648)"},
			{"::number", `[1,2]`, "Cannot deserialize value of type `int` from Array value (token `JsonToken.START_ARRAY`)"},
			{"::impossible", `{}`, "Cannot construct instance of `java.lang.Runnable` (no Creators, like default constructor, exist): abstract types either need to be mapped to concrete types, have custom deserializer, or contain additional type information"},
		} {
			f := run(t, r, "example.Functions"+c.handler, classes)
			got := f.failsAs(c.event, user, "java.lang.RuntimeException", "An error occurred during JSON parsing")
			if got.Cause == nil || got.Cause.ErrorMessage != c.cause {
				t.Errorf("%s %s: %+v", c.handler, c.event, got.Cause)
			}
			f.kill()
		}
		f = run(t, r, "example.Functions::loop", classes)
		f.failsAs(`1`, user, "java.lang.RuntimeException", "An error occurred during JSON serialization of response")
		f.kill()

		// What is wrong with a handler is told when it is invoked.
		for _, c := range []struct{ handler, typ, message string }{
			{"example.Missing", "java.lang.ClassNotFoundException", "Class not found: example.Missing"},
			{"example.Missing::handle", "java.lang.ClassNotFoundException", "Class not found: example.Missing"},
			{"::handle", "", "Invalid handler: `::handle'"},
			{"example.Functions::", "", "Invalid handler: `example.Functions::'"},
			{"example.Functions", "", "Class does not implement an appropriate handler interface: example.Functions"},
			{"example.Functions::hidden", "", "No public method named hidden with appropriate method signature found on class example.Functions"},
			{"example.Functions::wrong", "", "No public method named wrong with appropriate method signature found on class example.Functions"},
			{"example.Functions$Raw", "", "Class example.Functions$Raw does not implement RequestHandler with concrete type parameters: parameter T has no upper bound."},
			{"example.Functions$NoConstructor::handle", "java.lang.Exception", "Class example.Functions$NoConstructor has no public zero-argument constructor"},
			{"example.Functions$Inner::handle", "java.lang.Exception", "Class example.Functions$Inner cannot be instantiated because it is a non-static inner class"},
		} {
			f := run(t, r, c.handler, classes)
			got := f.failsAs(`1`, code, c.typ, c.message)
			if got.StackTrace != nil {
				t.Errorf("stack trace %q", got.StackTrace)
			}
			f.failsAs(`1`, code, c.typ, c.message)
			if events := f.logs(c.message); !strings.HasPrefix(events[0], c.message) {
				t.Errorf("log %q", events)
			}
			f.kill()
		}
	})
}

// https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-invocation.html
func TestJavaInitErrors(t *testing.T) {
	eachJava(t, func(t *testing.T, r *Runtime, classes map[string]string) {
		for _, c := range []struct{ handler, typ, message string }{
			{"example.Functions$BadConstructor::handle", "java.lang.IllegalStateException", "in the constructor"},
			{"example.Functions$BadStatic::handle", "java.lang.ExceptionInInitializerError", "Error loading class example.Functions$BadStatic"},
		} {
			f := run(t, r, c.handler, classes)
			err := f.env.Ready(deadline(t))
			e, ok := errors.AsType[*runtimeapi.InitError](err)
			var got failure
			if !ok || e.Type != "Runtime.BadFunctionCode" || json.Unmarshal(e.Payload, &got) != nil || got.ErrorType != c.typ || got.ErrorMessage != c.message {
				t.Fatalf("%v\n%s", err, f.stdout)
			}
			f.exits(1)
			f.logs("example.Functions$Bad")
		}
		f := run(t, r, "example.Functions$Exits::handle", classes)
		if _, ok := errors.AsType[*runtimeapi.ExitError](f.env.Ready(deadline(t))); !ok {
			t.Error("no exit error")
		}
		f.exits(7)
	})
}

// https://docs.aws.amazon.com/lambda/latest/dg/java-context.html
func TestJavaContext(t *testing.T) {
	eachJava(t, func(t *testing.T, r *Runtime, classes map[string]string) {
		f := run(t, r, "example.Functions::context", classes)
		const fixed = `["f","$LATEST","` + functionARN + `",128,"00000000-0000-4000-8000-00000000000N","/aws/lambda/f","2024/01/01/[$LATEST]0",`
		check := func(n, rest string, with ...func(*runtimeapi.Invocation)) {
			t.Helper()
			got := f.invoke(`{}`, with...)
			if want := strings.Replace(fixed, "N", n, 1) + rest; string(got.Payload) != want {
				t.Errorf("got  %s\nwant %s", got.Payload, want)
			}
		}
		check("1", `null,null,null]`)
		check("2", `"i p",["id","title",null,null,null,{"a":"ü","n":"1"},null],"Root=1"]`, func(inv *runtimeapi.Invocation) {
			inv.TraceID = "Root=1"
			inv.CognitoIdentity = `{"cognitoIdentityId":"i","cognitoIdentityPoolId":"p"}`
			inv.ClientContext = "{\"client\":\n{\"installation_id\":\"id\",\"app_title\":\"title\"},\"custom\":{\"a\":\"ü\",\"n\":1}}"
		})
		check("3", `null,null,null]`)
	})
}

// https://docs.aws.amazon.com/lambda/latest/dg/java-logging.html
func TestJavaLogging(t *testing.T) {
	eachJava(t, func(t *testing.T, r *Runtime, classes map[string]string) {
		f := run(t, r, "example.Functions::log", classes)
		f.returns(`1`, `null`)
		want := []string{"print ü", "ab", "c", "to stderr", "two\nlines", "bytes", "[WARN] warned", "[DEBUG] quiet", "[FATAL] end"}
		if events := f.logs("end"); strings.Join(events, "|") != strings.Join(want, "|") {
			t.Errorf("events %q", events)
		}

		f = run(t, r, "example.Functions::log", classes, "AWS_LAMBDA_LOG_FORMAT=JSON", "AWS_LAMBDA_LOG_LEVEL=INFO")
		f.returns(`1`, `null`)
		var records []map[string]any
		for _, e := range f.logs(`"end"`) {
			var record map[string]any
			if json.Unmarshal([]byte(e), &record) == nil && record["message"] != nil {
				if !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`).MatchString(record["timestamp"].(string)) || record["AWSRequestId"] != "00000000-0000-4000-8000-000000000001" {
					t.Errorf("%s", e)
				}
				records = append(records, record)
			}
		}
		for i, want := range [][2]string{{"UNDEFINED", "two\nlines\n"}, {"WARN", "warned"}, {"FATAL", "end"}} {
			if len(records) != 3 || records[i]["level"] != want[0] || records[i]["message"] != want[1] {
				t.Fatalf("%q", records)
			}
		}
		f = run(t, r, "example.Functions::fail", classes, "AWS_LAMBDA_LOG_FORMAT=JSON")
		f.failsAs(`"v"`, "Runtime.UserException", "java.lang.UnsupportedOperationException", "v")
		var record map[string]any
		if err := json.Unmarshal([]byte(f.logs("Unsupported")[0]), &record); err != nil || record["level"] != "ERROR" || !strings.HasPrefix(record["message"].(string), "v: java.lang.UnsupportedOperationException\njava.lang") {
			t.Errorf("%v: %v", err, record)
		}
	})
}

// https://docs.aws.amazon.com/lambda/latest/dg/java-package.html, …/packaging-layers.html and …/java-customization.html
func TestJavaLoading(t *testing.T) {
	eachJava(t, func(t *testing.T, r *Runtime, classes map[string]string) {
		files := maps.Clone(classes)
		files["task/resource.txt"] = "task"
		files["task/lib/b.jar"] = jar(t, map[string]string{"resource.txt": "b", "only-in-lib.txt": "b"})
		files["task/lib/a.jar"] = jar(t, map[string]string{"resource.txt": "a", "only-in-lib.txt": "a"})
		files["task/lib/c.zip"] = jar(t, map[string]string{"missing.txt": "c"})
		files["opt/java/lib/l.jar"] = jar(t, map[string]string{"only-in-lib.txt": "l", "only-in-layer.txt": "l"})
		f := run(t, r, "example.Functions::loading", files, "JAVA_TOOL_OPTIONS=-Down=set")
		f.returns(`1`, `["task","a","l",null,true,"set",true,true]`)
		f.logs("Picked up JAVA_TOOL_OPTIONS: -Down=set")

		// All of the function may be in a jar.
		whole := make(map[string]string)
		for name, content := range classes {
			whole[strings.TrimPrefix(name, "task/")] = content
		}
		run(t, r, "example.Functions::text", map[string]string{"task/lib/all.jar": jar(t, whole)}).returns(`"x"`, `"x!"`)
	})
}

func TestJavaEnds(t *testing.T) {
	eachJava(t, func(t *testing.T, r *Runtime, classes map[string]string) {
		files := maps.Clone(classes)
		files["opt/wrapper"] = "#!/bin/sh\nexport JAVA_TOOL_OPTIONS=-Down=wrapped\nexec \"$@\"\n"
		f := run(t, r, "example.Functions::any", files, "AWS_LAMBDA_EXEC_WRAPPER=/opt/wrapper")
		f.returns(`1`, `1`)
		f.logs("-Down=wrapped")
		f.env.Close() // the platform answers nothing any more: the process must not stay behind
		f.exits(1)
	})
}

// A function may bring its own way to read events and write responses: CustomPojoSerializer of aws-lambda-java-core. And its lines
// of Log4j have the request's id.
func TestJavaServices(t *testing.T) {
	const service = "META-INF/services/com.amazonaws.services.lambda.runtime.CustomPojoSerializer"
	eachJava(t, func(t *testing.T, r *Runtime, classes map[string]string) {
		files := maps.Clone(classes)
		files["task/"+service] = "example.Serializer\n"
		run(t, r, "example.Functions::text", files).returns(`{}`, `java.lang.String {}! java.lang.String`)
		files["task/lib/more.jar"] = jar(t, map[string]string{service: "example.Serializer$Second\n"})
		run(t, r, "example.Functions::text", files).failsAs(`{}`, "Runtime.BadFunctionCode", "", "Too many serializers provided inside the META-INF/services folder, only one is allowed")
		run(t, r, "example.Functions$Logging::handle", classes).returns(`1`, `{"AWSRequestId":"00000000-0000-4000-8000-000000000001"}`)
	})
}

// A Java that Debian has packaged has its configuration in /etc.
func TestJavaConfiguration(t *testing.T) {
	eachJava(t, func(t *testing.T, r *Runtime, _ map[string]string) {
		if !strings.HasPrefix(r.Interpreter, "/usr/lib/jvm/java-") {
			t.Skipf("%s is not a package of Debian's", r.Interpreter)
		}
		found := false
		for _, b := range r.Binds(Options{}) {
			if strings.HasPrefix(b.Source, "/etc/") && b.Source != "/etc/ld.so.cache" {
				found = true
				if b != (Bind{"/etc/java-" + r.major + "-openjdk", "/etc/java-" + r.major + "-openjdk"}) {
					t.Errorf("%v", b)
				}
			}
		}
		if !found {
			t.Error("no directory of /etc is shown")
		}
	})
}
