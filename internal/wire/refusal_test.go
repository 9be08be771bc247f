package wire

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	stsapi "brume/internal/api/sts"
	"brume/internal/call"
	"brume/internal/wire/sigv4"
)

// wanted is the status and the code of one refusal in each protocol: awsQuery, awsJson, restJson.
type wanted [3]answer

func (w wanted) in(f *form) answer {
	switch {
	case f.query:
		return w[0]
	case strings.HasPrefix(f.name, "awsJson"):
		return w[1]
	}
	return w[2]
}

// Signatures are refused with the codes and statuses that AWS uses in each protocol.
//
// https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html
func TestSignaturesAreRefusedInTheWordsOfTheProtocol(t *testing.T) {
	var (
		mismatched = wanted{{403, "SignatureDoesNotMatch", ""}, {400, "InvalidSignatureException", ""}, {403, "InvalidSignatureException", ""}}
		incomplete = wanted{{400, "IncompleteSignature", ""}, {400, "IncompleteSignatureException", ""}, {400, "IncompleteSignatureException", ""}}
		unknown    = wanted{{403, "InvalidClientTokenId", ""}, {400, "UnrecognizedClientException", ""}, {403, "UnrecognizedClientException", ""}}
		expired    = wanted{{403, "ExpiredToken", ""}, {400, "ExpiredTokenException", ""}, {403, "ExpiredTokenException", ""}}
		missing    = wanted{{403, "MissingAuthenticationToken", ""}, {400, "MissingAuthenticationTokenException", ""}, {403, "MissingAuthenticationTokenException", ""}}
	)
	at := func(d time.Duration) func(*form) *http.Request {
		return func(f *form) *http.Request {
			r := f.request()
			sigv4.Sign(r, []byte(f.body), rootKey, "us-east-1", f.signingName(), now.Add(d))
			return r
		}
	}
	scoped := func(region string) func(*form) *http.Request {
		return func(f *form) *http.Request {
			r := f.request()
			sigv4.Sign(r, []byte(f.body), rootKey, region, f.signingName(), now)
			return r
		}
	}
	tampered := func(tamper func(r *http.Request)) func(*form) *http.Request {
		return func(f *form) *http.Request {
			r := f.signed(rootKey)
			tamper(r)
			return r
		}
	}
	presigned := func(at time.Duration, life time.Duration) func(*form) *http.Request {
		return func(f *form) *http.Request {
			r := f.request()
			sigv4.Presign(r, []byte(f.body), rootKey, "us-east-1", f.signingName(), now.Add(at), life)
			r.RequestURI = r.URL.RequestURI()
			return r
		}
	}
	key := func(k sigv4.Key) func(*form) *http.Request { return func(f *form) *http.Request { return f.signed(k) } }
	tests := []struct {
		name    string
		request func(*form) *http.Request
		want    wanted
		message string
	}{
		{"no signature", func(f *form) *http.Request {
			r := f.request()
			if f.service == "iam" {
				r.Host = "iam.localhost" // a form says what it is for in its body only
			}
			return r
		}, missing, "Missing Authentication Token"},
		{"another scheme", tampered(func(r *http.Request) { r.Header.Set("Authorization", "Bearer abc"); r.Host = "" }), incomplete, ""},
		{"half a signature", tampered(func(r *http.Request) {
			a, _, _ := strings.Cut(r.Header.Get("Authorization"), ", Signature=")
			r.Header.Set("Authorization", a)
		}), incomplete, "Authorization header requires 'Signature' parameter."},
		{"two Authorization headers", tampered(func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }), incomplete, ""},
		{"header and query", tampered(func(r *http.Request) { r.URL.RawQuery += "&X-Amz-Algorithm=AWS4-HMAC-SHA256" }), incomplete, "Only one auth mechanism allowed"},
		{"two dates", tampered(func(r *http.Request) { r.Header.Add("X-Amz-Date", "20260314T150926Z") }), incomplete, ""},
		{"an unknown or revoked key", key(unknownKey), unknown, "The security token included in the request is invalid."},
		{"a long-term key with a session token", key(sigv4.Key{AccessKeyID: rootKey.AccessKeyID, Secret: secret, SessionToken: "t"}), unknown, ""},
		{"temporary credentials without their token", key(sigv4.Key{AccessKeyID: sessionKey.AccessKeyID, Secret: secret}), unknown, ""},
		{"an ended session", key(expiredKey), expired, "The security token included in the request is expired"},
		{"a wrong secret", key(forgedKey), mismatched, "The request signature we calculated does not match the signature you provided."},
		{"another method", tampered(func(r *http.Request) { r.Method = "PUT" }), mismatched, ""},
		{"another path", tampered(func(r *http.Request) { r.URL.Path += "x"; r.RequestURI = "" }), mismatched, ""},
		{"a parameter more", tampered(func(r *http.Request) { r.URL.RawQuery += "&Marker=x" }), mismatched, ""},
		{"another body", tampered(func(r *http.Request) { swapBody(r, `{"TableName":"other"}`) }), mismatched, ""},
		{"a longer body", tampered(func(r *http.Request) { swapBody(r, strings.Repeat(" ", 2*bigBody)) }), mismatched, ""},
		{"a header injected", tampered(func(r *http.Request) { r.Header.Set("X-Amz-Injected", "1") }), mismatched, "which were not signed"},
		{"another host", tampered(func(r *http.Request) { r.Host = "example.com" }), mismatched, ""},
		{"another region", tampered(func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "/eu-west-1/", "/us-east-1/", 1))
		}), mismatched, ""},
		{"no region", scoped("US East!"), mismatched, "Credential should be scoped to a valid region."},
		{"a region that is too long", scoped(strings.Repeat("x", maxRegion+1)), mismatched, "Credential should be scoped to a valid region."},
		{"replayed after 15 minutes", at(-15*time.Minute - time.Second), mismatched, "Signature expired: "},
		{"from the future", at(15*time.Minute + time.Second), mismatched, "Signature not yet current: "},
		{"a presigned link past its time", presigned(-2*time.Minute, time.Minute), mismatched, "Signature expired: "},
		{"a presigned link for too long", presigned(0, 8*24*time.Hour), incomplete, "less than a week"},
	}
	for _, tt := range tests {
		for _, f := range forms {
			t.Run(tt.name+"/"+f.name, func(t *testing.T) {
				h := newHarness(t)
				h.answerForms()
				got := read(t, h.do(tt.request(&f)))
				want := tt.want.in(&f)
				if got.status != want.status || got.code != want.code {
					t.Errorf("%d %s, want %d %s", got.status, got.code, want.status, want.code)
				}
				if !strings.Contains(got.message, tt.message) {
					t.Errorf("message %q, want %q", got.message, tt.message)
				}
				if h.seen != nil {
					t.Error("the operation ran")
				}
				if len(h.uses.calls) != 0 {
					t.Error("a use of the key was recorded")
				}
			})
		}
	}
}

// A signature for another service than the one that the host or target names is refused by the service that it is for:
// routing follows the scope, so that nothing signed for one service can be done at another.
func TestAScopeOfAnotherServiceLeadsThere(t *testing.T) {
	h := newHarness(t)
	h.answerForms()
	f := forms[2] // DynamoDB
	r := f.request()
	r.Host = "dynamodb.eu-west-1.amazonaws.com"
	sigv4.Sign(r, []byte(f.body), rootKey, "eu-west-1", "logs", now)
	if got := read(t, h.do(r)); got.status != 404 && got.status != 400 || got.code != "UnknownOperationException" {
		t.Errorf("%+v", got)
	}
	// Of a service that Brume does not have, the target tells that it is for DynamoDB, and that refuses it.
	r = f.request()
	sigv4.Sign(r, []byte(f.body), rootKey, "eu-west-1", "sqs", now)
	if got := read(t, h.do(r)); got.status != 400 || got.code != "InvalidSignatureException" ||
		got.message != "Credential should be scoped to correct service: 'dynamodb'. " {
		t.Errorf("%+v", got)
	}
}

func TestGoodSignaturesAreTaken(t *testing.T) {
	for _, f := range forms {
		for name, request := range map[string]func() *http.Request{
			"header":  func() *http.Request { return f.signed(rootKey) },
			"session": func() *http.Request { return f.signed(sessionKey) },
			"presigned": func() *http.Request {
				r := f.request()
				sigv4.Presign(r, []byte(f.body), sessionKey, "eu-west-1", f.signingName(), now.Add(-time.Minute), time.Hour)
				r.RequestURI = r.URL.RequestURI()
				return r
			},
			// The order of parameters and headers is not part of a signature.
			"parameters in another order": func() *http.Request {
				r := f.signed(rootKey)
				if a, b, ok := strings.Cut(r.URL.RawQuery, "&"); ok {
					r.URL.RawQuery = b + "&" + a
				}
				return r
			},
		} {
			t.Run(f.name+"/"+name, func(t *testing.T) {
				h := newHarness(t)
				h.answerForms()
				got := read(t, h.do(request()))
				if got.status/100 != 2 {
					t.Fatalf("%+v", got)
				}
				info := h.seen
				if info == nil || info.Service != f.service || info.Operation != f.operation {
					t.Fatalf("%+v was called", info)
				}
				region := "eu-west-1"
				if f.service == "iam" {
					region = "us-east-1" // IAM is global
				}
				if info.Region != region || info.Account != account || info.Principal.Account != account || !info.Time.Equal(now) {
					t.Errorf("%+v", info)
				}
				if len(h.uses.calls) != 1 || h.uses.calls[0].Service != f.service || h.uses.calls[0].Principal.AccessKeyID != info.Principal.AccessKeyID {
					t.Errorf("recorded uses: %+v", h.uses.calls)
				}
			})
		}
	}
}

// Who has no credentials yet may ask for some with the token of an identity provider, and for nothing else.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
func TestUnsignedOperations(t *testing.T) {
	const form = "Version=2011-06-15&RoleArn=arn:aws:iam::123456789012:role/r&RoleSessionName=rr&WebIdentityToken=token&Action="
	host := "sts.localhost"
	post := func(action string, size int) answer {
		h := newHarness(t)
		h.answer("sts.AssumeRoleWithWebIdentity", &stsapi.AssumeRoleWithWebIdentityOutput{})
		body := form + action
		r := httptest.NewRequest("POST", "/", strings.NewReader(body+"&Pad="+strings.Repeat("a", max(0, size-len(body)-len("&Pad=")))))
		r.Host = host
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		got := read(t, h.do(r))
		if h.seen != nil && (h.seen.Principal.Type != call.Anonymous || h.seen.Account != "" || h.seen.Region != "us-east-1" || len(h.uses.calls) != 0) {
			t.Errorf("%+v", h.seen)
		}
		if (h.seen != nil) != (got.status == 200) {
			t.Errorf("%+v, called %v", got, h.seen)
		}
		return got
	}
	if got := post("AssumeRoleWithWebIdentity", 0); got.status != 200 {
		t.Errorf("%+v", got)
	}
	host = "127.0.0.1:4566" // which says nothing
	if got := post("AssumeRoleWithWebIdentity", maxUnsignedBody); got.status != 200 {
		t.Errorf("%+v", got)
	}
	if got := post("AssumeRoleWithWebIdentity", maxUnsignedBody+1); got.status != 413 {
		t.Errorf("%+v", got)
	}
	for _, action := range []string{"AssumeRole", "GetCallerIdentity", "GetSessionToken", "Fly", ""} {
		if got := post(action, 0); got != (answer{403, "MissingAuthenticationToken", "Missing Authentication Token"}) {
			t.Errorf("%s: %+v", action, got)
		}
	}
}

// A signature may be made over the path without its dot segments. Such a path is not routed, or the signature for one
// function would do for another.
func TestPathsWithDotSegmentsLeadNowhere(t *testing.T) {
	for _, target := range []string{
		"/2015-03-31/functions/victim/../mine", "/2015-03-31/functions/./mine", "/./2015-03-31/functions/mine",
		"/2015-03-31/functions/mine/code-signing-config/..", "/2015-03-31/functions/..",
	} {
		h := newHarness(t)
		h.answerForms()
		r := httptest.NewRequest("GET", "/2015-03-31/functions/mine", nil)
		sigv4.Sign(r, nil, rootKey, "us-east-1", "lambda", now)
		replay := httptest.NewRequest("GET", target, nil)
		replay.Header = r.Header
		if got := read(t, h.do(replay)); got.status/100 != 4 || h.seen != nil {
			t.Errorf("%s: %+v", target, got)
		}
	}
}

func swapBody(r *http.Request, body string) {
	other := httptest.NewRequest("POST", "/", strings.NewReader(body))
	r.Body, r.ContentLength = other.Body, other.ContentLength
}
