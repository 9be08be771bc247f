package cloudtrail

import (
	"strconv"
	"strings"
	"time"

	"brume/internal/call"
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
	default: // whom an identity provider vouches for
		id.Type, id.UserName, id.IdentityProvider, id.ARN = string(p.Type), p.Name, p.ARN, ""
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
		sc.Issuer = &sessionIssuer{"IAMUser", "", "arn:aws:iam::" + p.Account + ":user/" + p.Name, p.Account, p.Name}
	}
	id.SessionContext = sc
	return id
}

// lookupName is the user name that events are looked up by: that of a user, of a role session, or "root".
func (id *identity) lookupName() string {
	switch id.Type {
	case "Root":
		return "root"
	case "AssumedRole":
		return id.session
	}
	return id.UserName
}
