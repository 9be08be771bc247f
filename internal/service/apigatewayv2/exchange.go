package apigatewayv2

import (
	"crypto/rand"
	"encoding/base64"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"brume/internal/call"
	"brume/internal/edge"
)

// An exchange is one request on its way through a route.
type exchange struct {
	req   *edge.Request
	stage *stage
	// path is what follows the stage, at least "/", prefix what stands before it in the URL: a stage that is not the default
	// one, or the base path of a custom domain name. rawPath is both.
	path, prefix, rawPath string
	route                 *route
	params                []edge.Field
	requestID             string
	traceID               string
	principal             *call.Principal // who signed a request to a route that wants that
	authorized            *authorized     // what an authorizer said
	begin                 time.Time
	integration           timing
	// integrated says that the answer is the integration's, and not API Gateway's own.
	integrated bool
	// authorizerProblem is why an authorizer could not be asked or believed.
	authorizerProblem string
}

// An outgoing is a request as an integration gets it.
type outgoing struct {
	path       string
	pathMapped bool
	query      []edge.Field
	rawQuery   string
	header     []edge.Field
}

// newRequestID is what apigw-requestid carries: 15 characters and a sign.
func newRequestID() string {
	var b [12]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])[:15] + "="
}

// choose sets stage and path. The first segment of a path is a stage's name, unless no stage has that name: then the request
// is for the default stage.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-stages.html
func (x *exchange) choose(d *deployed) bool {
	name := x.req.Stage
	if name == "%24default" {
		name = defaultStage
	}
	if st := d.stages[name]; st != nil && name != "" {
		x.stage, x.path = st, x.req.Path
	} else if st := d.stages[defaultStage]; st != nil && x.req.Custom == nil {
		x.stage, x.path = st, "/"+x.req.Stage+x.req.Path
	} else {
		return false
	}
	if x.path == "" {
		x.path = "/"
	}
	if x.req.Custom != nil {
		x.prefix = x.req.Custom.Prefix
	} else if x.stage.name != defaultStage {
		x.prefix = "/" + x.stage.name
	}
	x.rawPath = x.prefix + x.path
	return true
}

func (x *exchange) sourceIP() string {
	if !x.req.SourceIP.IsValid() {
		return ""
	}
	return x.req.SourceIP.Unmap().String()
}

func (x *exchange) header(name string) string {
	v, _ := joined(x.req.Header, name, true)
	return v
}

// domain is the name that the request was sent to. Where it was sent to a path form, it is the name AWS would have given.
func (x *exchange) domain() (name, prefix string) {
	name = x.req.Host
	if host, _, err := net.SplitHostPort(name); err == nil {
		name = host
	}
	if prefix, _, ok := strings.Cut(name, "."); ok && (x.req.Custom != nil || strings.EqualFold(prefix, x.stage.api.id)) {
		return name, prefix
	}
	return x.stage.api.id + ".execute-api." + x.stage.api.region + ".amazonaws.com", x.stage.api.id
}

// arn is what the request asks to invoke; of the default route the path is what stands behind its stage.
func (x *exchange) arn() string {
	d := x.stage.api
	return "arn:aws:execute-api:" + d.region + ":" + d.account + ":" + d.id + "/" + x.stage.name + "/" + x.req.Method + x.path
}

// sourceARN is what the integration is called for: "…:API/STAGE/ROUTE-KEY".
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
func (x *exchange) sourceARN() string {
	d := x.stage.api
	key := x.route.key
	if key.method == "" {
		return "arn:aws:execute-api:" + d.region + ":" + d.account + ":" + d.id + "/" + x.stage.name + "/" + defaultRoute
	}
	method := key.method
	if method == "ANY" {
		method = "*"
	}
	return "arn:aws:execute-api:" + d.region + ":" + d.account + ":" + d.id + "/" + x.stage.name + "/" + method + key.path
}

// headers are the request's headers as an integration sees them: with those that a proxy adds, without those that speak of
// one connection only. Names are in lower case.
func (x *exchange) headers() []edge.Field {
	fields := make([]edge.Field, 0, len(x.req.Header)+4)
	forwarded := ""
	for _, f := range x.req.Header {
		switch f.Name = strings.ToLower(f.Name); f.Name {
		case "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect", "proxy-authenticate", "proxy-connection",
			"x-forwarded-port", "x-forwarded-proto", "x-amzn-trace-id":
		case "x-forwarded-for":
			forwarded += f.Value + ", "
		default:
			fields = append(fields, f)
		}
	}
	proto, port := x.req.Forwarded()
	fields = append(fields, edge.Field{"x-amzn-trace-id", x.traceID}, edge.Field{"x-forwarded-for", forwarded + x.sourceIP()},
		edge.Field{"x-forwarded-port", port}, edge.Field{"x-forwarded-proto", proto})
	slices.SortStableFunc(fields, func(a, b edge.Field) int { return strings.Compare(a.Name, b.Name) })
	return fields
}

// requestTime is the time in the form of the Common Log Format.
func (x *exchange) requestTime() string { return x.req.Time.UTC().Format("02/Jan/2006:15:04:05 -0700") }

// contextVariable is a variable of $context.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging-variables.html
func (x *exchange) contextVariable(name string) (string, bool) {
	domain, prefix := x.domain()
	switch name {
	case "accountId":
		return x.stage.api.account, true
	case "apiId":
		return x.stage.api.id, true
	case "domainName":
		return domain, true
	case "domainPrefix":
		return prefix, true
	case "httpMethod":
		return x.req.Method, true
	case "path":
		return x.rawPath, true
	case "protocol":
		return x.req.Protocol, true
	case "requestId", "extendedRequestId":
		return x.requestID, true
	case "requestTime":
		return x.requestTime(), true
	case "requestTimeEpoch":
		return strconv.FormatInt(x.req.Time.Unix(), 10), true
	case "routeKey":
		if x.route == nil {
			return "", false
		}
		return x.route.key0, true
	case "stage":
		return x.stage.name, true
	case "identity.sourceIp":
		return x.sourceIP(), true
	case "identity.userAgent":
		return x.header("User-Agent"), true
	case "customDomain.basePathMatched":
		if x.req.Custom == nil {
			return "", false
		}
		if x.req.Custom.BasePath == "" {
			return "(none)", true
		}
		return x.req.Custom.BasePath, true
	}
	if p := x.principal; p != nil {
		switch name {
		case "identity.accountId":
			return p.Account, true
		case "identity.caller", "identity.user":
			return p.ID, true
		case "identity.userArn":
			return p.ARN, true
		}
	}
	if a := x.authorized; a != nil {
		if claim, ok := strings.CutPrefix(name, "authorizer.claims."); ok {
			v, ok := a.claims[claim]
			return v, ok
		}
		if key, ok := strings.CutPrefix(name, "authorizer."); ok {
			if key == "principalId" && a.principalID != "" {
				return a.principalID, true
			}
			return textOf(a.context[key])
		}
	}
	return "", false
}

// fieldsOf lists a map in the order of its keys.
func fieldsOf(m map[string]string) []edge.Field {
	fields := make([]edge.Field, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		fields = append(fields, edge.Field{k, m[k]})
	}
	return fields
}
