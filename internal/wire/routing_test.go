package wire

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"brume/internal/wire/sigv4"
)

// The service is told by the scope of the signature, else X-Amz-Target, else the host, else the path.
func TestFindingTheService(t *testing.T) {
	type request struct {
		method, target, host string
		header               map[string]string
		scope                string // empty for an unsigned request
		presigned            bool
	}
	tests := []struct {
		name string
		request
		want string // empty for none
	}{
		{"scope", request{method: "POST", scope: "iam"}, "iam"},
		{"scope goes before target", request{scope: "logs", header: map[string]string{"X-Amz-Target": "DynamoDB_20120810.GetItem"}}, "logs"},
		{"scope goes before host", request{scope: "sts", host: "iam.amazonaws.com"}, "sts"},
		{"scope goes before path", request{scope: "apigateway", method: "GET", target: "/2015-03-31/functions/"}, "apigateway"},
		{"presigned scope", request{scope: "sts", presigned: true, method: "GET", target: "/?Action=ListUsers"}, "sts"},
		{"a shared signing name: by target", request{scope: "dynamodb", header: map[string]string{"X-Amz-Target": "DynamoDBStreams_20120810.ListStreams"}}, "dynamodbstreams"},
		{"a shared signing name: without target", request{scope: "dynamodb"}, "dynamodb"},
		{"unknown scope: by target", request{scope: "sqs", header: map[string]string{"X-Amz-Target": "Logs_20140328.PutLogEvents"}}, "logs"},
		{"unknown scope: by host", request{scope: "sqs", host: "logs.localhost"}, "logs"},
		{"unknown scope: never by path", request{scope: "s3", method: "GET", target: "/restapis"}, ""},
		{"unknown scope", request{scope: "sqs"}, ""},
		{"no scope: by target", request{header: map[string]string{"X-Amz-Target": "DynamoDB_20120810.GetItem"}}, "dynamodb"},
		{"target of an unknown operation", request{header: map[string]string{"X-Amz-Target": "DynamoDB_20120810.Fly"}}, "dynamodb"},
		{"target without a dot", request{header: map[string]string{"X-Amz-Target": "DynamoDB_20120810"}}, "dynamodb"},
		{"unknown target", request{header: map[string]string{"X-Amz-Target": "DynamoDB_20111205.GetItem"}}, ""},
		{"host", request{host: "iam.amazonaws.com"}, "iam"},
		{"host in capitals, with a port", request{host: "Lambda.EU-West-1.Example.com:4566"}, "lambda"},
		{"host prefix with a dot", request{host: "streams.dynamodb.us-east-1.amazonaws.com"}, "dynamodbstreams"},
		{"host with the same beginning", request{host: "logsfoo.localhost"}, ""},
		{"host without a suffix", request{host: "iam"}, ""},
		{"path of Lambda", request{method: "GET", target: "/2015-03-31/functions/f"}, "lambda"},
		{"path of API Gateway", request{method: "GET", target: "/restapis/abc"}, "apigateway"},
		{"path with another method", request{method: "DELETE", target: "/restapis"}, ""},
		{"action in the query", request{method: "GET", target: "/?Action=AssumeRole"}, "sts"},
		{"unknown action", request{method: "GET", target: "/?Action=Fly"}, ""},
		{"query that cannot be read", request{method: "GET", target: "/?Action=%zz"}, ""},
		{"nothing", request{method: "GET"}, ""},
	}
	h := newHarness(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.method == "" {
				tt.method = "POST"
			}
			if tt.target == "" {
				tt.target = "/"
			}
			r := httptest.NewRequest(tt.method, tt.target, nil)
			if r.Host = tt.host; r.Host == "" {
				r.Host = "127.0.0.1:4566"
			}
			for k, v := range tt.header {
				r.Header.Set(k, v)
			}
			switch {
			case tt.presigned:
				sigv4.Presign(r, nil, rootKey, "us-east-1", tt.scope, now, 1e9)
			case tt.scope != "":
				sigv4.Sign(r, nil, rootKey, "us-east-1", tt.scope, now)
			}
			got := ""
			if e := h.find(r); e != nil {
				got = e.svc.Name
			}
			if got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// What is for no service gets an error in the protocol that it speaks, and never the operation of another.
func TestStrangers(t *testing.T) {
	h := newHarness(t)
	h.answerForms()
	form := map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	json := func(version string) map[string]string {
		return map[string]string{"Content-Type": "application/x-amz-json-" + version}
	}
	tests := []struct {
		name, method, target string
		header               map[string]string
		scope                string
		status               int
		code, contentType    string
	}{
		{"person", "GET", "/", nil, "", 404, "UnknownOperationException", "application/json"},
		{"unsigned form", "POST", "/", form, "", 403, "MissingAuthenticationToken", "text/xml"},
		{"unsigned action", "GET", "/?Action=Fly", nil, "", 403, "MissingAuthenticationToken", "text/xml"},
		{"unsigned JSON 1.0", "POST", "/", json("1.0"), "", 400, "MissingAuthenticationTokenException", "application/x-amz-json-1.0"},
		{"unsigned JSON 1.1", "POST", "/", json("1.1"), "", 400, "MissingAuthenticationTokenException", "application/x-amz-json-1.1"},
		{"unsigned target", "POST", "/", map[string]string{"X-Amz-Target": "AmazonSQS.SendMessage"}, "", 400, "MissingAuthenticationTokenException", "application/x-amz-json-1.0"},
		{"another service, form", "POST", "/", form, "rds", 501, "NotImplemented", "text/xml"},
		{"another service, JSON 1.0", "POST", "/", json("1.0"), "sqs", 501, "NotImplemented", "application/x-amz-json-1.0"},
		{"another service, JSON 1.1", "POST", "/", json("1.1"), "ssm", 501, "NotImplemented", "application/x-amz-json-1.1"},
		{"another service, REST", "GET", "/clusters", nil, "eks", 501, "NotImplemented", "application/json"},
		{"another service, REST with XML", "GET", "/bucket/key", nil, "s3", 501, "NotImplemented", "text/xml"},
		{"basic authentication", "GET", "/", map[string]string{"Authorization": "Basic dTpw"}, "", 400, "IncompleteSignatureException", "application/json"},
		{"preflight", "OPTIONS", "/", map[string]string{"Origin": "https://example.com"}, "", 404, "UnknownOperationException", "application/json"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(tt.method, tt.target, strings.NewReader("Action=GetUser&Version=2010-05-08"))
			r.Host = "localhost"
			for k, v := range tt.header {
				r.Header.Set(k, v)
			}
			if tt.scope != "" {
				sigv4.Sign(r, nil, rootKey, "us-east-1", tt.scope, now)
			}
			w := h.do(r)
			got := read(t, w)
			if got.status != tt.status || got.code != tt.code || w.Header().Get("Content-Type") != tt.contentType {
				t.Errorf("%+v as %s", got, w.Header().Get("Content-Type"))
			}
			if tt.scope != "" && !strings.Contains(got.message, tt.scope) {
				t.Errorf("message %q does not name the service", got.message)
			}
			if h.seen != nil {
				t.Error("an operation ran")
			}
			// A form was read: it might have been for callers without credentials.
			if tt.name != "unsigned form" && w.Header().Get("Connection") != "close" {
				t.Error("the connection goes on with an unread body")
			}
		})
	}
}

func TestOperationsThatDoNotExist(t *testing.T) {
	h := newHarness(t)
	h.answerForms()
	tests := []struct {
		name                          string
		service, method, target, body string
		header                        map[string]string
		status                        int
		code, message                 string
	}{
		{name: "action", service: "iam", method: "POST", target: "/", body: "Action=Fly&Version=2010-05-08", status: 400, code: "InvalidAction",
			message: "Could not find operation Fly for version 2010-05-08"},
		{name: "version", service: "iam", method: "POST", target: "/", body: "Action=GetUser&Version=1999-01-01", status: 400, code: "InvalidAction"},
		{name: "no action", service: "iam", method: "POST", target: "/", body: "Version=2010-05-08", status: 400, code: "MissingAction"},
		{name: "action of another service", service: "sts", method: "POST", target: "/", body: "Action=GetUser&Version=2010-05-08", status: 400, code: "InvalidAction"},
		{name: "a form that is none", service: "iam", method: "POST", target: "/", body: "Action=%", status: 404, code: "MalformedQueryString"},
		{name: "another method", service: "iam", method: "DELETE", target: "/?Action=GetUser&Version=2010-05-08", status: 404, code: "UnknownOperationException"},
		{name: "another content type", service: "iam", method: "POST", target: "/", body: `{"Action":"GetUser"}`,
			header: map[string]string{"Content-Type": "application/json"}, status: 400, code: "MissingAction"},
		{name: "target", service: "dynamodb", method: "POST", target: "/", body: "{}",
			header: map[string]string{"X-Amz-Target": "DynamoDB_20120810.Fly"}, status: 400, code: "UnknownOperationException"},
		{name: "no target", service: "dynamodb", method: "POST", target: "/", body: "{}", status: 400, code: "UnknownOperationException"},
		{name: "GET", service: "dynamodb", method: "GET", target: "/", status: 404, code: "UnknownOperationException"},
		{name: "wrong content type", service: "dynamodb", method: "POST", target: "/", body: "{}",
			header: map[string]string{"X-Amz-Target": "DynamoDB_20120810.ListTables", "Content-Type": "text/plain"}, status: 404, code: "UnknownOperationException"},
		{name: "not JSON", service: "dynamodb", method: "POST", target: "/", body: "{",
			header: map[string]string{"X-Amz-Target": "DynamoDB_20120810.ListTables"}, status: 400, code: "SerializationException"},
		{name: "wrong type", service: "logs", method: "POST", target: "/", body: `{"limit":"x"}`,
			header: map[string]string{"X-Amz-Target": "Logs_20140328.DescribeLogGroups"}, status: 400, code: "SerializationException"},
		{name: "constraint", service: "logs", method: "POST", target: "/", body: `{"limit":51}`,
			header: map[string]string{"X-Amz-Target": "Logs_20140328.DescribeLogGroups"}, status: 400, code: "InvalidParameterException",
			message: "1 validation error detected: Value '51' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 50"},
		{name: "path", service: "lambda", method: "GET", target: "/2015-03-31/flights", status: 404, code: "UnknownOperationException"},
		{name: "method of a path", service: "lambda", method: "PATCH", target: "/2015-03-31/functions/f", status: 405, code: "UnknownOperationException"},
		{name: "HEAD", service: "lambda", method: "HEAD", target: "/2015-03-31/functions/f", status: 405, code: "UnknownOperationException"},
		{name: "bad escape in a query", service: "lambda", method: "GET", target: "/2015-03-31/functions/?Marker=%zz", status: 404, code: "MalformedQueryString"},
		{name: "not implemented", service: "lambda", method: "GET", target: "/2016-08-19/account-settings/", status: 501, code: "NotImplemented",
			message: "Brume does not implement the operation GetAccountSettings."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(tt.method, "/", strings.NewReader(tt.body))
			path, query, _ := strings.Cut(tt.target, "?")
			r.URL.Path, r.URL.RawQuery, r.RequestURI = path, query, tt.target
			switch {
			case tt.service == "iam" || tt.service == "sts":
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			case tt.service == "logs":
				r.Header.Set("Content-Type", "application/x-amz-json-1.1")
			case tt.service == "dynamodb":
				r.Header.Set("Content-Type", "application/x-amz-json-1.0")
			}
			for k, v := range tt.header {
				r.Header.Set(k, v)
			}
			sigv4.Sign(r, []byte(tt.body), rootKey, "us-east-1", tt.service, now)
			got := read(t, h.do(r))
			if got.status != tt.status || got.code != tt.code {
				t.Errorf("%d %s, want %d %s", got.status, got.code, tt.status, tt.code)
			}
			if tt.message != "" && got.message != tt.message {
				t.Errorf("message %q, want %q", got.message, tt.message)
			}
			if h.seen != nil {
				t.Error("an operation ran")
			}
		})
	}
}

func TestOwnPaths(t *testing.T) {
	h := newHarness(t)
	for _, tt := range []struct {
		method, target, host string
		status               int
		body                 string // a part of it
	}{
		{"GET", "/_brume/health", "", 200, `{"status":"ready"}`},
		{"HEAD", "/_brume/health", "", 200, ""},
		{"POST", "/_brume/health", "", http.StatusMethodNotAllowed, ""},
		{"GET", "/_brume/metrics", "", 200, "go_goroutines"},
		{"GET", "/_brume/nothing", "", 404, ""},
		{"POST", "/_brume/reset", "", http.StatusMethodNotAllowed, ""},
		// The paths of a deployed API are its own, all of them.
		{"GET", "/_brume/health", "api.localhost", 200, "data plane"},
		{"GET", "/restapis", "api.localhost", 200, "data plane"},
	} {
		r := httptest.NewRequest(tt.method, tt.target, nil)
		r.Host = tt.host
		w := h.do(r)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.body) {
			t.Errorf("%s %s at %q: %d %.200s", tt.method, tt.target, tt.host, w.Code, w.Body)
		}
	}
}
