package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Key is what a client signs with.
type Key struct {
	AccessKeyID, Secret string
	// SessionToken comes with temporary credentials, and is empty for long-term ones.
	SessionToken string
}

// Sign signs r in its Authorization header for a region and a service. It sets X-Amz-Date and, with temporary
// credentials, X-Amz-Security-Token. host, content-type and every x-amz-* header are signed. If X-Amz-Content-Sha256 is
// set already it is signed as the payload's hash, whatever body is.
func Sign(r *http.Request, body []byte, k Key, region, service string, t time.Time) {
	date := t.UTC().Format(timeFormat)
	r.Header.Set("X-Amz-Date", date)
	r.Header.Del("Authorization")
	if k.SessionToken != "" {
		r.Header.Set("X-Amz-Security-Token", k.SessionToken)
	}
	payload := r.Header.Get("X-Amz-Content-Sha256")
	if payload == "" {
		sum := sha256.Sum256(body)
		payload = hex.EncodeToString(sum[:])
		if isS3(service) {
			r.Header.Set("X-Amz-Content-Sha256", payload)
		}
	}
	scope := Scope{AccessKeyID: k.AccessKeyID, Date: date[:8], Region: region, Service: service}
	signed := headersToSign(r)
	signature := sign(r, signed, payload, k.Secret, scope, date, false)
	r.Header.Set("Authorization", algorithm+" Credential="+scope.credential()+", SignedHeaders="+signed+", Signature="+signature)
}

// Presign signs r in its query, to be sent by anyone within lifetime. host and every x-amz-* header present are signed.
func Presign(r *http.Request, body []byte, k Key, region, service string, t time.Time, lifetime time.Duration) {
	date := t.UTC().Format(timeFormat)
	scope := Scope{AccessKeyID: k.AccessKeyID, Date: date[:8], Region: region, Service: service}
	payload := r.Header.Get("X-Amz-Content-Sha256")
	switch {
	case payload != "":
	case isS3(service):
		payload = unsignedPayload
	default:
		sum := sha256.Sum256(body)
		payload = hex.EncodeToString(sum[:])
	}
	signed := headersToSign(r)
	var q []byte
	if r.URL.RawQuery != "" {
		q = append(append(q, r.URL.RawQuery...), '&')
	}
	add := func(name, value string) {
		q = append(append(append(q, name...), '='), appendEncoded(nil, value, false)...)
	}
	add("X-Amz-Algorithm", algorithm)
	add("&X-Amz-Credential", scope.credential())
	add("&X-Amz-Date", date)
	add("&X-Amz-Expires", strconv.FormatInt(int64(lifetime/time.Second), 10))
	add("&X-Amz-SignedHeaders", signed)
	if k.SessionToken != "" {
		add("&X-Amz-Security-Token", k.SessionToken)
	}
	r.URL.RawQuery = string(q)
	r.URL.RawQuery += "&X-Amz-Signature=" + sign(r, signed, payload, k.Secret, scope, date, true)
}

func sign(r *http.Request, signedHeaders, payload, secret string, scope Scope, date string, presigned bool) string {
	form := normalizedPath
	if isS3(scope.Service) {
		form = rawPath
	}
	var s scratch
	// It fails only for requests over the bounds, and those no Verifier takes either.
	if err := s.canonicalRequest(r, signedHeaders, []byte(payload), form, presigned); err != nil {
		return ""
	}
	s.stringToSign(date, scope)
	key := derive(keyID{scope.AccessKeyID, secret, scope.Date, scope.Region, scope.Service})
	return hex.EncodeToString(key.mac(nil, s.toSign))
}

func (s Scope) credential() string {
	return s.AccessKeyID + "/" + s.Date + "/" + s.Region + "/" + s.Service + "/" + terminator
}

func headersToSign(r *http.Request) string {
	names := []string{"host"}
	for k := range r.Header {
		if k = strings.ToLower(k); k == "content-type" || strings.HasPrefix(k, "x-amz-") {
			names = append(names, k)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ";")
}
