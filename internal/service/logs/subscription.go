package logs

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	api "brume/internal/api/logs"
	"brume/internal/awserr"
	"brume/internal/kv"
	"brume/internal/outbox"
	"brume/internal/service/logs/pattern"
)

const (
	// maxSubscriptions is how many a group may have.
	// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html
	maxSubscriptions = 2

	// SubscriptionQueue is the queue of Deliver.
	SubscriptionQueue = "logs-subscriptions"
	// SubscriptionConcurrency is how many deliveries run at a time.
	SubscriptionConcurrency = 4

	// How deliveries that fail go on.
	// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/Subscriptions.html
	maxDeliveryAge = 24 * time.Hour
	disabledFor    = 10 * time.Minute
	minRetry       = time.Second
	maxRetry       = 5 * time.Minute

	// maxPending is how many deliveries may wait; what comes on top is dropped, counted and said.
	maxPending = 10_000
	// maxDelivery is the largest payload of one, within that of an asynchronous invocation.
	maxDelivery = 1 << 20
)

// Functions invokes functions for subscriptions.
type Functions interface {
	// Invoke has a function take an event asynchronously, if its policy allows that to CloudWatch Logs for the event's source.
	Invoke(ctx context.Context, e *FunctionEvent) error
}

// A FunctionEvent is what a subscription sends to a function.
type FunctionEvent struct {
	FunctionARN              string
	SourceARN, SourceAccount string
	Payload                  []byte
	// DryRun only asks whether the function may be invoked.
	DryRun bool
}

// subscriptionRow is what is stored of a subscription filter.
type subscriptionRow struct {
	Pattern      string `json:"pattern"`
	Destination  string `json:"destination"`
	CreationTime int64  `json:"creationTime"`
}

// functionOf is the name of the function that an ARN, as subscriptions have it, names.
func functionOf(arn string) string {
	parts := strings.Split(arn, ":")
	if len(parts) < 7 {
		return ""
	}
	return parts[6]
}

func checkDestination(sc scope, group string, in *api.PutSubscriptionFilterInput) error {
	parts := strings.Split(*in.DestinationArn, ":")
	if len(parts) < 6 || parts[0] != "arn" {
		return invalidParameter("Invalid destinationArn: %s", *in.DestinationArn)
	}
	if parts[2] != "lambda" {
		return invalidParameter("PutSubscriptionFilter operation cannot work with destinationArn for vendor %s", parts[2])
	}
	if len(parts) < 7 || len(parts) > 8 || parts[5] != "function" || parts[6] == "" || parts[3] != sc.region {
		return invalidParameter("Invalid destinationArn: %s", *in.DestinationArn)
	}
	if in.RoleArn != nil {
		return invalidParameter("PutSubscriptionFilter operation cannot work with roleArn for vendor lambda")
	}
	if group == "/aws/lambda/"+parts[6] {
		return invalidParameter("The log group provided is reserved for the function logs of the destination function.")
	}
	return nil
}

// PutSubscriptionFilter makes a filter or replaces one.
// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutSubscriptionFilter.html
func (s *Service) PutSubscriptionFilter(ctx context.Context, in *api.PutSubscriptionFilterInput) (*api.PutSubscriptionFilterOutput, error) {
	sc := scopeOf(ctx)
	p, err := compilePattern(in.FilterPattern)
	if err != nil {
		return nil, err
	}
	if err := checkDestination(sc, *in.LogGroupName, in); err != nil {
		return nil, err
	}
	if err := s.store.View(ctx, func(tx kv.Reader) error {
		group, err := getGroup(tx, sc, *in.LogGroupName)
		if err != nil {
			return err
		}
		return checkFilterable(group)
	}); err != nil {
		return nil, err
	}
	err = s.functions.Invoke(ctx, &FunctionEvent{
		FunctionARN: *in.DestinationArn, SourceARN: sc.groupARN(*in.LogGroupName) + ":*", SourceAccount: sc.account, DryRun: true,
	})
	var refused awserr.Error
	if errors.As(err, &refused) {
		return nil, invalidParameter("Could not execute the lambda function. Make sure you have given CloudWatch Logs permission to execute your function.")
	}
	if err != nil {
		return nil, err
	}
	err = s.updateFilters(ctx, *in.LogGroupName, func(tx kv.Tx, group *groupRow) error {
		key := subscriptionKey(group.ID, *in.FilterName)
		_, exists, err := tx.Get(key)
		if err != nil {
			return err
		}
		if !exists {
			if group.Subscriptions >= maxSubscriptions {
				return limitExceeded()
			}
			group.Subscriptions++
		}
		if p.Regexes() > 0 {
			if err := s.checkRegexFilters(tx, group, key); err != nil {
				return err
			}
		}
		return setJSON(tx, key, subscriptionRow{*in.FilterPattern, *in.DestinationArn, tx.Now().UnixMilli()})
	})
	if err != nil {
		return nil, err
	}
	s.disabled.Delete(*in.DestinationArn)
	return new(api.PutSubscriptionFilterOutput), s.warnOfLoop(ctx, sc, *in.LogGroupName)
}

// maxLoop bounds how many groups are looked at for a loop.
const maxLoop = 100

// warnOfLoop says so if the subscriptions of a function's log group lead back to it, by way of other functions: then one
// delivery can cause the next without end. Nothing more, as in AWS: a pattern may be what ends it.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/Subscriptions-recursion-prevention.html
func (s *Service) warnOfLoop(ctx context.Context, sc scope, group string) error {
	const prefix = "/aws/lambda/"
	from := map[string]string{} // which group has led to which
	err := s.store.View(ctx, func(tx kv.Reader) error {
		clear(from)
		for next := []string{group}; len(next) > 0 && len(from) < maxLoop; next = next[1:] {
			row, err := getGroup(tx, sc, next[0])
			if _, missing := errors.AsType[awserr.Error](err); missing {
				continue // the function has written nothing
			}
			if err != nil {
				return err
			}
			for pair, err := range tx.Scan(kv.Prefix(subscriptionPrefix(row.ID))) {
				if err != nil {
					return err
				}
				var filter subscriptionRow
				if err := json.Unmarshal(pair.Value, &filter); err != nil {
					return err
				}
				to := prefix + functionOf(filter.Destination)
				if _, seen := from[to]; !seen {
					from[to] = next[0]
					next = append(next, to)
				}
			}
		}
		return nil
	})
	if err != nil || from[group] == "" {
		return err
	}
	loop := []string{group}
	for g := from[group]; g != group; g = from[g] {
		loop = append(loop, g)
	}
	slices.Reverse(loop)
	s.log.LogAttrs(ctx, slog.LevelWarn, "functions are subscribed to each other's logs: each delivery can cause the next",
		slog.Any("groups", loop))
	return nil
}

// CountPending finds out how many deliveries an earlier start has left. It is called before any of them runs.
func (s *Service) CountPending(ctx context.Context) error {
	return s.store.View(ctx, func(tx kv.Reader) error {
		n, err := outbox.Waiting(tx, SubscriptionQueue)
		s.pending.Store(int64(n))
		return err
	})
}

func (s *Service) DeleteSubscriptionFilter(ctx context.Context, in *api.DeleteSubscriptionFilterInput) (*api.DeleteSubscriptionFilterOutput, error) {
	err := s.updateFilters(ctx, *in.LogGroupName, func(tx kv.Tx, group *groupRow) error {
		return deleteFilter(tx, subscriptionKey(group.ID, *in.FilterName), &group.Subscriptions, "subscription filter")
	})
	return new(api.DeleteSubscriptionFilterOutput), err
}

func (s *Service) DescribeSubscriptionFilters(ctx context.Context, in *api.DescribeSubscriptionFiltersInput) (*api.DescribeSubscriptionFiltersOutput, error) {
	sc := scopeOf(ctx)
	prefix, after := "", ""
	if in.FilterNamePrefix != nil {
		prefix = *in.FilterNamePrefix
	}
	if in.NextToken != nil {
		var err error
		if after, err = parseNameToken(*in.NextToken); err != nil {
			return nil, err
		}
	}
	limit := pageLimit(in.Limit)
	out := &api.DescribeSubscriptionFiltersOutput{SubscriptionFilters: []api.SubscriptionFilter{}}
	err := s.store.View(ctx, func(tx kv.Reader) error {
		group, err := getGroup(tx, sc, *in.LogGroupName)
		if err != nil {
			return err
		}
		for pair, err := range tx.Scan(kv.Prefix(subscriptionPrefix(group.ID))) {
			if err != nil {
				return err
			}
			_, name, err := parseFilterKey(tagSubscription, pair.Key)
			if err != nil {
				return err
			}
			if name <= after || !strings.HasPrefix(name, prefix) {
				continue
			}
			if n := len(out.SubscriptionFilters); n == limit {
				out.NextToken = new(nameToken(*out.SubscriptionFilters[n-1].FilterName))
				return nil
			}
			var row subscriptionRow
			if err := json.Unmarshal(pair.Value, &row); err != nil {
				return err
			}
			out.SubscriptionFilters = append(out.SubscriptionFilters, api.SubscriptionFilter{
				FilterName: new(name), LogGroupName: in.LogGroupName, FilterPattern: new(row.Pattern), DestinationArn: new(row.Destination),
				Distribution: new(api.DistributionByLogStream), CreationTime: new(row.CreationTime),
			})
		}
		return nil
	})
	return out, err
}

// subscribedEvent is an event as functions get it.
type subscribedEvent struct {
	ID        string            `json:"id"`
	Timestamp int64             `json:"timestamp"`
	Message   string            `json:"message"`
	Extracted map[string]string `json:"extractedFields,omitempty"`
}

// matchedEvents are those of a batch that a subscription is for.
func matchedEvents(p *pattern.Pattern, b *batch) []subscribedEvent {
	var list []subscribedEvent
	for _, e := range b.events {
		found, ok := p.Find(e.message)
		if !ok {
			continue
		}
		x := subscribedEvent{ID: cursor{e.position, b.id}.text(), Timestamp: e.timestamp, Message: e.message}
		for reference, v := range found.Values() {
			// Only patterns of fields extract: $.a is a selector.
			if name := strings.TrimPrefix(reference, "$"); !strings.HasPrefix(name, ".") {
				if x.Extracted == nil {
					x.Extracted = map[string]string{}
				}
				x.Extracted[name] = v
			}
		}
		list = append(list, x)
	}
	return list
}

// delivery is a job of SubscriptionQueue.
type delivery struct {
	Account     string `json:"account"`
	Region      string `json:"region"`
	Group       string `json:"group"`
	GroupID     uint64 `json:"groupId"`
	Filter      string `json:"filter"`
	Destination string `json:"destination"`
	Events      int    `json:"events"`
	Payload     []byte `json:"payload"`
}

// enqueueDelivery writes jobs for events, as many as it takes to keep each within its size.
func enqueueDelivery(tx kv.Tx, b *batch, filter string, row *subscriptionRow, events []subscribedEvent) (jobs int, dropped int64, err error) {
	payload, err := subscriptionPayload(b, filter, events)
	if err != nil {
		return 0, 0, err
	}
	if len(payload) > maxDelivery {
		if len(events) == 1 {
			return 0, 1, nil
		}
		half := len(events) / 2
		for _, part := range [][]subscribedEvent{events[:half], events[half:]} {
			n, lost, err := enqueueDelivery(tx, b, filter, row, part)
			if err != nil {
				return 0, 0, err
			}
			jobs, dropped = jobs+n, dropped+lost
		}
		return jobs, dropped, nil
	}
	job, err := json.Marshal(delivery{b.scope.account, b.scope.region, b.name, b.group.ID, filter, row.Destination, len(events), payload})
	if err != nil {
		return 0, 0, err
	}
	_, err = outbox.Enqueue(tx, outbox.Job{Queue: SubscriptionQueue, Payload: job})
	return 1, 0, err
}

// subscriptionPayload is the event of a function.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/SubscriptionFilters.html#LambdaFunctionExample
func subscriptionPayload(b *batch, filter string, events []subscribedEvent) ([]byte, error) {
	data, err := json.Marshal(struct {
		MessageType         string            `json:"messageType"`
		Owner               string            `json:"owner"`
		LogGroup            string            `json:"logGroup"`
		LogStream           string            `json:"logStream"`
		SubscriptionFilters []string          `json:"subscriptionFilters"`
		LogEvents           []subscribedEvent `json:"logEvents"`
	}{"DATA_MESSAGE", b.scope.account, b.name, b.stream, []string{filter}, events})
	if err != nil {
		return nil, err
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return []byte(`{"awslogs":{"data":"` + base64.StdEncoding.EncodeToString(packed.Bytes()) + `"}}`), nil
}

// Deliver hands the events of a delivery to the function. What the function's policy refuses is dropped, and so is what comes
// within the next minutes; other failures are tried again for a day.
func (s *Service) Deliver(ctx context.Context, d outbox.Delivery) error {
	var job delivery
	if err := json.Unmarshal(d.Payload, &job); err != nil {
		return err
	}
	done := func(dropped string) error {
		s.pending.Add(-1)
		if dropped != "" {
			s.drop(ctx, job.Group, int64(job.Events), dropped)
		}
		return nil
	}
	var row subscriptionRow
	subscribed := false
	err := s.store.View(ctx, func(tx kv.Reader) (err error) {
		subscribed, err = getJSON(tx, subscriptionKey(job.GroupID, job.Filter), &row)
		return err
	})
	if err != nil {
		return err
	}
	if !subscribed || row.Destination != job.Destination {
		return done("")
	}
	if until, ok := s.disabled.Load(job.Destination); ok {
		if time.Now().Before(until.(time.Time)) {
			return done("the function refused deliveries minutes ago")
		}
		s.disabled.Delete(job.Destination)
	}
	sc := scope{job.Account, job.Region}
	err = s.functions.Invoke(ctx, &FunctionEvent{
		FunctionARN: job.Destination, SourceARN: sc.groupARN(job.Group) + ":*", SourceAccount: job.Account, Payload: job.Payload,
	})
	var known awserr.Error
	switch {
	case err == nil:
		return done("")
	case errors.As(err, &known) && !retryable(known.ErrorCode()):
		s.disabled.Store(job.Destination, time.Now().Add(disabledFor))
		return done(err.Error())
	case time.Since(d.EnqueuedAt) > maxDeliveryAge:
		return done(err.Error())
	case errors.As(err, &known):
		return outbox.RetryAt(time.Now().Add(min(minRetry<<min(d.Attempt-1, 9), maxRetry)), nil)
	}
	return err
}

func retryable(code string) bool {
	return strings.Contains(code, "TooManyRequests") || strings.Contains(code, "Throttl") || strings.Contains(code, "Service") ||
		strings.Contains(code, "ResourceConflict")
}
