// Package restjson is the codec of the protocol restJson1: operations are methods on paths, and the members of their
// inputs and outputs travel in the path, the query string, headers, and a body that is a JSON object, unless one member
// is the whole body.
//
// https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html
package restjson

import (
	"net/http"
	"sync"

	"brume/internal/awserr"
	"brume/internal/schema"
	"brume/internal/wire/codec"
	"brume/internal/wire/jsonvalue"
)

// A Codec is a codec.Codec for restJson1.
type Codec struct {
	decoders, encoders sync.Pool
}

// New returns a codec.
func New() *Codec {
	return &Codec{
		decoders: sync.Pool{New: func() any { return new(jsonvalue.Decoder) }},
		encoders: sync.Pool{New: func() any { return new(encoder) }},
	}
}

// Decode implements codec.Codec. Of r it wants the labels that the resolver found.
func (c *Codec) Decode(svc *schema.Service, op *schema.Operation, r *codec.Request, in schema.Struct) error {
	if op.Input < 0 {
		return codec.NoShape(svc, op.Name)
	}
	shape := &svc.Shapes[op.Input]
	hasBody := false
	for i := range shape.Members {
		m := &shape.Members[i]
		switch {
		case m.Location == schema.Body:
			hasBody = true
		case m.Shape >= 0:
			if err := decodeText(svc, shape, i, r, in); err != nil {
				return err
			}
		}
	}
	if !hasBody || len(r.Body) == 0 {
		return nil
	}
	if shape.Payload > 0 {
		i := shape.Payload - 1
		m := &shape.Members[i]
		if m.Shape < 0 {
			return codec.NoShape(svc, m.Name)
		}
		if isRaw(svc.Shape(m)) {
			in.DecodeMember(i, rawDecoder{body: r.Body})
			return nil
		}
	}
	d := c.decoders.Get().(*jsonvalue.Decoder)
	d.Reset(svc, "com.amazonaws."+svc.Name, r.Body)
	var err error
	if shape.Payload > 0 {
		err = d.Payload(shape, shape.Payload-1, in)
	} else {
		err = d.Root(shape, in, true)
	}
	d.Reset(svc, "", nil) // lets go of the body
	c.decoders.Put(d)
	return err
}

// Encode implements codec.Codec.
func (c *Codec) Encode(svc *schema.Service, op *schema.Operation, requestID string, out schema.Struct, w *codec.Response) error {
	if op.Output < 0 {
		return codec.NoShape(svc, op.Name)
	}
	shape := &svc.Shapes[op.Output]
	if w.Status = op.Status; w.Status == 0 {
		w.Status = http.StatusOK
	}
	e := c.encoders.Get().(*encoder)
	defer c.put(e)
	e.reset(svc, shape, w)
	contentType := "application/json"
	switch {
	case shape.Payload > 0 && shape.Members[shape.Payload-1].Shape < 0: // the body is a stream, and no business of ours
		out.EncodeMembers(e)
	case shape.Payload > 0:
		switch svc.Shape(&shape.Members[shape.Payload-1]).Kind {
		case schema.Blob:
			if contentType = "application/octet-stream"; svc.Name == "lambda" {
				// What a function returns is JSON.
				// https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
				contentType = "application/json"
			}
		case schema.String:
			contentType = "text/plain"
		}
		out.EncodeMembers(e)
	case hasBody(shape):
		e.json.Begin(shape)
		out.EncodeMembers(e)
		e.json.End()
	default:
		out.EncodeMembers(e)
	}
	if !e.raw {
		w.Body = e.json.Bytes()
	}
	if len(w.Body) > 0 && w.Header.Get("Content-Type") == "" {
		w.Header.Set("Content-Type", contentType)
	}
	w.Header.Set("X-Amzn-Requestid", requestID)
	return nil
}

// isRaw says that a member of this shape is the body as it stands, if it is the payload.
func isRaw(s *schema.Shape) bool { return s.Kind == schema.Blob || s.Kind == schema.String }

func hasBody(shape *schema.Shape) bool {
	for i := range shape.Members {
		if shape.Members[i].Location == schema.Body {
			return true
		}
	}
	return false
}

// EncodeError implements codec.Codec. The code travels in a header.
func (c *Codec) EncodeError(svc *schema.Service, _ *schema.Operation, requestID string, err awserr.Error, w *codec.Response) {
	shape := codec.ErrorShape(svc, err.ErrorCode())
	e := c.encoders.Get().(*encoder)
	defer c.put(e)
	e.reset(svc, shape, w)
	w.Status = err.HTTPStatus()
	e.json.Error(shape, err, "", codec.MessageKey(err.ErrorCode()), e)
	w.Body = e.json.Bytes()
	w.Header.Set("Content-Type", "application/json")
	w.Header.Set("X-Amzn-Errortype", err.ErrorCode())
	w.Header.Set("X-Amzn-Requestid", requestID)
}

func (c *Codec) put(e *encoder) {
	e.reset(nil, nil, &codec.Response{}) // lets go of the body
	c.encoders.Put(e)
}

// An encoder sends the members of an output to their places in the response. Nested values never come by here.
type encoder struct {
	schema.Encoder // where the current member goes
	json           jsonvalue.Encoder
	text           textEncoder
	svc            *schema.Service
	shape          *schema.Shape
	w              *codec.Response
	raw            bool // the body is a blob or string
}

func (e *encoder) reset(svc *schema.Service, shape *schema.Shape, w *codec.Response) {
	e.svc, e.shape, e.w, e.raw, e.Encoder = svc, shape, w, false, nil
	e.json.Reset(svc, w.Body)
	e.text = textEncoder{svc: svc, w: w}
}

// Member implements schema.Encoder.
func (e *encoder) Member(i int) {
	m := &e.shape.Members[i]
	switch {
	case m.Location == schema.URI || m.Location == schema.Query:
		e.Encoder = codec.NoEncoder{} // a response has neither
	case m.Location != schema.Body:
		e.text.start(m)
		e.Encoder = &e.text
	case e.shape.Payload == 0:
		e.json.Member(i)
		e.Encoder = &e.json
	case e.shape.Payload == i+1 && isRaw(e.svc.Shape(m)):
		e.raw = true
		e.Encoder = rawEncoder{w: e.w}
	default:
		e.json.Value(m)
		e.Encoder = &e.json
	}
}

var _ codec.Codec = (*Codec)(nil)
