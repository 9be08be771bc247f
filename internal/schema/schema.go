// Package schema is the vocabulary between the generated API packages and the codecs of package wire.
//
// A generated package holds two things: Go types, and one Service value, an immutable table that says what the service
// model says of them: names on the wire, locations, constraints, operations. Types know how to walk themselves
// (Struct) but nothing of a protocol; codecs know a protocol and the table but no type. So one walker serves every
// protocol, every service and every other use of a walk (validation, audit records), without reflection.
package schema

import (
	"context"
	"strings"
	"time"
)

// Kind is the kind of a shape, as the service models name them.
type Kind uint8

const (
	Structure Kind = iota
	List
	Map
	String
	Blob
	Boolean
	Integer // 32 bits
	Long    // 64 bits
	Float
	Double
	Timestamp
)

// Location says where in an HTTP message a member travels.
type Location uint8

const (
	Body Location = iota
	URI
	Query
	Header
	Headers // every header with the member's wire name as a prefix
	StatusCode
)

// TimestampFormat says how a timestamp is written; Default leaves it to the protocol and the location.
type TimestampFormat uint8

const (
	DefaultTimestamp TimestampFormat = iota
	ISO8601
	RFC822
	UnixTimestamp
)

// A Shape describes a type of a service model.
type Shape struct {
	Name string
	Kind Kind
	// Members are the members of a Structure in the model's order; of a List the element alone; of a Map key and value.
	Members []Member
	// Payload is 1 + the index of the structure's member that is the whole body; 0 for none.
	Payload int
	// Flattened and XMLName are of interest to the query and XML protocols only.
	Flattened bool
	XMLName   string
	// ResultWrapper is of outputs of the query protocol.
	ResultWrapper string
	// Union: exactly one member is set.
	Union           bool
	TimestampFormat TimestampFormat

	// Constraints: of lengths (String, Blob, List, Map) or of values (numbers), on the way in.
	Min, Max       float64
	HasMin, HasMax bool
	Pattern        string // as the model has it and as messages show it; it must match as a whole
	Regexp         string // the same for package regexp; empty where Pattern needs no translation
	Enum           []string

	// Sensitive values appear in no log and no audit record.
	Sensitive bool
}

// A Member is a member of a structure, the element of a list, or the key or value of a map.
type Member struct {
	Name string // in the model
	// Wire is the name in JSON, XML, query, URI or header.
	Wire     string
	Shape    int // index in Service.Shapes
	Location Location

	Required         bool
	IdempotencyToken bool
	JSONValue        bool // JSON within a string
	Streaming        bool
	Flattened        bool
	XMLAttribute     bool
	XMLNamespace     string
	XMLPrefix        string
	TimestampFormat  TimestampFormat
}

// Protocol is the wire protocol of a service.
type Protocol uint8

const (
	AWSJSON Protocol = iota
	RestJSON
	RestXML
	AWSQuery
)

// An Operation describes one operation of a service.
type Operation struct {
	Name   string
	Method string
	// Path is the URI template, with its required query literals behind a question mark.
	Path string
	// Status is the HTTP status of success; 0 means 200.
	Status int
	// Input and Output are indices in Service.Shapes, -1 for none.
	Input, Output int
	// Deprecated operations are not counted as missing.
	Deprecated bool
	// Unsigned operations are for callers without credentials.
	Unsigned bool
}

// A Service describes a service.
type Service struct {
	// Name is Brume's name of the service and the name of its generated package: "dynamodb".
	Name string
	// FullName is AWS's name for people: "Amazon DynamoDB".
	FullName string
	// SigningName stands in the credential scope, EndpointPrefix leads the host name.
	SigningName, EndpointPrefix string
	// IAMPrefix is what the service's IAM actions begin with.
	IAMPrefix   string
	Protocol    Protocol
	JSONVersion string // "1.0" or "1.1"
	// TargetPrefix is the first part of X-Amz-Target.
	TargetPrefix string
	APIVersion   string
	XMLNamespace string
	// Global services have one region, whatever the caller's.
	Global     bool
	Shapes     []Shape
	Operations []Operation
}

// HasTarget reports whether prefix, the first part of an X-Amz-Target, means this service. Older clients send it with a
// name space in front ("com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101"), newer ones without.
func (s *Service) HasTarget(prefix string) bool {
	return prefix != "" && (prefix == s.TargetPrefix || strings.HasSuffix(s.TargetPrefix, "."+prefix) && !strings.Contains(prefix, "."))
}

// Shape returns the shape of a member.
func (s *Service) Shape(m *Member) *Shape { return &s.Shapes[m.Shape] }

// A Struct is a generated structure. Member indices are those of its Shape.
type Struct interface {
	// EncodeMembers writes each member that is set, in the order of the shape: Encoder.Member, then one value.
	EncodeMembers(e Encoder)
	// DecodeMember reads the value of member i.
	DecodeMember(i int, d Decoder)
}

// An Encoder receives a walk over a value. An encoder knows the shape of what it is given; after Member, Key or
// BeginList the next call delivers the value that belongs there.
type Encoder interface {
	Member(i int)
	Bool(v bool)
	Int(v int64)
	Float(v float64)
	String(v string)
	Blob(v []byte)
	Time(v time.Time)
	Struct(v Struct)
	BeginList(n int)
	EndList()
	BeginMap(n int)
	Key(k string)
	EndMap()
}

// A Decoder delivers a value of the shape it stands at. Errors stick: after the first, every call returns zero values
// and every sequence ends; who started the decoding asks for the error.
type Decoder interface {
	Bool() bool
	Int() int64
	Float() float64
	String() string
	Blob() []byte
	Time() time.Time
	// Struct reads a structure, calling v.DecodeMember for each member that is there and not null.
	Struct(v Struct)
	// BeginList starts a list; NextElem moves to the next element that is not null, false at the end.
	BeginList()
	NextElem() bool
	// BeginMap starts a map; NextKey moves to the next entry whose value is not null.
	BeginMap()
	NextKey() (string, bool)
	// Fail makes err the decoder's error, unless it has one.
	Fail(err error)
}

// A Handler runs one operation.
type Handler struct {
	// New makes an empty input.
	New func() Struct
	// Call runs the operation on an input that New made. On success the output is not nil.
	Call func(ctx context.Context, in Struct) (Struct, error)
}

// Pointer is a pointer to T that is a Struct.
type Pointer[T any] interface {
	*T
	Struct
}

// Handle makes a Handler of a typed operation.
func Handle[In, Out any, PI Pointer[In], PO Pointer[Out]](call func(context.Context, *In) (*Out, error)) Handler {
	return Handler{
		New: func() Struct { return PI(new(In)) },
		Call: func(ctx context.Context, in Struct) (Struct, error) {
			out, err := call(ctx, (*In)(in.(PI)))
			if err != nil {
				return nil, err
			}
			return PO(out), nil
		},
	}
}
