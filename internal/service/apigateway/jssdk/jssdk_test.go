package jssdk

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	api "brume/internal/api/apigateway"
	"brume/internal/service/apigateway/openapi"
)

func TestMethodNames(t *testing.T) {
	for _, tt := range []struct{ path, verb, want string }{
		{"/", "GET", "rootGet"},
		{"/pets", "POST", "petsPost"},
		{"/pets/{petId}", "GET", "petsPetIdGet"},
		{"/{proxy+}", "PUT", "proxyPut"},
		{"/a-b/c.d", "GET", "aBCDGet"},
		{"/1st", "GET", "_1stGet"},
	} {
		if got := methodName(tt.path, tt.verb); got != tt.want {
			t.Errorf("%s %s: %s, want %s", tt.verb, tt.path, got, tt.want)
		}
	}
}

func definition() *openapi.Definition {
	return &openapi.Definition{Name: "Pets */ alert(1)\n</script>", Methods: []openapi.Method{
		{Path: "/", Method: api.Method{HttpMethod: new("GET"), AuthorizationType: new("AWS_IAM")}},
		{Path: "/pets/{id}", Method: api.Method{HttpMethod: new("POST"), AuthorizationType: new("NONE"), RequestParameters: map[string]bool{
			"method.request.querystring.q": true, "method.request.header.X-H": false, "method.request.path.id": true,
		}}},
		{Path: "/any/{proxy+}", Method: api.Method{HttpMethod: new("ANY")}},
	}}
}

// unpack writes an SDK below a directory and returns a program for Node.js that loads it as a page does, from its README.
func unpack(t *testing.T, data []byte) (loader string) {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var readme string
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
		if f.Name == root+"README.md" {
			readme = string(content)
		}
	}
	var b strings.Builder
	b.WriteString("const vm = require('vm'), fs = require('fs');\n")
	for line := range strings.Lines(readme) {
		if _, rest, ok := strings.Cut(line, `src="`); ok {
			name, _, _ := strings.Cut(rest, `"`)
			path, err := json.Marshal(filepath.Join(dir, root, name))
			if err != nil {
				t.Fatal(err)
			}
			b.WriteString("vm.runInThisContext(fs.readFileSync(" + string(path) + ", 'utf8'), " + string(path) + ");\n")
		}
	}
	return b.String()
}

func node(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath("node")
	if err != nil {
		t.Skip("this machine has no Node.js")
	}
	cmd := exec.CommandContext(t.Context(), path, "-")
	cmd.Stdin = strings.NewReader(program)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// The client, loaded as a page loads it, sends what it is asked to.
func TestClientInNode(t *testing.T) {
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		authorization, _, _ := strings.Cut(r.Header.Get("Authorization"), "/")
		got = append(got, strings.Join([]string{r.Method, r.RequestURI, r.Header.Get("X-Api-Key"), r.Header.Get("X-H"), authorization, string(body)}, "|"))
		w.Header().Set("Content-Type", "application/json")
		if r.Method == "DELETE" {
			w.WriteHeader(403)
		}
		w.Write([]byte(`{"a":1}`))
	}))
	defer server.Close()
	data, err := Generate(definition(), server.URL+"/base", "us-east-1")
	if err != nil {
		t.Fatal(err)
	}
	out := node(t, unpack(t, data)+`
const c = apigClientFactory.newClient({apiKey: 'KEY', accessKey: 'AKIA', secretKey: 's'});
(async () => {
	const r = await c.petsIdPost({id: 'a b/c', q: "x'y", 'X-H': 'h', extra: 1}, {name: 'Ada'}, {queryParams: {z: ['1', '2']}});
	console.log(r.status, r.data.a);
	await c.rootGet();
	await c.anyProxyPut({proxy: 'x/y z'}, 'text');
	await c.anyProxyDelete({proxy: 'x'}).catch(e => console.log(e.response.status));
	try { c.petsIdPost({id: 1}) } catch (e) { console.log(e) }
})();`)
	if out != "200 1\n403\nq must be defined" && out != "200 1\nq must be defined\n403" {
		t.Errorf("printed %s", out)
	}
	want := []string{
		`POST|/base/pets/a%20b%2Fc?q=x%27y&z=1&z=2|KEY|h||{"name":"Ada"}`,
		`GET|/base/|KEY||AWS4-HMAC-SHA256 Credential=AKIA|`,
		`PUT|/base/any/x/y%20z|KEY|||text`,
		`DELETE|/base/any/x|KEY|||`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("sent\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// RFC 4231, cases 2 and 6, and FIPS 180-4's examples.
func TestCryptographyInNode(t *testing.T) {
	data, err := Generate(definition(), "http://x", "us-east-1")
	if err != nil {
		t.Fatal(err)
	}
	out := node(t, unpack(t, data)+`
console.log(String(CryptoJS.SHA256('')));
console.log(String(CryptoJS.SHA256('abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq')));
console.log(String(CryptoJS.HmacSHA256('what do ya want for nothing?', 'Jefe')));
console.log(String(CryptoJS.HmacSHA256('Test Using Larger Than Block-Size Key - Hash Key First', {bytes: Array(131).fill(0xaa)})));`)
	want := `e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1
5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843
60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54`
	if out != want {
		t.Errorf("got\n%s", out)
	}
}
