package eventstream

import (
	"bytes"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
)

// What is written is what the SDK reads.
func TestAppend(t *testing.T) {
	b := Append([]byte(nil), Event("PayloadChunk", "application/octet-stream"), []byte("hello"))
	b = Append(b, Exception("ServiceException"), nil)
	r := bytes.NewReader(b)
	d := eventstream.NewDecoder()
	m, err := d.Decode(r, nil)
	if err != nil || string(m.Payload) != "hello" || m.Headers.Get(":event-type").String() != "PayloadChunk" || m.Headers.Get(":message-type").String() != "event" {
		t.Errorf("%+v, %v", m, err)
	}
	m, err = d.Decode(r, nil)
	if err != nil || len(m.Payload) != 0 || m.Headers.Get(":exception-type").String() != "ServiceException" {
		t.Errorf("%+v, %v", m, err)
	}
	if r.Len() != 0 {
		t.Errorf("%d bytes are left", r.Len())
	}
}
