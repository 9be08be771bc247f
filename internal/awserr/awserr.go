// Package awserr holds the errors that reach a client: what AWS calls them, whose fault they are, and with which HTTP
// status they travel. The generated exceptions of package api/<service> implement Error too; the codecs of package wire
// are the only place that writes either to the wire. Every other error becomes an opaque InternalFailure there.
package awserr

import (
	"fmt"
	"net/http"
)

// Error is an error with an AWS code. Nothing that a client must not see may stand in its message.
type Error interface {
	error
	// ErrorCode is the code as AWS names it, "AccessDenied" for instance.
	ErrorCode() string
	// ErrorMessage is the sentence for the user; it may be empty.
	ErrorMessage() string
	// HTTPStatus is the status of the response.
	HTTPStatus() int
}

// Generic is an Error that no service model declares.
type Generic struct {
	Code    string
	Message string
	Status  int
	// Cause is logged and never sent.
	Cause error
	// Explain, of a denial, is what DecodeAuthorizationMessage is to show. It is sent sealed.
	Explain func() []byte
}

func (e *Generic) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Message, e.Cause)
	}
	return e.Code + ": " + e.Message
}

func (e *Generic) Unwrap() error        { return e.Cause }
func (e *Generic) ErrorCode() string    { return e.Code }
func (e *Generic) ErrorMessage() string { return e.Message }
func (e *Generic) HTTPStatus() int      { return e.Status }

// New returns a client error (400) with a formatted message.
func New(code, format string, args ...any) *Generic {
	return &Generic{Code: code, Message: fmt.Sprintf(format, args...), Status: http.StatusBadRequest}
}

// WithStatus returns a copy of e that travels with another HTTP status.
func (e *Generic) WithStatus(status int) *Generic {
	c := *e
	c.Status = status
	return &c
}

// Validation is the error for input that breaks a documented rule.
// https://docs.aws.amazon.com/awssupport/latest/APIReference/CommonErrors.html
func Validation(format string, args ...any) *Generic {
	return New("ValidationException", format, args...)
}

// CodeNotImplemented is the code of what Brume does not have.
const CodeNotImplemented = "NotImplemented"

// NotImplemented says that Brume does not have an operation, by its name.
func NotImplemented(operation string) *Generic {
	return &Generic{
		Code:    CodeNotImplemented,
		Message: "Brume does not implement the operation " + operation + ".",
		Status:  http.StatusNotImplemented,
	}
}

// Internal is the opaque error for a fault of ours. The cause is for the log.
func Internal(cause error) *Generic {
	return &Generic{
		Code:    "InternalFailure",
		Message: "The request processing has failed because of an unknown error, exception or failure.",
		Status:  http.StatusInternalServerError,
		Cause:   cause,
	}
}

// IsInternal reports whether an error is a fault of ours, one whose cause belongs into the log.
func IsInternal(err Error) bool {
	return err.HTTPStatus() >= http.StatusInternalServerError && err.HTTPStatus() != http.StatusNotImplemented
}
