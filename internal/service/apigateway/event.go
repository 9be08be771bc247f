package apigateway

import (
	"encoding/base64"
	"maps"
	"slices"
	"strconv"
	"strings"

	"brume/internal/jsontext"
	"brume/internal/vtl"
)

// proxyEvent writes the input of a Lambda proxy integration, payload format 1.0, every documented field of it. What a
// request does not have is null; what a method does not use (the API key, an authorizer) is absent.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html#api-gateway-simple-proxy-for-lambda-input-format
func (x *exchange) proxyEvent() []byte {
	b := make([]byte, 0, 4096+len(x.req.Body)*5/4)
	b = append(b, '{')
	b = x.appendRequest(b)
	b = append(b, `,"body":`...)
	contentType, _ := x.req.header("Content-Type")
	binary := len(x.stage.binaryTypes) > 0 && isBinary(x.stage.binaryTypes, mediaType(contentType)) && len(x.req.Body) > 0
	switch {
	case len(x.req.Body) == 0:
		b = append(b, "null"...)
	case binary:
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, x.req.Body)
		b = append(b, '"')
	default:
		b = jsontext.AppendString(b, string(x.req.Body))
	}
	b = append(b, `,"isBase64Encoded":`...)
	b = strconv.AppendBool(b, binary)
	return append(b, '}')
}

// appendRequest writes the members that the events of proxy integrations and of REQUEST authorizers share.
func (x *exchange) appendRequest(b []byte) []byte {
	b = append(b, `"resource":`...)
	b = jsontext.AppendString(b, x.method.resource.path)
	b = append(b, `,"path":`...)
	b = jsontext.AppendString(b, x.shownPath())
	b = append(b, `,"httpMethod":`...)
	b = jsontext.AppendString(b, x.httpMethod)
	headers := x.headers()
	b = append(b, `,"headers":`...)
	b = appendSingle(b, headers)
	b = append(b, `,"multiValueHeaders":`...)
	b = appendMulti(b, headers)
	query := sortFields(x.req.Query)
	b = append(b, `,"queryStringParameters":`...)
	b = appendSingle(b, query)
	b = append(b, `,"multiValueQueryStringParameters":`...)
	b = appendMulti(b, query)
	b = append(b, `,"pathParameters":`...)
	b = appendSingle(b, x.params)
	b = append(b, `,"stageVariables":`...)
	b = appendSingle(b, x.stage.variableFields)
	b = append(b, `,"requestContext":`...)
	return x.appendRequestContext(b)
}

func (x *exchange) appendRequestContext(b []byte) []byte {
	str := func(name, value string) {
		b = append(b, ',', '"')
		b = append(b, name...)
		b = append(b, '"', ':')
		b = jsontext.AppendString(b, value)
	}
	null := func(name string) {
		b = append(b, ',', '"')
		b = append(b, name...)
		b = append(b, `":null`...)
	}
	strOrNull := func(name, value string) {
		if value == "" {
			null(name)
		} else {
			str(name, value)
		}
	}
	domain, prefix := x.domain()
	b = append(b, `{"resourceId":`...)
	b = jsontext.AppendString(b, x.method.resource.id)
	if x.method.operationName != "" {
		str("operationName", x.method.operationName)
	}
	str("resourcePath", x.method.resource.path)
	if a := x.authorized; a != nil {
		b = append(b, `,"authorizer":{`...)
		sep := ""
		if a.document != nil {
			b = append(b, `"principalId":`...)
			b = jsontext.AppendString(b, a.principalID)
			b = append(b, `,"integrationLatency":`...)
			b = strconv.AppendInt(b, a.latency.Milliseconds(), 10)
			sep = ","
		}
		for _, name := range a.context.Keys {
			v, _ := a.context.Get(name)
			text, err := vtl.JSON(v)
			if s, ok := v.(string); ok {
				text, err = string(jsontext.AppendString(nil, s)), nil
			}
			if err != nil {
				continue // it was made of texts: there is nothing that could not be shown
			}
			b = append(b, sep...)
			b = jsontext.AppendString(b, name)
			b = append(b, ':')
			b = append(b, text...)
			sep = ","
		}
		b = append(b, '}')
	}
	str("httpMethod", x.httpMethod)
	str("extendedRequestId", x.extendedID)
	str("requestTime", x.requestTime())
	str("path", x.contextPath())
	str("accountId", x.stage.account)
	str("protocol", x.req.Protocol)
	str("stage", x.stage.name)
	str("domainPrefix", prefix)
	b = append(b, `,"requestTimeEpoch":`...)
	b = strconv.AppendInt(b, x.req.Time.UnixMilli(), 10)
	str("requestId", x.requestID)
	b = append(b, `,"identity":{"cognitoIdentityPoolId":null`...)
	var c caller
	if who := x.who(); who != nil {
		c = *who
	}
	strOrNull("accountId", c.accountID)
	null("cognitoIdentityId")
	switch {
	case x.caller != nil:
		str("apiKey", testAPIKey)
		str("apiKeyId", testAPIKeyID)
	case x.key != nil:
		str("apiKey", x.key.value)
		str("apiKeyId", x.key.id)
	}
	strOrNull("caller", c.id)
	str("sourceIp", x.sourceIP())
	null("principalOrgId")
	strOrNull("accessKey", c.accessKey)
	null("cognitoAuthenticationType")
	null("cognitoAuthenticationProvider")
	strOrNull("userArn", c.arn)
	strOrNull("userAgent", x.userAgent())
	strOrNull("user", c.id)
	b = append(b, '}')
	str("domainName", domain)
	if x.stage.deploymentID != "" {
		str("deploymentId", x.stage.deploymentID)
	}
	str("apiId", x.stage.apiID)
	return append(b, '}')
}

// sortFields sorts by name, keeping the order of fields of one name. It leaves the argument as it is.
func sortFields(fields []Field) []Field {
	byName := func(a, b Field) int { return strings.Compare(a.Name, b.Name) }
	if slices.IsSortedFunc(fields, byName) {
		return fields
	}
	fields = slices.Clone(fields)
	slices.SortStableFunc(fields, byName)
	return fields
}

// fieldsOf lists a map in the order of its keys.
func fieldsOf(m map[string]string) []Field {
	fields := make([]Field, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		fields = append(fields, Field{k, m[k]})
	}
	return fields
}

// appendSingle writes an object with the last value of each name; null for no fields. Fields of one name are neighbours.
func appendSingle(b []byte, fields []Field) []byte {
	if len(fields) == 0 {
		return append(b, "null"...)
	}
	sep := byte('{')
	for i, f := range fields {
		if i+1 < len(fields) && fields[i+1].Name == f.Name {
			continue
		}
		b = append(b, sep)
		b = jsontext.AppendString(b, f.Name)
		b = append(b, ':')
		b = jsontext.AppendString(b, f.Value)
		sep = ','
	}
	return append(b, '}')
}

// appendMulti writes an object with the list of values of each name; null for no fields.
func appendMulti(b []byte, fields []Field) []byte {
	if len(fields) == 0 {
		return append(b, "null"...)
	}
	b = append(b, '{')
	for i, f := range fields {
		switch {
		case i == 0:
		case fields[i-1].Name == f.Name:
			b = append(b, ',')
			b = jsontext.AppendString(b, f.Value)
			continue
		default:
			b = append(b, ']', ',')
		}
		b = jsontext.AppendString(b, f.Name)
		b = append(b, ':', '[')
		b = jsontext.AppendString(b, f.Value)
	}
	return append(b, ']', '}')
}
