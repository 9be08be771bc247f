// Package negative sends a started server what a client must not get away with: requests replayed, truncated, re-ordered
// and signed by others, credentials that are no longer good, and services that act for the wrong one. All of it is refused
// with AWS's error, and changes nothing.
package negative

import (
	"bufio"
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"brume/internal/wire/sigv4"
	"brume/test/story"
)

const (
	account = "000000000000"
	region  = "us-east-1"
)

var brume *story.Server

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	ctx := context.Background()
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	dir, err := os.MkdirTemp("", "brume-negative")
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(dir)
	root, err := filepath.Abs("../..")
	if err != nil {
		return fail(err)
	}
	binary, err := story.BuildIn(ctx, root, dir)
	if err != nil {
		return fail(err)
	}
	if brume, err = story.StartServer(ctx, binary, filepath.Join(dir, "data"), "127.0.0.1:0"); err != nil {
		return fail(err)
	}
	code := m.Run()
	if err := brume.Stop(); err != nil {
		return fail(fmt.Errorf("stopping: %w\n%s", err, brume.LogTail()))
	}
	return code
}

func rootKey() sigv4.Key {
	return sigv4.Key{AccessKeyID: brume.AccessKeyID, Secret: brume.SecretAccessKey}
}

// A form is a request in one of the protocols that makes something by the name of mallory.
type form struct {
	name, service string
	method, path  string
	header        map[string]string
	body          string
}

var forms = []form{
	{"awsQuery", "iam", "POST", "/", map[string]string{"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
		"Action=CreateUser&UserName=mallory&Version=2010-05-08"},
	{"awsQuery by GET", "iam", "GET", "/?Action=CreateUser&UserName=mallory&Version=2010-05-08", nil, ""},
	{"awsJson", "dynamodb", "POST", "/", map[string]string{"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "DynamoDB_20120810.CreateTable"},
		`{"TableName":"mallory","BillingMode":"PAY_PER_REQUEST","AttributeDefinitions":[{"AttributeName":"a","AttributeType":"S"}],"KeySchema":[{"AttributeName":"a","KeyType":"HASH"}]}`},
	{"restJson", "apigateway", "POST", "/restapis", map[string]string{"Content-Type": "application/json"}, `{"name":"mallory"}`},
}

// request is the form's request, without a signature.
func (f *form) request(t testing.TB) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), f.method, brume.Endpoint+f.path, strings.NewReader(f.body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range f.header {
		r.Header.Set(name, value)
	}
	return r
}

func (f *form) signedAt(t testing.TB, k sigv4.Key, at time.Time) *http.Request {
	r := f.request(t)
	sigv4.Sign(r, []byte(f.body), k, region, f.service, at)
	return r
}

func (f *form) signed(t testing.TB, k sigv4.Key) *http.Request { return f.signedAt(t, k, time.Now()) }

func (f *form) presigned(t testing.TB, k sigv4.Key, at time.Time, life time.Duration) *http.Request {
	r := f.request(t)
	sigv4.Presign(r, []byte(f.body), k, region, f.service, at, life)
	return r
}

// setBody puts another body in the place of the one that was signed.
func setBody(r *http.Request, body string) {
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
}

// An answer is what a client understands of a response.
type answer struct {
	status        int
	code, message string
	body          string
}

var client = &http.Client{Transport: &http.Transport{DisableCompression: true}, Timeout: time.Minute}

func send(t testing.TB, r *http.Request) answer {
	t.Helper()
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, resp)
}

func read(t testing.TB, resp *http.Response) answer {
	t.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: resp.StatusCode, body: string(body)}
	if resp.StatusCode < 400 {
		return a
	}
	switch contentType := resp.Header.Get("Content-Type"); {
	case contentType == "text/xml":
		var doc struct {
			Error struct{ Code, Message string }
		}
		if err := xml.Unmarshal(body, &doc); err != nil {
			t.Fatalf("%v in %s", err, body)
		}
		a.code, a.message = doc.Error.Code, doc.Error.Message
	case strings.HasPrefix(contentType, "application/"):
		var doc struct {
			Type    string `json:"__type"`
			Message string
		}
		if err := json.Unmarshal(body, &doc); err != nil {
			t.Fatalf("%v in %s", err, body)
		}
		if a.code = doc.Type[strings.LastIndexByte(doc.Type, '#')+1:]; a.code == "" {
			a.code = resp.Header.Get("X-Amzn-Errortype")
		}
		a.message = doc.Message
	default:
		a.code, a.message = "", string(body)
	}
	return a
}

// call calls an operation that has to work.
func call(t testing.TB, k sigv4.Key, service, action string, params url.Values) string {
	t.Helper()
	version := map[string]string{"iam": "2010-05-08", "sts": "2011-06-15"}[service]
	values := url.Values{"Action": {action}, "Version": {version}}
	for name, value := range params {
		values[name] = value
	}
	f := form{action, service, "POST", "/", map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, values.Encode()}
	got := send(t, f.signed(t, k))
	if got.status != 200 {
		t.Fatalf("%s: %d %s", action, got.status, got.body)
	}
	return got.body
}

// text is the content of an element of an XML document.
func text(t testing.TB, document, element string) string {
	t.Helper()
	_, rest, ok := strings.Cut(document, "<"+element+">")
	content, _, ok2 := strings.Cut(rest, "</"+element+">")
	if !ok || !ok2 {
		t.Fatalf("no %s in %s", element, document)
	}
	return content
}

// newUser makes a user that may do everything, and an access key for it.
func newUser(t testing.TB, name string) sigv4.Key {
	t.Helper()
	call(t, rootKey(), "iam", "CreateUser", url.Values{"UserName": {name}})
	call(t, rootKey(), "iam", "AttachUserPolicy", url.Values{"UserName": {name}, "PolicyArn": {"arn:aws:iam::aws:policy/AdministratorAccess"}})
	return newKey(t, name)
}

func newKey(t testing.TB, name string) sigv4.Key {
	t.Helper()
	out := call(t, rootKey(), "iam", "CreateAccessKey", url.Values{"UserName": {name}})
	return sigv4.Key{AccessKeyID: text(t, out, "AccessKeyId"), Secret: text(t, out, "SecretAccessKey")}
}

// sessionOf gets temporary credentials for a user.
func sessionOf(t testing.TB, k sigv4.Key) sigv4.Key {
	t.Helper()
	out := call(t, k, "sts", "GetSessionToken", nil)
	return sigv4.Key{AccessKeyID: text(t, out, "AccessKeyId"), Secret: text(t, out, "SecretAccessKey"), SessionToken: text(t, out, "SessionToken")}
}

// nothingHappened requires that nobody made anything by the name of mallory.
func nothingHappened(t *testing.T) {
	t.Helper()
	users := form{"", "iam", "GET", "/?Action=ListUsers&Version=2010-05-08", nil, ""}
	tables := form{"", "dynamodb", "POST", "/", map[string]string{"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "DynamoDB_20120810.ListTables"}, "{}"}
	apis := form{"", "apigateway", "GET", "/restapis", nil, ""}
	for _, f := range []form{users, tables, apis} {
		if got := send(t, f.signed(t, rootKey())); got.status != 200 || strings.Contains(got.body, "mallory") {
			t.Errorf("%s: %d %s", f.service, got.status, got.body)
		}
	}
}

// The words of a refusal in awsQuery, awsJson and restJson.
type refusal struct {
	query, json, rest answer
	message           string
}

func (w *refusal) of(f *form) answer {
	switch f.service {
	case "iam":
		return w.query
	case "dynamodb":
		return w.json
	}
	return w.rest
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
func mismatched(message string) refusal {
	return refusal{answer{status: 403, code: "SignatureDoesNotMatch"}, answer{status: 400, code: "InvalidSignatureException"}, answer{status: 403, code: "InvalidSignatureException"}, message}
}

func incomplete(message string) refusal {
	return refusal{answer{status: 400, code: "IncompleteSignature"}, answer{status: 400, code: "IncompleteSignatureException"}, answer{status: 400, code: "IncompleteSignatureException"}, message}
}

func unknown(message string) refusal {
	return refusal{answer{status: 403, code: "InvalidClientTokenId"}, answer{status: 400, code: "UnrecognizedClientException"}, answer{status: 403, code: "UnrecognizedClientException"}, message}
}

func missing(message string) refusal {
	return refusal{answer{status: 403, code: "MissingAuthenticationToken"}, answer{status: 400, code: "MissingAuthenticationTokenException"}, answer{status: 403, code: "MissingAuthenticationTokenException"}, message}
}

const (
	wrongSignature = "The request signature we calculated does not match the signature you provided. " +
		"Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
	wrongToken = "The security token included in the request is invalid."
)

// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html
func TestRequests(t *testing.T) {
	alice, bob := newUser(t, "alice"), newUser(t, "bob")
	session := sessionOf(t, alice)
	now := time.Now()
	tampered := func(tamper func(f *form, r *http.Request)) func(*testing.T, *form) *http.Request {
		return func(t *testing.T, f *form) *http.Request {
			r := f.signed(t, alice)
			tamper(f, r)
			return r
		}
	}
	header := func(name, value string) func(*testing.T, *form) *http.Request {
		return tampered(func(_ *form, r *http.Request) { r.Header.Set(name, value) })
	}
	by := func(k sigv4.Key) func(*testing.T, *form) *http.Request {
		return func(t *testing.T, f *form) *http.Request { return f.signed(t, k) }
	}
	at := func(off time.Duration) func(*testing.T, *form) *http.Request {
		return func(t *testing.T, f *form) *http.Request { return f.signedAt(t, alice, now.Add(off)) }
	}
	link := func(off, life time.Duration) func(*testing.T, *form) *http.Request {
		return func(t *testing.T, f *form) *http.Request { return f.presigned(t, alice, now.Add(off), life) }
	}
	query := func(old, new string) func(*testing.T, *form) *http.Request {
		return func(t *testing.T, f *form) *http.Request {
			r := f.presigned(t, alice, now, time.Hour)
			changed := strings.Replace(r.URL.RawQuery, old, new, 1)
			if changed == r.URL.RawQuery {
				t.Fatalf("no %s in %s", old, changed)
			}
			r.URL.RawQuery = changed
			return r
		}
	}
	authorization := func(old, new string) func(*testing.T, *form) *http.Request {
		return tampered(func(_ *form, r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, new, 1))
		})
	}
	// Signed as it is sent, so that the signature is right: what is wrong is what it says.
	with := func(change func(f *form, r *http.Request)) func(*testing.T, *form) *http.Request {
		return func(t *testing.T, f *form) *http.Request {
			r := f.request(t)
			change(f, r)
			sigv4.Sign(r, []byte(f.body), alice, region, f.service, now)
			return r
		}
	}
	tests := []struct {
		name    string
		request func(*testing.T, *form) *http.Request
		want    refusal
	}{
		{"replayed after more than 15 minutes", at(-15*time.Minute - 5*time.Second), mismatched("Signature expired: ")},
		{"replayed after a day", at(-24 * time.Hour), mismatched("Signature expired: ")},
		{"from the future", at(15*time.Minute + 5*time.Second), mismatched("Signature not yet current: ")},
		{"a new date on an old signature", header("X-Amz-Date", now.Add(time.Second).UTC().Format("20060102T150405Z")), mismatched(wrongSignature)},
		{"a date of another day", header("X-Amz-Date", now.Add(24*time.Hour).UTC().Format("20060102T150405Z")), mismatched("")},
		{"a date that is none", header("X-Amz-Date", "yesterday"), incomplete("Date must be in ISO-8601 'basic format'.")},
		{"truncated", tampered(func(f *form, r *http.Request) {
			if f.body == "" {
				r.URL.RawQuery = r.URL.RawQuery[:len(r.URL.RawQuery)-1]
				return
			}
			setBody(r, f.body[:len(f.body)-1])
		}), mismatched(wrongSignature)},
		{"longer", tampered(func(f *form, r *http.Request) {
			if f.body == "" {
				r.URL.RawQuery += "&Path=/x/"
				return
			}
			setBody(r, f.body+" ")
		}), mismatched(wrongSignature)},
		{"another body", tampered(func(_ *form, r *http.Request) { setBody(r, `{"TableName":"mallory2"}`) }), mismatched(wrongSignature)},
		{"another body with a fitting hash", tampered(func(_ *form, r *http.Request) {
			setBody(r, "{}")
			r.Header.Set("X-Amz-Content-Sha256", "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a")
		}), mismatched("There were headers present in the request which were not signed: x-amz-content-sha256")},
		{"a body that is said to be unsigned", with(func(_ *form, r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD") }), mismatched(wrongSignature)},
		{"a body in signed chunks", with(func(_ *form, r *http.Request) {
			r.Header.Set("X-Amz-Content-Sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
		}), mismatched(wrongSignature)},
		{"parameters in another order", tampered(func(f *form, r *http.Request) {
			if f.service != "iam" || f.body == "" {
				setBody(r, f.body+"\n")
				return
			}
			setBody(r, "UserName=mallory&Action=CreateUser&Version=2010-05-08")
		}), mismatched(wrongSignature)},
		{"another method", tampered(func(_ *form, r *http.Request) { r.Method = "DELETE" }), mismatched(wrongSignature)},
		{"another host", tampered(func(_ *form, r *http.Request) { r.Host = "example.com" }), mismatched(wrongSignature)},
		{"another target", tampered(func(f *form, r *http.Request) {
			if f.service == "dynamodb" {
				r.Header.Set("X-Amz-Target", "DynamoDB_20120810.DeleteTable")
				return
			}
			r.URL.Path += "x"
		}), mismatched(wrongSignature)},
		{"signed again by another with a key of hers", func(t *testing.T, f *form) *http.Request {
			return f.signed(t, sigv4.Key{AccessKeyID: alice.AccessKeyID, Secret: bob.Secret})
		}, mismatched(wrongSignature)},
		{"another's key in the scope", authorization(alice.AccessKeyID, bob.AccessKeyID), mismatched(wrongSignature)},
		{"another region in the scope", authorization("/"+region+"/", "/eu-west-1/"), mismatched(wrongSignature)},
		{"another date in the scope", authorization("/"+now.UTC().Format("20060102")+"/", "/20200101/"), mismatched("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP")},
		{"no terminator in the scope", authorization("/aws4_request", "/aws5_request"), mismatched("Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5_request'.")},
		{"half a scope", authorization("/"+region, ""), incomplete("Credential must have exactly 5 slash-delimited elements")},
		{"a header injected", header("X-Amz-Security-Token", session.SessionToken), mismatched("There were headers present in the request which were not signed: x-amz-security-token")},
		{"a header taken out of the signature", authorization(";x-amz-date", ""), mismatched("")},
		{"no host in the signature", authorization("host;", ""), mismatched("")},
		{"headers out of order in the signature", authorization("host;x-amz-date", "x-amz-date;host"), mismatched("")},
		{"two Authorization headers", tampered(func(_ *form, r *http.Request) {
			r.Header["Authorization"] = append(r.Header["Authorization"], r.Header.Get("Authorization"))
		}), incomplete("Authorization header must not be repeated.")},
		{"two dates", tampered(func(_ *form, r *http.Request) { r.Header.Add("X-Amz-Date", now.UTC().Format("20060102T150405Z")) }), incomplete("The date header must not be repeated.")},
		{"two session tokens", func(t *testing.T, f *form) *http.Request {
			r := f.signed(t, session)
			r.Header.Add("X-Amz-Security-Token", session.SessionToken)
			return r
		}, incomplete("X-Amz-Security-Token header must not be repeated.")},
		{"two signatures in one header", authorization("Signature=", "Signature="+strings.Repeat("0", 64)+", Signature="), incomplete("")},
		{"a signature in capitals", tampered(func(_ *form, r *http.Request) {
			before, signature, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
			r.Header.Set("Authorization", before+"Signature="+strings.ToUpper(signature)+"A")
		}), mismatched(wrongSignature)},
		{"an empty signature", tampered(func(_ *form, r *http.Request) {
			before, _, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
			r.Header.Set("Authorization", before+"Signature=")
		}), incomplete("Authorization header requires 'Signature' parameter.")},
		{"in the header and in the query", tampered(func(_ *form, r *http.Request) { r.URL.RawQuery += "&X-Amz-Algorithm=AWS4-HMAC-SHA256" }), incomplete("Only one auth mechanism allowed")},
		{"nobody's key", by(sigv4.Key{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", Secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}), unknown(wrongToken)},
		{"the keys of tests", by(sigv4.Key{AccessKeyID: "test", Secret: "test"}), unknown(wrongToken)},
		{"a session's key without its token", by(sigv4.Key{AccessKeyID: session.AccessKeyID, Secret: session.Secret}), unknown(wrongToken)},
		{"a session's key with half its token", by(sigv4.Key{AccessKeyID: session.AccessKeyID, Secret: session.Secret, SessionToken: session.SessionToken[:len(session.SessionToken)/2]}), unknown(wrongToken)},
		{"a long-term key with another's token", by(sigv4.Key{AccessKeyID: alice.AccessKeyID, Secret: alice.Secret, SessionToken: session.SessionToken}), unknown(wrongToken)},
		{"a token with a bit turned", by(sigv4.Key{AccessKeyID: session.AccessKeyID, Secret: session.Secret, SessionToken: turned(session.SessionToken)}), unknown(wrongToken)},
		{"a link past its time", link(-2*time.Minute, time.Minute), mismatched("Signature expired: ")},
		{"a link for more than a week", link(0, 7*24*time.Hour+time.Second), incomplete("X-Amz-Expires must be less than a week (in seconds)")},
		{"a link of the future", link(16*time.Minute, time.Hour), mismatched("Signature not yet current: ")},
		{"a link made longer", query("X-Amz-Expires=3600", "X-Amz-Expires=36000"), mismatched(wrongSignature)},
		{"a link with a negative life", query("X-Amz-Expires=3600", "X-Amz-Expires=-1"), incomplete("X-Amz-Expires should be a number")},
		{"a link with a life that is no number", query("X-Amz-Expires=3600", "X-Amz-Expires=1e3"), incomplete("X-Amz-Expires should be a number")},
		{"a link with another date", query("X-Amz-Date="+now.UTC().Format("20060102"), "X-Amz-Date=20200101"), mismatched("")},
		{"a link without headers", query("X-Amz-SignedHeaders=", "X-Amz-Signed="), incomplete("AWS query-string parameters must include 'X-Amz-SignedHeaders'.")},
		{"a link with two lives", query("X-Amz-Expires=3600", "X-Amz-Expires=3600&X-Amz-Expires=3600"), incomplete("AWS query-string parameter 'X-Amz-Expires' must not be repeated.")},
		{"a link with a parameter more", query("X-Amz-Expires=3600", "X-Amz-Expires=3600&Path=/x/"), mismatched(wrongSignature)},
		{"a link of another algorithm", query("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"), incomplete("Unsupported AWS 'algorithm'")},
		{"a link with a header more", func(t *testing.T, f *form) *http.Request {
			r := f.presigned(t, alice, now, time.Hour)
			r.Header.Set("X-Amz-Copy-Source", "x")
			return r
		}, mismatched("There were headers present in the request which were not signed: x-amz-copy-source")},
	}
	for _, tt := range tests {
		for _, f := range forms {
			t.Run(tt.name+"/"+f.name, func(t *testing.T) {
				got, want := send(t, tt.request(t, &f)), tt.want.of(&f)
				if got.status != want.status || got.code != want.code || !strings.Contains(got.message, tt.want.message) {
					t.Errorf("%d %s: %s\nwant %d %s: %s", got.status, got.code, got.message, want.status, want.code, tt.want.message)
				}
			})
		}
	}
	nothingHappened(t)
	// The same requests by another name do work: otherwise the refusals would say nothing.
	for i, f := range forms {
		name := fmt.Sprintf("welcome%d", i)
		f.path, f.body = strings.ReplaceAll(f.path, "mallory", name), strings.ReplaceAll(f.body, "mallory", name)
		r := f.signed(t, alice)
		if f.body == "" {
			r = f.presigned(t, alice, time.Now(), time.Hour)
		}
		if got := send(t, r); got.status/100 != 2 {
			t.Errorf("%s: %d %s", f.name, got.status, got.body)
		}
	}
}

// A parameter that comes twice would mean one thing to who checks it and another to who uses it.
func TestRepeatedParameters(t *testing.T) {
	header := forms[0].header
	for _, f := range []form{
		{"action", "iam", "POST", "/", header, "Action=ListUsers&Action=CreateUser&UserName=mallory&Version=2010-05-08"},
		{"name", "iam", "POST", "/", header, "Action=CreateUser&UserName=mallory&UserName=alice&Version=2010-05-08"},
		{"version", "iam", "POST", "/", header, "Action=CreateUser&UserName=mallory&Version=2010-05-08&Version=2010-05-08"},
		{"in the body and in the query", "iam", "POST", "/?UserName=mallory", header, "Action=CreateUser&UserName=bob2&Version=2010-05-08"},
		{"member of a list", "iam", "POST", "/", header, "Action=CreateUser&UserName=mallory&Version=2010-05-08&Tags.member.1.Key=a&Tags.member.1.Key=b&Tags.member.1.Value=c"},
	} {
		t.Run(f.name, func(t *testing.T) {
			if got := send(t, f.signed(t, rootKey())); got.status != 400 || got.code != "MalformedInput" || !strings.HasPrefix(got.message, "Keys may not be repeated: ") {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
	nothingHappened(t)
}

// turned is a token with its last but one character changed.
func turned(token string) string {
	b := []byte(token)
	if i := len(b) - 2; b[i] == 'A' {
		b[i] = 'B'
	} else {
		b[i] = 'A'
	}
	return string(b)
}

// What is not one well-formed request in HTTP is none at all.
// https://www.rfc-editor.org/rfc/rfc9112#name-message-parsing-robustness
func TestMalformedHTTP(t *testing.T) {
	host := strings.TrimPrefix(brume.Endpoint, "http://")
	f := forms[2]
	r := f.signed(t, rootKey())
	lines := func(more ...string) string {
		out := "POST / HTTP/1.1\r\nHost: " + host + "\r\n"
		for _, name := range []string{"Authorization", "Content-Type", "X-Amz-Target", "X-Amz-Date"} {
			out += name + ": " + r.Header.Get(name) + "\r\n"
		}
		return out + strings.Join(more, "\r\n") + "\r\n\r\n"
	}
	length := fmt.Sprintf("Content-Length: %d", len(f.body))
	for name, request := range map[string]string{
		"two hosts":                         lines(length, "Host: example.com") + f.body,
		"two lengths":                       lines(length, "Content-Length: 2") + f.body,
		"a length and chunks":               lines(length, "Transfer-Encoding: chunked") + "0\r\n\r\n" + f.body,
		"chunks of chunks":                  lines("Transfer-Encoding: chunked, chunked") + "0\r\n\r\n",
		"a negative length":                 lines("Content-Length: -1") + f.body,
		"a header over two lines":           lines(length, "X-Amz-Meta: a", " X-Amz-Date: b") + f.body,
		"a space in a header's name":        lines(length, "X-Amz-Target : DynamoDB_20120810.DeleteTable") + f.body,
		"a NUL in a header":                 lines(length, "X-Amz-Meta: a\x00b") + f.body,
		"a lone carriage return":            lines(length, "X-Amz-Meta: a\rX-Amz-Date: b") + f.body,
		"no host":                           strings.Replace(lines(length), "Host: "+host+"\r\n", "", 1) + f.body,
		"a header without a name":           lines(length, ": x") + f.body,
		"a target twice":                    lines(length, "X-Amz-Target: DynamoDB_20120810.DeleteTable") + f.body,
		"a header block without an end":     lines(length, "X-Amz-Meta: "+strings.Repeat("a", 100<<10)) + f.body,
		"a signature after a header's line": lines(length, "X-Amz-Meta: a\r\nAuthorization: "+r.Header.Get("Authorization")) + f.body,
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", host)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			go io.WriteString(conn, request)
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := read(t, resp); got.status != 400 && got.status != 403 && got.status != 431 && got.status != 501 {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
}
