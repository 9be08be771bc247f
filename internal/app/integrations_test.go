package app

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"brume/internal/service/apigateway"
)

// An integration reaches what this machine reaches, but not where clouds keep the machine's credentials.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
func TestIntegrationsDoNotReachMetadata(t *testing.T) {
	h := newHTTPIntegration()
	defer h.Close()
	here := httptest.NewServer(http.NotFoundHandler())
	defer here.Close()
	if res, err := h.Send(t.Context(), &apigateway.HTTPCall{Method: "GET", URL: here.URL}); err != nil || res.Status != 404 {
		t.Errorf("%+v, %v", res, err)
	}
	for _, host := range []string{"169.254.169.254", "169.254.170.2", "[fe80::1]", "[fd00:ec2::254]", "[::ffff:169.254.169.254]", "100.100.100.200", "192.0.0.192"} {
		for _, insecure := range []bool{false, true} {
			_, err := h.Send(t.Context(), &apigateway.HTTPCall{Method: "GET", URL: "http://" + host + "/latest/meta-data", InsecureTLS: insecure})
			if err == nil || !strings.Contains(err.Error(), "is not for integrations") {
				t.Errorf("%s: %v", host, err)
			}
		}
	}
}
