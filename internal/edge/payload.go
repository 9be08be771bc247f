package edge

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// IsText says whether a body goes into the event as it is.
func IsText(contentType, contentEncoding string) bool {
	if contentEncoding != "" {
		return false
	}
	kind, _, _ := strings.Cut(strings.ToLower(contentType), ";")
	kind = strings.TrimSpace(kind)
	switch kind {
	case "application/json", "application/xml", "application/javascript", "application/graphql":
		return true
	}
	return strings.HasPrefix(kind, "text/") || strings.HasSuffix(kind, "+json") || strings.HasSuffix(kind, "+xml")
}

// An Answer is what a function returned, read as a response.
type Answer struct {
	Status int
	// Header is by lower-case names.
	Header  map[string]string
	Cookies []string
	Body    []byte
	// Bare says that the output was no object with a statusCode.
	Bare bool
}

// ReadAnswer reads the response of a function: an object with a statusCode as payload format 2.0 has it, anything else
// as a body.
func ReadAnswer(payload []byte) (*Answer, bool) {
	if trimmed := bytes.TrimLeft(payload, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' {
		return &Answer{Status: 200, Body: payload, Bare: true}, true
	}
	var in struct {
		Status  json.RawMessage `json:"statusCode"`
		Headers map[string]any  `json:"headers"`
		Cookies []string        `json:"cookies"`
		Body    json.RawMessage `json:"body"`
		Base64  bool            `json:"isBase64Encoded"`
	}
	var known map[string]json.RawMessage
	if err := json.Unmarshal(payload, &known); err != nil {
		return nil, false
	}
	if _, structured := known["statusCode"]; !structured {
		return &Answer{Status: 200, Body: payload, Bare: true}, true
	}
	if err := json.Unmarshal(payload, &in); err != nil {
		return nil, false
	}
	status, ok := ReadStatus(in.Status)
	if !ok {
		return nil, false
	}
	out := &Answer{Status: status, Cookies: in.Cookies, Header: ReadFields(in.Headers)}
	var text string
	switch {
	case len(in.Body) == 0 || string(in.Body) == "null":
	case json.Unmarshal(in.Body, &text) == nil:
		out.Body = []byte(text)
	default:
		out.Body = in.Body
	}
	if in.Base64 {
		decoded, err := base64.StdEncoding.DecodeString(string(out.Body))
		if err != nil {
			return nil, false
		}
		out.Body = decoded
	}
	return out, true
}

// ReadStatus reads a status, which may be a number or its text.
func ReadStatus(raw json.RawMessage) (int, bool) {
	n, err := strconv.Atoi(strings.Trim(string(raw), `"`))
	return n, err == nil && n >= 100 && n <= 599
}

// ReadFields reads headers, whose values may be of any simple kind.
func ReadFields(in map[string]any) map[string]string {
	out := make(map[string]string, len(in))
	for name, v := range in {
		switch v := v.(type) {
		case nil:
		case string:
			out[strings.ToLower(name)] = v
		case []any, map[string]any:
		default:
			out[strings.ToLower(name)] = fmt.Sprint(v)
		}
	}
	return out
}
