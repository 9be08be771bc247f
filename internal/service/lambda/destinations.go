package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"brume/internal/awserr"
	"brume/internal/outbox"
)

// DestinationQueue is the queue of what is sent to destinations and dead-letter targets.
const DestinationQueue = "lambda.destination"

// DestinationConcurrency is how many records are under way at one time.
const DestinationConcurrency = 32

// How a record is tried again that could not be sent.
const (
	maxDestinationAge   = 6 * time.Hour
	maxDestinationPause = 5 * time.Minute
)

// A Message is what a destination or a dead-letter target gets.
type Message struct {
	// Target is the ARN of a function, a queue, a topic, an event bus or a bucket.
	Target string `json:"target"`
	// Role is the execution role with whose permissions it is sent, Source the ARN of the function that it is about.
	Role   string          `json:"role"`
	Source string          `json:"source"`
	Body   json.RawMessage `json:"body"`
	// Attributes go along with what has them: the cause of a dead letter.
	Attributes map[string]string `json:"attributes,omitempty"`
	// DetailType is for event buses.
	DetailType string `json:"detailType,omitempty"`
	// Account and Region are the function's.
	Account string `json:"account"`
	Region  string `json:"region"`
	// TraceID is the tracing header that goes along.
	TraceID string `json:"traceId,omitempty"`
}

// Destinations are where records of invocations go.
type Destinations interface {
	// Supports says whether there is a service that takes messages at such ARNs: "lambda", "sqs", "sns", "events", "s3".
	Supports(service string) bool
	// Check returns an awserr.Error if a message could not be sent now, for want of a permission for example.
	Check(ctx context.Context, m *Message) error
	// Send delivers a message with the permissions of its role. It fails with an awserr.Error where the target refuses.
	Send(ctx context.Context, m *Message) error
}

// serviceOfARN returns the third part of an ARN.
func serviceOfARN(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" {
		return ""
	}
	return parts[2]
}

// checkDestination refuses an ARN that no record can be sent to by the role of r.
// https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
func (s *Service) checkDestination(ctx context.Context, r ref, role, arn string, failure bool) error {
	service := serviceOfARN(arn)
	switch service {
	case "lambda", "sqs", "sns", "events":
	case "s3":
		if !failure {
			return invalid("The provided destination config DestinationConfig(onSuccess=OnSuccess(destination=%s)) is invalid: S3 is only for failures.", arn)
		}
	default:
		return invalid("The provided destination %s is invalid. Destinations are functions, SQS queues, SNS topics, event buses and, for failures, S3 buckets.", arn)
	}
	if err := s.supported("Destination", service, arn); err != nil {
		return err
	}
	err := s.destinations.Check(ctx, &Message{Target: arn, Role: role, Source: r.at(latest).arn(), Account: r.account, Region: r.region})
	if known, ok := errors.AsType[awserr.Error](err); ok {
		if strings.HasPrefix(known.ErrorCode(), "AccessDenied") {
			return invalid("The function's execution role does not have permissions to call %s on %s", sendAction(service), arn)
		}
		return invalid("The destination ARN %s is invalid: %s", arn, known.ErrorMessage())
	}
	return err
}

// sendAction is the permission that it takes to send a record to a service.
func sendAction(service string) string {
	return map[string]string{"lambda": "InvokeFunction", "sqs": "SendMessage", "sns": "Publish", "events": "PutEvents", "s3": "PutObject"}[service]
}

// checkDeadLetter refuses an ARN that is no dead-letter target.
// https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html#invocation-dlq
func (s *Service) checkDeadLetter(arn string) error {
	service := serviceOfARN(arn)
	if service != "sqs" && service != "sns" {
		return invalid("The provided dead letter target %s is invalid. Only SQS queues and SNS topics are dead letter targets.", arn)
	}
	return s.supported("DeadLetterConfig", service, arn)
}

func (s *Service) supported(what, service, arn string) error {
	if s.destinations == nil || !s.destinations.Supports(service) {
		return invalid("%s %s is not supported: Brume has no %s yet.", what, arn, map[string]string{
			"lambda": "AWS Lambda", "sqs": "Amazon SQS", "sns": "Amazon SNS", "events": "Amazon EventBridge", "s3": "Amazon S3",
		}[service])
	}
	return nil
}

// An invocationRecord is what a destination gets to know of an asynchronous invocation.
// https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html#invocation-async-destinations
type invocationRecord struct {
	Version         string           `json:"version"`
	Timestamp       string           `json:"timestamp"`
	RequestContext  recordRequest    `json:"requestContext"`
	RequestPayload  json.RawMessage  `json:"requestPayload"`
	ResponseContext *recordResponse  `json:"responseContext,omitempty"`
	ResponsePayload *json.RawMessage `json:"responsePayload,omitempty"`
}

type recordRequest struct {
	RequestID   string `json:"requestId"`
	FunctionARN string `json:"functionArn"`
	Condition   string `json:"condition"`
	Count       int    `json:"approximateInvokeCount"`
}

type recordResponse struct {
	Status   int    `json:"statusCode"`
	Version  string `json:"executedVersion"`
	Function string `json:"functionError,omitempty"`
}

// Conditions of records.
const (
	conditionSuccess   = "Success"
	conditionExhausted = "RetriesExhausted"
	conditionTooOld    = "EventAgeExceeded"
	conditionZero      = "ZeroReservedConcurrency"
	conditionLoop      = "RecursiveInvocationDetected"
)

// recordTime is how records write times.
const recordTime = "2006-01-02T15:04:05.000Z"

// Deliver is the handler of DestinationQueue. What a target refuses for good is given up, as in Lambda; the log says so.
func (s *Service) Deliver(ctx context.Context, d outbox.Delivery) error {
	m := &Message{}
	if err := json.Unmarshal(d.Payload, m); err != nil {
		return fmt.Errorf("lambda: a message of the queue: %w", err)
	}
	err := s.destinations.Send(ctx, m)
	if err == nil || ctx.Err() != nil {
		return err
	}
	var known awserr.Error
	final := errors.As(err, &known) && known.HTTPStatus() < 500 && known.HTTPStatus() != 429
	pause := min(time.Second<<min(d.Attempt-1, 9), maxDestinationPause)
	if final || time.Since(d.EnqueuedAt)+pause > maxDestinationAge {
		s.log.WarnContext(ctx, "the record of an invocation could not be sent", "function", m.Source, "to", m.Target, "error", err)
		return nil
	}
	return outbox.RetryAt(time.Now().Add(pause), nil)
}
