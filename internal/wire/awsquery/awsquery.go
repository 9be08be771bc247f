// Package awsquery is the codec of the protocol awsQuery: an operation is a form, whose keys spell the way to each
// scalar ("Tags.member.1.Key"), and is answered with an XML document.
//
// https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
package awsquery

import (
	"net/http"

	"brume/internal/awserr"
	"brume/internal/schema"
	"brume/internal/wire/codec"
	"brume/internal/wire/xmlvalue"
)

// A Codec is a codec.Codec for awsQuery.
type Codec struct{}

// New returns a codec.
func New() *Codec { return &Codec{} }

// Decode implements codec.Codec. Of r it wants the form that the resolver read.
func (*Codec) Decode(svc *schema.Service, op *schema.Operation, r *codec.Request, in schema.Struct) error {
	if op.Input < 0 {
		return codec.NoShape(svc, op.Name)
	}
	return decode(svc, &svc.Shapes[op.Input], r.Form, in)
}

// Encode implements codec.Codec.
func (*Codec) Encode(svc *schema.Service, op *schema.Operation, requestID string, out schema.Struct, w *codec.Response) error {
	if op.Output < 0 {
		return codec.NoShape(svc, op.Name)
	}
	shape := &svc.Shapes[op.Output]
	e := xmlvalue.New(svc, w.Body[:0])
	response := op.Name + "Response"
	e.Start(response, svc.XMLNamespace)
	if shape.ResultWrapper != "" {
		// A shape may be the output of several operations; the wrapper is always called after the one at hand.
		result := op.Name + "Result"
		e.Start(result, "")
		e.Members(shape, out)
		e.End(result)
	} else {
		e.Members(shape, out)
	}
	e.Start("ResponseMetadata", "")
	e.Element("RequestId", requestID)
	e.End("ResponseMetadata")
	e.End(response)
	w.Status = http.StatusOK
	finish(w, e, requestID)
	return nil
}

// EncodeError implements codec.Codec.
func (*Codec) EncodeError(svc *schema.Service, _ *schema.Operation, requestID string, err awserr.Error, w *codec.Response) {
	e := xmlvalue.New(svc, w.Body[:0])
	e.Start("ErrorResponse", svc.XMLNamespace)
	e.Start("Error", "")
	fault := "Sender"
	if err.HTTPStatus() >= http.StatusInternalServerError {
		fault = "Receiver"
	}
	e.Element("Type", fault)
	e.Element("Code", err.ErrorCode())
	e.Element("Message", err.ErrorMessage())
	if v, ok := err.(schema.Struct); ok {
		if shape := errorShape(svc, err.ErrorCode()); shape != nil {
			e.Members(shape, &withoutMessage{v, shape})
		}
	}
	e.End("Error")
	e.Element("RequestId", requestID)
	e.End("ErrorResponse")
	w.Status = err.HTTPStatus()
	finish(w, e, requestID)
}

// errorShape finds the shape of an error, which this protocol's models call NoSuchEntityException where the code is
// NoSuchEntity.
func errorShape(svc *schema.Service, code string) *schema.Shape {
	if s := codec.ErrorShape(svc, code+"Exception"); s != nil {
		return s
	}
	return codec.ErrorShape(svc, code)
}

// withoutMessage is an exception without its message, which has been written.
type withoutMessage struct {
	schema.Struct
	shape *schema.Shape
}

func (v *withoutMessage) EncodeMembers(e schema.Encoder) {
	v.Struct.EncodeMembers(&memberFilter{Encoder: e, real: e, shape: v.shape})
}

type memberFilter struct {
	schema.Encoder // of the current member
	real           schema.Encoder
	shape          *schema.Shape
}

func (f *memberFilter) Member(i int) {
	if name := f.shape.Members[i].Name; name == "message" || name == "Message" {
		f.Encoder = codec.NoEncoder{}
		return
	}
	f.Encoder = f.real
	f.real.Member(i)
}

func finish(w *codec.Response, e *xmlvalue.Encoder, requestID string) {
	w.Body = append(e.Bytes(), '\n')
	w.Header.Set("Content-Type", "text/xml")
	w.Header.Set("X-Amzn-Requestid", requestID)
}

var _ codec.Codec = (*Codec)(nil)
