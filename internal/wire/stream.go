package wire

import (
	"errors"
	"net/http"
	"time"

	"brume/internal/awserr"
	"brume/internal/schema"
	"brume/internal/wire/codec"
	"brume/internal/wire/eventstream"
	"brume/internal/wire/jsonvalue"
	"brume/internal/wire/pace"
)

// stream answers a call whose output is a stream of events. An error before the first event is answered as that of any call,
// and one after it ends the stream as an exception.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, x *exchange, resp *codec.Response) {
	svc := x.endpoint.svc
	shapes := map[string]*schema.Shape{}
	size, begun := 0, false
	var message []byte
	conn := http.NewResponseController(w)
	write := func(headers []eventstream.Header, payload []byte) error {
		if !begun {
			begun = true
			w.Header().Set("Content-Type", eventstream.ContentType)
			w.WriteHeader(max(resp.Status, http.StatusOK))
			if svc.Protocol == schema.AWSJSON { // the members of the output that are no events come first
				message = eventstream.Append(message[:0], eventstream.Event("initial-response", "application/x-amz-json-1.1"), []byte("{}"))
				if _, err := w.Write(message); err != nil {
					return err
				}
			}
		}
		message = eventstream.Append(message[:0], headers, payload)
		size += len(message)
		_ = conn.SetWriteDeadline(pace.Deadline(int64(len(message))))
		_, err := w.Write(message)
		if err == nil {
			err = conn.Flush()
		}
		_ = conn.SetWriteDeadline(time.Time{})
		return err
	}
	err := x.events(func(e *schema.Event) error {
		if e.Members == nil {
			return write(eventstream.Event(e.Name, "application/octet-stream"), e.Payload)
		}
		shape := shapes[e.Shape]
		for i := range svc.Shapes {
			if shape == nil && svc.Shapes[i].Name == e.Shape {
				shape = &svc.Shapes[i]
				shapes[e.Shape] = shape
			}
		}
		if shape == nil {
			return errors.New("wire: no shape " + e.Shape + " for an event")
		}
		enc := new(jsonvalue.Encoder)
		enc.Reset(svc, nil)
		enc.Root(shape, e.Members)
		return write(eventstream.Event(e.Name, "application/json"), enc.Bytes())
	})
	code := ""
	if err != nil {
		known, fault := asKnown(r.Context(), err)
		code = known.ErrorCode()
		if fault {
			s.logFault(r.Context(), x, err)
		}
		if !begun {
			s.encodeError(x, known, resp)
			s.send(w, r, x, resp, code)
			return
		}
		s.endStream(write, svc, known)
	}
	if !begun {
		w.WriteHeader(max(resp.Status, http.StatusOK))
	}
	s.finish(r, x, max(resp.Status, http.StatusOK), code, size)
}

// endStream says why a stream ends. Who does not read any more need not know.
func (s *Server) endStream(write func([]eventstream.Header, []byte) error, svc *schema.Service, known awserr.Error) {
	enc := new(jsonvalue.Encoder)
	enc.Reset(svc, nil)
	enc.Error(codec.ErrorShape(svc, known.ErrorCode()), known, "", codec.MessageKey(known.ErrorCode()), codec.NoEncoder{})
	_ = write(eventstream.Exception(known.ErrorCode()), enc.Bytes())
}
