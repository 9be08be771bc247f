package runtimes

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// A table is DynamoDB as far as the example needs it: it notes what it is asked, and has one item.
type table struct {
	mu   sync.Mutex
	last string
}

func (d *table) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	var parameters any
	if err := json.Unmarshal(b, &parameters); err != nil {
		panic(err)
	}
	b, err = json.Marshal(parameters) // with sorted keys
	if err != nil {
		panic(err)
	}
	d.last = operation + " " + string(b)
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	switch {
	case !strings.Contains(d.last, "TableName"):
		w.WriteHeader(400)
		io.WriteString(w, `{"__type":"com.amazon.coral.validate#ValidationException","message":"1 validation error detected: Value null at 'TableName' failed to satisfy constraint"}`)
	case strings.Contains(d.last, `"TableName":"no"`):
		w.WriteHeader(400)
		io.WriteString(w, `{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException","message":"Requested resource not found"}`)
	case operation == "Scan":
		io.WriteString(w, `{"Count":1,"Items":[{"username":{"S":"bob"},"n":{"N":"1.5"},"i":{"N":"7"},"s":{"SS":["a","b"]},"b":{"B":"AQI="}}],"ScannedCount":1}`)
	default:
		io.WriteString(w, `{}`)
	}
}

func TestMicroserviceExample(t *testing.T) {
	for f, example := range map[family]struct{ handler, file string }{
		python: {"lambda_function.lambda_handler", "python/lambda_function.py"},
		nodejs: {"index.handler", "nodejs/index.mjs"},
	} {
		code, err := os.ReadFile(filepath.Join("../../examples/microservice-http-endpoint", example.file))
		if err != nil {
			t.Fatal(err)
		}
		t.Run(filepath.Dir(example.file), func(t *testing.T) {
			each(t, f, func(t *testing.T, r *Runtime) {
				if r.SDK == "" {
					t.Skip("no AWS SDK here: " + r.InstallSDK)
				}
				if f == python && compareVersions(r.SDK, "1.28") < 0 {
					t.Skip("boto3 " + r.SDK + " does not know AWS_ENDPOINT_URL")
				}
				d := &table{}
				server := httptest.NewServer(d)
				defer server.Close()
				fn := run(t, r, example.handler, one(filepath.Base(example.file), string(code)),
					"AWS_ENDPOINT_URL="+server.URL, "AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY=secret",
					"AWS_DEFAULT_REGION=us-east-1", "AWS_REGION=us-east-1")
				check := func(event string, status float64, body, asked string) {
					t.Helper()
					d.last = ""
					got := fn.invoke(event)
					var response struct {
						StatusCode float64
						Body       string
						Headers    map[string]string
					}
					if err := json.Unmarshal(got.Payload, &response); err != nil {
						t.Fatal(err)
					}
					if got.Failed || response.StatusCode != status || d.last != asked || response.Headers["Content-Type"] == "" {
						t.Errorf("%s: %s, DynamoDB was asked %q", event, got.Payload, d.last)
					}
					if status != 200 {
						if !strings.Contains(response.Body, body) {
							t.Errorf("%s: body %q, want %q", event, response.Body, body)
						}
						return
					}
					var is, want map[string]any
					if json.Unmarshal([]byte(response.Body), &is) != nil || json.Unmarshal([]byte(body), &want) != nil || !equalJSON(is, want) {
						t.Errorf("%s: body %q, want %q", event, response.Body, body)
					}
				}
				call := func(method, body string) string {
					b, err := json.Marshal(map[string]any{"httpMethod": method, "body": body, "queryStringParameters": nil})
					if err != nil {
						t.Fatal(err)
					}
					return string(b)
				}
				check(call("POST", `{"TableName":"t","Item":{"username":"bob","n":1.5,"l":[true,null,{"x":2}]}}`), 200, `{}`,
					`PutItem {"Item":{"l":{"L":[{"BOOL":true},{"NULL":true},{"M":{"x":{"N":"2"}}}]},"n":{"N":"1.5"},"username":{"S":"bob"}},"TableName":"t"}`)
				check(`{"httpMethod":"GET","queryStringParameters":{"TableName":"t"},"body":null}`, 200,
					`{"Count":1,"ScannedCount":1,"Items":[{"username":"bob","n":1.5,"i":7,"s":["a","b"],"b":"AQI="}]}`, `Scan {"TableName":"t"}`)
				check(call("PUT", `{"TableName":"t","Key":{"username":"bob"},"UpdateExpression":"SET n = :n","ExpressionAttributeValues":{":n":2}}`), 200, `{}`,
					`UpdateItem {"ExpressionAttributeValues":{":n":{"N":"2"}},"Key":{"username":{"S":"bob"}},"TableName":"t","UpdateExpression":"SET n = :n"}`)
				check(call("DELETE", `{"TableName":"t","Key":{"username":"bob"}}`), 200, `{}`, `DeleteItem {"Key":{"username":{"S":"bob"}},"TableName":"t"}`)
				check(call("PATCH", `{}`), 400, `Unsupported method "PATCH"`, "")
				check(call("toString", `{}`), 400, `Unsupported method "toString"`, "")
				check(call("POST", `{"TableName":"no","Item":{"username":"bob"}}`), 400, "Requested resource not found", `PutItem {"Item":{"username":{"S":"bob"}},"TableName":"no"}`)
				check(call("POST", `{`), 400, "", "")
				nothing := ""
				if f == nodejs {
					nothing = "Scan {}" // boto3 finds out by itself
				}
				check(`{"httpMethod":"GET"}`, 400, "TableName", nothing)
			})
		})
	}
}

func equalJSON(a, b any) bool {
	x, err := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err == nil && err2 == nil && string(x) == string(y)
}
