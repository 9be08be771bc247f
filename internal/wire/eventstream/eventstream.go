// Package eventstream writes the messages of application/vnd.amazon.eventstream: headers and a payload, between lengths and
// checksums.
//
// https://smithy.io/2.0/aws/amazon-eventstream.html
package eventstream

import (
	"encoding/binary"
	"hash/crc32"
)

// ContentType is that of a response that is a stream of messages.
const ContentType = "application/vnd.amazon.eventstream"

// A Header is one of a message. Both parts are shorter than 256 bytes.
type Header struct{ Name, Value string }

const (
	preludeSize = 12 // two lengths and their checksum
	sumSize     = 4
	typeString  = 7
)

// Append appends a message to b.
func Append(b []byte, headers []Header, payload []byte) []byte {
	start := len(b)
	size := 0
	for _, h := range headers {
		size += 1 + len(h.Name) + 1 + 2 + len(h.Value)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(preludeSize+size+len(payload)+sumSize))
	b = binary.BigEndian.AppendUint32(b, uint32(size))
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[start:]))
	for _, h := range headers {
		b = append(append(b, byte(len(h.Name))), h.Name...)
		b = append(b, typeString)
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(h.Value))), h.Value...)
	}
	b = append(b, payload...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[start:]))
}

// Event are the headers of an event.
func Event(name, contentType string) []Header {
	return []Header{{":event-type", name}, {":content-type", contentType}, {":message-type", "event"}}
}

// Exception are the headers of an error that the service's model declares, which ends a stream.
func Exception(name string) []Header {
	return []Header{{":exception-type", name}, {":content-type", "application/json"}, {":message-type", "exception"}}
}
