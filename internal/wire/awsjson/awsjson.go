// Package awsjson is the codec of the protocols awsJson 1.0 and 1.1: one POST for every operation, named by the header
// X-Amz-Target, with a JSON object each way.
//
// https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html
package awsjson

import (
	"hash/crc32"
	"net/http"
	"strconv"
	"sync"

	"brume/internal/awserr"
	"brume/internal/schema"
	"brume/internal/wire/codec"
	"brume/internal/wire/jsonvalue"
)

// A Codec is a codec.Codec for awsJson.
type Codec struct {
	decoders, encoders sync.Pool
}

// New returns a codec.
func New() *Codec {
	return &Codec{
		decoders: sync.Pool{New: func() any { return new(jsonvalue.Decoder) }},
		encoders: sync.Pool{New: func() any { return new(jsonvalue.Encoder) }},
	}
}

// Decode implements codec.Codec. A body is required, as DynamoDB requires it.
func (c *Codec) Decode(svc *schema.Service, op *schema.Operation, r *codec.Request, in schema.Struct) error {
	if op.Input < 0 {
		return codec.NoShape(svc, op.Name)
	}
	if len(r.Body) == 0 {
		return codec.Serialization(nil, "")
	}
	d := c.decoders.Get().(*jsonvalue.Decoder)
	d.Reset(svc, dialectOf(svc).typePackage, r.Body)
	err := d.Root(&svc.Shapes[op.Input], in, false)
	d.Reset(svc, "", nil) // lets go of the body
	c.decoders.Put(d)
	return err
}

// Encode implements codec.Codec.
func (c *Codec) Encode(svc *schema.Service, op *schema.Operation, requestID string, out schema.Struct, w *codec.Response) error {
	if op.Output < 0 {
		return codec.NoShape(svc, op.Name)
	}
	e := c.encoders.Get().(*jsonvalue.Encoder)
	e.Reset(svc, w.Body)
	e.Root(&svc.Shapes[op.Output], out)
	w.Status = http.StatusOK
	c.finish(e, svc, requestID, w)
	return nil
}

// EncodeError implements codec.Codec.
func (c *Codec) EncodeError(svc *schema.Service, _ *schema.Operation, requestID string, err awserr.Error, w *codec.Response) {
	shape := codec.ErrorShape(svc, err.ErrorCode())
	e := c.encoders.Get().(*jsonvalue.Encoder)
	e.Reset(svc, w.Body)
	e.Error(shape, err, dialectOf(svc).typeName(err.ErrorCode(), shape != nil), codec.MessageKey(err.ErrorCode()), nil)
	w.Status = err.HTTPStatus()
	c.finish(e, svc, requestID, w)
}

func (c *Codec) finish(e *jsonvalue.Encoder, svc *schema.Service, requestID string, w *codec.Response) {
	w.Body = e.Bytes()
	e.Reset(svc, nil) // lets go of the body
	c.encoders.Put(e)
	// One array for all values, and names that are canonical already.
	values := [3]string{"application/x-amz-json-1.0", requestID}
	if svc.JSONVersion == "1.1" {
		values[0] = "application/x-amz-json-1.1"
	}
	w.Header["Content-Type"] = values[0:1:1]
	w.Header["X-Amzn-Requestid"] = values[1:2:2]
	if dialectOf(svc).checksum {
		values[2] = strconv.FormatUint(uint64(crc32.ChecksumIEEE(w.Body)), 10)
		w.Header["X-Amz-Crc32"] = values[2:3:3]
	}
}

// A dialect is what services do differently from one another.
type dialect struct {
	// typePackage is the package of the service's Java types, which shows in messages about wrong types.
	typePackage string
	// qualified says that __type names the package of an error too.
	qualified bool
	// checksum says that responses carry the CRC-32 of their body.
	checksum bool
}

// dialectOf knows DynamoDB and its streams, which share their types.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.LowLevelAPI.html
func dialectOf(svc *schema.Service) dialect {
	if svc.SigningName == "dynamodb" {
		return dialect{typePackage: "com.amazonaws.dynamodb.v20120810", qualified: true, checksum: true}
	}
	return dialect{typePackage: "com.amazonaws." + svc.Name}
}

// typeName is the value of __type for an error code, which the service's model has or has not.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
func (d dialect) typeName(code string, modeled bool) string {
	switch {
	case !d.qualified:
		return code
	case modeled:
		return d.typePackage + "#" + code
	case code == "ValidationException":
		return "com.amazon.coral.validate#" + code
	case code == "ThrottlingException":
		return "com.amazon.coral.availability#" + code
	}
	return "com.amazon.coral.service#" + code
}

var _ codec.Codec = (*Codec)(nil)
