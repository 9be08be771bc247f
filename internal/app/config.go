package app

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"brume/internal/jwks"
	"brume/internal/runtimes"
	"brume/internal/sandboxnet"
)

// What a server uses where the user decides nothing.
const (
	DefaultListen  = "127.0.0.1:4566"
	DefaultAccount = "000000000000"
	DefaultRegion  = "us-east-1"
)

// DefaultDataDir is $XDG_DATA_HOME/brume, or ~/.local/share/brume.
// https://specifications.freedesktop.org/basedir-spec/latest/
func DefaultDataDir() string {
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "brume")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "brume-data"
	}
	return filepath.Join(home, ".local", "share", "brume")
}

// Config is what a user decides about a server.
type Config struct {
	Listen    string // address and port
	DataDir   string
	AccountID string
	Region    string
	LogFormat string // "text" or "json"
	// CacheBytes bounds how much of the store is kept in memory for reading; 0 means a few megabytes.
	CacheBytes int64
	// TrailBytes bounds the audit trail; 0 is its default.
	TrailBytes int64
	// TestCredentials accepts well-known keys and opens the reset; on loopback addresses only.
	TestCredentials bool
	// Functions says how functions are run.
	Functions FunctionsConfig
	// UserPools are the URLs of those who issue the tokens of Cognito user pools, by the pool's id.
	UserPools map[string]string
	// Runtimes are what functions can be written in.
	Runtimes *runtimes.Catalog
	// Ready, if it is set, is called in the place of the greeting, when the server answers.
	Ready   func()
	Version string
}

// FunctionsConfig is what a user decides about functions.
type FunctionsConfig struct {
	// Network is how far functions reach: "internet", which is the default, or "none", Brume alone.
	Network string
	// NetworkAllow are prefixes of addresses that they reach besides the Internet, NetworkDeny those that they do not reach.
	NetworkAllow, NetworkDeny []string
	// IdleTimeout is how long an environment waits for an invocation; 0 is the default.
	IdleTimeout time.Duration
	// RequireSandbox refuses to run where a protection is missing.
	RequireSandbox bool
}

// egress is where functions reach beyond Brume; nil is nowhere.
func (c *FunctionsConfig) egress() (*sandboxnet.Egress, error) {
	e := &sandboxnet.Egress{}
	for _, l := range []struct {
		flag string
		from []string
		to   *[]netip.Prefix
	}{{"--function-network-allow", c.NetworkAllow, &e.Allowed}, {"--function-network-deny", c.NetworkDeny, &e.Denied}} {
		for _, s := range l.from {
			p, err := netip.ParsePrefix(s)
			if addr, e := netip.ParseAddr(s); e == nil {
				p, err = addr.Prefix(addr.BitLen())
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %q is not an address or a range such as 192.168.1.0/24", l.flag, s)
			}
			*l.to = append(*l.to, p.Masked())
		}
	}
	switch c.Network {
	case "", "internet":
		return e, nil
	case "none":
		return nil, nil
	}
	return nil, fmt.Errorf("--function-network: %q is neither internet nor none", c.Network)
}

var (
	accountID  = regexp.MustCompile(`^[0-9]{12}$`)
	regionName = regexp.MustCompile(`^[a-z]{2,}(-[a-z]+)+-[0-9]+$`)
)

// maxCache is a bound for typing errors.
const maxCache = 1 << 40

func (c *Config) check() error {
	if !accountID.MatchString(c.AccountID) {
		return fmt.Errorf("--account-id: %q is not 12 digits", c.AccountID)
	}
	if !regionName.MatchString(c.Region) {
		return fmt.Errorf("--region: %q is not a region such as us-east-1", c.Region)
	}
	if c.DataDir == "" {
		return errors.New("--data-dir: no directory given")
	}
	if _, err := c.Functions.egress(); err != nil {
		return err
	}
	if c.Functions.IdleTimeout < 0 {
		return errors.New("--function-idle-timeout: less than nothing")
	}
	for pool, issuer := range c.UserPools {
		if err := jwks.CheckIssuer(issuer); err != nil {
			return fmt.Errorf("--user-pool: %q is not the URL of the issuer of the pool %s: %w", issuer, pool, err)
		}
	}
	if c.TrailBytes < 0 {
		return errors.New("--trail-megabytes: the audit trail needs room")
	}
	if c.CacheBytes < 0 || c.CacheBytes > maxCache {
		return fmt.Errorf("--cache-megabytes: not from 0 to %d", maxCache>>20)
	}
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("--listen: %q is not an address with a port, such as 127.0.0.1:4566", c.Listen)
	}
	if c.TestCredentials && !isLoopback(host) {
		return fmt.Errorf("--test-credentials opens the server to whoever reaches it, so it needs a loopback address, not %s", c.Listen)
	}
	return nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}
