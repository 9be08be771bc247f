package sigv4

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"time"
)

// FuzzVerify feeds whole requests, as they come over the wire. Nothing panics, and nothing verifies that was not signed by
// the holder of the key: the seeds carry wrong signatures, and no fuzzer finds a right one.
func FuzzVerify(f *testing.F) {
	for _, s := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\nX-Amz-Date: 20150830T123600Z\r\nAuthorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + strings.Repeat("0", 64) + "\r\n\r\n",
		"GET /%zz?a=%&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20150830%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20150830T123600Z&X-Amz-SignedHeaders=host&X-Amz-Expires=3600&X-Amz-Signature=" + strings.Repeat("0", 64) + " HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST //a/../b?q=+&=&& HTTP/1.1\r\nHost: a\r\nX-Amz-Date: 20150830T123600Z\r\nMy:  a   b\r\nMy: c\r\nAuthorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request,SignedHeaders=host;my;x-amz-date,Signature=" + strings.Repeat("a", 64) + "\r\n\r\n",
		"GET http://h/p HTTP/1.1\r\nHost: a\r\nDate: Sun, 30 Aug 2015 12:36:00 GMT\r\nAuthorization: AWS4-HMAC-SHA256 Credential=////,SignedHeaders=;,Signature=\r\n\r\n",
	} {
		f.Add([]byte(s), []byte("body"))
	}
	v := testVerifier()
	f.Fuzz(func(t *testing.T, wire, body []byte) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(wire)))
		if err != nil {
			return
		}
		Identify(r)
		if res, err := v.Verify(t.Context(), r, body, "", suiteTime); err == nil {
			t.Fatalf("verified as %+v", res)
		}
	})
}

// FuzzFlip changes one bit somewhere in what a signature covers, or in the signature. The request then never verifies.
func FuzzFlip(f *testing.F) {
	f.Add("/a/b?c=d", []byte("body"), uint16(3), uint16(77), false)
	f.Add("/é/ ?x=%20+", []byte(""), uint16(0), uint16(1), true)
	f.Fuzz(func(t *testing.T, target string, body []byte, part, bit uint16, presign bool) {
		if target == "" || target[0] != '/' || len(target) > 1000 || strings.Contains(target, "X-Amz-") || strings.Contains(target, "#") {
			return
		}
		v := testVerifier()
		r := newRequest(t, "POST", target)
		if presign {
			Presign(r, body, suiteCreds, "us-east-1", "lambda", suiteTime, time.Minute)
		} else {
			r.Header.Set("X-Amz-Target", "target")
			Sign(r, body, suiteCreds, "us-east-1", "lambda", suiteTime)
		}
		if _, err := v.Verify(t.Context(), r, body, "lambda", suiteTime); err != nil {
			t.Fatalf("%q: %v", target, err)
		}
		flip := func(s string) string {
			if s == "" {
				return "x"
			}
			b := []byte(s)
			i := int(bit) % (len(b) * 8)
			b[i/8] ^= 1 << (i % 8)
			return string(b)
		}
		switch part % 5 {
		case 0:
			body = []byte(flip(string(body)))
		case 1:
			if presign {
				i := strings.Index(r.URL.RawQuery, "X-Amz-Signature=") + len("X-Amz-Signature=")
				r.URL.RawQuery = r.URL.RawQuery[:i] + flip(r.URL.RawQuery[i:])
			} else {
				h := r.Header.Get("Authorization")
				i := strings.Index(h, "Signature=") + len("Signature=")
				r.Header.Set("Authorization", h[:i]+flip(h[i:]))
			}
		case 2:
			r.Method = flip(r.Method)
		case 3:
			r.Host = flip(r.Host)
		case 4:
			k := "X-Amz-Target"
			if presign {
				return
			}
			was := r.Header.Get(k)
			now := flip(was)
			if strings.Trim(now, " \t") == was {
				return
			}
			r.Header.Set(k, now)
		}
		if _, err := v.Verify(t.Context(), r, body, "lambda", suiteTime); err == nil {
			t.Fatalf("verified after a flip in part %d of %q, body %s", part%5, target, hex.EncodeToString(body))
		}
	})
}
