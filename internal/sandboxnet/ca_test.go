package sandboxnet

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func openCA(t testing.TB, dir string) *CA {
	t.Helper()
	ca, err := OpenCA(dir, Names{})
	must(t, err)
	return ca
}

func TestOpenCAKeepsItsAuthority(t *testing.T) {
	dir := t.TempDir()
	first := openCA(t, dir)
	info, err := os.Stat(filepath.Join(dir, caFile))
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the key is kept with mode %v", info.Mode())
	}
	if years := first.cert.NotAfter.Sub(first.cert.NotBefore).Hours() / 24 / 365; years < 9.9 || years > 10.1 {
		t.Errorf("the authority lives for %.1f years", years)
	}
	second := openCA(t, dir)
	if !bytes.Equal(first.Certificate(), second.Certificate()) {
		t.Error("a second start makes another authority")
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
	if bytes.Contains(first.Certificate(), []byte("PRIVATE")) || bytes.Contains(first.Bundle(nil), []byte("PRIVATE")) {
		t.Error("the key is given away")
	}
}

func TestOpenCARefusesWhatItCannotRead(t *testing.T) {
	good := t.TempDir()
	openCA(t, good)
	file, err := os.ReadFile(filepath.Join(good, caFile))
	must(t, err)
	other := t.TempDir()
	openCA(t, other)
	otherFile, err := os.ReadFile(filepath.Join(other, caFile))
	must(t, err)
	split := bytes.Index(file, []byte("-----BEGIN EC"))

	for name, data := range map[string][]byte{
		"empty":      {},
		"no key":     file[:split],
		"no cert":    file[split:],
		"other key":  append(bytes.Clone(file[:split]), otherFile[bytes.Index(otherFile, []byte("-----BEGIN EC")):]...),
		"torn":       file[:len(file)-40],
		"no DER":     []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
		"no DER key": append(bytes.Clone(file[:split]), "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n"...),
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, caFile)
		must(t, os.WriteFile(path, data, 0o600))
		if _, err := OpenCA(dir, Names{}); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
		if after, _ := os.ReadFile(path); !bytes.Equal(after, data) {
			t.Errorf("%s: the file was overwritten", name)
		}
	}
	if _, err := OpenCA(filepath.Join(good, "not there"), Names{}); err == nil {
		t.Error("no error for a directory that is not there")
	}
}

func TestOpenCAReplacesAnOldAuthority(t *testing.T) {
	dir := t.TempDir()
	old := &CA{now: func() time.Time { return time.Now().Add(caRenewal - caLifetime - time.Hour) }}
	data, err := old.create()
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, caFile), data, 0o600))
	if renewed := openCA(t, dir); bytes.Equal(renewed.Certificate(), old.pem) {
		t.Error("an authority at its end is kept")
	}
}

func TestGetCertificate(t *testing.T) {
	ca := openCA(t, t.TempDir())
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca.Bundle([]byte("# of the host"))) {
		t.Fatal("the bundle holds no certificate")
	}
	for sni, verify := range map[string]string{
		"dynamodb.us-east-1.amazonaws.com": "dynamodb.us-east-1.amazonaws.com",
		"STS.amazonaws.com":                "sts.amazonaws.com",
		"":                                 "127.0.0.1",
		"localhost":                        "localhost",
	} {
		c, err := ca.GetCertificate(&tls.ClientHelloInfo{ServerName: sni})
		must(t, err)
		if _, err := c.Leaf.Verify(x509.VerifyOptions{DNSName: verify, Roots: roots}); err != nil {
			t.Errorf("%q: %v", sni, err)
		}
		if err := c.Leaf.VerifyHostname("sqs.us-east-1.amazonaws.com"); err == nil {
			t.Errorf("the certificate for %q is good for other names", sni)
		}
	}
	for _, sni := range []string{"example.org", "amazonaws.com", "127.0.0.1"} {
		if _, err := ca.GetCertificate(&tls.ClientHelloInfo{ServerName: sni}); err == nil {
			t.Errorf("a certificate for %q", sni)
		}
	}
}

func TestCertificatesAreCachedBoundedAndRenewed(t *testing.T) {
	ca := openCA(t, t.TempDir())
	get := func(name string) *tls.Certificate {
		t.Helper()
		c, err := ca.GetCertificate(&tls.ClientHelloInfo{ServerName: name})
		must(t, err)
		return c
	}
	first := get("sts.amazonaws.com")
	if get("sts.amazonaws.com") != first {
		t.Error("a certificate is not cached")
	}
	now := time.Now()
	ca.now = func() time.Time { return now.Add(leafLifetime - leafRenewal + time.Minute) }
	renewed := get("sts.amazonaws.com")
	if renewed == first || len(ca.order) != 1 {
		t.Errorf("a certificate at its end is not renewed in place: %v", ca.order)
	}
	for i := range maxLeaves {
		get(fmt.Sprintf("b%d.s3.amazonaws.com", i))
	}
	if len(ca.leaves) != maxLeaves || len(ca.order) != maxLeaves {
		t.Errorf("%d certificates are cached, %d in order", len(ca.leaves), len(ca.order))
	}
	if get("sts.amazonaws.com") == renewed {
		t.Error("the oldest certificate did not make room")
	}
}
