//go:build linux && (amd64 || arm64)

package sandbox

import "testing"

// openLinux opens the Linux driver, and skips the test where there are no sandboxes.
func openLinux(t testing.TB) *driver {
	d, err := newDriver(testOptions(t))
	if err != nil {
		t.Skip(err)
	}
	return d
}

func TestLinuxContract(t *testing.T) {
	testContract(t, func(t *testing.T) Driver { return openLinux(t) })
}
