package wire

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"brume/internal/awserr"
	"brume/internal/wire/pace"
)

const (
	// bigBody is the size of a body, in bytes, from which on it is read only once its sender has shown an access key.
	bigBody = 16 << 10
	// firstPart is how much of a body gets room before any of it has come, in bytes.
	firstPart = 1 << 20
)

// isBig reports whether the body of r is or may be a big one.
func isBig(r *http.Request) bool { return r.ContentLength < 0 || r.ContentLength > bigBody }

// readBody reads the whole body, and refuses one that is longer than limit, ends early, or takes too long. After an
// error the connection cannot be used again.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength == 0 {
		return nil, nil
	}
	if r.ContentLength > limit {
		leaveBody(w, r)
		return nil, tooLarge(limit)
	}
	done := pace.Reading(w, r, limit)
	body, err := readAll(w, r, limit)
	if err != nil {
		w.Header().Set("Connection", "close")
		return nil, bodyError(err, limit)
	}
	done()
	return body, nil
}

// readAll reads the body, of which r says that it is not longer than limit, or says nothing. Room for a long one is made
// only as it comes.
func readAll(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength < 0 {
		return io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	}
	body := make([]byte, min(r.ContentLength, firstPart))
	n, err := io.ReadFull(r.Body, body)
	if err == nil && int64(n) < r.ContentLength {
		body = append(make([]byte, 0, r.ContentLength), body...)[:r.ContentLength]
		_, err = io.ReadFull(r.Body, body[n:])
	}
	return body, err
}

// leaveBody prepares the answer to a request whose body is not wanted: the connection ends with it, and nobody waits
// for a client to send the rest.
func leaveBody(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength == 0 {
		return
	}
	w.Header().Set("Connection", "close")
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Second))
}

// tooLarge is what Lambda says.
// https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html
func tooLarge(limit int64) error {
	return awserr.New("RequestEntityTooLargeException", "Request must be smaller than %d bytes", limit).
		WithStatus(http.StatusRequestEntityTooLarge)
}

// bodyError words what net/http says of a body that could not be read, as S3 does.
// https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
func bodyError(cause error, limit int64) error {
	var over *http.MaxBytesError
	if errors.As(cause, &over) {
		return tooLarge(limit)
	}
	e := awserr.New("IncompleteBody", "The request ended before its body did.")
	if errors.Is(cause, os.ErrDeadlineExceeded) {
		e = awserr.New("RequestTimeout",
			"Your socket connection to the server was not read from or written to within the timeout period.")
	}
	e.Cause = cause
	return e
}
