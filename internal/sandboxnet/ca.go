package sandboxnet

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	caFile     = "sandbox-ca.pem"
	caLifetime = 10 * 365 * 24 * time.Hour
	// caRenewal is how long before its end an authority is replaced: longer than any sandbox that trusts it lives.
	caRenewal = 30 * 24 * time.Hour

	leafLifetime = 30 * 24 * time.Hour
	leafRenewal  = 2 * 24 * time.Hour
	// maxLeaves bounds the cache of certificates. A function that asks for more names, of buckets for instance, only
	// pays for signatures again.
	maxLeaves = 256
)

// A CA is a certificate authority for the names inside sandboxes. Its methods may be called from any goroutine.
type CA struct {
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	pem   []byte // the certificate
	names Names
	now   func() time.Time

	mu     sync.Mutex
	leaves map[string]*tls.Certificate
	order  []string // of leaves, the oldest first
	// leafKey is shared by all certificates: whoever can read one key of this process can read all of them.
	leafKey *ecdsa.PrivateKey
}

// OpenCA opens the authority in dir, and makes one on the first call. Certificate and key are kept in one file there,
// mode 0600. A file that cannot be read as such is an error: nothing of the user's is overwritten.
func OpenCA(dir string, names Names) (*CA, error) {
	path := filepath.Join(dir, caFile)
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("sandboxnet: %w", err)
	}
	ca := &CA{names: names, now: time.Now, leaves: make(map[string]*tls.Certificate), leafKey: leafKey}
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("sandboxnet: %w", err)
	default:
		if err := ca.load(data); err != nil {
			return nil, fmt.Errorf("sandboxnet: %s: %w", path, err)
		}
		if ca.now().Before(ca.cert.NotAfter.Add(-caRenewal)) {
			return ca, nil
		}
	}
	if data, err = ca.create(); err != nil {
		return nil, fmt.Errorf("sandboxnet: %w", err)
	}
	if err := writeFile(path, data); err != nil {
		return nil, fmt.Errorf("sandboxnet: %w", err)
	}
	return ca, nil
}

// Certificate returns the authority's certificate as PEM. It must not be modified.
func (ca *CA) Certificate() []byte { return ca.pem }

// Bundle returns host, a PEM file of certificates that may be empty, with the authority's certificate behind it.
func (ca *CA) Bundle(host []byte) []byte {
	out := bytes.Clone(host)
	if len(out) > 0 && out[len(out)-1] != '\n' {
		out = append(out, '\n')
	}
	return append(out, ca.pem...)
}

func (ca *CA) load(data []byte) error {
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		var err error
		switch block.Type {
		case "CERTIFICATE":
			if ca.cert, err = x509.ParseCertificate(block.Bytes); err != nil {
				return err
			}
			ca.pem = pem.EncodeToMemory(block)
		case "EC PRIVATE KEY":
			if ca.key, err = x509.ParseECPrivateKey(block.Bytes); err != nil {
				return err
			}
		}
	}
	if ca.cert == nil || ca.key == nil {
		return errors.New("certificate or key is missing")
	}
	if !ca.key.PublicKey.Equal(ca.cert.PublicKey) || !ca.cert.IsCA {
		return errors.New("the key does not belong to the certificate of an authority")
	}
	return nil
}

// create makes a new authority and returns it as the file has it.
func (ca *CA) create() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	now := ca.now()
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{Organization: []string{"Brume"}, CommonName: "Brume sandbox CA"},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(caLifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	data := append(
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})...)
	return data, ca.load(data)
}

// GetCertificate is for tls.Config. It issues a certificate for the name the client asks for, which must be one of the
// CA's names; a client that asks for none gets one for localhost and the loopback address.
func (ca *CA) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := normalize(hello.ServerName)
	if name == "" {
		name = "localhost"
	}
	if !ca.names.Has(name) {
		return nil, fmt.Errorf("sandboxnet: no certificate for %q", name)
	}
	ca.mu.Lock()
	defer ca.mu.Unlock()
	if c := ca.leaves[name]; c != nil && ca.now().Before(c.Leaf.NotAfter.Add(-leafRenewal)) {
		return c, nil
	}
	c, err := ca.issue(name)
	if err != nil {
		return nil, fmt.Errorf("sandboxnet: %w", err)
	}
	if _, renewed := ca.leaves[name]; !renewed {
		if len(ca.order) == maxLeaves {
			delete(ca.leaves, ca.order[0])
			ca.order = append(ca.order[:0], ca.order[1:]...)
		}
		ca.order = append(ca.order, name)
	}
	ca.leaves[name] = c
	return c, nil
}

func (ca *CA) issue(name string) (*tls.Certificate, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	now := ca.now()
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{Organization: []string{"Brume"}},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              minTime(now.Add(leafLifetime), ca.cert.NotAfter),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		DNSNames:              []string{name},
	}
	if name == "localhost" {
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, &ca.leafKey.PublicKey, ca.key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: ca.leafKey, Leaf: leaf}, nil
}

func newSerial() (*big.Int, error) {
	return rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// writeFile puts data at path, readable for the owner alone: all of it or nothing, also after a crash.
func writeFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), caFile+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
