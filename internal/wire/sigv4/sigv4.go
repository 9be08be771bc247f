// Package sigv4 verifies AWS Signature Version 4: who signed a request, and that it is the request they signed.
//
// It promises:
//
//   - Both forms are read: the Authorization header and the presigned query (X-Amz-Algorithm …), with session tokens.
//   - The signature covers the method, the path, the query, the signed headers and the body. host must be signed, and so
//     must every x-amz-* header that is present. The body's hash is computed here; a client's own word for it is never
//     taken. UNSIGNED-PAYLOAD is honoured for S3 and for presigned requests alone.
//   - Times more than 15 minutes off are refused; presigned requests live at most seven days.
//   - Whatever bytes a client sends, Verify returns: it does not panic, and its work is bounded.
//   - Signatures are compared in constant time. No secret and no expected signature stands in an error.
//   - Nothing is remembered of a request that did not verify.
//
// Refusals are *Error, whose kind the wire layer turns into the code of the protocol.
//
// What AWS documents: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
package sigv4

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"strings"
	"sync"
	"time"

	"brume/internal/call"
)

const (
	// Skew is how far the time of a signature may be from ours, either way.
	Skew = 15 * time.Minute
	// MaxExpires is the longest life of a presigned request.
	MaxExpires = 7 * 24 * time.Hour
)

const unsignedPayload = "UNSIGNED-PAYLOAD"

// Credentials knows the access keys.
type Credentials interface {
	// ResolveAccessKey returns the secret of an active access key and who it belongs to. For temporary credentials it
	// checks that sessionToken is theirs and that they have not ended; for long-term ones sessionToken must be empty.
	// It refuses with an awserr.Error of code InvalidClientTokenId or ExpiredToken; every other error is a fault of ours.
	ResolveAccessKey(ctx context.Context, accessKeyID, sessionToken string) (secret string, p call.Principal, err error)
}

// A Verifier verifies requests. It is safe for concurrent use.
type Verifier struct {
	creds   Credentials
	keys    keyCache
	scratch sync.Pool // of *scratch
}

// NewVerifier returns a Verifier over creds.
func NewVerifier(creds Credentials) *Verifier {
	return &Verifier{creds: creds, scratch: sync.Pool{New: func() any { return new(scratch) }}}
}

// A Result is what a verified request proves.
type Result struct {
	Scope
	Principal call.Principal
	// Presigned says that the signature was in the query.
	Presigned bool
	// SignedAt is the time in the signature, to the second, in UTC.
	SignedAt time.Time
	// UnsignedPayload says that the signature does not cover the body.
	UnsignedPayload bool
}

// Verify checks the signature of r, whose body has been read already, against the time now. service is the signing name
// of the service that r was routed to; a signature scoped to another one is refused. Empty means that any will do.
//
// A refusal is an *Error. Other errors come from the Credentials and are faults of ours.
func (v *Verifier) Verify(ctx context.Context, r *http.Request, body []byte, service string, now time.Time) (Result, error) {
	a, secret, principal, err := v.admit(ctx, r, service, now)
	if err != nil {
		return Result{}, err
	}

	s := v.scratch.Get().(*scratch)
	defer v.scratch.Put(s)
	s3 := isS3(a.scope.Service)
	payload, unsigned, err := s.payloadHash(&a, body, s3)
	if err != nil {
		return Result{}, err
	}

	id := keyID{a.scope.AccessKeyID, secret, a.scope.Date, a.scope.Region, a.scope.Service}
	key := v.keys.get(id)
	cached := key != nil
	if !cached {
		key = derive(id)
	}
	// The algorithm says how the path enters the signature, but not all signers follow it: the Go SDK's leaves dot segments
	// and empty segments in, and several leave characters of an S3 key unencoded. The second form is the path exactly as it
	// came, so it vouches for no less.
	forms := [2]pathForm{normalizedPath, pathAsIs}
	if s3 {
		forms = [2]pathForm{rawPath, verbatimPath}
	}
	match, err := s.matches(r, &a, key, payload, forms[0])
	if err == nil && !match {
		match, err = s.matches(r, &a, key, payload, forms[1])
	}
	if err != nil {
		return Result{}, err
	}
	if !match {
		return Result{}, mismatch()
	}
	if !cached {
		v.keys.add(id, key)
	}
	return Result{Scope: a.scope, Principal: principal, Presigned: a.presigned, SignedAt: a.date, UnsignedPayload: unsigned}, nil
}

// Admit makes the checks of Verify that need no body: all but that of the signature itself. Who asks first need not read
// a large body from a caller without an access key.
func (v *Verifier) Admit(ctx context.Context, r *http.Request, service string, now time.Time) error {
	_, _, _, err := v.admit(ctx, r, service, now)
	return err
}

func (v *Verifier) admit(ctx context.Context, r *http.Request, service string, now time.Time) (a authorization, secret string, p call.Principal, err error) {
	if a, err = parseAuthorization(r); err != nil {
		return a, "", p, err
	}
	if service != "" && a.scope.Service != service {
		return a, "", p, &Error{SignatureMismatch, "Credential should be scoped to correct service: '" + service + "'. "}
	}
	if err := checkTime(a.date, now, a.lifetime); err != nil {
		return a, "", p, err
	}
	if err := checkAmzHeadersSigned(r, a.signedHeaders); err != nil {
		return a, "", p, err
	}
	secret, p, err = v.creds.ResolveAccessKey(ctx, a.scope.AccessKeyID, a.token)
	if err != nil {
		return a, "", p, lookupError(err)
	}
	return a, secret, p, nil
}

func (s *scratch) matches(r *http.Request, a *authorization, key *signingKey, payload []byte, form pathForm) (bool, error) {
	if err := s.canonicalRequest(r, a.signedHeaders, payload, form, a.presigned); err != nil {
		return false, err
	}
	s.stringToSign(a.dateText, a.scope)
	s.sum = key.mac(s.sum[:0], s.toSign)
	return subtle.ConstantTimeCompare(s.sum, a.signature[:]) == 1, nil
}

// stringToSign builds the string to sign of s.canonical in s.toSign.
func (s *scratch) stringToSign(date string, scope Scope) {
	b := append(s.toSign[:0], algorithm+"\n"...)
	b = append(b, date...)
	b = append(b, '\n')
	b = append(b, scope.Date...)
	b = append(b, '/')
	b = append(b, scope.Region...)
	b = append(b, '/')
	b = append(b, scope.Service...)
	b = append(b, "/"+terminator+"\n"...)
	sum := sha256.Sum256(s.canonical)
	s.toSign = hex.AppendEncode(b, sum[:])
}

// payloadHash returns what stands for the body in the canonical request, in s.payload.
func (s *scratch) payloadHash(a *authorization, body []byte, s3 bool) (payload []byte, unsigned bool, err error) {
	if a.payload == unsignedPayload && (s3 || a.presigned) || a.payload == "" && a.presigned && s3 {
		s.payload = append(s.payload[:0], unsignedPayload...)
		return s.payload, true, nil
	}
	if len(body) == 0 {
		s.payload = append(s.payload[:0], emptyHash...)
	} else {
		sum := sha256.Sum256(body)
		s.payload = hex.AppendEncode(s.payload[:0], sum[:])
	}
	if a.payload != "" && a.payload != string(s.payload) {
		if !s3 {
			return nil, false, mismatch()
		}
		return nil, false, &Error{ContentMismatch, msgContent}
	}
	return s.payload, false, nil
}

// emptyHash is the SHA-256 of nothing.
const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// isS3 reports whether a service signs its paths as they are and may leave its payloads unsigned.
func isS3(service string) bool {
	return service == "s3" || service == "s3express" || service == "s3-object-lambda" || service == "s3-outposts"
}

// checkAmzHeadersSigned refuses an x-amz-* header that the signature does not cover: any of them can change what a request
// does.
func checkAmzHeadersSigned(r *http.Request, signedHeaders string) error {
	for k := range r.Header {
		if len(k) < 6 || k[:6] != "X-Amz-" && !strings.EqualFold(k[:6], "x-amz-") {
			continue
		}
		if !containsFold(signedHeaders, k) {
			return &Error{SignatureMismatch, "There were headers present in the request which were not signed: " + clip(strings.ToLower(k))}
		}
	}
	return nil
}

func containsFold(list, name string) bool {
	for s := range strings.SplitSeq(list, ";") {
		if len(s) == len(name) && strings.EqualFold(s, name) {
			return true
		}
	}
	return false
}
