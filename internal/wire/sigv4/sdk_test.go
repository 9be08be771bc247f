package sigv4

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"pgregory.net/rapid"
)

// overTheWire is r as a server reads it.
func overTheWire(t interface{ Fatal(...any) }, r *http.Request) *http.Request {
	var buf bytes.Buffer
	if err := r.Write(&buf); err != nil {
		t.Fatal(err)
	}
	got, err := http.ReadRequest(bufio.NewReader(&buf))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// Requests signed by the SDK's own signer verify, with any path, query, headers, body, service and time; and they do not
// when any one part of them is changed.
func TestSDKSigner(t *testing.T) {
	v := testVerifier()
	signer := v4.NewSigner()
	rapid.Check(t, func(t *rapid.T) {
		segment := rapid.StringMatching(`[a-zA-Z0-9 ~._+=:@$(){}%é日-]{0,8}`)
		path := "/" + strings.Join(rapid.SliceOfN(segment, 0, 4).Draw(t, "path"), "/")
		values := url.Values{}
		// The SDK sorts by the decoded name and value, the algorithm by the encoded ones: names of letters alone, each once,
		// sort the same.
		for range rapid.IntRange(0, 4).Draw(t, "params") {
			values.Set(rapid.StringMatching(`[a-zA-Z0-9]{1,4}`).Draw(t, "name"), rapid.String().Draw(t, "value"))
		}
		service := rapid.SampledFrom([]string{"dynamodb", "lambda", "s3", "execute-api"}).Draw(t, "service")
		region := rapid.SampledFrom([]string{"us-east-1", "eu-central-1"}).Draw(t, "region")
		body := rapid.SliceOf(rapid.Byte()).Draw(t, "body")
		token := rapid.SampledFrom([]string{"", suiteToken}).Draw(t, "token")
		at := suiteTime.Add(time.Duration(rapid.IntRange(-900, 900).Draw(t, "skew")) * time.Second)
		host := rapid.SampledFrom([]string{"127.0.0.1:4566", "localhost", "a.execute-api.us-east-1.localhost:8080"}).Draw(t, "host")
		presign := rapid.Bool().Draw(t, "presign")

		u := &url.URL{Scheme: "http", Host: host, Path: path, RawQuery: values.Encode()}
		r, err := http.NewRequestWithContext(context.Background(), "POST", u.String(), bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Amz-Target", rapid.StringMatching(`[a-z]{0,3}  ?[a-z]{0,3}`).Draw(t, "target"))
		for _, s := range rapid.SliceOfN(rapid.StringMatching(`[a-z ]{0,6}`), 0, 3).Draw(t, "multi") {
			r.Header.Add("X-Multi", s)
		}
		sum := sha256.Sum256(body)
		payload := hex.EncodeToString(sum[:])
		if service == "s3" {
			if rapid.Bool().Draw(t, "unsigned") {
				payload = "UNSIGNED-PAYLOAD"
			}
			r.Header.Set("X-Amz-Content-Sha256", payload)
		}
		creds := aws.Credentials{AccessKeyID: suiteKey, SecretAccessKey: suiteSecret, SessionToken: token}
		opt := func(o *v4.SignerOptions) { o.DisableURIPathEscaping = service == "s3" }
		if presign {
			q := r.URL.Query()
			q.Set("X-Amz-Expires", "3600")
			r.URL.RawQuery = q.Encode()
			uri, headers, err := signer.PresignHTTP(context.Background(), creds, r, payload, service, region, at, opt)
			if err != nil {
				t.Fatal(err)
			}
			r, err = http.NewRequestWithContext(context.Background(), "POST", uri, bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header = headers
			r.Header.Del("Host")
		} else if err := signer.SignHTTP(context.Background(), creds, r, payload, service, region, at, opt); err != nil {
			t.Fatal(err)
		}
		got := overTheWire(t, r)
		res, err := v.Verify(context.Background(), got, body, service, suiteTime)
		if err != nil {
			t.Fatalf("%s %s\n%v\n%v", got.Method, got.RequestURI, got.Header, err)
		}
		if res.Presigned != presign || res.Region != region {
			t.Fatalf("%+v", res)
		}
		if scope, ok := Identify(got); !ok || scope != res.Scope {
			t.Fatalf("Identify: %+v, %v", scope, ok)
		}

		// One changed part.
		switch rapid.IntRange(0, 4).Draw(t, "change") {
		case 0:
			got.Method = "PUT"
		case 1:
			got.RequestURI = strings.Replace(got.RequestURI, "/", "/q", 1)
		case 2:
			got.Host += "x"
		case 3:
			got.URL.RawQuery += "&q=q"
		case 4:
			if res.UnsignedPayload {
				return
			}
			body = append(body, 'x')
		}
		if _, err := v.Verify(context.Background(), got, body, service, suiteTime); err == nil {
			t.Fatal("a changed request verified")
		}
	})
}
