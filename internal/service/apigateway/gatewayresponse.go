package apigateway

// A gatewayResponse is an answer that API Gateway gives itself.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
type gatewayResponse struct {
	kind      string // the documented type; custom responses are set by it
	status    int
	errorType string // x-amzn-ErrorType
	body      string
}

// The bodies of the 5xx responses have a space after the colon, those of the 4xx have none, as in AWS.
func missingAuthenticationToken() *gatewayResponse {
	return &gatewayResponse{"MISSING_AUTHENTICATION_TOKEN", 403, "MissingAuthenticationTokenException", `{"message":"Missing Authentication Token"}`}
}

// noSuchAPI is the answer for an API or a stage that does not exist.
func noSuchAPI() *gatewayResponse {
	return &gatewayResponse{"ACCESS_DENIED", 403, "ForbiddenException", `{"message":"Forbidden"}`}
}

func invalidAPIKey() *gatewayResponse {
	return &gatewayResponse{"INVALID_API_KEY", 403, "ForbiddenException", `{"message":"Forbidden"}`}
}

func throttled() *gatewayResponse {
	return &gatewayResponse{"THROTTLED", 429, "TooManyRequestsException", `{"message":"Too Many Requests"}`}
}

func quotaExceeded() *gatewayResponse {
	return &gatewayResponse{"QUOTA_EXCEEDED", 429, "LimitExceededException", `{"message":"Limit Exceeded"}`}
}

func requestTooLarge() *gatewayResponse {
	return &gatewayResponse{"REQUEST_TOO_LARGE", 413, "RequestTooLargeException", `{"message":"Request Too Long"}`}
}

func badRequest() *gatewayResponse {
	return &gatewayResponse{"BAD_REQUEST_BODY", 400, "BadRequestException", `{"message":"Bad Request"}`}
}

func unsupportedMediaType() *gatewayResponse {
	return &gatewayResponse{"UNSUPPORTED_MEDIA_TYPE", 415, "UnsupportedMediaTypeException", `{"message":"Unsupported Media Type"}`}
}

func configurationError() *gatewayResponse {
	return &gatewayResponse{"API_CONFIGURATION_ERROR", 500, "InternalServerErrorException", `{"message": "Internal server error"}`}
}

// badGateway answers for a function that failed or returned what is no response.
func badGateway() *gatewayResponse {
	return &gatewayResponse{"DEFAULT_5XX", 502, "InternalServerErrorException", `{"message": "Internal server error"}`}
}

func integrationTimeout() *gatewayResponse {
	return &gatewayResponse{"INTEGRATION_TIMEOUT", 504, "InternalServerErrorException", `{"message": "Endpoint request timed out"}`}
}

func (g *gatewayResponse) response() *Response {
	return &Response{
		Status: g.status,
		Header: []Field{{"Content-Type", "application/json"}, {"x-amzn-ErrorType", g.errorType}},
		Body:   []byte(g.body),
	}
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
