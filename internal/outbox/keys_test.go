package outbox

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"brume/internal/kv"
)

func TestKeys(t *testing.T) {
	due := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	id := jobID{1, 15: 9}
	prefix, key := duePrefix("q"), dueKey("q", due, id, "a\x00lane")
	if !bytes.HasPrefix(key, prefix) || bytes.HasPrefix(dueKey("qq", due, id, ""), prefix) {
		t.Error("the prefix of a queue does not select its keys alone")
	}
	gotDue, gotID, gotLane, err := readDueKey(key[len(prefix):])
	if !gotDue.Equal(due) || gotID != id || string(gotLane) != "a\x00lane" || err != nil {
		t.Errorf("the key was read as %v, %v, %q, %v", gotDue, gotID, gotLane, err)
	}
	if bytes.Compare(key, dueKey("q", due.Add(1), jobID{}, "")) >= 0 {
		t.Error("keys do not come in the order of their times")
	}
	if len(dueKey(string(make([]byte, MaxQueueName)), due, id, string(make([]byte, MaxLaneName)))) > kv.MaxKeySize {
		t.Error("a key may be too large")
	}
	if n := len(row{queue: string(make([]byte, MaxQueueName)), lane: string(make([]byte, MaxLaneName)), attempts: 1 << 31, failures: 1 << 31, payload: make([]byte, MaxPayload)}.encode()); n > kv.MaxValueSize {
		t.Errorf("a row may have %d bytes", n)
	}
}

func FuzzRow(f *testing.F) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	for _, r := range []row{
		{queue: "q", enqueued: at, due: at.Add(1)},
		{queue: "q\x00", enqueued: at, due: at, attempts: 300, failures: 2, payload: []byte("payload")},
		{queue: "q", lane: "l\x00", enqueued: at, due: at, payload: []byte("payload")},
	} {
		b := r.encode()
		f.Add(b)
		f.Add(b[:len(b)/2])
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRow(b)
		if err != nil {
			return
		}
		back, err := decodeRow(r.encode())
		if err != nil || !reflect.DeepEqual(back, r) && len(back.payload)+len(r.payload) > 0 {
			t.Errorf("%+v came back as %+v, %v", r, back, err)
		}
	})
}

func FuzzDueKey(f *testing.F) {
	f.Add(dueKey("q", time.Now(), jobID{1}, "lane")[len(duePrefix("q")):])
	f.Add([]byte("short"))
	f.Fuzz(func(t *testing.T, b []byte) {
		due, id, lane, err := readDueKey(b)
		if err == nil && !bytes.Equal(dueKey("q", due, id, string(lane))[len(duePrefix("q")):], b) {
			t.Errorf("%x was read as %v, %x", b, due, id)
		}
	})
}
