package apigateway

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"

	"brume/internal/edge"
)

// expand decompresses the body of a request, where the API has compression enabled.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-gzip-compression-decompression.html
func (x *exchange) expand() *gatewayResponse {
	if x.stage.compressFrom < 0 || len(x.req.Body) == 0 {
		return nil
	}
	encoding, ok := x.req.header("Content-Encoding")
	if !ok || strings.EqualFold(encoding, "identity") {
		return nil
	}
	if !strings.EqualFold(encoding, "gzip") {
		return unsupportedMediaType()
	}
	body, err := gunzip(x.req.Body)
	switch {
	case errors.Is(err, edge.ErrTooLarge):
		return requestTooLarge()
	case err != nil:
		return badRequest()
	}
	x.req.Body, x.req.Header = body, withoutField(x.req.Header, "Content-Encoding")
	return nil
}

// gunzip takes no more room than MaxBody, whatever the data says it becomes.
func gunzip(data []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(r, MaxBody+1))
	if err == nil && len(body) > MaxBody {
		err = edge.ErrTooLarge
	}
	return body, err
}

// compress compresses the body of a response from the API's minimum size on, if the client takes that.
func (x *exchange) compress(r *Response) {
	if x.stage == nil || x.stage.compressFrom < 0 || len(r.Body) < x.stage.compressFrom || len(r.Body) == 0 || r.has("Content-Encoding") {
		return
	}
	accept, _ := x.req.header("Accept-Encoding")
	if !acceptsGzip(accept) {
		return
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	// Writing into memory cannot fail.
	_, _ = w.Write(r.Body)
	_ = w.Close()
	r.Body = b.Bytes()
	r.add("Content-Encoding", "gzip")
}

func acceptsGzip(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		name, parameters, _ := strings.Cut(part, ";")
		if name = strings.TrimSpace(name); strings.EqualFold(name, "gzip") || name == "*" {
			q := strings.ReplaceAll(parameters, " ", "")
			return q != "q=0" && q != "q=0.0" && q != "q=0.00" && q != "q=0.000"
		}
	}
	return false
}
