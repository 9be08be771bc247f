package apigateway

import (
	"context"
	"log/slog"
	"strconv"
	"strings"

	api "brume/internal/api/apigateway"
	"brume/internal/jsontext"
	"brume/internal/vtl"
)

// A gatewayResponse is an answer that API Gateway gives itself.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
type gatewayResponse struct {
	kind      string // the documented type; custom responses are set by it
	status    int
	errorType string // x-amzn-ErrorType
	message   string // "" is null
	// spaced says that the default body has a space after the colon. AWS's own bodies differ in it.
	spaced bool
}

func missingAuthenticationToken() *gatewayResponse {
	return &gatewayResponse{"MISSING_AUTHENTICATION_TOKEN", 403, "MissingAuthenticationTokenException", "Missing Authentication Token", false}
}

// noSuchAPI is the answer for an API or a stage that does not exist.
func noSuchAPI() *gatewayResponse {
	return &gatewayResponse{"ACCESS_DENIED", 403, "ForbiddenException", "Forbidden", false}
}

func accessDenied(message string) *gatewayResponse {
	return &gatewayResponse{"ACCESS_DENIED", 403, "AccessDeniedException", message, false}
}

func unauthorized() *gatewayResponse {
	return &gatewayResponse{"UNAUTHORIZED", 401, "UnauthorizedException", "Unauthorized", false}
}

// authorizerFailed answers for an authorizer whose function failed, authorizerMisconfigured for one that cannot be called
// or whose answer cannot be used.
func authorizerFailed() *gatewayResponse {
	return &gatewayResponse{"AUTHORIZER_FAILURE", 500, "AuthorizerFailureException", "", false}
}

func authorizerMisconfigured() *gatewayResponse {
	return &gatewayResponse{"AUTHORIZER_CONFIGURATION_ERROR", 500, "AuthorizerConfigurationException", "", false}
}

func invalidAPIKey() *gatewayResponse {
	return &gatewayResponse{"INVALID_API_KEY", 403, "ForbiddenException", "Forbidden", false}
}

func throttled() *gatewayResponse {
	return &gatewayResponse{"THROTTLED", 429, "TooManyRequestsException", "Too Many Requests", false}
}

func quotaExceeded() *gatewayResponse {
	return &gatewayResponse{"QUOTA_EXCEEDED", 429, "LimitExceededException", "Limit Exceeded", false}
}

func requestTooLarge() *gatewayResponse {
	return &gatewayResponse{"REQUEST_TOO_LARGE", 413, "RequestTooLargeException", "Request Too Long", false}
}

func uriTooLong() *gatewayResponse {
	return &gatewayResponse{"DEFAULT_4XX", 414, "RequestUriTooLongException", "Request URI too long", false}
}

func badRequest() *gatewayResponse {
	return &gatewayResponse{"BAD_REQUEST_BODY", 400, "BadRequestException", "Bad Request", false}
}

func badBody() *gatewayResponse {
	return &gatewayResponse{"BAD_REQUEST_BODY", 400, "BadRequestException", "Invalid request body", true}
}

func badParameters(message string) *gatewayResponse {
	return &gatewayResponse{"BAD_REQUEST_PARAMETERS", 400, "BadRequestException", message, true}
}

func unsupportedMediaType() *gatewayResponse {
	return &gatewayResponse{"UNSUPPORTED_MEDIA_TYPE", 415, "UnsupportedMediaTypeException", "Unsupported Media Type", false}
}

func configurationError() *gatewayResponse {
	return &gatewayResponse{"API_CONFIGURATION_ERROR", 500, "InternalServerErrorException", "Internal server error", true}
}

// badGateway answers for a function that failed or returned what is no response.
func badGateway() *gatewayResponse {
	return &gatewayResponse{"DEFAULT_5XX", 502, "InternalServerErrorException", "Internal server error", true}
}

// integrationFailure answers for an endpoint that could not be reached.
func integrationFailure() *gatewayResponse {
	return &gatewayResponse{"INTEGRATION_FAILURE", 504, "InternalServerErrorException", "Network error communicating with endpoint", true}
}

func integrationTimeout() *gatewayResponse {
	return &gatewayResponse{"INTEGRATION_TIMEOUT", 504, "InternalServerErrorException", "Endpoint request timed out", true}
}

// messageJSON is the message as JSON.
func (g *gatewayResponse) messageJSON() string {
	if g.message == "" {
		return "null"
	}
	return string(jsontext.AppendString(nil, g.message))
}

// response is the answer where nothing is customised.
func (g *gatewayResponse) response() *Response {
	name := `{"message":`
	if g.errorType == "AccessDeniedException" {
		name = `{"Message":`
	}
	if g.spaced {
		name += " "
	}
	return &Response{
		Status: g.status,
		Header: []Field{{"Content-Type", "application/json"}, {"x-amzn-ErrorType", g.errorType}},
		Body:   []byte(name + g.messageJSON() + "}"),
	}
}

// HeaderTooLong is the response to a request whose headers, or whose URL, are over edge.MaxHeader.
func HeaderTooLong(url bool) *Response {
	g := &gatewayResponse{"DEFAULT_4XX", 431, "RequestHeaderFieldsTooLargeException", "HTTP header is larger than 10240 bytes.", false}
	if url {
		g = uriTooLong()
	}
	return withIDs(g.response(), newRequestID(), newExtendedID())
}

// RequestTooLong is the response to a request whose body is over MaxBody.
func RequestTooLong() *Response {
	return withIDs(requestTooLarge().response(), newRequestID(), newExtendedID())
}

// BadRequest is the response to a request whose body cannot be read to its end.
func BadRequest() *Response { return withIDs(badRequest().response(), newRequestID(), newExtendedID()) }

// withIDs adds the headers that every response has.
func withIDs(r *Response, requestID, extendedID string) *Response {
	r.Header = append(r.Header, Field{"x-amzn-RequestId", requestID}, Field{"x-amz-apigw-id", extendedID})
	return r
}

// A customResponse is a customised gateway response, compiled.
type customResponse struct {
	status     int // 0 for the one that the type has
	parameters []responseParameter
	templates  map[string]*vtl.Template
	// first is the media type of the template for clients that ask for none that is there.
	first string
}

func compileGatewayResponse(row *api.GatewayResponse) (*customResponse, error) {
	c := &customResponse{templates: map[string]*vtl.Template{}}
	c.status, _ = strconv.Atoi(value(row.StatusCode)) // it was checked when it was set; none is 0
	for _, target := range sortedKeys(row.ResponseParameters) {
		c.parameters = append(c.parameters, responseParameter{strings.TrimPrefix(target, "gatewayresponse.header."), row.ResponseParameters[target]})
	}
	for _, media := range sortedKeys(row.ResponseTemplates) {
		t, err := vtl.Parse(row.ResponseTemplates[media])
		if err != nil {
			return nil, err
		}
		media = mediaType(media)
		c.templates[media] = t
		if c.first == "" || media == "application/json" {
			c.first = media
		}
	}
	return c, nil
}

// answer is a gateway response as the API has it: by the customised response of its type, or of all 4xx or 5xx, or as AWS
// words it.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/customize-gateway-responses.html
func (s *Service) answer(ctx context.Context, x *exchange, g *gatewayResponse) *Response {
	if x.stage == nil {
		return g.response()
	}
	custom, ok := x.stage.gatewayResponses[g.kind]
	if !ok {
		custom, ok = x.stage.gatewayResponses["DEFAULT_"+strconv.Itoa(g.status/100)+"XX"]
	}
	if !ok {
		return g.response()
	}
	r, err := x.customised(custom, g)
	if err != nil {
		s.log.WarnContext(ctx, "API Gateway: a gateway response cannot be rendered", slog.String("api", x.stage.apiID), slog.String("type", g.kind), slog.String("error", clip(err.Error())))
		return g.response()
	}
	return r
}

func (x *exchange) customised(c *customResponse, g *gatewayResponse) (*Response, error) {
	r := &Response{Status: g.status}
	if c.status != 0 {
		r.Status = c.status
	}
	vars := x.contextMap()
	failure := lenientMap([]Field{
		{"message", g.message}, {"messageString", g.messageJSON()}, {"responseType", g.kind}, {"validationErrorString", x.validationErrors},
	})
	vars.Set("error", failure)
	if len(c.templates) > 0 {
		accept, _ := x.req.header("Accept")
		first, _, _ := strings.Cut(accept, ",")
		media := mediaType(first)
		t := c.templates[media]
		if t == nil {
			media, t = c.first, c.templates[c.first]
		}
		body, err := x.render(t, &lazyContext{x, vars}, x.req.Body)
		if err != nil {
			return nil, err
		}
		r.Body = body
		r.add("Content-Type", media)
	}
	r.add("x-amzn-ErrorType", g.errorType)
	for _, p := range c.parameters {
		v, ok := strings.CutPrefix(p.source, "'")
		if ok {
			v = strings.TrimSuffix(v, "'")
		} else if v, ok = x.requestValue(p.source); !ok {
			continue
		}
		if f := (Field{p.header, v}); validHeader(f) {
			r.set(f.Name, f.Value)
		}
	}
	return r, nil
}
