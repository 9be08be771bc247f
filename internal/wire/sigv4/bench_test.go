package sigv4

import (
	"testing"
)

// BenchmarkVerify is a PutItem of the usual size with a warm key cache; the aim is 4 µs.
func BenchmarkVerify(b *testing.B) {
	v := testVerifier()
	body := []byte(`{"TableName":"users","Item":{"username":{"S":"alice"},"age":{"N":"42"}}}`)
	r := signed(b, string(body), nil)
	r.Header.Set("Accept-Encoding", "identity")
	r.Header.Set("Content-Length", "72")
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(ctx, r, body, "dynamodb", suiteTime); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkIdentify(b *testing.B) {
	r := signed(b, "", nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := Identify(r); !ok {
			b.Fatal("not identified")
		}
	}
}
