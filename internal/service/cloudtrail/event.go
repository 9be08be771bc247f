package cloudtrail

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	stsapi "brume/internal/api/sts"
	"brume/internal/awserr"
	"brume/internal/call"
	"brume/internal/policy"
	"brume/internal/schema"
)

// A Call is a call that is over.
type Call struct {
	Service   *schema.Service
	Operation *schema.Operation
	In        schema.Struct
	// Out is nil where Err is not.
	Out schema.Struct
	// Checks are the permissions that the call needed, as far as it came to them.
	Checks []policy.Check
	Err    error
}

// An Event is a record of the trail, with what it is looked up by.
type Event struct {
	Account, Region     string
	ID, Name, Source    string
	Time                time.Time
	ReadOnly            bool
	Username, AccessKey string     `json:",omitempty"`
	Resources           []Resource `json:",omitempty"`
	// Record is the JSON that CloudTrail documents.
	// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
	Record json.RawMessage
}

// record is an Event's Record.
type record struct {
	EventVersion       string           `json:"eventVersion"`
	UserIdentity       *identity        `json:"userIdentity"`
	EventTime          string           `json:"eventTime"`
	EventSource        string           `json:"eventSource"`
	EventName          string           `json:"eventName"`
	AWSRegion          string           `json:"awsRegion"`
	SourceIPAddress    string           `json:"sourceIPAddress"`
	UserAgent          string           `json:"userAgent"`
	ErrorCode          string           `json:"errorCode,omitempty"`
	ErrorMessage       string           `json:"errorMessage,omitempty"`
	RequestParameters  json.RawMessage  `json:"requestParameters"`
	ResponseElements   json.RawMessage  `json:"responseElements"`
	RequestID          string           `json:"requestID"`
	EventID            string           `json:"eventID"`
	ReadOnly           bool             `json:"readOnly"`
	Resources          []recordResource `json:"resources,omitempty"`
	EventType          string           `json:"eventType"`
	APIVersion         string           `json:"apiVersion,omitempty"`
	ManagementEvent    bool             `json:"managementEvent"`
	RecipientAccountID string           `json:"recipientAccountId"`
	SharedEventID      string           `json:"sharedEventID,omitempty"`
	EventCategory      string           `json:"eventCategory"`
}

type recordResource struct {
	AccountID string `json:"accountId"`
	Type      string `json:"type,omitempty"`
	ARN       string `json:"ARN"`
}

// maxText bounds the fields that a client chooses.
// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
const maxText = 1 << 10

// events are the records of a call: one for the account that called, and one for that of another account whose role
// it assumed.
func events(info *call.Info, c *Call, now time.Time) ([]*Event, error) {
	account, who, checks := info.Account, identityOf(info), c.Checks
	if in, ok := c.In.(*stsapi.AssumeRoleWithWebIdentityInput); ok && in.RoleArn != nil {
		// Who has no account yet is recorded in that of the role.
		account, who = accountOf(*in.RoleArn), webIdentityOf(c.Out)
		checks = append(checks[:len(checks):len(checks)], policy.Check{Resource: *in.RoleArn})
	}
	if account == "" {
		return nil, nil
	}
	r := &record{
		EventVersion:       "1.11",
		UserIdentity:       who,
		EventTime:          now.UTC().Format(time.RFC3339),
		EventSource:        source(c.Service),
		EventName:          nameOf(c.Service, c.Operation),
		AWSRegion:          info.Region,
		SourceIPAddress:    "AWS Internal",
		UserAgent:          cut(info.UserAgent),
		RequestID:          info.RequestID,
		EventID:            call.NewRequestID(),
		ReadOnly:           isReadOnly(c.Service, c.Operation),
		EventType:          "AwsApiCall",
		ManagementEvent:    true,
		RecipientAccountID: account,
		EventCategory:      "Management",
	}
	switch {
	case info.SourceIP.IsValid():
		r.SourceIPAddress = info.SourceIP.String()
	case info.ViaService != "":
		r.SourceIPAddress = info.ViaService
	case info.Principal.Type == call.Service:
		r.SourceIPAddress = info.Principal.ARN
	}
	if r.UserAgent == "" {
		r.UserAgent = r.SourceIPAddress
	}
	if c.Service.Name == "apigateway" || c.Service.Name == "apigatewayv2" || c.Service.Name == "dynamodb" || c.Service.Name == "logs" {
		r.APIVersion = c.Service.APIVersion
	}
	if c.Err != nil {
		known := awserr.Error(awserr.Internal(nil))
		errors.As(c.Err, &known)
		r.ErrorCode, r.ErrorMessage = codeOf(c.Service, known), cut(known.ErrorMessage())
	}
	e := &Event{
		Account: account, Region: info.Region, ID: r.EventID, Name: r.EventName, Source: r.EventSource, Time: now,
		ReadOnly: r.ReadOnly, Username: r.UserIdentity.lookupName(), AccessKey: r.UserIdentity.AccessKeyID,
	}
	var keys, given []string
	r.RequestParameters, keys = parameters(c.Service, c.Operation.Input, c.In)
	if c.Err == nil && showsResponse(c.Service, c.Operation) {
		r.ResponseElements, given = parameters(c.Service, c.Operation.Output, c.Out)
	}
	for _, key := range append(keys, given...) {
		e.add(Resource{Type: "AWS::IAM::AccessKey", Name: key})
	}
	other := ""
	for i := range checks {
		arn := checks[i].Resource
		resource, ok := resourceOf(arn)
		if !ok {
			continue
		}
		owner := accountOf(arn)
		if owner == "" {
			owner = account
		}
		if e.add(resource) {
			r.Resources = append(r.Resources, recordResource{owner, resource.Type, arn})
		}
		if c.Service.Name == "sts" {
			e.add(Resource{Type: resource.Type, Name: arn})
			if c.Err == nil && owner != account {
				other = owner
			}
		}
		for _, policyARN := range checks[i].Context["iam:PolicyARN"] {
			e.add(Resource{Type: "AWS::IAM::Policy", Name: policyARN, ARN: policyARN})
		}
	}
	all := []*Event{e}
	if other != "" {
		r.SharedEventID = call.NewRequestID()
	}
	var err error
	if e.Record, err = encode(r); err != nil || other == "" {
		return all, err
	}
	// The owner of the role sees another account, not who in it that is.
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/cloudtrail-integration.html
	theirs, theirRecord := *e, *r
	theirRecord.EventID, theirRecord.RecipientAccountID = call.NewRequestID(), other
	theirRecord.UserIdentity = &identity{
		Type: "AWSAccount", PrincipalID: info.Principal.ID, AccountID: info.Principal.Account, InvokedBy: r.UserIdentity.InvokedBy,
	}
	theirs.ID, theirs.Account, theirs.Username, theirs.AccessKey = theirRecord.EventID, other, "", ""
	theirs.Record, err = encode(&theirRecord)
	return append(all, &theirs), err
}

// add adds a resource that is not there yet.
func (e *Event) add(r Resource) bool {
	if slices.ContainsFunc(e.Resources, func(o Resource) bool { return o.Type == r.Type && o.Name == r.Name }) {
		return false
	}
	e.Resources = append(e.Resources, r)
	return true
}

func accountOf(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 {
		return ""
	}
	return parts[4]
}

// cut bounds a text of a client's.
func cut(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "")
}

// encode writes JSON as CloudTrail does, with < and & as they are.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Record puts a call into the trail. It returns when the record of a change is durable; everything else is written soon.
func (s *Service) Record(ctx context.Context, c *Call) {
	all, err := events(call.From(ctx), c, time.Now())
	if err != nil {
		s.lost(ctx, 1, err)
		return
	}
	for _, e := range all {
		s.put(e, c.Err == nil && !e.ReadOnly)
	}
}
