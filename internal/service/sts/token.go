package sts

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"brume/internal/accesskey"
	"brume/internal/call"
)

// maxToken is the longest session token that is read, in bytes.
const maxToken = 16 << 10

// A session is a set of temporary credentials.
type session struct {
	secret    string
	principal call.Principal // its Session is never nil
}

// A tokenBody is what a session token holds, as JSON, sealed. Its names are short, for tokens travel with every call.
type tokenBody struct {
	Key            string             `json:"k"`
	Secret         string             `json:"s"`
	Type           call.PrincipalType `json:"t"`
	Account        string             `json:"a"`
	ARN            string             `json:"r"`
	ID             string             `json:"i"`
	Name           string             `json:"n,omitempty"`
	RoleARN        string             `json:"o,omitempty"`
	SessionName    string             `json:"e,omitempty"`
	Policy         string             `json:"p,omitempty"`
	IssuedAt       int64              `json:"b"` // seconds since 1970
	Expiry         int64              `json:"x"`
	MFA            bool               `json:"m,omitempty"`
	SourceIdentity string             `json:"y,omitempty"`
	Tags           map[string]string  `json:"g,omitempty"`

	PolicyARNs        []string            `json:"l,omitempty"`
	TransitiveTags    []string            `json:"v,omitempty"`
	IssuerID          string              `json:"u,omitempty"`
	IssuerARN         string              `json:"w,omitempty"`
	FederatedProvider string              `json:"f,omitempty"`
	Keys              map[string][]string `json:"c,omitempty"`
}

// Credentials are temporary ones. They print without their secrets.
type Credentials struct {
	AccessKeyID, SecretAccessKey, SessionToken string
	Expiry                                     time.Time
}

// String keeps the secrets out of logs and errors.
func (c Credentials) String() string { return "credentials " + c.AccessKeyID }

// GoString keeps the secrets out of logs and errors.
func (c Credentials) GoString() string { return c.String() }

// issue makes credentials for a principal whose Session is set, but for its access key.
func (s *Service) issue(p *call.Principal) (*Credentials, error) {
	c := &Credentials{
		AccessKeyID: accesskey.NewID(accesskey.Temporary, p.Account), SecretAccessKey: accesskey.NewSecret(),
		Expiry: p.Session.Expiry.UTC().Truncate(time.Second),
	}
	plain, err := json.Marshal(tokenBody{
		Key: c.AccessKeyID, Secret: c.SecretAccessKey,
		Type: p.Type, Account: p.Account, ARN: p.ARN, ID: p.ID, Name: p.Name,
		RoleARN: p.Session.RoleARN, SessionName: p.Session.Name, Policy: p.Session.Policy,
		IssuedAt: p.Session.IssuedAt.Unix(), Expiry: c.Expiry.Unix(),
		MFA: p.Session.MFA, SourceIdentity: p.Session.SourceIdentity, Tags: p.Session.Tags,
		PolicyARNs: p.Session.PolicyARNs, TransitiveTags: p.Session.TransitiveTags, IssuerID: p.Session.IssuerID, IssuerARN: p.Session.IssuerARN,
		FederatedProvider: p.Session.FederatedProvider, Keys: p.Session.Keys,
	})
	if err != nil {
		return nil, err
	}
	c.SessionToken = base64.RawURLEncoding.EncodeToString(s.sealer.Seal(plain, nil))
	return c, nil
}

var errBadToken = errors.New("sts: not a session token of this Brume")

// open reads a session token. It does not look at the time.
func (s *Service) open(token string) (*session, error) {
	if len(token) > maxToken {
		return nil, errBadToken
	}
	if c, ok := s.sessions.Get(token); ok {
		return c, nil
	}
	sealed, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return nil, errBadToken
	}
	plain, err := s.sealer.Open(sealed, nil)
	if err != nil {
		return nil, errBadToken
	}
	var b tokenBody
	if err := json.Unmarshal(plain, &b); err != nil {
		return nil, errBadToken
	}
	c := &session{
		secret: b.Secret,
		principal: call.Principal{
			Type: b.Type, Account: b.Account, ARN: b.ARN, ID: b.ID, Name: b.Name, AccessKeyID: b.Key,
			Session: &call.Session{
				RoleARN: b.RoleARN, Name: b.SessionName, Policy: b.Policy,
				IssuedAt: time.Unix(b.IssuedAt, 0), Expiry: time.Unix(b.Expiry, 0),
				MFA: b.MFA, SourceIdentity: b.SourceIdentity, Tags: b.Tags,
				PolicyARNs: b.PolicyARNs, TransitiveTags: b.TransitiveTags, IssuerID: b.IssuerID, IssuerARN: b.IssuerARN,
				FederatedProvider: b.FederatedProvider, Keys: b.Keys,
			},
		},
	}
	s.sessions.Set(strings.Clone(token), c) // the token is a part of a request's headers
	return c, nil
}
