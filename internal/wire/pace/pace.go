// Package pace bounds how long a client may take for a body that it sends or gets, so that none keeps the server, or what
// has come of the body so far, waiting for it.
package pace

import (
	"net/http"
	"time"
)

const (
	// Patience is how long a client may take for a body of no size, and Slowest the rate, in bytes a second, at which the
	// rest has to follow.
	Patience = 30 * time.Second
	Slowest  = 64 << 10
)

// Deadline is by when a body of n bytes has to be through.
func Deadline(n int64) time.Time {
	return time.Now().Add(Patience + time.Duration(n)*time.Second/Slowest)
}

// Reading gives the client of r a time by which its body, of limit bytes at the most, has to be here. done ends that once
// it is. After an error of the body the connection cannot be used again.
func Reading(w http.ResponseWriter, r *http.Request, limit int64) (done func()) {
	size := r.ContentLength
	if size < 0 {
		size = limit
	}
	conn := http.NewResponseController(w)
	// Not every ResponseWriter has a connection.
	_ = conn.SetReadDeadline(Deadline(size))
	return func() { _ = conn.SetReadDeadline(time.Time{}) }
}
