package negative

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"brume/internal/wire/sigv4"
)

// listTables is a call that needs a permission.
var listTables = form{"", "dynamodb", "POST", "/", map[string]string{"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "DynamoDB_20120810.ListTables"}, "{}"}

// refusedFrom calls with a key, which must work, makes a change, and calls again: from the next call on it is refused.
func refusedFrom(t *testing.T, k sigv4.Key, change func(), code string) {
	t.Helper()
	link := listTables.presigned(t, k, time.Now(), time.Hour)
	if got := send(t, listTables.signed(t, k)); got.status != 200 {
		t.Fatalf("before: %d %s", got.status, got.body)
	}
	change()
	for name, r := range map[string]*http.Request{"signed": listTables.signed(t, k), "a link signed before": link} {
		if got := send(t, r); got.status != 400 || got.code != code {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
}

// Changes take effect on the next call, for sessions too.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access_disable-perms.html
func TestCredentialsThatEnd(t *testing.T) {
	root := rootKey()
	const unrecognized, denied = "UnrecognizedClientException", "AccessDeniedException"
	user := func(name string) (k, session sigv4.Key) {
		k = newUser(t, name)
		return k, sessionOf(t, k)
	}
	deleteKeys := func(name string, keys ...sigv4.Key) {
		for _, k := range keys {
			call(t, root, "iam", "DeleteAccessKey", url.Values{"UserName": {name}, "AccessKeyId": {k.AccessKeyID}})
		}
	}
	detach := func(name string) {
		call(t, root, "iam", "DetachUserPolicy", url.Values{"UserName": {name}, "PolicyArn": {"arn:aws:iam::aws:policy/AdministratorAccess"}})
	}

	k, _ := user("revoked")
	refusedFrom(t, k, func() { deleteKeys("revoked", k) }, unrecognized)

	k, _ = user("inactive")
	set := func(status string) {
		call(t, root, "iam", "UpdateAccessKey", url.Values{"UserName": {"inactive"}, "AccessKeyId": {k.AccessKeyID}, "Status": {status}})
	}
	refusedFrom(t, k, func() { set("Inactive") }, unrecognized)
	set("Active")
	if got := send(t, listTables.signed(t, k)); got.status != 200 {
		t.Errorf("active again: %d %s", got.status, got.body)
	}

	// The session of a key that is gone goes on; that of a user who is gone does not.
	k, session := user("gone")
	deleteKeys("gone", k)
	refusedFrom(t, session, func() {
		detach("gone")
		call(t, root, "iam", "DeleteUser", url.Values{"UserName": {"gone"}})
	}, unrecognized)
	call(t, root, "iam", "CreateUser", url.Values{"UserName": {"gone"}})
	if got := send(t, listTables.signed(t, session)); got.code != unrecognized {
		t.Errorf("a session of the one before: %d %s", got.status, got.body)
	}

	k, session = user("demoted")
	refusedFrom(t, session, func() { detach("demoted") }, denied)
	if got := send(t, listTables.signed(t, k)); got.code != denied {
		t.Errorf("%d %s", got.status, got.body)
	}

	call(t, root, "iam", "CreateRole", url.Values{"RoleName": {"ended"}, "AssumeRolePolicyDocument": {
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"` + account + `"},"Action":"sts:AssumeRole"}}`,
	}})
	call(t, root, "iam", "AttachRolePolicy", url.Values{"RoleName": {"ended"}, "PolicyArn": {"arn:aws:iam::aws:policy/AdministratorAccess"}})
	k, _ = user("assumer")
	out := call(t, k, "sts", "AssumeRole", url.Values{"RoleArn": {"arn:aws:iam::" + account + ":role/ended"}, "RoleSessionName": {"ss"}})
	session = sigv4.Key{AccessKeyID: text(t, out, "AccessKeyId"), Secret: text(t, out, "SecretAccessKey"), SessionToken: text(t, out, "SessionToken")}
	refusedFrom(t, session, func() {
		call(t, root, "iam", "DetachRolePolicy", url.Values{"RoleName": {"ended"}, "PolicyArn": {"arn:aws:iam::aws:policy/AdministratorAccess"}})
		call(t, root, "iam", "DeleteRole", url.Values{"RoleName": {"ended"}})
	}, unrecognized)
}

// rest calls a REST operation, which has to work.
func rest(t *testing.T, service, method, path, body string) map[string]any {
	t.Helper()
	f := form{"", service, method, path, map[string]string{"Content-Type": "application/json"}, body}
	got := send(t, f.signed(t, rootKey()))
	if got.status/100 != 2 {
		t.Fatalf("%s %s: %d %s", method, path, got.status, got.body)
	}
	var out map[string]any
	if got.body != "" {
		if err := json.Unmarshal([]byte(got.body), &out); err != nil {
			t.Fatalf("%v in %s", err, got.body)
		}
	}
	return out
}

// A service does nothing for who is not named as its source: not for another API, not without a source, not for a user who
// says they are it.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
func TestConfusedDeputy(t *testing.T) {
	role := func(name, condition string) string {
		call(t, rootKey(), "iam", "CreateRole", url.Values{"RoleName": {name}, "AssumeRolePolicyDocument": {
			`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole","Condition":` + condition + `}}`,
		}})
		return "arn:aws:iam::" + account + ":role/" + name
	}
	var code bytes.Buffer
	archive := zip.NewWriter(&code)
	if w, err := archive.Create("bootstrap"); err != nil {
		t.Fatal(err)
	} else if _, err := w.Write([]byte("#!/bin/sh\n")); err != nil {
		t.Fatal(err)
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	function := func(name, roleARN string) answer {
		body, err := json.Marshal(map[string]any{
			"FunctionName": name, "Role": roleARN, "Runtime": "provided.al2023", "Handler": "h",
			"Code": map[string]string{"ZipFile": base64.StdEncoding.EncodeToString(code.Bytes())},
		})
		if err != nil {
			t.Fatal(err)
		}
		f := form{"", "lambda", "POST", "/2015-03-31/functions", map[string]string{"Content-Type": "application/json"}, string(body)}
		return send(t, f.signed(t, rootKey()))
	}

	// A role that trusts Lambda for one function, or for another account, is no role for this one.
	const cannot = "The role defined for the function cannot be assumed by Lambda."
	for name, condition := range map[string]string{
		"other-function": `{"ArnLike":{"aws:SourceArn":"arn:aws:lambda:` + region + `:` + account + `:function:other"}}`,
		"other-account":  `{"StringEquals":{"aws:SourceAccount":"111122223333"}}`,
	} {
		if got := function("deputy", role(name, condition)); got.status != 400 || got.code != "InvalidParameterValueException" || got.message != cannot {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	if got := function("deputy", role("deputy", `{"ArnLike":{"aws:SourceArn":"arn:aws:lambda:*:`+account+`:function:deputy"},"StringEquals":{"aws:SourceAccount":"`+account+`"}}`)); got.status != 201 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	arn := "arn:aws:lambda:" + region + ":" + account + ":function:deputy"

	api := rest(t, "apigateway", "POST", "/restapis", `{"name":"deputy"}`)
	id, root := api["id"].(string), api["rootResourceId"].(string)
	method := "/restapis/" + id + "/resources/" + root + "/methods/GET"
	rest(t, "apigateway", "PUT", method, `{"authorizationType":"NONE"}`)
	rest(t, "apigateway", "PUT", method+"/integration", `{"type":"AWS_PROXY","httpMethod":"POST","uri":"arn:aws:apigateway:`+region+`:lambda:path/2015-03-31/functions/`+arn+`/invocations"}`)
	rest(t, "apigateway", "POST", "/restapis/"+id+"/deployments", `{"stageName":"s"}`)
	get := func(want string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), "GET", brume.Endpoint+"/restapis/"+id+"/s/_user_request_/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := send(t, r); got.status != 500 || got.message != "Internal server error" {
			t.Errorf("%d %s", got.status, got.body)
		}
		log, _ := rest(t, "apigateway", "POST", method, `{}`)["log"].(string)
		if !strings.Contains(log, want) {
			t.Errorf("no %q in\n%s", want, log)
		}
	}
	permit := func(statement, permission string) {
		rest(t, "lambda", "POST", "/2015-03-31/functions/deputy/policy", `{"StatementId":"`+statement+`","Action":"lambda:InvokeFunction",`+permission+`}`)
	}
	const invalid = "Invalid permissions on Lambda function"
	get(invalid)
	permit("another-api", `"Principal":"apigateway.amazonaws.com","SourceArn":"arn:aws:execute-api:`+region+`:`+account+`:other/*/*"`)
	get(invalid)
	permit("another-account", `"Principal":"apigateway.amazonaws.com","SourceAccount":"111122223333"`)
	get(invalid)
	permit("another-service", `"Principal":"s3.amazonaws.com","SourceArn":"arn:aws:s3:::b"`)
	get(invalid)

	// A user cannot call in the name of the service, whatever headers they send.
	nobody := newKeyOf(t, "nobody")
	f := form{"", "lambda", "POST", "/2015-03-31/functions/deputy/invocations", map[string]string{
		"X-Amz-Source-Arn": "arn:aws:execute-api:" + region + ":" + account + ":other/*/*", "X-Amz-Source-Account": account,
	}, "{}"}
	if got := send(t, f.signed(t, nobody)); got.status != 403 || got.code != "AccessDeniedException" ||
		got.message != "User: arn:aws:iam::"+account+":user/nobody is not authorized to perform: lambda:InvokeFunction on resource: "+arn+" because no identity-based policy allows the lambda:InvokeFunction action" {
		t.Errorf("%d %s", got.status, got.body)
	}
	// The right source gets through, to a function that does nothing.
	permit("this-api", `"Principal":"apigateway.amazonaws.com","SourceArn":"arn:aws:execute-api:`+region+`:`+account+`:`+id+`/*/*"`)
	if log, _ := rest(t, "apigateway", "POST", method, `{}`)["log"].(string); strings.Contains(log, invalid) {
		t.Errorf("the right source is refused:\n%s", log)
	}
}

// newKeyOf makes a user without any permission.
func newKeyOf(t *testing.T, name string) sigv4.Key {
	t.Helper()
	call(t, rootKey(), "iam", "CreateUser", url.Values{"UserName": {name}})
	return newKey(t, name)
}

// Nobody is anybody by a resource policy alone unless it says so.
func TestAnonymous(t *testing.T) {
	for _, f := range forms {
		if f.service == "iam" {
			continue // without a signature its form says nothing of who it is for
		}
		got, want := send(t, f.request(t)), missing("Missing Authentication Token")
		if w := want.of(&f); got.status != w.status || got.code != w.code || got.message != want.message {
			t.Errorf("%s: %d %s", f.name, got.status, got.body)
		}
	}
	nothingHappened(t)
}
