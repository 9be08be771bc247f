package sdk

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// A rawClient sends requests as bytes, which no SDK would let through.
type rawClient struct {
	testing.TB
	creds aws.Credentials
	http  http.Client
}

func newRawClient(t testing.TB) *rawClient {
	return &rawClient{t, aws.Credentials{AccessKeyID: newAccount(), SecretAccessKey: "test"}, http.Client{
		Transport: &http.Transport{DisableCompression: true},
	}}
}

// do sends a body to an operation, and returns the response with its body as it came.
func (c *rawClient) do(operation string, body []byte, header ...string) (*http.Response, []byte) {
	c.Helper()
	r, err := http.NewRequest(http.MethodPost, brume.Endpoint, bytes.NewReader(body))
	if err != nil {
		c.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810."+operation)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(context.Background(), c.creds, r, hex.EncodeToString(sum[:]), "dynamodb", region, time.Now()); err != nil {
		c.Fatal(err)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		c.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		c.Fatal(err)
	}
	if want := strconv.FormatUint(uint64(crc32.ChecksumIEEE(got)), 10); resp.Header.Get("X-Amz-Crc32") != want {
		c.Errorf("%s: X-Amz-Crc32 is %q, want %s", operation, resp.Header.Get("X-Amz-Crc32"), want)
	}
	return resp, got
}

// must sends a request that has to succeed.
func (c *rawClient) must(operation, body string) []byte {
	c.Helper()
	resp, got := c.do(operation, []byte(body))
	if resp.StatusCode != http.StatusOK {
		c.Fatalf("%s: %d %s", operation, resp.StatusCode, got)
	}
	return got
}

// outcome is "Code: message" of an error, or "ok".
func outcome(resp *http.Response, body []byte) string {
	if resp.StatusCode == http.StatusOK {
		return "ok"
	}
	var e struct {
		Type    string `json:"__type"`
		Lower   string `json:"message"`
		Message string
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return fmt.Sprintf("%d %q", resp.StatusCode, body)
	}
	_, code, _ := strings.Cut(e.Type, "#")
	if resp.StatusCode != http.StatusBadRequest {
		code = strconv.Itoa(resp.StatusCode) + " " + code
	}
	return code + ": " + e.Lower + e.Message
}

// makeTables makes the tables that the cases are about: hash (a:S), number (a:N), and range (a:S, b:S) with the local
// indexes index1 (a, c; ALL) and index2 (a, d; INCLUDE c) and the global ones index3 (c; ALL) and index4 (c, d; INCLUDE e).
func (c *rawClient) makeTables() {
	c.Helper()
	for _, in := range []string{
		`{"TableName":"hash","BillingMode":"PAY_PER_REQUEST","AttributeDefinitions":[{"AttributeName":"a","AttributeType":"S"}],
			"KeySchema":[{"AttributeName":"a","KeyType":"HASH"}]}`,
		`{"TableName":"number","BillingMode":"PAY_PER_REQUEST","AttributeDefinitions":[{"AttributeName":"a","AttributeType":"N"}],
			"KeySchema":[{"AttributeName":"a","KeyType":"HASH"}]}`,
		`{"TableName":"range","BillingMode":"PAY_PER_REQUEST","AttributeDefinitions":[{"AttributeName":"a","AttributeType":"S"},
			{"AttributeName":"b","AttributeType":"S"},{"AttributeName":"c","AttributeType":"S"},{"AttributeName":"d","AttributeType":"S"}],
			"KeySchema":[{"AttributeName":"a","KeyType":"HASH"},{"AttributeName":"b","KeyType":"RANGE"}],
			"LocalSecondaryIndexes":[
				{"IndexName":"index1","KeySchema":[{"AttributeName":"a","KeyType":"HASH"},{"AttributeName":"c","KeyType":"RANGE"}],
					"Projection":{"ProjectionType":"ALL"}},
				{"IndexName":"index2","KeySchema":[{"AttributeName":"a","KeyType":"HASH"},{"AttributeName":"d","KeyType":"RANGE"}],
					"Projection":{"ProjectionType":"INCLUDE","NonKeyAttributes":["c"]}}],
			"GlobalSecondaryIndexes":[
				{"IndexName":"index3","KeySchema":[{"AttributeName":"c","KeyType":"HASH"}],"Projection":{"ProjectionType":"ALL"}},
				{"IndexName":"index4","KeySchema":[{"AttributeName":"c","KeyType":"HASH"},{"AttributeName":"d","KeyType":"RANGE"}],
					"Projection":{"ProjectionType":"INCLUDE","NonKeyAttributes":["e"]}}]}`,
	} {
		c.must("CreateTable", in)
	}
}

// TestDynamoDBErrors holds answers to what testdata/dynamodb_errors.txt says, which names its sources.
func TestDynamoDBErrors(t *testing.T) {
	c := newRawClient(t)
	c.makeTables()
	data, err := os.ReadFile("testdata/dynamodb_errors.txt")
	if err != nil {
		t.Fatal(err)
	}
	operation, body, cases := "", "", 0
	for i, line := range strings.Split(string(data), "\n") {
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "\t"):
			cases++
			resp, got := c.do(operation, []byte(body))
			if got, want := strings.TrimSpace(outcome(resp, got)), strings.TrimSpace(line); got != want {
				t.Errorf("line %d: %s %s\n got %s\nwant %s", i+1, operation, body, got, want)
			}
		default:
			operation, body, _ = strings.Cut(line, " ")
		}
	}
	if cases < 100 {
		t.Errorf("only %d cases", cases)
	}
}

// DynamoDB compresses what a client takes compressed, and gives the checksum of what goes over the wire.
func TestDynamoDBCompression(t *testing.T) {
	c := newRawClient(t)
	c.makeTables()
	text := strings.Repeat("long ", 1000)
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	fmt.Fprintf(w, `{"TableName":"hash","Item":{"a":{"S":"x"},"t":{"S":%q}}}`, text)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if resp, body := c.do("PutItem", packed.Bytes(), "Content-Encoding", "gzip"); resp.StatusCode != http.StatusOK {
		t.Fatalf("%s", body)
	}
	if resp, body := c.do("PutItem", []byte("{}"), "Content-Encoding", "gzip"); !strings.HasPrefix(outcome(resp, body), "SerializationException") {
		t.Errorf("no gzip: %s", body)
	}
	get := []byte(`{"TableName":"hash","Key":{"a":{"S":"x"}}}`)
	resp, body := c.do("GetItem", get, "Accept-Encoding", "deflate, gzip")
	if resp.Header.Get("Content-Encoding") != "gzip" || len(body) > 1000 {
		t.Fatalf("an answer of %d bytes, encoded as %q", len(body), resp.Header.Get("Content-Encoding"))
	}
	r, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := io.ReadAll(r); err != nil || !bytes.Contains(plain, []byte(text)) {
		t.Errorf("an answer of %d bytes, %v", len(plain), err)
	}
	for _, accept := range []string{"identity", "gzip;q=0", "br"} {
		if resp, body := c.do("GetItem", get, "Accept-Encoding", accept); resp.Header.Get("Content-Encoding") != "" || len(body) < len(text) {
			t.Errorf("%s: an answer of %d bytes, encoded as %q", accept, len(body), resp.Header.Get("Content-Encoding"))
		}
	}
	// Small answers go out as they are.
	if resp, _ := c.do("GetItem", []byte(`{"TableName":"hash","Key":{"a":{"S":"nobody"}}}`), "Accept-Encoding", "gzip"); resp.Header.Get("Content-Encoding") != "" {
		t.Error("a small answer is compressed")
	}
}
