package sigv4

import (
	"errors"
	"fmt"
	"time"

	"brume/internal/awserr"
)

// A Kind says why a request was refused, before any protocol has given the refusal its name. The wire layer turns a kind
// into a code: InvalidClientToken, for instance, is UnrecognizedClientException in the JSON protocols,
// InvalidClientTokenId in the query protocol and InvalidAccessKeyId in S3.
type Kind uint8

const (
	// MissingToken: the request carries no signature at all. 403.
	MissingToken Kind = iota + 1
	// IncompleteSignature: the signature lacks a part or is not in its form. 400 or 403, as the protocol says.
	IncompleteSignature
	// InvalidClientToken: nobody has this access key, it is inactive, or its session token is not the right one. 403.
	InvalidClientToken
	// ExpiredToken: the temporary credentials are past their end. 403.
	ExpiredToken
	// SignatureMismatch: another signature belongs to this request, or its credential scope is of another place. 403.
	SignatureMismatch
	// SignatureExpired: the time of the signature is too far in the past. 403.
	SignatureExpired
	// SignatureNotYetCurrent: the time of the signature is too far in the future. 403.
	SignatureNotYetCurrent
	// ContentMismatch: x-amz-content-sha256 is signed, but is not the hash of the body that came. S3 calls it
	// XAmzContentSHA256Mismatch (400), every other service a wrong signature.
	ContentMismatch
)

var kindNames = [...]string{
	MissingToken:           "missing token",
	IncompleteSignature:    "incomplete signature",
	InvalidClientToken:     "invalid client token",
	ExpiredToken:           "expired token",
	SignatureMismatch:      "signature mismatch",
	SignatureExpired:       "signature expired",
	SignatureNotYetCurrent: "signature not yet current",
	ContentMismatch:        "content hash mismatch",
}

func (k Kind) String() string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// An Error is a refusal. Its message is AWS's and may be sent to the client; it holds no secret and no calculated value.
type Error struct {
	Kind    Kind
	Message string
}

func (e *Error) Error() string { return e.Kind.String() + ": " + e.Message }

// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html
const (
	msgMissing  = "Missing Authentication Token"
	msgMismatch = "The request signature we calculated does not match the signature you provided. " +
		"Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
	msgInvalidToken = "The security token included in the request is invalid."
	msgExpiredToken = "The security token included in the request is expired"
	msgContent      = "The provided 'x-amz-content-sha256' header does not match what was computed."
)

// Unsigned is the refusal of a request that carries no signature.
func Unsigned() error { return &Error{MissingToken, msgMissing} }

func mismatch() error { return &Error{SignatureMismatch, msgMismatch} }

func incomplete(format string, args ...any) error {
	return &Error{IncompleteSignature, fmt.Sprintf(format, args...)}
}

// checkTime refuses a signature made more than Skew from now, or a presigned one past its own end (lifetime > 0).
func checkTime(signed, now time.Time, lifetime time.Duration) error {
	now = now.UTC()
	if signed.After(now.Add(Skew)) {
		return &Error{SignatureNotYetCurrent, fmt.Sprintf("Signature not yet current: %s is still later than %s (%s + 15 min.)",
			signed.Format(timeFormat), now.Add(Skew).Format(timeFormat), now.Format(timeFormat))}
	}
	if lifetime > 0 {
		if end := signed.Add(lifetime); end.Before(now) {
			return &Error{SignatureExpired, fmt.Sprintf("Signature expired: %s is now earlier than %s",
				end.Format(timeFormat), now.Format(timeFormat))}
		}
		return nil
	}
	if signed.Before(now.Add(-Skew)) {
		return &Error{SignatureExpired, fmt.Sprintf("Signature expired: %s is now earlier than %s (%s - 15 min.)",
			signed.Format(timeFormat), now.Add(-Skew).Format(timeFormat), now.Format(timeFormat))}
	}
	return nil
}

// lookupError gives the refusals of a Credentials their kind. Whatever is no refusal stays what it is: a fault of ours.
func lookupError(err error) error {
	var e awserr.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.ErrorCode() {
	case "InvalidClientTokenId":
		return &Error{InvalidClientToken, msgInvalidToken}
	case "ExpiredToken":
		return &Error{ExpiredToken, msgExpiredToken}
	}
	return err
}
