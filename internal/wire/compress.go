package wire

import (
	"bytes"
	"compress/gzip"
	"hash/crc32"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"brume/internal/awserr"
	"brume/internal/wire/codec"
)

// smallestToCompress is the length of a body, in bytes, below which compressing it is not worth the while.
const smallestToCompress = 1 << 10

// checksumHeader is the header in which DynamoDB sends the CRC-32 of a body as it goes over the wire.
const checksumHeader = "X-Amz-Crc32"

var gzipWriters = sync.Pool{New: func() any {
	w, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil {
		panic(err) // of a level that there is
	}
	return w
}}

// compress makes the body of resp a compressed one, if the service does that, the client takes it, and it is long enough.
// https://docs.aws.amazon.com/sdk-for-java/latest/developer-guide/dynamodb.html (DynamoDB answers in gzip on request)
func compress(r *http.Request, resp *codec.Response) {
	if len(resp.Body) < smallestToCompress || resp.Header.Get(checksumHeader) == "" || !accepts(r.Header, "gzip") {
		return
	}
	var b bytes.Buffer
	w := gzipWriters.Get().(*gzip.Writer)
	defer gzipWriters.Put(w)
	w.Reset(&b)
	// A bytes.Buffer refuses nothing.
	_, _ = w.Write(resp.Body)
	_ = w.Close()
	resp.Body = b.Bytes()
	resp.Header.Set("Content-Encoding", "gzip")
	resp.Header.Set(checksumHeader, strconv.FormatUint(uint64(crc32.ChecksumIEEE(resp.Body)), 10))
}

// accepts reports whether Accept-Encoding names a coding, other than to refuse it.
func accepts(h http.Header, coding string) bool {
	for _, line := range h.Values("Accept-Encoding") {
		for part := range strings.SplitSeq(line, ",") {
			name, params, _ := strings.Cut(part, ";")
			if strings.EqualFold(strings.TrimSpace(name), coding) {
				q, ok := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q=")
				weight, err := strconv.ParseFloat(q, 64)
				return !ok || err == nil && weight > 0
			}
		}
	}
	return false
}

// expand undoes the compression of a body, which stays below limit.
func expand(body []byte, limit int64) ([]byte, error) {
	bad := func(cause error) error {
		e := awserr.New("SerializationException", "The request's body is no gzip.")
		e.Cause = cause
		return e
	}
	r, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, bad(err)
	}
	out, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, bad(err)
	}
	if int64(len(out)) > limit {
		return nil, tooLarge(limit)
	}
	return out, nil
}
