package sandboxnet

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// hostBundles are where systems keep the certificates of the authorities that they trust.
func hostBundles() []string {
	return []string{
		"/etc/ssl/certs/ca-certificates.crt",                // Debian, Arch, Alpine
		"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Fedora, RHEL
		"/etc/ssl/ca-bundle.pem",                            // openSUSE
		"/etc/ssl/cert.pem",                                 // macOS, BSD
	}
}

// Install writes two files into dir, which it makes if need be, readable for everybody: the authorities that the host
// trusts together with this one, and this one alone. Sandboxes show them.
func (ca *CA) Install(dir string) (bundle, certificate string, err error) {
	var host []byte
	for _, path := range hostBundles() {
		if host, err = os.ReadFile(path); err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", "", fmt.Errorf("sandboxnet: %w", err)
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", "", fmt.Errorf("sandboxnet: %w", err)
	}
	bundle, certificate = filepath.Join(dir, "ca-bundle.pem"), filepath.Join(dir, "ca.pem")
	for path, data := range map[string][]byte{bundle: ca.Bundle(host), certificate: ca.pem} {
		if err := writeFile(path, data, 0o644); err != nil {
			return "", "", fmt.Errorf("sandboxnet: %w", err)
		}
	}
	return bundle, certificate, nil
}
