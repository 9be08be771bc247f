package app

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"

	"brume/internal/runtimes"
)

// What a server uses where the user decides nothing.
const (
	DefaultListen  = "127.0.0.1:4566"
	DefaultAccount = "000000000000"
	DefaultRegion  = "us-east-1"
)

// Config is what a user decides about a server.
type Config struct {
	Listen    string // address and port
	DataDir   string
	AccountID string
	Region    string
	LogFormat string // "text" or "json"
	// TrailBytes bounds the audit trail; 0 is its default.
	TrailBytes int64
	// TestCredentials accepts well-known keys and opens the reset; on loopback addresses only.
	TestCredentials bool
	// Runtimes are what functions can be written in.
	Runtimes *runtimes.Catalog
	Version  string
}

var (
	accountID  = regexp.MustCompile(`^[0-9]{12}$`)
	regionName = regexp.MustCompile(`^[a-z]{2,}(-[a-z]+)+-[0-9]+$`)
)

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
	if c.TrailBytes < 0 {
		return errors.New("--trail-megabytes: the audit trail needs room")
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
