package jwks

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// idp is an identity provider, whose answers a test may change.
type idp struct {
	*httptest.Server
	asked     atomic.Int64
	discovery func() any
	keys      func(http.ResponseWriter)
}

func newIDP(t *testing.T) *idp {
	t.Helper()
	p := &idp{}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p.discovery = func() any { return map[string]string{"issuer": p.URL + "/path", "jwks_uri": p.URL + "/keys"} }
	p.keys = func(w http.ResponseWriter) {
		json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "1"}}})
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/path/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		p.asked.Add(1)
		json.NewEncoder(w).Encode(p.discovery())
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) { p.keys(w) })
	p.Server = httptest.NewTLSServer(mux)
	p.Config.ErrorLog = nil
	t.Cleanup(p.Close)
	return p
}

func (p *idp) thumbprint() string {
	sum := sha1.Sum(p.Certificate().Raw)
	return hex.EncodeToString(sum[:])
}

func TestSigningKeys(t *testing.T) {
	p, s := newIDP(t), NewSource()
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			keys, err := s.SigningKeys(t.Context(), p.URL+"/path", []string{strings.ToUpper(p.thumbprint())}, false)
			if err != nil || len(keys.Keys) != 1 || keys.Keys[0].KeyID != "1" {
				t.Errorf("%+v, %v", keys, err)
			}
		})
	}
	all.Wait()
	// A flood of tokens with unknown keys is no flood for the provider.
	for range 20 {
		if keys, err := s.SigningKeys(t.Context(), p.URL+"/path", []string{strings.ToUpper(p.thumbprint())}, true); err != nil || keys == nil {
			t.Fatal(err)
		}
	}
	if n := p.asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_create_oidc_verify-thumbprint.html
func TestOnlyTrustedCertificates(t *testing.T) {
	p, s := newIDP(t), NewSource()
	for _, thumbprints := range [][]string{nil, {strings.Repeat("0", 40)}, {""}} {
		if _, err := s.SigningKeys(t.Context(), p.URL+"/path", thumbprints, true); err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%q: %v", thumbprints, err)
		}
	}
	if n := p.asked.Load(); n != 0 {
		t.Error("asked over a connection that was not trusted")
	}
	// Trust in one registration is none in another.
	if _, err := s.SigningKeys(t.Context(), p.URL+"/path", []string{p.thumbprint()}, false); err != nil {
		t.Error(err)
	}
	if _, err := s.SigningKeys(t.Context(), p.URL+"/path", nil, false); err == nil {
		t.Error("keys that another registration trusted")
	}
}

// A certificate counts for the host that was asked, also where that is an address, for which no name is sent.
func TestCertificatesOfOtherHosts(t *testing.T) {
	p := newIDP(t) // whose certificate is for 127.0.0.1, ::1 and example.com
	other := strings.Replace(p.URL, "127.0.0.1", "127.0.0.2", 1)
	l, err := net.Listen("tcp", strings.TrimPrefix(other, "https://"))
	if err != nil {
		t.Skip("no second loopback address:", err)
	}
	server := &http.Server{Handler: http.NotFoundHandler(), ErrorLog: log.New(io.Discard, "", 0), TLSConfig: p.TLS}
	done := make(chan struct{})
	go func() { defer close(done); server.ServeTLS(l, "", "") }()
	t.Cleanup(func() { server.Close(); <-done })
	if _, err := NewSource().SigningKeys(t.Context(), other, []string{p.thumbprint()}, false); err == nil || !strings.Contains(err.Error(), "not 127.0.0.2") {
		t.Error(err)
	}
}

// A provider may be at home anywhere but at link-local addresses; it may not send this server to others' private ones.
func TestWhereProvidersLead(t *testing.T) {
	for address, want := range map[string][2]bool{ // as the issuer's host, as another
		"93.184.216.34": {true, true}, "2606:2800:220::1": {true, true},
		"127.0.0.1": {true, false}, "::1": {true, false}, "10.1.2.3": {true, false}, "192.168.1.1": {true, false},
		"100.64.0.1": {true, false}, "fd00:ec2::254": {true, false},
		"169.254.169.254": {}, "fe80::1": {}, "0.0.0.0": {}, "::": {}, "224.0.0.1": {}, "255.255.255.255": {},
	} {
		ip := netip.MustParseAddr(address)
		if got := [2]bool{mayAsk(ip, true), mayAsk(ip, false)}; got != want {
			t.Errorf("%s: %v, want %v", address, got, want)
		}
	}
	p := newIDP(t)
	p.discovery = func() any {
		return map[string]string{"issuer": p.URL + "/path", "jwks_uri": strings.Replace(p.URL, "127.0.0.1", "localhost", 1) + "/keys"}
	}
	if _, err := NewSource().SigningKeys(t.Context(), p.URL+"/path", []string{p.thumbprint()}, false); err == nil || !strings.Contains(err.Error(), "no provider may lead to") {
		t.Error(err)
	}
}

func TestBadProviders(t *testing.T) {
	tests := []struct {
		name string
		set  func(*idp)
		want string
	}{
		{"another issuer", func(p *idp) {
			p.discovery = func() any { return map[string]string{"issuer": "https://other", "jwks_uri": p.URL + "/keys"} }
		}, "is that of https://other"},
		{"keys without TLS", func(p *idp) {
			p.discovery = func() any {
				return map[string]string{"issuer": p.URL + "/path", "jwks_uri": strings.Replace(p.URL, "https", "http", 1) + "/keys"}
			}
		}, "not an https URL"},
		{"keys in a file", func(p *idp) {
			p.discovery = func() any {
				return map[string]string{"issuer": p.URL + "/path", "jwks_uri": "file:///etc/passwd"}
			}
		}, "not an https URL"},
		{"no keys", func(p *idp) { p.keys = func(w http.ResponseWriter) { w.WriteHeader(404) } }, "404"},
		{"no JSON", func(p *idp) { p.keys = func(w http.ResponseWriter) { w.Write([]byte("<html>")) } }, "invalid character"},
		{"endless keys", func(p *idp) {
			p.keys = func(w http.ResponseWriter) { w.Write([]byte(strings.Repeat(" ", maxDocument+1))) }
		}, "longer than"},
		{"a redirect out of TLS", func(p *idp) {
			p.keys = func(w http.ResponseWriter) {
				w.Header().Set("Location", "http://127.0.0.1:1/keys")
				w.WriteHeader(302)
			}
		}, "not an https URL"},
		{"a loop", func(p *idp) {
			p.keys = func(w http.ResponseWriter) {
				w.Header().Set("Location", "/keys")
				w.WriteHeader(302)
			}
		}, "too many redirects"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, s := newIDP(t), NewSource()
			tt.set(p)
			if _, err := s.SigningKeys(t.Context(), p.URL+"/path", []string{p.thumbprint()}, false); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v", err)
			}
			// The failure is remembered for a while too.
			if _, err := s.SigningKeys(t.Context(), p.URL+"/path", []string{p.thumbprint()}, false); err == nil || p.asked.Load() != 1 {
				t.Errorf("%v, asked %d times", err, p.asked.Load())
			}
		})
	}
}

// An issuer on this machine needs no TLS, and leads nowhere else.
func TestIssuersOfThisMachine(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	jwksURI := "/keys"
	var srv *httptest.Server
	srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/.well-known/openid-configuration":
			at := jwksURI
			if strings.HasPrefix(at, "/") {
				at = srv.URL + at
			}
			json.NewEncoder(w).Encode(map[string]string{"issuer": "http://" + r.Host, "jwks_uri": at})
		case "/keys":
			json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "1"}}})
		case "/away":
			http.Redirect(w, r, "http://192.0.2.1/keys", http.StatusFound)
		}
	}))
	defer srv.Close()
	port := srv.URL[strings.LastIndexByte(srv.URL, ':'):]
	for _, issuer := range []string{srv.URL, "http://localhost" + port} {
		if keys, err := NewSource().SigningKeys(t.Context(), issuer, nil, false); err != nil || len(keys.Keys) != 1 {
			t.Errorf("%s: %v", issuer, err)
		}
	}
	for _, uri := range []string{"/away", "http://192.0.2.1/keys", "http://example.com/keys", "https://127.0.0.1" + port + "/keys", "file:///etc/passwd"} {
		jwksURI = uri
		if _, err := NewSource().SigningKeys(t.Context(), srv.URL, nil, false); err == nil || !strings.Contains(err.Error(), "URL") {
			t.Errorf("%s: %v", uri, err)
		}
	}
	if _, err := dialHere(t.Context(), "tcp", "192.0.2.1:80"); err == nil || !strings.Contains(err.Error(), "not this machine") {
		t.Error(err)
	}
	for issuer, ok := range map[string]bool{
		"https://issuer.example": true, "http://localhost:8080/realm": true, "http://LOCALHOST": true, "http://idp.localhost": true, "http://127.1.2.3": true, "http://[::1]:80": true,
		"http://issuer.example": false, "http://10.0.0.1": false, "http://localhost.example": false, "http://xlocalhost": false, "https://": false, "localhost": false, "ftp://localhost": false, "": false,
	} {
		if err := CheckIssuer(issuer); (err == nil) != ok {
			t.Errorf("%s: %v", issuer, err)
		}
	}
}
