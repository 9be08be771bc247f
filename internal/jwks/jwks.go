// Package jwks fetches the keys that OpenID Connect providers sign with, by way of their discovery documents, and
// remembers them.
//
// It promises that only HTTPS is spoken, that what a provider sends is bounded in size and time, and that a provider is
// asked at most once in a while, however many tokens come that claim to be its. The one exception is for providers that run
// on this machine while something is developed: an issuer whose URL is http on a loopback host is asked there, by its
// address, and for everything.
//
// Whoever may register a provider has this server ask there. On a laptop or in a private network the provider may well be at
// a loopback or private address, so an issuer's own URL may lead to one. Nothing that a provider says may, though, neither
// the URL of its keys nor a redirect, unless it is at the issuer's own host; and nothing leads to link-local addresses, where
// clouds keep the credentials of machines. What a provider answers is shown to nobody.
//
// https://openid.net/specs/openid-connect-discovery-1_0.html
package jwks

import (
	"context"
	"crypto/sha1" //nolint:gosec // thumbprints are SHA-1 in IAM
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-jose/go-jose/v4"

	"brume/internal/recent"
)

const (
	// lifetime is how long keys are remembered.
	lifetime = time.Hour
	// pause is how long a provider is left alone after it was asked.
	pause = 10 * time.Second
	// patience is how long a provider may take for one answer.
	patience = 5 * time.Second
	// maxDocument is the longest answer that is read, in bytes.
	maxDocument = 512 << 10
	// maxProviders is how many providers are remembered, at least.
	maxProviders = 256
	maxRedirects = 3
)

// A Source fetches and remembers keys. It is safe for concurrent use.
type Source struct {
	mu        sync.Mutex // held to add a provider
	providers *recent.Map[string, *provider]
}

// NewSource returns a Source that remembers nothing yet.
func NewSource() *Source {
	return &Source{providers: recent.NewMap[string, *provider](maxProviders)}
}

// A provider is what is known of one. Its lock is held while it is asked, so that others wait for the same answer.
type provider struct {
	mu      sync.Mutex
	keys    *jose.JSONWebKeySet
	fetched time.Time // when keys came
	asked   time.Time // when it was asked last
	err     error     // of the last time
}

// SigningKeys returns the keys of the provider at the issuer's URL. Remembered keys will do unless fresh is set; even then
// a provider that was asked just now is not asked again. thumbprints are the SHA-1 fingerprints of certificates, in
// hexadecimal, that are trusted to have issued the provider's besides those that the system trusts.
func (s *Source) SigningKeys(ctx context.Context, issuer string, thumbprints []string, fresh bool) (*jose.JSONWebKeySet, error) {
	// Whoever may register a provider may also say whom to trust for it, so what was fetched counts for that trust alone.
	p := s.provider(issuer + "\n" + strings.Join(thumbprints, ","))
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if now.Sub(p.asked) < pause || !fresh && p.keys != nil && now.Sub(p.fetched) < lifetime {
		return p.keys, p.err
	}
	// The answer is for all who wait, so it does not end with the request of the one who asks.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*patience)
	defer cancel()
	keys, err := fetch(ctx, issuer, thumbprints)
	p.asked, p.err = time.Now(), err
	if err == nil {
		p.keys, p.fetched = keys, p.asked
	}
	return keys, err
}

func (s *Source) provider(key string) *provider {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.providers.Get(key)
	if !ok {
		p = &provider{}
		s.providers.Set(key, p)
	}
	return p
}

func fetch(ctx context.Context, issuer string, thumbprints []string) (*jose.JSONWebKeySet, error) {
	u, err := url.Parse(issuer)
	if err != nil {
		return nil, err
	}
	client := newClient(u, thumbprints)
	defer client.CloseIdleConnections()
	var discovery struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := get(ctx, client, u.Scheme, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration", &discovery); err != nil {
		return nil, err
	}
	if discovery.Issuer != issuer {
		return nil, fmt.Errorf("jwks: the discovery document of %s is that of %s", issuer, discovery.Issuer)
	}
	keys := new(jose.JSONWebKeySet)
	return keys, get(ctx, client, u.Scheme, discovery.Keys, keys)
}

// newClient returns a client for the provider at a URL.
func newClient(issuer *url.URL, thumbprints []string) *http.Client {
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return dial(ctx, network, address, issuer.Hostname(), thumbprints)
		},
		// What goes through a proxy is the proxy's to dial.
		TLSClientConfig: tlsConfig("", thumbprints),
	}
	if issuer.Scheme == "http" {
		transport = &http.Transport{DialContext: dialHere}
	}
	return &http.Client{
		Timeout:   patience,
		Transport: transport,
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return errors.New("jwks: too many redirects")
			}
			return checkURL(r.URL, issuer.Scheme)
		},
	}
}

// dialHere opens a connection to this machine, and to no other.
func dialHere(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Control: func(_, at string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(at)
		if err == nil && !to.Addr().Unmap().IsLoopback() {
			err = fmt.Errorf("jwks: %s is at %s, which is not this machine", address, to.Addr())
		}
		return err
	}}
	return d.DialContext(ctx, network, address)
}

// dial opens a connection to a provider, home being the issuer's host.
func dial(ctx context.Context, network, address, home string, thumbprints []string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	d := net.Dialer{Control: func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err == nil && !mayAsk(at.Addr().Unmap(), strings.EqualFold(host, home)) {
			err = fmt.Errorf("jwks: %s is at %s, which no provider may lead to", host, at.Addr())
		}
		return err
	}}
	plain, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(plain, tlsConfig(host, thumbprints))
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, plain.Close())
	}
	return conn, nil
}

// shared are the addresses of carriers, which are nobody's in the Internet.
// https://www.rfc-editor.org/rfc/rfc6598
var shared = netip.MustParsePrefix("100.64.0.0/10")

// mayAsk says whether an address may be asked, as that of the issuer's host or of another.
func mayAsk(ip netip.Addr, home bool) bool {
	switch {
	case ip.IsLoopback(), ip.IsPrivate(), shared.Contains(ip):
		return home
	}
	return ip.IsGlobalUnicast()
}

// tlsConfig checks certificates for a host, or, if that is empty, for the name that was asked for.
func tlsConfig(host string, thumbprints []string) *tls.Config {
	return &tls.Config{
		ServerName: host,
		// VerifyConnection does what this leaves out, with more authorities.
		InsecureSkipVerify: true,
		VerifyConnection: func(cs tls.ConnectionState) error {
			name := host
			if name == "" {
				name = cs.ServerName // which is never an address
			}
			return verify(cs.PeerCertificates, name, thumbprints)
		},
	}
}

// verify checks a server's certificate as crypto/tls does; a certificate of its chain with one of the thumbprints counts as
// an authority.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_create_oidc_verify-thumbprint.html
func verify(chain []*x509.Certificate, host string, thumbprints []string) error {
	if host == "" {
		return errors.New("jwks: a certificate for no host")
	}
	options := x509.VerifyOptions{DNSName: host, Intermediates: x509.NewCertPool()}
	for _, cert := range chain[1:] {
		options.Intermediates.AddCert(cert)
	}
	_, err := chain[0].Verify(options)
	if err == nil {
		return nil
	}
	options.Roots = x509.NewCertPool()
	for _, cert := range chain {
		sum := sha1.Sum(cert.Raw) //nolint:gosec // see above
		if slices.ContainsFunc(thumbprints, func(t string) bool { return strings.EqualFold(t, hex.EncodeToString(sum[:])) }) {
			options.Roots.AddCert(cert)
		}
	}
	if _, trusted := chain[0].Verify(options); trusted != nil {
		return err
	}
	return nil
}

// CheckIssuer refuses what is no URL of an issuer: it is https, or http on a host that can only be this machine.
func CheckIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil {
		return err
	}
	return checkURL(u, u.Scheme)
}

// checkURL refuses URLs but those of a scheme, which is the issuer's: nothing that a provider over TLS says leads out of it.
func checkURL(u *url.URL, scheme string) error {
	switch {
	case u.Scheme == "http" && scheme == "http" && isHere(u.Hostname()):
		return nil
	case u.Scheme == "http" && scheme == "http":
		return fmt.Errorf("jwks: %s is neither an https URL nor on a loopback host", u.Redacted())
	case u.Scheme != "https" || scheme != "https" || u.Host == "":
		return fmt.Errorf("jwks: %s is not an https URL", u.Redacted())
	}
	return nil
}

// isHere says whether a host can only be this machine: a loopback address, localhost, or a name below it.
// https://www.rfc-editor.org/rfc/rfc6761#section-6.3
func isHere(host string) bool {
	host = strings.ToLower(host)
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// get reads the JSON at a URL of a scheme into v.
func get(ctx context.Context, client *http.Client, scheme, address string, v any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	if err := checkURL(r.URL, scheme); err != nil {
		return err
	}
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("jwks: %s answers %s", address, resp.Status)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	switch {
	case err != nil:
		return err
	case len(data) > maxDocument:
		return fmt.Errorf("jwks: %s is longer than %d bytes", address, maxDocument)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("jwks: %s: %w", address, err)
	}
	return nil
}
