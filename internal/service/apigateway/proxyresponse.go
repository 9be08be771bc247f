package apigateway

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"brume/internal/edge"
)

// errMalformed says that a function's output is no response.
var errMalformed = misconfigured("Malformed Lambda proxy response")

// parseProxyResponse reads the output of a Lambda proxy integration. No member is required, and members that the format
// does not know make the output malformed, as do objects where text is due.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html#api-gateway-simple-proxy-for-lambda-output-format
func parseProxyResponse(payload []byte) (r *Response, encoded bool, err error) {
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, false, errMalformed
	}
	r = &Response{Status: 200}
	var single, multi []Field
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, false, errMalformed
		}
		switch key {
		case "statusCode":
			text, null, ok := scalar(d)
			if !ok {
				return nil, false, errMalformed
			}
			if null {
				continue
			}
			if r.Status, err = strconv.Atoi(text); err != nil || r.Status < 200 || r.Status > 599 {
				return nil, false, errMalformed
			}
		case "headers":
			if single, err = object(d, nil, func(fields []Field, name string) ([]Field, error) {
				text, null, ok := scalar(d)
				switch {
				case !ok:
					return nil, errMalformed
				case null:
					return fields, nil
				}
				return append(fields, Field{name, text}), nil
			}); err != nil {
				return nil, false, err
			}
		case "multiValueHeaders":
			if multi, err = object(d, nil, func(fields []Field, name string) ([]Field, error) {
				t, err := d.Token()
				if err != nil || t != nil && t != json.Delim('[') {
					return nil, errMalformed
				}
				for t != nil && d.More() {
					text, null, ok := scalar(d)
					switch {
					case !ok:
						return nil, errMalformed
					case !null:
						fields = append(fields, Field{name, text})
					}
				}
				if t != nil {
					if _, err := d.Token(); err != nil {
						return nil, errMalformed
					}
				}
				return fields, nil
			}); err != nil {
				return nil, false, err
			}
		case "body":
			text, _, ok := scalar(d)
			if !ok {
				return nil, false, errMalformed
			}
			r.Body = []byte(text)
		case "isBase64Encoded":
			text, null, ok := scalar(d)
			if !ok || !null && text != "true" && text != "false" {
				return nil, false, errMalformed
			}
			encoded = text == "true"
		default:
			return nil, false, errMalformed
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, false, errMalformed
	}
	if d.More() {
		return nil, false, errMalformed
	}
	// Both kinds are merged; of a pair that both have, only one counts.
	r.Header = multi
	for _, f := range single {
		if !slices.ContainsFunc(multi, func(m Field) bool { return strings.EqualFold(m.Name, f.Name) && m.Value == f.Value }) {
			r.Header = append(r.Header, f)
		}
	}
	for _, f := range r.Header {
		if !validHeader(f) {
			return nil, false, errMalformed
		}
	}
	return r, encoded, nil
}

// scalar reads a value as text: a string as it is, numbers and booleans in their JSON form. null is empty.
func scalar(d *json.Decoder) (text string, null, ok bool) {
	t, err := d.Token()
	if err != nil {
		return "", false, false
	}
	switch t := t.(type) {
	case nil:
		return "", true, true
	case string:
		return t, false, true
	case json.Number:
		return string(t), false, true
	case bool:
		return strconv.FormatBool(t), false, true
	}
	return "", false, false
}

// object reads an object or null, calling member behind each key.
func object(d *json.Decoder, fields []Field, member func([]Field, string) ([]Field, error)) ([]Field, error) {
	t, err := d.Token()
	if err != nil || t != nil && t != json.Delim('{') {
		return nil, errMalformed
	}
	if t == nil {
		return nil, nil
	}
	for d.More() {
		key, err := d.Token()
		name, ok := key.(string)
		if err != nil || !ok {
			return nil, errMalformed
		}
		if fields, err = member(fields, name); err != nil {
			return nil, err
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, errMalformed
	}
	return fields, nil
}

func validHeader(f Field) bool { return edge.ValidHeader(f) }

// finishProxy turns the output of a function into the response of its method.
func (x *exchange) finishProxy(payload []byte) (*Response, error) {
	r, encoded, err := parseProxyResponse(payload)
	if err != nil {
		return nil, err
	}
	r.Header = remapHeaders(r.Header)
	if !r.has("Content-Type") {
		r.add("Content-Type", "application/json")
	}
	r.add("X-Amzn-Trace-Id", x.traceID)
	if encoded {
		accept, _ := x.req.header("Accept")
		contentType := ""
		for _, f := range r.Header {
			if strings.EqualFold(f.Name, "Content-Type") {
				contentType = f.Value
			}
		}
		if wantsBinary(x.stage.binaryTypes, accept, contentType) {
			body, err := base64.StdEncoding.DecodeString(string(r.Body))
			if err != nil {
				return nil, misconfigured("Unable to base64 decode the body.")
			}
			r.Body = body
		}
	}
	return r, nil
}

// remapHeaders renames and drops the response headers that API Gateway keeps for itself.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html
func remapHeaders(fields []Field) []Field {
	kept := fields[:0]
	for _, f := range fields {
		switch strings.ToLower(f.Name) {
		case "expect", "host", "proxy-authenticate", "te", "trailer", "transfer-encoding", "upgrade", "keep-alive", "x-amzn-requestid", "x-amz-apigw-id", "x-amzn-trace-id":
			continue
		case "authorization", "connection", "content-length", "content-md5", "date", "max-forwards", "server", "user-agent", "www-authenticate":
			f.Name = "x-amzn-Remapped-" + f.Name
		}
		kept = append(kept, f)
	}
	return kept
}
