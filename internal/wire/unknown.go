package wire

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"brume/internal/awserr"
	"brume/internal/schema"
	"brume/internal/wire/awsjson"
	"brume/internal/wire/awsquery"
	"brume/internal/wire/restjson"
	"brume/internal/wire/sigv4"
)

// strangers answer the requests that are for no service of ours, one in each protocol.
type strangers struct{ json10, json11, query, rest *endpoint }

func newStrangers() strangers {
	json := awsjson.New()
	return strangers{
		json10: &endpoint{svc: &schema.Service{Name: "unknown", Protocol: schema.AWSJSON, JSONVersion: "1.0"}, codec: json},
		json11: &endpoint{svc: &schema.Service{Name: "unknown", Protocol: schema.AWSJSON, JSONVersion: "1.1"}, codec: json},
		// The namespace is the one in which AWS answers actions that no service has.
		query: &endpoint{svc: &schema.Service{
			Name: "unknown", Protocol: schema.AWSQuery, XMLNamespace: "http://webservices.amazon.com/AWSFault/2005-15-09",
		}, codec: awsquery.New()},
		rest: &endpoint{svc: &schema.Service{Name: "unknown", Protocol: schema.RestJSON}, codec: restjson.New()},
	}
}

// of returns the one that speaks what r seems to speak.
func (s *strangers) of(r *http.Request) *endpoint {
	contentType := r.Header.Get("Content-Type")
	switch {
	case strings.HasPrefix(contentType, "application/x-amz-json-1.1"):
		return s.json11
	case strings.HasPrefix(contentType, "application/x-amz-json"), r.Header.Get("X-Amz-Target") != "":
		return s.json10
	case strings.HasPrefix(contentType, "application/x-www-form-urlencoded"), r.URL.Query().Has("Action"):
		return s.query
	}
	if scope, ok := sigv4.Identify(r); ok && slices.Contains(xmlServices(), scope.Service) {
		return s.query // its documents are those of errors in the REST protocol with XML too
	}
	return s.rest
}

// xmlServices are the services, by their signing names, whose clients read errors as XML though they send no forms.
func xmlServices() []string {
	return []string{"s3", "s3express", "s3-outposts", "route53", "cloudfront"}
}

var signingName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,40}$`)

// refuseStranger says what is wrong with a request that is for no service of ours.
func (s *Server) refuseStranger(r *http.Request, x *exchange) error {
	protocol := x.endpoint.svc.Protocol
	if protocol == schema.RestJSON && r.Header.Get("Authorization") == "" && !sigv4.Signed(r) {
		// Most probably a person who looks what there is.
		return &awserr.Generic{
			Code: "UnknownOperationException", Status: http.StatusNotFound,
			Message: "Brume cannot tell which service this request is for: it has no AWS signature, and neither its host, " +
				"its X-Amz-Target nor its path names one. `brume env` points AWS clients here.",
		}
	}
	if scope, ok := sigv4.Identify(r); ok {
		if signingName.MatchString(scope.Service) {
			x.stranger = scope.Service
		}
		return &awserr.Generic{
			Code: "NotImplemented", Status: http.StatusNotImplemented,
			Message: fmt.Sprintf("Brume does not implement the service %q.", scope.Service),
		}
	}
	// Without a scope there is no signature to be right.
	return signatureError(x.endpoint.svc, s.verifier.Admit(r.Context(), r, "", x.start))
}
