package apigateway

import "strings"

// mediaType is the type in a Content-Type or an Accept header: lower-case, without its parameters.
func mediaType(value string) string {
	value, _, _ = strings.Cut(value, ";")
	return strings.ToLower(strings.TrimSpace(value))
}

// isBinary reports whether an API's binaryMediaTypes cover a media type. "*/*" covers every one, even none at all.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-payload-encodings.html
func isBinary(types []string, media string) bool {
	for _, t := range types {
		t = strings.ToLower(t)
		switch {
		case t == "*/*", t == media && media != "":
			return true
		case strings.HasSuffix(t, "/*") && strings.HasPrefix(media, t[:len(t)-1]):
			return true
		}
	}
	return false
}

// wantsBinary reports whether a Base64 body goes out decoded: the first type that the client accepts decides, and for
// clients that name none the type of the response.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/lambda-proxy-binary-media.html
func wantsBinary(types []string, accept, contentType string) bool {
	if len(types) == 0 {
		return false
	}
	first, _, _ := strings.Cut(accept, ",")
	if media := mediaType(first); media != "" && media != "*/*" {
		return isBinary(types, media)
	}
	return isBinary(types, mediaType(contentType))
}
