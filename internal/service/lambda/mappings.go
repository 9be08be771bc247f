package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	api "brume/internal/api/lambda"
	"brume/internal/awserr"
	"brume/internal/eventpattern"
	"brume/internal/kv"
	"brume/internal/policy"
	"brume/internal/service/lambda/eventsource"
)

// Limits of event source mappings.
// https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html
// https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html
const (
	mappingPageSize  = 100
	defaultBatchSize = 100
	// Of queues; with more than queueBatchSize a batching window is needed.
	queueBatchSize     = 10
	defaultConcurrency = 5
	maxFilters         = 5
	maxPattern         = 4096
	minRecordAge       = 60
)

// States of a mapping.
const (
	stateCreating  = "Creating"
	stateEnabling  = "Enabling"
	stateEnabled   = "Enabled"
	stateUpdating  = "Updating"
	stateDisabling = "Disabling"
	stateDisabled  = "Disabled"
	stateDeleting  = "Deleting"
)

// mappingRow is what is stored of an event source mapping.
type mappingRow struct {
	Source    string `json:"source"`
	Function  string `json:"function"`
	Qualifier string `json:"qualifier,omitempty"`
	// Enabled is what the user wants, State what has become of it: between the two the state says that something goes on.
	Enabled    bool      `json:"enabled"`
	State      string    `json:"state"`
	Generation int64     `json:"generation"`
	Modified   time.Time `json:"modified"`
	Result     string    `json:"result,omitempty"`

	Start     string            `json:"start"`
	BatchSize int32             `json:"batchSize"`
	Window    int32             `json:"window,omitempty"` // seconds
	Parallel  int32             `json:"parallel"`
	Filters   []string          `json:"filters,omitempty"`
	Bisect    bool              `json:"bisect,omitempty"`
	Report    bool              `json:"report,omitempty"`
	Retries   int32             `json:"retries"`
	Age       int32             `json:"age"` // seconds, -1: any
	Tumbling  int32             `json:"tumbling,omitempty"`
	OnFailure string            `json:"onFailure,omitempty"`
	Tags      map[string]string `json:"tags,omitempty"`
}

// A mappingRef names a mapping.
type mappingRef struct {
	scope
	uuid string
}

func (m mappingRef) arn() string {
	return "arn:aws:lambda:" + m.region + ":" + m.account + ":event-source-mapping:" + m.uuid
}

// isQueue says whether the source is a queue, and not a stream.
func (row *mappingRow) isQueue() bool { return serviceOfARN(row.Source) == "sqs" }

func (row *mappingRow) function(sc scope) ref { return ref{sc, row.Function, row.Qualifier} }

var errNoMapping = notFound("The resource you requested does not exist.")

func getMapping(rd kv.Reader, m mappingRef) (*mappingRow, error) {
	data, ok, err := rd.Get(mappingKey(m))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errNoMapping
	}
	return decodeMapping(data)
}

func decodeMapping(data []byte) (*mappingRow, error) {
	row := &mappingRow{}
	if err := json.Unmarshal(data, row); err != nil {
		return nil, fmt.Errorf("lambda: row of an event source mapping: %w", err)
	}
	return row, nil
}

// config is a mapping as the API shows it.
func (row *mappingRow) config(m mappingRef) *api.EventSourceMappingConfiguration {
	out := &api.EventSourceMappingConfiguration{
		UUID: new(m.uuid), EventSourceMappingArn: new(m.arn()), EventSourceArn: new(row.Source), FunctionArn: new(row.function(m.scope).arn()),
		State: new(row.State), StateTransitionReason: new("USER_INITIATED"), LastModified: new(row.Modified),
		BatchSize: new(row.BatchSize), MaximumBatchingWindowInSeconds: new(row.Window), FunctionResponseTypes: []string{},
	}
	if row.isQueue() {
		if row.Parallel != defaultConcurrency {
			out.ScalingConfig = &api.ScalingConfig{MaximumConcurrency: new(row.Parallel)}
		}
	} else {
		out.StateTransitionReason, out.LastProcessingResult = new("User action"), new("No records processed")
		out.StartingPosition, out.ParallelizationFactor, out.BisectBatchOnFunctionError = new(row.Start), new(row.Parallel), new(row.Bisect)
		out.MaximumRetryAttempts, out.MaximumRecordAgeInSeconds, out.TumblingWindowInSeconds = new(row.Retries), new(row.Age), new(row.Tumbling)
		out.DestinationConfig = &api.DestinationConfig{OnFailure: &api.OnFailure{}}
		if row.Result != "" {
			out.LastProcessingResult = new(row.Result)
		}
		if row.OnFailure != "" {
			out.DestinationConfig.OnFailure.Destination = new(row.OnFailure)
		}
	}
	if row.Report {
		out.FunctionResponseTypes = []string{api.FunctionResponseTypeReportBatchItemFailures}
	}
	if len(row.Filters) > 0 {
		out.FilterCriteria = &api.FilterCriteria{}
		for _, f := range row.Filters {
			out.FilterCriteria.Filters = append(out.FilterCriteria.Filters, api.Filter{Pattern: new(f)})
		}
	}
	return out
}

// apply follows what a request says; nil leaves all as it is.
func (row *mappingRow) apply(in *api.UpdateEventSourceMappingInput) error {
	forStreams := in.ParallelizationFactor != nil || in.BisectBatchOnFunctionError != nil || in.MaximumRetryAttempts != nil ||
		in.MaximumRecordAgeInSeconds != nil || in.TumblingWindowInSeconds != nil || in.DestinationConfig != nil
	switch {
	case len(in.SourceAccessConfigurations) > 0 || in.DocumentDBEventSourceConfig != nil:
		return invalid("SourceAccessConfigurations and DocumentDBEventSourceConfig are not for this event source.")
	case !row.isQueue() && in.ScalingConfig != nil:
		return invalid("ScalingConfig is for SQS event sources only.")
	case row.isQueue() && forStreams:
		return invalid("ParallelizationFactor, BisectBatchOnFunctionError, MaximumRetryAttempts, MaximumRecordAgeInSeconds, TumblingWindowInSeconds and DestinationConfig are not for SQS event sources.")
	case in.MaximumRecordAgeInSeconds != nil && *in.MaximumRecordAgeInSeconds != -1 && *in.MaximumRecordAgeInSeconds < minRecordAge:
		return failsConstraint(*in.MaximumRecordAgeInSeconds, "maximumRecordAgeInSeconds", "Member must be -1 or have value greater than or equal to 60")
	case in.DestinationConfig != nil && in.DestinationConfig.OnSuccess != nil && in.DestinationConfig.OnSuccess.Destination != nil:
		return invalid("Unsupported DestinationConfig: event source mappings have destinations for failures only.")
	}
	set(&row.BatchSize, in.BatchSize)
	set(&row.Window, in.MaximumBatchingWindowInSeconds)
	set(&row.Parallel, in.ParallelizationFactor)
	set(&row.Bisect, in.BisectBatchOnFunctionError)
	set(&row.Retries, in.MaximumRetryAttempts)
	set(&row.Age, in.MaximumRecordAgeInSeconds)
	set(&row.Tumbling, in.TumblingWindowInSeconds)
	if row.isQueue() {
		if in.ScalingConfig != nil {
			row.Parallel = defaultConcurrency
			set(&row.Parallel, in.ScalingConfig.MaximumConcurrency)
		}
		if row.BatchSize > queueBatchSize && row.Window == 0 {
			return invalid("Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10")
		}
	}
	if in.FunctionResponseTypes != nil {
		row.Report = len(in.FunctionResponseTypes) > 0
	}
	if in.DestinationConfig != nil && in.DestinationConfig.OnFailure != nil {
		row.OnFailure = ""
		set(&row.OnFailure, in.DestinationConfig.OnFailure.Destination)
	}
	if in.FilterCriteria != nil {
		if len(in.FilterCriteria.Filters) > maxFilters {
			return invalid("The number of filters exceeds the limit of %d.", maxFilters)
		}
		row.Filters = nil
		for _, f := range in.FilterCriteria.Filters {
			if f.Pattern == nil || len(*f.Pattern) > maxPattern {
				return invalid("Invalid filter pattern definition.")
			}
			if _, err := eventpattern.Parse([]byte(*f.Pattern)); err != nil {
				return invalid("Invalid filter pattern definition.")
			}
			row.Filters = append(row.Filters, *f.Pattern)
		}
	}
	return nil
}

// compile is the mapping as it is run with a function's role.
func (row *mappingRow) compile(m mappingRef, role string) (*eventsource.Mapping, error) {
	out := &eventsource.Mapping{
		Reader: row.reader(m.scope, role), Start: row.Start, BatchSize: int(row.BatchSize), Window: time.Duration(row.Window) * time.Second,
		Parallel: int(row.Parallel), Bisect: row.Bisect, Report: row.Report, Retries: int(row.Retries), Tumbling: time.Duration(row.Tumbling) * time.Second,
	}
	if row.Age > 0 {
		out.Age = time.Duration(row.Age) * time.Second
	}
	for _, text := range row.Filters {
		f, err := eventpattern.Parse([]byte(text))
		if err != nil {
			return nil, err
		}
		out.Filters = append(out.Filters, f)
	}
	return out, nil
}

func (row *mappingRow) reader(sc scope, role string) eventsource.Reader {
	return eventsource.Reader{RoleARN: role, SessionName: row.Function, Account: sc.account, Region: sc.region, StreamARN: row.Source}
}

// checkMappingDestination refuses what failed batches of a stream cannot be sent to.
// https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html
func (s *Service) checkMappingDestination(ctx context.Context, r ref, role string, c *api.DestinationConfig) error {
	if c == nil || c.OnFailure == nil || c.OnFailure.Destination == nil || *c.OnFailure.Destination == "" {
		return nil
	}
	arn := *c.OnFailure.Destination
	switch serviceOfARN(arn) {
	case "sqs", "sns", "s3":
		return s.checkDestination(ctx, r, role, arn, true)
	}
	return invalid("The provided destination config DestinationConfig(onFailure=OnFailure(destination=%s)) is invalid: failed batches of streams go to SQS queues, SNS topics and S3 buckets.", arn)
}

// checkSource sees that a role may read a stream, which must exist.
func (s *Service) checkSource(ctx context.Context, reader eventsource.Reader) error {
	if serviceOfARN(reader.StreamARN) == "sqs" {
		err := s.queues.Check(ctx, reader)
		known, ok := errors.AsType[awserr.Error](err)
		switch {
		case ok && strings.HasPrefix(known.ErrorCode(), "AccessDenied"):
			return invalid("The provided execution role does not have permissions to call ReceiveMessage on SQS")
		case ok:
			return invalid("The queue %s cannot be read: %s", reader.StreamARN, known.ErrorMessage())
		}
		return err
	}
	shards, err := s.streams.Shards(ctx, reader)
	if err == nil && len(shards) > 0 {
		_, err = s.streams.Read(ctx, reader, shards[len(shards)-1].ID, eventsource.FromLatest, 1)
	}
	known, ok := errors.AsType[awserr.Error](err)
	switch {
	case !ok:
		return err
	case strings.HasPrefix(known.ErrorCode(), "AccessDenied"):
		return invalid("Cannot access stream %s. Please ensure the role can perform the GetRecords, GetShardIterator, DescribeStream, and ListStreams Actions on your stream in IAM.", reader.StreamARN)
	case known.ErrorCode() == "ResourceNotFoundException":
		return invalid("Stream not found: %s", reader.StreamARN)
	}
	return err
}

// https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html
func (s *Service) CreateEventSourceMapping(ctx context.Context, in *api.CreateEventSourceMappingInput) (*api.EventSourceMappingConfiguration, error) {
	if in.SelfManagedEventSource != nil || in.EventSourceArn == nil {
		return nil, invalid("Unrecognized event source: Brume reads the streams of DynamoDB tables. Give the EventSourceArn of one.")
	}
	source := *in.EventSourceArn
	parts := strings.SplitN(source, ":", 6)
	switch {
	case serviceOfARN(source) == "sqs" && s.queues == nil:
		return nil, invalid("Event sources of Amazon SQS are not supported: Brume has no Amazon SQS yet.")
	case serviceOfARN(source) == "sqs" && in.StartingPosition != nil:
		return nil, invalid("StartingPosition is not valid for SQS event sources.")
	case serviceOfARN(source) == "sqs":
	case serviceOfARN(source) != "dynamodb" || !strings.Contains(parts[5], "/stream/"):
		return nil, invalid("Unrecognized event source, must be the stream of a DynamoDB table. %s is none.", source)
	case in.StartingPosition == nil:
		return nil, invalid("1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: Member must not be null.")
	case *in.StartingPosition == api.EventSourcePositionAtTimestamp:
		return nil, invalid("Unsupported starting position for arn type: %s", source)
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	r, role, err := s.roleOf(ctx, in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	row := &mappingRow{
		Source: source, Function: r.name, Qualifier: r.qualifier, Enabled: true, State: stateCreating,
		BatchSize: defaultBatchSize, Parallel: 1, Retries: -1, Age: -1, Tags: in.Tags,
	}
	if set(&row.Start, in.StartingPosition); row.isQueue() {
		row.BatchSize, row.Parallel = queueBatchSize, defaultConcurrency
	}
	set(&row.Enabled, in.Enabled)
	if err := row.apply(&api.UpdateEventSourceMappingInput{
		BatchSize: in.BatchSize, FilterCriteria: in.FilterCriteria, MaximumBatchingWindowInSeconds: in.MaximumBatchingWindowInSeconds,
		DestinationConfig: in.DestinationConfig, MaximumRecordAgeInSeconds: in.MaximumRecordAgeInSeconds, BisectBatchOnFunctionError: in.BisectBatchOnFunctionError,
		MaximumRetryAttempts: in.MaximumRetryAttempts, ParallelizationFactor: in.ParallelizationFactor, SourceAccessConfigurations: in.SourceAccessConfigurations,
		TumblingWindowInSeconds: in.TumblingWindowInSeconds, FunctionResponseTypes: in.FunctionResponseTypes, ScalingConfig: in.ScalingConfig,
		DocumentDBEventSourceConfig: in.DocumentDBEventSourceConfig,
	}); err != nil {
		return nil, err
	}
	if err := s.checkMappingDestination(ctx, r, role, in.DestinationConfig); err != nil {
		return nil, err
	}
	if err := s.checkSource(ctx, row.reader(r.scope, role)); err != nil {
		return nil, err
	}
	m := mappingRef{r.scope, newUUID()}
	err = s.store.Update(ctx, func(tx kv.Tx) error {
		if _, _, err := s.find(tx, r); err != nil {
			return err
		}
		for other, existing := range eachMapping(tx, inScope(tagMapping, r.scope), &err) {
			if existing.Source == source && existing.Function == r.name && existing.Qualifier == r.qualifier && existing.State != stateDeleting {
				return conflict(`The event source arn (" %s ") and function (" %s ") provided mapping already exists. Please update or delete the existing mapping with UUID %s`, source, r.name, other.uuid)
			}
		}
		if err != nil {
			return err
		}
		row.Modified, row.Generation = tx.Now(), tx.Now().UnixNano()
		return putJSON(tx, mappingKey(m), row)
	})
	if err != nil {
		return nil, err
	}
	return row.config(m), nil
}

// eachMapping yields the mappings whose keys have a prefix. What goes wrong is in err afterwards.
func eachMapping(rd kv.Reader, prefix []byte, err *error) func(yield func(mappingRef, *mappingRow) bool) {
	return func(yield func(mappingRef, *mappingRow) bool) {
		for pair, e := range rd.Scan(kv.Prefix(prefix)) {
			var m mappingRef
			var row *mappingRow
			if e == nil {
				m, e = parseMappingKey(pair.Key)
			}
			if e == nil {
				row, e = decodeMapping(pair.Value)
			}
			if e != nil {
				*err = e
				return
			}
			if !yield(m, row) {
				return
			}
		}
	}
}

// https://docs.aws.amazon.com/lambda/latest/api/API_GetEventSourceMapping.html
func (s *Service) GetEventSourceMapping(ctx context.Context, in *api.GetEventSourceMappingInput) (out *api.EventSourceMappingConfiguration, err error) {
	m := mappingRef{scopeOf(ctx), *in.UUID}
	err = s.store.View(ctx, func(rd kv.Reader) error {
		row, err := getMapping(rd, m)
		if err == nil {
			out = row.config(m)
		}
		return err
	})
	return out, err
}

// https://docs.aws.amazon.com/lambda/latest/api/API_ListEventSourceMappings.html
func (s *Service) ListEventSourceMappings(ctx context.Context, in *api.ListEventSourceMappingsInput) (*api.ListEventSourceMappingsOutput, error) {
	p, err := newPage(in.Marker, in.MaxItems, mappingPageSize)
	if err != nil {
		return nil, err
	}
	var of *ref
	if in.FunctionName != nil && *in.FunctionName != "" {
		r, err := resolveName(ctx, in.FunctionName, nil)
		if err != nil {
			return nil, err
		}
		of = &r
	}
	out := &api.ListEventSourceMappingsOutput{EventSourceMappings: []api.EventSourceMappingConfiguration{}}
	err = s.store.View(ctx, func(rd kv.Reader) (err error) {
		for m, row := range eachMapping(rd, inScope(tagMapping, scopeOf(ctx)), &err) {
			if of != nil && (row.Function != of.name || row.Qualifier != of.qualifier) ||
				in.EventSourceArn != nil && row.Source != *in.EventSourceArn {
				continue
			}
			if p.take(m.uuid) {
				out.EventSourceMappings = append(out.EventSourceMappings, *row.config(m))
			} else if p.full() {
				break
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	out.NextMarker = p.next()
	return out, nil
}

// https://docs.aws.amazon.com/lambda/latest/api/API_UpdateEventSourceMapping.html
func (s *Service) UpdateEventSourceMapping(ctx context.Context, in *api.UpdateEventSourceMappingInput) (*api.EventSourceMappingConfiguration, error) {
	m := mappingRef{scopeOf(ctx), *in.UUID}
	function, err := s.mappingFunction(ctx, m, in.FunctionName)
	if err != nil {
		return nil, err
	}
	name := function.arn()
	_, role, err := s.roleOf(ctx, &name, nil)
	if err != nil {
		return nil, err
	}
	if err := s.checkMappingDestination(ctx, function, role, in.DestinationConfig); err != nil {
		return nil, err
	}
	var row *mappingRow
	err = s.store.Update(ctx, func(tx kv.Tx) error {
		if row, err = getMapping(tx, m); err != nil {
			return err
		}
		switch row.State {
		case stateEnabled, stateDisabled:
		default:
			return &api.ResourceInUseException{Type: new(userFault), Message: new(
				"Cannot update the event source mapping because it is in use.")}
		}
		if err := row.apply(in); err != nil {
			return err
		}
		was := row.Enabled
		set(&row.Enabled, in.Enabled)
		row.Function, row.Qualifier = function.name, function.qualifier
		switch {
		case was && row.Enabled:
			row.State = stateUpdating
		case row.Enabled:
			row.State = stateEnabling
		case was:
			row.State = stateDisabling
		default:
			row.State = stateUpdating
		}
		row.Modified, row.Generation = tx.Now(), max(row.Generation+1, tx.Now().UnixNano())
		return putJSON(tx, mappingKey(m), row)
	})
	if err != nil {
		return nil, err
	}
	return row.config(m), nil
}

// mappingFunction is the function that a mapping is for after an update.
func (s *Service) mappingFunction(ctx context.Context, m mappingRef, name *string) (r ref, err error) {
	if name != nil && *name != "" {
		if r, err = resolveName(ctx, name, nil); err != nil {
			return r, err
		}
	}
	err = s.store.View(ctx, func(rd kv.Reader) error {
		row, err := getMapping(rd, m)
		if err == nil && r.name == "" {
			r = row.function(m.scope)
		}
		return err
	})
	return r, err
}

// https://docs.aws.amazon.com/lambda/latest/api/API_DeleteEventSourceMapping.html
func (s *Service) DeleteEventSourceMapping(ctx context.Context, in *api.DeleteEventSourceMappingInput) (*api.EventSourceMappingConfiguration, error) {
	m := mappingRef{scopeOf(ctx), *in.UUID}
	var row *mappingRow
	err := s.store.Update(ctx, func(tx kv.Tx) (err error) {
		if row, err = getMapping(tx, m); err != nil {
			return err
		}
		row.State, row.Modified = stateDeleting, tx.Now()
		return putJSON(tx, mappingKey(m), row)
	})
	if err != nil {
		return nil, err
	}
	return row.config(m), nil
}

// mappingCheck is a check on a mapping, with the function that it is for.
func (s *Service) mappingCheck(ctx context.Context, action, uuid string) (policy.Check, error) {
	m := mappingRef{scopeOf(ctx), uuid}
	check := policy.Check{Action: action, Resource: m.arn()}
	err := s.store.View(ctx, func(rd kv.Reader) error {
		row, err := getMapping(rd, m)
		if err == errNoMapping {
			return nil // the operation itself says so, to who may ask
		}
		if err == nil {
			also(&check, "lambda:FunctionArn", row.function(m.scope).arn())
			for k, v := range row.Tags {
				also(&check, "aws:ResourceTag/"+k, v)
			}
		}
		return err
	})
	return check, err
}

// isTransitional says whether a state is one that the loop of RunMappings ends.
func isTransitional(state string) bool {
	return slices.Contains([]string{stateCreating, stateEnabling, stateUpdating, stateDisabling, stateDeleting}, state)
}
