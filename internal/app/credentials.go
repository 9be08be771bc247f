package app

import (
	"context"
	"log/slog"
	"sync"

	"brume/internal/call"
	"brume/internal/wire/sigv4"
)

// credentials are those of a server, which tells its owner why clients are refused that are set up for a test run: they
// themselves only hear that the key is not valid, as from AWS.
type credentials struct {
	sigv4.Credentials
	test bool
	log  *slog.Logger
	once sync.Once
}

func (c *credentials) ResolveAccessKey(ctx context.Context, accessKeyID, sessionToken string) (string, call.Principal, error) {
	secret, p, err := c.Credentials.ResolveAccessKey(ctx, accessKeyID, sessionToken)
	if err != nil && !c.test && (accessKeyID == "test" || accountID.MatchString(accessKeyID)) {
		c.once.Do(func() {
			c.log.Warn("a client uses an access key of test runs, which only a server started with --test-credentials takes; `brume env` prints this server's",
				"access_key_id", accessKeyID)
		})
	}
	return secret, p, err
}
