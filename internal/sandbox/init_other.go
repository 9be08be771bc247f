//go:build !linux || !(amd64 || arm64)

package sandbox

// Init is what the binary does when it was executed by a driver, which IsInit tells. main calls it before anything else;
// it does not return.
func Init() { plainInit() }

// New returns the plain driver: this system has no other.
func New(o Options) (Driver, error) { return newPlain(o, noSandbox), nil }
