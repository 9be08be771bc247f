package sigv4

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"brume/internal/awserr"
	"brume/internal/call"
)

// fakeCredentials knows the suite's key, with and without the suite's token, and an expired one.
type fakeCredentials struct{}

func (fakeCredentials) ResolveAccessKey(_ context.Context, id, token string) (string, call.Principal, error) {
	p := call.Principal{Type: call.User, Account: "123456789012", AccessKeyID: id}
	switch {
	case id == suiteKey && token == "":
		return suiteSecret, p, nil
	case id == suiteKey && token == suiteToken:
		p.Session = &call.Session{Name: "s"}
		return suiteSecret, p, nil
	case id == "ASIAEXPIRED":
		return "", call.Principal{}, awserr.New("ExpiredToken", "expired")
	case id == "AKIABROKEN":
		return "", call.Principal{}, errors.New("disk on fire")
	}
	return "", call.Principal{}, awserr.New("InvalidClientTokenId", "unknown")
}

func testVerifier() *Verifier { return NewVerifier(fakeCredentials{}) }

var suiteCreds = Key{AccessKeyID: suiteKey, Secret: suiteSecret}

func signed(t testing.TB, body string, edit func(*http.Request)) *http.Request {
	r := newRequest(t, "POST", "/some/path?b=2&a=1")
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810.PutItem")
	r.Header.Set("User-Agent", "test")
	if edit != nil {
		edit(r)
	}
	Sign(r, []byte(body), suiteCreds, "us-east-1", "dynamodb", suiteTime)
	return r
}

func TestRoundTrip(t *testing.T) {
	v := testVerifier()
	for _, token := range []string{"", suiteToken} {
		for _, service := range []string{"dynamodb", "s3"} {
			k := Key{suiteKey, suiteSecret, token}
			body := []byte("hello")
			r := newRequest(t, "PUT", "/a//b/../c%2Fd%20e/é?x=1&x=0&=&y&z=%2b+q")
			Sign(r, body, k, "eu-west-1", service, suiteTime)
			res, err := v.Verify(t.Context(), r, body, service, suiteTime)
			if err != nil || res.Presigned || res.Region != "eu-west-1" || res.Service != service || res.UnsignedPayload {
				t.Errorf("%s %q: header: %+v, %v", service, token, res, err)
			}
			if scope, ok := Identify(r); !ok || scope != res.Scope {
				t.Errorf("Identify: %+v, %v", scope, ok)
			}

			r = newRequest(t, "PUT", "/a//b/../c%2Fd%20e/é?x=1&x=0&=&y&z=%2b+q")
			Presign(r, body, k, "eu-west-1", service, suiteTime, time.Hour)
			r.RequestURI = "/a//b/../c%2Fd%20e/é?" + r.URL.RawQuery
			res, err = v.Verify(t.Context(), r, body, service, suiteTime.Add(time.Hour))
			if err != nil || !res.Presigned || res.UnsignedPayload != (service == "s3") {
				t.Errorf("%s %q: presigned: %+v, %v", service, token, res, err)
			}
			if scope, ok := Identify(r); !ok || scope != res.Scope {
				t.Errorf("Identify presigned: %+v, %v", scope, ok)
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	const body = `{"TableName":"t"}`
	authorization := func(old, new string) func(*http.Request) {
		return func(r *http.Request) {
			h := r.Header.Get("Authorization")
			if !strings.Contains(h, old) {
				t.Fatalf("%q is not in %q", old, h)
			}
			r.Header.Set("Authorization", strings.Replace(h, old, new, 1))
		}
	}
	set := func(k, v string) func(*http.Request) { return func(r *http.Request) { r.Header.Set(k, v) } }
	add := func(k, v string) func(*http.Request) { return func(r *http.Request) { r.Header.Add(k, v) } }
	del := func(k string) func(*http.Request) { return func(r *http.Request) { r.Header.Del(k) } }
	tests := []struct {
		name    string
		tamper  func(*http.Request)
		body    string
		service string
		now     time.Time
		kind    Kind
		message string // a part of it
	}{
		{name: "no signature", tamper: del("Authorization"), kind: MissingToken, message: "Missing Authentication Token"},
		{name: "empty header", tamper: set("Authorization", ""), kind: IncompleteSignature},
		{name: "another scheme", tamper: set("Authorization", "Bearer abc"), kind: IncompleteSignature, message: "Authorization header requires 'Credential' parameter."},
		{name: "another algorithm", tamper: authorization("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"), kind: IncompleteSignature},
		{name: "no credential", tamper: authorization("Credential=", "Cred="), kind: IncompleteSignature},
		{name: "no signature part", tamper: authorization(", Signature=", ", X="), kind: IncompleteSignature},
		{name: "empty signature", tamper: func(r *http.Request) {
			h, _, _ := strings.Cut(r.Header.Get("Authorization"), ", Signature=")
			r.Header.Set("Authorization", h)
		}, kind: IncompleteSignature, message: "requires 'Signature' parameter"},
		{name: "repeated part", tamper: authorization(", Signature=", ", Signature=00, Signature="), kind: IncompleteSignature},
		{name: "repeated header", tamper: add("Authorization", "AWS4-HMAC-SHA256 x"), kind: IncompleteSignature},
		{name: "four-part credential", tamper: authorization("/us-east-1/", "/"), kind: IncompleteSignature, message: "exactly 5 slash-delimited elements"},
		{name: "six-part credential", tamper: authorization("/us-east-1/", "/us-east-1/x/"), kind: IncompleteSignature},
		{name: "empty region", tamper: authorization("/us-east-1/", "//"), kind: IncompleteSignature},
		{name: "huge region", tamper: authorization("/us-east-1/", "/"+strings.Repeat("r", 1000)+"/"), kind: IncompleteSignature},
		{name: "terminator", tamper: authorization("aws4_request", "aws5_request"), kind: SignatureMismatch, message: "valid terminator"},
		{name: "no date", tamper: del("X-Amz-Date"), kind: IncompleteSignature, message: "either a 'X-Amz-Date' or a 'Date' header"},
		{name: "repeated date", tamper: add("X-Amz-Date", "20150830T123600Z"), kind: IncompleteSignature},
		{name: "bad date", tamper: set("X-Amz-Date", "2015-08-30T12:36:00Z"), kind: IncompleteSignature, message: "ISO-8601"},
		{name: "another second", tamper: set("X-Amz-Date", "20150830T123601Z"), kind: SignatureMismatch},
		{name: "another day in the scope", tamper: authorization("/20150830/", "/20150831/"), kind: SignatureMismatch,
			message: "Date in Credential scope does not match YYYYMMDD"},
		{name: "unsigned Date in place of the signed time", tamper: func(r *http.Request) {
			r.Header.Del("X-Amz-Date")
			r.Header.Set("Date", suiteTime.Format(http.TimeFormat))
		}, kind: SignatureMismatch},
		{name: "replayed in another region", tamper: authorization("/us-east-1/", "/us-west-2/"), kind: SignatureMismatch},
		{name: "replayed at another service", service: "iam", kind: SignatureMismatch, message: "Credential should be scoped to correct service: 'iam'."},
		{name: "rescoped to another service", tamper: authorization("/dynamodb/", "/iam/"), service: "iam", kind: SignatureMismatch},
		{name: "another method", tamper: func(r *http.Request) { r.Method = "PUT" }, kind: SignatureMismatch},
		{name: "another path", tamper: func(r *http.Request) { r.RequestURI = "/some/other?b=2&a=1" }, kind: SignatureMismatch},
		{name: "encoded slash", tamper: func(r *http.Request) { r.RequestURI = "/some%2Fpath?b=2&a=1" }, kind: SignatureMismatch},
		{name: "another query", tamper: func(r *http.Request) { r.URL.RawQuery = "b=2&a=2" }, kind: SignatureMismatch},
		{name: "one more parameter", tamper: func(r *http.Request) { r.URL.RawQuery = "b=2&a=1&a=" }, kind: SignatureMismatch},
		{name: "signature parameter beside a header", tamper: func(r *http.Request) { r.URL.RawQuery = "b=2&a=1&X-Amz-Signature=00" }, kind: SignatureMismatch},
		{name: "both forms", tamper: func(r *http.Request) { r.URL.RawQuery = "X-Amz-Algorithm=AWS4-HMAC-SHA256" }, kind: IncompleteSignature,
			message: "Only one auth mechanism allowed"},
		{name: "swapped body", body: `{"TableName":"u"}`, kind: SignatureMismatch},
		{name: "another host", tamper: func(r *http.Request) { r.Host = "example.amazonaws.com:4566" }, kind: SignatureMismatch},
		{name: "another target", tamper: set("X-Amz-Target", "DynamoDB_20120810.DeleteTable"), kind: SignatureMismatch},
		{name: "second target", tamper: add("X-Amz-Target", "DynamoDB_20120810.DeleteTable"), kind: SignatureMismatch},
		{name: "unsigned x-amz header", tamper: set("X-Amz-Acl", "public-read"), kind: SignatureMismatch, message: "not signed: x-amz-acl"},
		{name: "unsigned x-amz header, raw key", tamper: func(r *http.Request) { r.Header["x-amz-acl"] = []string{"x"} }, kind: SignatureMismatch, message: "not signed"},
		{name: "token added", tamper: set("X-Amz-Security-Token", suiteToken), kind: SignatureMismatch},
		{name: "host not signed", tamper: authorization("content-type;host;", "content-type;"), kind: SignatureMismatch, message: "'Host' or ':authority' must be a 'SignedHeader'"},
		{name: "header list unsorted", tamper: authorization("content-type;host;", "host;content-type;"), kind: SignatureMismatch},
		{name: "header list repeated", tamper: authorization("content-type;host;", "content-type;content-type;host;"), kind: SignatureMismatch},
		{name: "header list in capitals", tamper: authorization("content-type;host;", "Content-Type;host;"), kind: SignatureMismatch},
		{name: "signed header missing", tamper: del("Content-Type"), kind: SignatureMismatch},
		{name: "capital signature", tamper: func(r *http.Request) {
			a, b, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
			r.Header.Set("Authorization", a+"Signature="+strings.ToUpper(b))
		}, kind: SignatureMismatch},
		{name: "short signature", tamper: authorization("Signature=", "Signature=0"), kind: SignatureMismatch},
		{name: "unknown key", tamper: authorization(suiteKey, "AKIANOBODY"), kind: InvalidClientToken, message: "The security token included in the request is invalid."},
		{name: "expired session", tamper: authorization(suiteKey, "ASIAEXPIRED"), kind: ExpiredToken, message: "The security token included in the request is expired"},
		{name: "too old", now: suiteTime.Add(Skew + time.Second), kind: SignatureExpired,
			message: "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T125101Z - 15 min.)"},
		{name: "too new", now: suiteTime.Add(-Skew - time.Second), kind: SignatureNotYetCurrent,
			message: "Signature not yet current: 20150830T123600Z is still later than 20150830T123559Z (20150830T122059Z + 15 min.)"},
		{name: "unsigned payload outside S3", tamper: func(r *http.Request) {
			r.Header.Set("X-Amz-Content-Sha256", unsignedPayload)
			Sign(r, nil, suiteCreds, "us-east-1", "dynamodb", suiteTime)
		}, kind: SignatureMismatch},
		{name: "signed hash of another body", tamper: func(r *http.Request) {
			r.Header.Set("X-Amz-Content-Sha256", emptyHash)
			Sign(r, nil, suiteCreds, "us-east-1", "dynamodb", suiteTime)
		}, kind: SignatureMismatch},
		{name: "signed hash of another body at S3", service: "s3", tamper: func(r *http.Request) {
			r.Header.Set("X-Amz-Content-Sha256", emptyHash)
			Sign(r, nil, suiteCreds, "us-east-1", "s3", suiteTime)
		}, kind: ContentMismatch, message: "x-amz-content-sha256"},
	}
	v := testVerifier()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := signed(t, body, nil)
			now, sent, service := suiteTime, body, "dynamodb"
			if tt.body != "" {
				sent = tt.body
			}
			if tt.service != "" {
				service = tt.service
			}
			if !tt.now.IsZero() {
				now = tt.now
			}
			if tt.service == "" {
				if _, err := v.Verify(t.Context(), r, []byte(body), service, suiteTime); err != nil {
					t.Fatalf("untouched: %v", err)
				}
			}
			if tt.tamper != nil {
				tt.tamper(r)
			}
			_, err := v.Verify(t.Context(), r, []byte(sent), service, now)
			var e *Error
			if !errors.As(err, &e) || e.Kind != tt.kind || !strings.Contains(e.Message, tt.message) {
				t.Errorf("got %v; want %v with %q", err, tt.kind, tt.message)
			}
		})
	}
}

func TestPresignedRefusals(t *testing.T) {
	replace := func(old, new string) func(string) string {
		return func(q string) string {
			if !strings.Contains(q, old) {
				t.Fatalf("%q is not in %q", old, q)
			}
			return strings.Replace(q, old, new, 1)
		}
	}
	tests := []struct {
		name    string
		edit    func(string) string
		now     time.Time
		kind    Kind
		message string
	}{
		{name: "longer life", edit: replace("X-Amz-Expires=60", "X-Amz-Expires=61"), kind: SignatureMismatch},
		{name: "over a week", edit: replace("X-Amz-Expires=60", "X-Amz-Expires=604801"), kind: IncompleteSignature, message: "604800"},
		{name: "negative life", edit: replace("X-Amz-Expires=60", "X-Amz-Expires=-1"), kind: IncompleteSignature},
		{name: "no algorithm", edit: replace("X-Amz-Algorithm=", "X-Amz-Algorithn="), kind: MissingToken},
		{name: "other algorithm", edit: replace("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA512"), kind: IncompleteSignature},
		{name: "no credential", edit: replace("X-Amz-Credential=", "X-Amz-C="), kind: IncompleteSignature, message: "must include 'X-Amz-Credential'"},
		{name: "no date", edit: replace("X-Amz-Date=", "X-Amz-D="), kind: IncompleteSignature, message: "must include 'X-Amz-Date'"},
		{name: "no signed headers", edit: replace("X-Amz-SignedHeaders=", "X-Amz-S="), kind: IncompleteSignature, message: "must include 'X-Amz-SignedHeaders'"},
		{name: "no signature", edit: replace("X-Amz-Signature=", "X-Amz-S="), kind: IncompleteSignature, message: "must include 'X-Amz-Signature'"},
		{name: "repeated", edit: func(q string) string { return q + "&X-Amz-Date=20150830T123600Z" }, kind: IncompleteSignature, message: "must not be repeated"},
		{name: "bad encoding", edit: replace("X-Amz-Date=", "X-Amz-Date=%zz"), kind: IncompleteSignature},
		{name: "one more parameter", edit: func(q string) string { return q + "&a=b" }, kind: SignatureMismatch},
		{name: "expired", now: suiteTime.Add(61 * time.Second), kind: SignatureExpired, message: "Signature expired"},
		{name: "from the future", now: suiteTime.Add(-Skew - time.Second), kind: SignatureNotYetCurrent},
		{name: "endless query", edit: func(q string) string { return q + "&" + strings.Repeat("a=&", maxQuery) }, kind: IncompleteSignature},
	}
	v := testVerifier()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRequest(t, "GET", "/?Action=GetCallerIdentity")
			Presign(r, nil, suiteCreds, "us-east-1", "sts", suiteTime, time.Minute)
			if _, err := v.Verify(t.Context(), r, nil, "sts", suiteTime.Add(time.Minute)); err != nil {
				t.Fatalf("untouched: %v", err)
			}
			if tt.edit != nil {
				r.URL.RawQuery = tt.edit(r.URL.RawQuery)
			}
			now := suiteTime
			if !tt.now.IsZero() {
				now = tt.now
			}
			_, err := v.Verify(t.Context(), r, nil, "sts", now)
			var e *Error
			if !errors.As(err, &e) || e.Kind != tt.kind || !strings.Contains(e.Message, tt.message) {
				t.Errorf("got %v; want %v with %q", err, tt.kind, tt.message)
			}
		})
	}
	t.Run("the body of a presigned request counts outside S3", func(t *testing.T) {
		r := newRequest(t, "POST", "/")
		Presign(r, []byte("a"), suiteCreds, "us-east-1", "lambda", suiteTime, time.Minute)
		if _, err := v.Verify(t.Context(), r, []byte("a"), "lambda", suiteTime); err != nil {
			t.Fatal(err)
		}
		if _, err := v.Verify(t.Context(), r, []byte("b"), "lambda", suiteTime); err == nil {
			t.Error("accepted another body")
		}
	})
}

func TestSkewEdges(t *testing.T) {
	v := testVerifier()
	r := signed(t, "", nil)
	for _, d := range []time.Duration{-Skew, 0, Skew} {
		if _, err := v.Verify(t.Context(), r, nil, "", suiteTime.Add(d)); err != nil {
			t.Errorf("%v off: %v", d, err)
		}
	}
}

func TestDateHeader(t *testing.T) {
	// "date" may stand for x-amz-date.
	r := newRequest(t, "GET", "/")
	r.Header.Set("Date", suiteTime.Format(http.TimeFormat))
	date := suiteTime.Format(timeFormat)
	scope := Scope{suiteKey, date[:8], "us-east-1", "service"}
	r.Header.Set("Authorization", algorithm+" Credential="+scope.credential()+",SignedHeaders=date;host,Signature="+
		sign(r, "date;host", emptyHash, suiteSecret, scope, date, false))
	if _, err := testVerifier().Verify(t.Context(), r, nil, "service", suiteTime); err != nil {
		t.Fatal(err)
	}
}

func TestFaultOfTheCredentialsIsNoRefusal(t *testing.T) {
	r := signed(t, "", nil)
	r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), suiteKey, "AKIABROKEN", 1))
	_, err := testVerifier().Verify(t.Context(), r, nil, "", suiteTime)
	if e := new(Error); err == nil || errors.As(err, &e) {
		t.Errorf("got %v", err)
	}
}

func TestIdentifyRefuses(t *testing.T) {
	for _, h := range []string{"", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256X Credential=a/b/c/d/aws4_request", "Basic x", "AWS4-HMAC-SHA256 Credential=a/b/c/d/e"} {
		r := newRequest(t, "GET", "/")
		r.Header.Set("Authorization", h)
		if s, ok := Identify(r); ok {
			t.Errorf("%q: %+v", h, s)
		}
	}
	if _, ok := Identify(newRequest(t, "GET", "/?X-Amz-Credential=a/b/c/d/aws4_request")); ok {
		t.Error("identified a query without an algorithm")
	}
}

func TestKeyCache(t *testing.T) {
	var c keyCache
	id := func(i int) keyID {
		return keyID{"AKID", "secret", "20150830", "us-east-1", string(rune('a'+i%26)) + strings.Repeat("x", i/26)}
	}
	for i := range 3 * keyCacheSize {
		c.add(id(i), &signingKey{})
		if c.get(id(0)) == nil { // kept alive by use
			t.Fatalf("lost the key in use after %d", i)
		}
		if n := len(c.young) + len(c.old); n > 2*keyCacheSize+1 {
			t.Fatalf("%d keys", n)
		}
	}
	if c.get(id(1)) != nil {
		t.Error("an unused key stayed")
	}
	other := id(0)
	other.secret = "another"
	if c.get(other) != nil {
		t.Error("found a key under another secret")
	}
}

func TestStrangersDoNotFillTheCache(t *testing.T) {
	v := testVerifier()
	r := signed(t, "", nil)
	r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "us-east-1", "us-east-2", 1))
	if _, err := v.Verify(t.Context(), r, nil, "", suiteTime); err == nil {
		t.Fatal("verified")
	}
	if len(v.keys.young) != 0 {
		t.Error("a key was kept for a request that did not verify")
	}
}

func TestErrorsHoldNoSignature(t *testing.T) {
	r := signed(t, "", nil)
	right := r.Header.Get("Authorization")
	right = right[strings.Index(right, "Signature=")+len("Signature="):]
	r.Header.Set("X-Amz-Target", "x")
	r2 := signed(t, "", func(r *http.Request) { r.Header.Set("X-Amz-Target", "x") })
	want := r2.Header.Get("Authorization")
	want = want[strings.Index(want, "Signature=")+len("Signature="):]
	_, err := testVerifier().Verify(t.Context(), r, nil, "", suiteTime)
	if err == nil || strings.Contains(err.Error(), want) || strings.Contains(err.Error(), right) || bytes.Contains([]byte(err.Error()), []byte(suiteSecret)) {
		t.Errorf("got %v", err)
	}
}
