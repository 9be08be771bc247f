package sts

import (
	"context"
	"errors"
	"strings"
	"time"

	"brume/internal/awserr"
	"brume/internal/call"
)

// Why credentials are refused. Clients are told InvalidClientTokenId for all but the last, which is ExpiredToken; the
// errors of ResolveAccessKey wrap one of these for who has to find out.
var (
	// ErrUnknownKey says that there is no such access key.
	ErrUnknownKey = errors.New("sts: unknown access key")
	// ErrInactiveKey says that the access key was made inactive.
	ErrInactiveKey = errors.New("sts: inactive access key")
	// ErrBadToken says that the session token is missing, is not ours, or belongs to another access key; or that there is
	// one beside a long-term access key.
	ErrBadToken = errors.New("sts: wrong session token")
	// ErrGone says that the user or role behind temporary credentials no longer exists.
	ErrGone = errors.New("sts: the user or role no longer exists")
	// ErrExpired says that temporary credentials have ended.
	ErrExpired = errors.New("sts: expired credentials")
)

func refused(cause error) error {
	e := &awserr.Generic{
		Code: "InvalidClientTokenId", Message: "The security token included in the request is invalid.",
		Status: http403, Cause: cause,
	}
	if errors.Is(cause, ErrExpired) {
		e.Code, e.Message = "ExpiredToken", "The security token included in the request is expired"
	}
	return e
}

// ResolveAccessKey returns the secret of an access key and who it belongs to. A temporary key comes with its session
// token, a long-term one without. A refusal is an *awserr.Generic (403) that wraps one of the errors above.
func (s *Service) ResolveAccessKey(ctx context.Context, accessKeyID, sessionToken string) (secret string, p call.Principal, err error) {
	if account, ok := s.testKey(accessKeyID); ok {
		return "test", call.Principal{
			Type: call.Account, Account: account, ARN: "arn:aws:iam::" + account + ":root", ID: account, AccessKeyID: accessKeyID,
		}, nil
	}
	if sessionToken != "" {
		return s.resolveSession(ctx, accessKeyID, sessionToken)
	}
	secret, p, status, err := s.identities.AccessKey(ctx, accessKeyID)
	switch {
	case err != nil:
		return "", call.Principal{}, err
	case status == "":
		return "", call.Principal{}, refused(ErrUnknownKey)
	case status != "Active":
		return "", call.Principal{}, refused(ErrInactiveKey)
	}
	return secret, p, nil
}

func (s *Service) resolveSession(ctx context.Context, accessKeyID, token string) (string, call.Principal, error) {
	c, err := s.open(token)
	switch {
	case err != nil, c.principal.AccessKeyID != accessKeyID:
		return "", call.Principal{}, refused(ErrBadToken)
	case !time.Now().Before(c.principal.Session.Expiry):
		return "", call.Principal{}, refused(ErrExpired)
	}
	exists, err := s.identities.Exists(ctx, &c.principal)
	if err != nil {
		return "", call.Principal{}, err
	}
	if !exists {
		return "", call.Principal{}, refused(ErrGone)
	}
	return c.secret, c.principal, nil
}

// testKey returns the account of a key that --test-credentials accepts.
func (s *Service) testKey(id string) (account string, ok bool) {
	switch {
	case s.testAccount == "":
		return "", false
	case id == "test":
		return s.testAccount, true
	}
	return id, len(id) == 12 && strings.Trim(id, "0123456789") == ""
}
