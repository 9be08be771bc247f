package app

import (
	"context"
	"regexp"

	"brume/internal/awserr"
	"brume/internal/call"
	"brume/internal/service/iam"
)

type credentials struct{ keys *iam.Service }

func (c credentials) ResolveAccessKey(ctx context.Context, id, token string) (string, call.Principal, error) {
	secret, p, status, err := c.keys.AccessKey(ctx, id)
	if err == nil && status != "Active" {
		err = awserr.New("InvalidClientTokenId", "")
	}
	return secret, p, err
}

var _ = regexp.MustCompile
