package cloudtrail

import (
	"strconv"
	"strings"
	"time"

	stsapi "brume/internal/api/sts"
	"brume/internal/call"
	"brume/internal/schema"
)

// identity is the userIdentity of a record.
// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html
type identity struct {
	Type             string          `json:"type"`
	PrincipalID      string          `json:"principalId,omitempty"`
	ARN              string          `json:"arn,omitempty"`
	AccountID        string          `json:"accountId,omitempty"`
	AccessKeyID      string          `json:"accessKeyId,omitempty"`
	UserName         string          `json:"userName,omitempty"`
	SessionContext   *sessionContext `json:"sessionContext,omitempty"`
	IdentityProvider string          `json:"identityProvider,omitempty"`
	InvokedBy        string          `json:"invokedBy,omitempty"`

	session string // the name of a role session
}

type sessionContext struct {
	Issuer         *sessionIssuer     `json:"sessionIssuer,omitempty"`
	WebIDData      *webID             `json:"webIdFederationData,omitempty"`
	Attributes     *sessionAttributes `json:"attributes,omitempty"`
	SourceIdentity string             `json:"sourceIdentity,omitempty"`
}

type sessionIssuer struct {
	Type        string `json:"type"`
	PrincipalID string `json:"principalId,omitempty"`
	ARN         string `json:"arn"`
	AccountID   string `json:"accountId"`
	UserName    string `json:"userName,omitempty"`
}

type webID struct {
	FederatedProvider string            `json:"federatedProvider,omitempty"`
	Attributes        map[string]string `json:"attributes"`
}

type sessionAttributes struct {
	CreationDate     string `json:"creationDate"`
	MFAAuthenticated string `json:"mfaAuthenticated"`
}

// identityOf says who makes a call.
func identityOf(info *call.Info) *identity {
	p := &info.Principal
	id := &identity{
		PrincipalID: p.ID, ARN: p.ARN, AccountID: p.Account, AccessKeyID: p.AccessKeyID, InvokedBy: info.ViaService,
	}
	switch p.Type {
	case call.Service:
		return &identity{Type: "AWSService", InvokedBy: p.ARN}
	case call.Account:
		id.Type = "Root"
	case call.User:
		id.Type, id.UserName = "IAMUser", p.Name
	case call.AssumedRole:
		id.Type = "AssumedRole"
	case call.FederatedUser:
		id.Type = "FederatedUser"
	case call.Anonymous:
		return &identity{Type: "AWSAccount", AccountID: "ANONYMOUS_PRINCIPAL"}
	default:
		id.Type = string(p.Type)
	}
	if p.Session == nil {
		return id
	}
	id.session = p.Session.Name
	sc := &sessionContext{SourceIdentity: p.Session.SourceIdentity}
	if !p.Session.IssuedAt.IsZero() {
		sc.Attributes = &sessionAttributes{
			p.Session.IssuedAt.UTC().Format(time.RFC3339), strconv.FormatBool(p.Session.MFA),
		}
	}
	switch p.Type {
	case call.AssumedRole:
		unique, _, _ := strings.Cut(p.ID, ":")
		sc.Issuer = &sessionIssuer{"Role", unique, p.Session.RoleARN, p.Account, p.Name}
	case call.FederatedUser:
		sc.Issuer = &sessionIssuer{Type: "IAMUser", PrincipalID: p.Session.IssuerID, ARN: p.Session.IssuerARN, AccountID: p.Account}
		if sc.Issuer.PrincipalID == p.Account {
			sc.Issuer.Type = "Root"
		} else {
			sc.Issuer.UserName = p.Session.IssuerARN[strings.LastIndexByte(p.Session.IssuerARN, '/')+1:]
		}
	}
	if p.Session.FederatedProvider != "" {
		sc.WebIDData = &webID{FederatedProvider: p.Session.FederatedProvider, Attributes: map[string]string{}}
	}
	id.SessionContext = sc
	return id
}

// webIdentityOf says for whom an identity provider vouched; nothing of them is known if it did not.
// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html#STS-API-SAML-WIF
func webIdentityOf(out schema.Struct) *identity {
	id := &identity{Type: "WebIdentityUser"}
	if out, ok := out.(*stsapi.AssumeRoleWithWebIdentityOutput); ok && out != nil {
		id.IdentityProvider, id.UserName = value(out.Provider), value(out.SubjectFromWebIdentityToken)
		id.PrincipalID = id.IdentityProvider + ":" + value(out.Audience) + ":" + id.UserName
	}
	return id
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// lookupName is the user name that events are looked up by: that of a user, of a role session, or "root".
func (id *identity) lookupName() string {
	switch id.Type {
	case "Root":
		return "root"
	case "AssumedRole", "FederatedUser":
		return id.session
	}
	return id.UserName
}
