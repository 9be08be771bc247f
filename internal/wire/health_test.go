package wire

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestHealthTellsOfAReadOnlyStore(t *testing.T) {
	var failure error
	s := &Server{Config: Config{Healthy: func() error { return failure }}}
	for _, tc := range []struct {
		err    error
		status int
		body   string
	}{
		{nil, http.StatusOK, `{"status":"ready"}` + "\n"},
		{errors.New("disk full"), http.StatusServiceUnavailable, `{"status":"read-only"}` + "\n"},
	} {
		failure = tc.err
		w := httptest.NewRecorder()
		s.serveHealth(w)
		if w.Code != tc.status || w.Body.String() != tc.body {
			t.Errorf("%v: %d %s", tc.err, w.Code, w.Body)
		}
	}
}
