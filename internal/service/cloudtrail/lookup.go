package cloudtrail

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	api "brume/internal/api/cloudtrail"
	"brume/internal/kv"
)

// maxResults is also the default.
// https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html
const maxResults = 50

var attributes = map[string]attribute{
	api.LookupAttributeKeyEventId: eventID, api.LookupAttributeKeyEventName: eventName, api.LookupAttributeKeyReadOnly: readOnly,
	api.LookupAttributeKeyUsername: username, api.LookupAttributeKeyResourceType: resourceType,
	api.LookupAttributeKeyResourceName: resourceName, api.LookupAttributeKeyEventSource: eventSource,
	api.LookupAttributeKeyAccessKeyId: accessKeyID,
}

// LookupEvents finds the events of the caller's account and region, the newest first.
func (s *Service) LookupEvents(ctx context.Context, in *api.LookupEventsInput) (*api.LookupEventsOutput, error) {
	r, a, value, err := selection(in)
	if err != nil {
		return nil, err
	}
	out := &api.LookupEventsOutput{Events: []api.Event{}}
	if in.EventCategory != nil {
		return out, nil // the one category is Insights events, which nothing here makes
	}
	prefix := indexPrefix(scopeOf(ctx), a, value)
	before, err := r.end(prefix, in)
	if err != nil {
		return nil, err
	}
	limit := maxResults
	if in.MaxResults != nil {
		limit = int(*in.MaxResults)
	}
	scan := kv.Range{Start: appendPosition(prefix, position{time: r.from}), End: before, Reverse: true, Limit: limit + 1}
	err = s.store.View(ctx, func(tx kv.Reader) error {
		out.Events, out.NextToken = out.Events[:0], nil
		var last position
		for pair, err := range tx.Scan(scan) {
			if err != nil {
				return err
			}
			if len(out.Events) == limit {
				out.NextToken = new(r.token(last))
				return nil
			}
			if last, err = parseIndexKey(prefix, pair.Key); err != nil {
				return err
			}
			key := eventKey(last)
			row, ok, err := tx.Get(key)
			if err != nil {
				return err
			}
			if !ok {
				return fmt.Errorf("cloudtrail: no event at %q, which the index names", key)
			}
			e, err := parseRow(key, row)
			if err != nil {
				return err
			}
			out.Events = append(out.Events, e.shown())
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// A selected is the time from which and up to which events are looked up, and the hash of all that the request selects
// by: a token is good for the same request only.
type selected struct {
	from, to time.Time
	hash     []byte
}

func selection(in *api.LookupEventsInput) (r selected, a attribute, value string, err error) {
	if len(in.LookupAttributes) > 1 {
		return r, 0, "", &api.InvalidLookupAttributesException{Message: new("You can specify only one lookup attribute.")}
	}
	for _, l := range in.LookupAttributes {
		a, value = attributes[*l.AttributeKey], *l.AttributeValue
	}
	if in.StartTime != nil {
		r.from = in.StartTime.Truncate(time.Second)
	}
	if in.EndTime != nil {
		// Records show whole seconds, so the last one counts to its end.
		r.to = in.EndTime.Truncate(time.Second).Add(time.Second)
		if in.StartTime != nil && in.EndTime.Before(*in.StartTime) {
			return r, 0, "", &api.InvalidTimeRangeException{Message: new("The start time must be before the end time.")}
		}
	}
	h := sha256.New()
	fmt.Fprintln(h, a, strconv.Quote(value), r.from.UnixNano(), r.to.UnixNano())
	r.hash = h.Sum(nil)[:12]
	return r, a, value, nil
}

type token struct {
	Time time.Time
	ID   string
	Hash []byte
}

func (r *selected) token(last position) string {
	data, err := json.Marshal(token{last.time, last.id, r.hash})
	if err != nil { // no token fails
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(data)
}

// end is the first key that is not looked at.
func (r *selected) end(prefix []byte, in *api.LookupEventsInput) ([]byte, error) {
	switch {
	case in.NextToken != nil:
		var t token
		data, err := base64.RawURLEncoding.DecodeString(*in.NextToken)
		if err != nil || json.Unmarshal(data, &t) != nil || string(t.Hash) != string(r.hash) {
			return nil, &api.InvalidNextTokenException{
				Message: new("The token is not valid, or the parameters differ from those of the request that returned it."),
			}
		}
		return appendPosition(prefix, position{t.Time, t.ID}), nil
	case !r.to.IsZero():
		return appendPosition(prefix, position{time: r.to}), nil
	}
	return kv.PrefixEnd(prefix), nil
}

// shown is an event as LookupEvents returns it.
func (e *Event) shown() api.Event {
	out := api.Event{
		EventId: &e.ID, EventName: &e.Name, EventSource: &e.Source, EventTime: new(e.Time.Truncate(time.Second)),
		ReadOnly: new(strconv.FormatBool(e.ReadOnly)), CloudTrailEvent: new(string(e.Record)), Resources: []api.Resource{},
	}
	if e.Username != "" {
		out.Username = &e.Username
	}
	if e.AccessKey != "" {
		out.AccessKeyId = &e.AccessKey
	}
	for _, r := range e.Resources {
		out.Resources = append(out.Resources, api.Resource{ResourceType: &r.Type, ResourceName: &r.Name})
	}
	return out
}
