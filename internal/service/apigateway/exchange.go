package apigateway

import (
	"net"
	"strings"
	"time"

	"brume/internal/call"
	"brume/internal/edge"
)

// An exchange is one request on its way through a method.
type exchange struct {
	req    *Request
	stage  *stage
	method *method
	// httpMethod is the method of the request, also where the method of the API is ANY.
	httpMethod string
	params     []Field
	requestID  string
	extendedID string
	traceID    string
	key        *apiKey // nil if the method needs none
	caller     *caller // of TestInvokeMethod; nil for requests from outside
	// identity is who signed a request to a method that wants that, authorized what an authorizer said.
	identity   *caller
	authorized *authorized
	principal  *call.Principal // the same signer, for calls in its name
	// integrated says that the integration answered, with a status and after a time.
	integrated         bool
	integrationStatus  int
	integrationLatency time.Duration
	// endpointRequestID is the id that the service gave to the integration's request, integrationError why it failed.
	endpointRequestID, integrationError string
	// validationErrors is what is wrong with the body, for $context.error.validationErrorString.
	validationErrors string
	log              *executionLog
}

// who is the signer of the request, nil if it has none that counts.
func (x *exchange) who() *caller {
	if x.caller != nil {
		return x.caller
	}
	return x.identity
}

// A caller is the signer of a request, for the identity in events and templates.
type caller struct{ accountID, accessKey, arn, id, userAgent string }

// What TestInvokeMethod shows in place of a stage and a client.
const (
	testStage     = "test-invoke-stage"
	testSourceIP  = "test-invoke-source-ip"
	testAPIKey    = "test-invoke-api-key"
	testAPIKeyID  = "test-invoke-api-key-id"
	testDomain    = "testPrefix.testDomainName"
	testDomainPre = "testPrefix"
)

// domain is the name that the request was sent to. Where it was sent to a path form, it is the name AWS would have given.
func (x *exchange) domain() (name, prefix string) {
	if x.caller != nil {
		return testDomain, testDomainPre
	}
	name = x.req.Host
	if host, _, err := net.SplitHostPort(name); err == nil {
		name = host
	}
	if prefix, _, ok := strings.Cut(name, "."); ok && (x.req.Custom != nil || strings.EqualFold(prefix, x.stage.apiID)) {
		return name, prefix
	}
	return x.stage.apiID + ".execute-api." + x.stage.region + ".amazonaws.com", x.stage.apiID
}

// methodOverride names, in lower case, the header that says another method than the request's.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html
const methodOverride = "x-http-method-override"

func (x *exchange) path() string {
	if x.req.Path == "" {
		return "/"
	}
	return x.req.Path
}

// shownPath is the path as functions see it: behind the stage, or the whole of a custom domain name's.
func (x *exchange) shownPath() string {
	if x.req.Custom != nil {
		return x.req.Custom.Prefix + x.req.Path
	}
	return x.path()
}

// contextPath is the path as it came, with the stage before it.
func (x *exchange) contextPath() string {
	if x.caller != nil || x.req.Custom != nil {
		return x.shownPath()
	}
	if x.path() == "/" {
		return "/" + x.stage.name
	}
	return "/" + x.stage.name + x.path()
}

func (x *exchange) sourceIP() string {
	if x.caller != nil {
		return testSourceIP
	}
	if !x.req.SourceIP.IsValid() {
		return ""
	}
	return x.req.SourceIP.Unmap().String()
}

func (x *exchange) userAgent() string {
	if x.caller != nil {
		return x.caller.userAgent
	}
	ua, _ := x.req.header("User-Agent")
	return ua
}

// requestTime is the time in the form of the Common Log Format.
func (x *exchange) requestTime() string { return x.req.Time.UTC().Format("02/Jan/2006:15:04:05 -0700") }

// sourceARN is what the integration is called for.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-control-access-using-iam-policies-to-invoke-api.html
func (x *exchange) sourceARN() string {
	return "arn:aws:execute-api:" + x.stage.region + ":" + x.stage.account + ":" + x.stage.apiID + "/" + x.stage.name + "/" + x.httpMethod + x.method.resource.path
}

// headers are the request's headers as an integration sees them: with those that a proxy adds, without those that API
// Gateway drops, sorted by name.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html
func (x *exchange) headers() []Field {
	if x.caller != nil {
		return sortFields(x.req.Header)
	}
	fields := make([]Field, 0, len(x.req.Header)+4)
	forwarded := ""
	for _, f := range x.req.Header {
		switch strings.ToLower(f.Name) {
		case "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect", "proxy-authenticate", "proxy-connection",
			"content-length", "content-md5", "max-forwards", "server", "www-authenticate", methodOverride,
			"x-forwarded-port", "x-forwarded-proto", "x-amzn-trace-id":
		case "authorization":
			if x.method.authorization != "AWS_IAM" && !strings.HasPrefix(f.Value, "AWS4-HMAC-SHA256") {
				fields = append(fields, f)
			}
		case "x-forwarded-for":
			forwarded += f.Value + ", "
		default:
			fields = append(fields, f)
		}
	}
	proto, port := (*edge.Request)(x.req).Forwarded()
	fields = append(fields,
		Field{"X-Amzn-Trace-Id", x.traceID},
		Field{"X-Forwarded-For", forwarded + x.sourceIP()},
		Field{"X-Forwarded-Port", port},
		Field{"X-Forwarded-Proto", proto})
	return sortFields(fields)
}

// traceIDOf continues the trace of a request, or begins one.
func traceIDOf(r *Request, now time.Time) string {
	if v, ok := r.header("X-Amzn-Trace-Id"); ok && strings.HasPrefix(v, "Root=1-") && len(v) <= 256 {
		return v
	}
	return edge.NewTraceID(now)
}
