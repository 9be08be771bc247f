package telemetry

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
)

// An Event is something that has happened.
// https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html
type Event struct {
	Time time.Time
	Type string // "platform.start", "function", "extension"
	// Record is what there is to say, in the words of the Telemetry API; nil if that does not have the event.
	Record any
	// LogsRecord is the same in the words of the Logs API.
	LogsRecord any
	// Recent says that the Logs API has the event only in its newer schema.
	Recent bool
	// line is the record of a line of output.
	line string
}

// Line is the event of a line that a function ("function") or an extension ("extension") has written.
func Line(t time.Time, category, line string) Event {
	return Event{Time: t, Type: category, line: line}
}

func (e *Event) category() string {
	category, _, _ := strings.Cut(e.Type, ".")
	return category
}

// size is about what it takes in memory.
func (e *Event) size() int { return len(e.line) + 128 }

// encode returns the event as a schema writes it, or nil if the schema does not have it. structured says that lines
// that are JSON objects are to be taken as such.
func (e *Event) encode(s schema, structured bool) []byte {
	record := e.Record
	switch {
	case e.Type == "function" || e.Type == "extension":
		record = e.line
		if structured && s >= telemetryJSON {
			if object := bytes.TrimSpace([]byte(e.line)); len(object) > 0 && object[0] == '{' && json.Valid(object) {
				record = json.RawMessage(object)
			}
		}
	case s < telemetry2022:
		if record = e.LogsRecord; e.Recent && s < logs2021 {
			return nil
		}
	}
	if record == nil {
		return nil
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(struct {
		Time   string `json:"time"`
		Type   string `json:"type"`
		Record any    `json:"record"`
	}{Timestamp(e.Time), e.Type, record})
	if err != nil {
		panic(err) // records are made of what can be written
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'})
}

// Timestamp is how events and logs write a time.
func Timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// Dropped is the record of platform.logsDropped.
type Dropped struct {
	Reason  string `json:"reason"`
	Records int    `json:"droppedRecords"`
	Bytes   int    `json:"droppedBytes"`
}

// reasonDropped is AWS's.
const reasonDropped = "Consumer seems to have fallen behind as it has not acknowledged receipt of logs."

// Subscribed is the record of platform.telemetrySubscription and platform.logsSubscription.
type Subscribed struct {
	Name  string   `json:"name"`
	State string   `json:"state"`
	Types []string `json:"types"`
}
