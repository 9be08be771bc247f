package lambda

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"reflect"
	"slices"
	"time"

	api "brume/internal/api/lambda"
	"brume/internal/blob"
	"brume/internal/kv"
	"brume/internal/service/lambda/environment"
)

// functionRow is what is stored of a function, apart from its published versions.
type functionRow struct {
	Latest versionRow `json:"latest"`
	// LastVersion is the number of the version that was published last; numbers are never used again.
	LastVersion uint64 `json:"lastVersion,omitempty"`
	// Published is what $LATEST had for its Content when that was published.
	Published int64             `json:"published,omitempty"`
	Tags      map[string]string `json:"tags,omitempty"`
	// Reserved is the function's own concurrency, if it has one.
	Reserved *int32 `json:"reserved,omitempty"`
	// CodeSigning is the ARN of the code signing configuration, or empty.
	CodeSigning string `json:"codeSigning,omitempty"`
	// Recursion is what becomes of recursive loops; empty stands for Terminate.
	Recursion string `json:"recursion,omitempty"`
}

// versionRow is the configuration of a version. That of a published one never changes.
type versionRow struct {
	Number     uint64 `json:"number,omitempty"` // 0: $LATEST
	RevisionID string `json:"revisionId"`
	// Generation grows with each update, whether that changes anything or not. Content is that of the last one that did;
	// 0 stands for Generation.
	Generation   int64     `json:"generation"`
	Content      int64     `json:"content,omitempty"`
	LastModified time.Time `json:"lastModified"`

	Code blob.Ref `json:"code"`
	// Unzipped is how large the files of the code are.
	Unzipped int64      `json:"unzipped,omitempty"`
	Layers   []layerUse `json:"layers,omitempty"`

	Runtime       string   `json:"runtime"`
	Handler       string   `json:"handler"`
	Role          string   `json:"role"`
	Description   string   `json:"description,omitempty"`
	Timeout       int32    `json:"timeout"`
	MemorySize    int32    `json:"memorySize"`
	TmpSize       int32    `json:"tmpSize"`
	Architectures []string `json:"architectures"`
	TracingMode   string   `json:"tracingMode"`
	SnapStart     string   `json:"snapStart"`
	// Environment holds the variables as JSON, sealed; nil if the function never had any.
	Environment []byte     `json:"environment,omitempty"`
	Logging     loggingRow `json:"logging"`
	// DeadLetter is the ARN of a queue or a topic, or empty.
	DeadLetter string `json:"deadLetter,omitempty"`

	// variables is Environment in the clear. It is there for rows that came from the store, and must not be changed.
	variables map[string]string
}

type loggingRow struct {
	Format           string `json:"format"`
	ApplicationLevel string `json:"applicationLevel,omitempty"`
	SystemLevel      string `json:"systemLevel,omitempty"`
	Group            string `json:"group,omitempty"` // empty: /aws/lambda/NAME
}

// version is the version as the API names it.
func (v *versionRow) version() string {
	if v.Number == 0 {
		return latest
	}
	return fmt.Sprint(v.Number)
}

func (v *versionRow) logGroup(name string) string {
	if v.Logging.Group != "" {
		return v.Logging.Group
	}
	return "/aws/lambda/" + name
}

// codeSHA256 is the digest of the code as the API has it.
func (v *versionRow) codeSHA256() string { return base64.StdEncoding.EncodeToString(v.Code.SHA256[:]) }

// packages are the packages that a version consists of.
func (v *versionRow) packages() iter.Seq[blob.Ref] {
	return func(yield func(blob.Ref) bool) {
		if !yield(v.Code) {
			return
		}
		for _, l := range v.Layers {
			if !yield(l.Code) {
				return
			}
		}
	}
}

// touch makes v, which was before, a new revision.
func (v *versionRow) touch(now time.Time, before *versionRow) {
	if v.Content == 0 {
		v.Content = v.Generation
	}
	v.RevisionID = newUUID()
	v.LastModified = now
	v.Generation = max(v.Generation+1, now.UnixNano())
	if !v.same(before) {
		v.Content = v.Generation
	}
}

// content is Content, of rows from before there was one too.
func (v *versionRow) content() int64 { return cmp.Or(v.Content, v.Generation) }

// same says whether two versions run the same code in the same way.
func (v *versionRow) same(other *versionRow) bool {
	plain := func(v versionRow) versionRow {
		v.Number, v.RevisionID, v.Generation, v.Content, v.LastModified = 0, "", 0, 0, time.Time{}
		v.Environment, v.variables, v.Code.ID = nil, nil, [8]byte{} // sealed and stored anew each time
		return v
	}
	return other != nil && maps.Equal(v.variables, other.variables) && reflect.DeepEqual(plain(*v), plain(*other))
}

// newUUID returns a random UUID.
func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// lastModified is how Lambda writes times.
func lastModified(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000-0700") }

// configuration is v as the API shows it. r says how it was asked for.
func (s *Service) configuration(r ref, v *versionRow) *api.FunctionConfiguration {
	c := &api.FunctionConfiguration{
		FunctionName:     new(r.name),
		FunctionArn:      new(r.arn()),
		Runtime:          new(v.Runtime),
		Role:             new(v.Role),
		Handler:          new(v.Handler),
		CodeSize:         new(v.Code.Size),
		Description:      new(v.Description),
		Timeout:          new(v.Timeout),
		MemorySize:       new(v.MemorySize),
		LastModified:     new(lastModified(v.LastModified)),
		CodeSha256:       new(v.codeSHA256()),
		Version:          new(v.version()),
		TracingConfig:    &api.TracingConfigResponse{Mode: new(v.TracingMode)},
		RevisionId:       new(v.RevisionID),
		State:            new(api.StateActive),
		LastUpdateStatus: new(api.LastUpdateStatusSuccessful),
		PackageType:      new(api.PackageTypeZip),
		Architectures:    slices.Clone(v.Architectures),
		EphemeralStorage: &api.EphemeralStorage{Size: new(v.TmpSize)},
		SnapStart:        &api.SnapStartResponse{ApplyOn: new(v.SnapStart), OptimizationStatus: new(api.SnapStartOptimizationStatusOff)},
		RuntimeVersionConfig: &api.RuntimeVersionConfig{
			RuntimeVersionArn: new(runtimeVersionARN(r.region, v.Runtime)),
		},
		LoggingConfig: &api.LoggingConfig{LogFormat: new(v.Logging.Format), LogGroup: new(v.logGroup(r.name))},
	}
	for _, l := range v.Layers {
		c.Layers = append(c.Layers, api.Layer{Arn: new(l.ARN), CodeSize: new(l.Code.Size)})
	}
	if v.DeadLetter != "" {
		c.DeadLetterConfig = &api.DeadLetterConfig{TargetArn: new(v.DeadLetter)}
	}
	if v.variables != nil {
		c.Environment = &api.EnvironmentResponse{Variables: maps.Clone(v.variables)}
	}
	if v.Logging.Format == api.LogFormatJson {
		c.LoggingConfig.ApplicationLogLevel = new(v.Logging.ApplicationLevel)
		c.LoggingConfig.SystemLogLevel = new(v.Logging.SystemLevel)
	}
	return c
}

// beingMade is c as Lambda answers to who made the function: it says so until all is there. Here all is, so the next question
// is answered with Active, as who waits for that expects.
// https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html
func beingMade(c *api.FunctionConfiguration) *api.FunctionConfiguration {
	c.State, c.StateReason, c.StateReasonCode = new(api.StatePending), new(creating), new(api.StateReasonCodeCreating)
	c.LastUpdateStatus = nil
	return c
}

// beingChanged is the same for an update.
func beingChanged(c *api.FunctionConfiguration) *api.FunctionConfiguration {
	c.LastUpdateStatus, c.LastUpdateStatusReason = new(api.LastUpdateStatusInProgress), new(creating)
	c.LastUpdateStatusReasonCode = new(api.StateReasonCodeCreating)
	return c
}

const creating = "The function is being created."

// function is v as it is run.
func (v *versionRow) function(r ref) *environment.Function {
	layers := make([]string, len(v.Layers))
	for i, l := range v.Layers {
		layers[i] = l.Code.String()
	}
	return &environment.Function{
		Account: r.account, Region: r.region, Name: r.name, Version: v.version(), ARN: r.at(v.version()).arn(),
		Generation: v.Generation,
		Runtime:    v.Runtime, RuntimeARN: runtimeVersionARN(r.region, v.Runtime), Handler: v.Handler, Role: v.Role, DeadLetter: v.DeadLetter, Architecture: v.Architectures[0],
		MemoryMB: int(v.MemorySize), TmpMB: int(v.TmpSize), Timeout: time.Duration(v.Timeout) * time.Second,
		Code: v.Code.String(), Layers: layers, Variables: v.variables,
		LogGroup: v.logGroup(r.name), LogFormat: v.Logging.Format,
		ApplicationLogLevel: v.Logging.ApplicationLevel, SystemLogLevel: v.Logging.SystemLevel,
	}
}

// seal puts variables into v. The function's ARN is what they are bound to.
func (s *Service) seal(r ref, v *versionRow, variables map[string]string) error {
	v.variables = variables
	if variables == nil {
		v.Environment = nil
		return nil
	}
	plain, err := json.Marshal(variables)
	if err != nil {
		return err
	}
	v.Environment = s.sealer.Seal(plain, []byte(r.function().arn()))
	return nil
}

// unseal fills v.variables.
func (s *Service) unseal(r ref, v *versionRow) error {
	if v.Environment == nil {
		return nil
	}
	plain, err := s.sealer.Open(v.Environment, []byte(r.function().arn()))
	if err == nil {
		err = json.Unmarshal(plain, &v.variables)
	}
	if err != nil {
		return fmt.Errorf("lambda: the environment variables of %s: %w", r.arn(), err)
	}
	return nil
}

// getFunction reads a function, of its own for the caller to change.
func (s *Service) getFunction(rd kv.Reader, r ref) (*functionRow, error) {
	data, ok, err := rd.Get(functionKey(r.scope, r.name))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, functionNotFound(r.arn())
	}
	return s.decodeFunction(r, data)
}

func (s *Service) decodeFunction(r ref, data []byte) (*functionRow, error) {
	row := &functionRow{}
	if err := json.Unmarshal(data, row); err != nil {
		return nil, fmt.Errorf("lambda: row of %s: %w", r.arn(), err)
	}
	return row, s.unseal(r, &row.Latest)
}

// getVersion reads a published version.
func (s *Service) getVersion(rd kv.Reader, r ref, number uint64) (*versionRow, error) {
	data, ok, err := rd.Get(versionKey(r.scope, r.name, number))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, functionNotFound(r.arn())
	}
	return s.decodeVersion(r, data)
}

func (s *Service) decodeVersion(r ref, data []byte) (*versionRow, error) {
	row := &versionRow{}
	if err := json.Unmarshal(data, row); err != nil {
		return nil, fmt.Errorf("lambda: row of %s: %w", r.arn(), err)
	}
	return row, s.unseal(r, row)
}

func putJSON(tx kv.Tx, key []byte, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return tx.Set(key, data)
}
