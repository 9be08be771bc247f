package codec

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"brume/internal/schema"
)

// TimestampFormat returns how the timestamp of a member is written, where its default is def.
func TimestampFormat(m *schema.Member, s *schema.Shape, def schema.TimestampFormat) schema.TimestampFormat {
	switch {
	case m != nil && m.TimestampFormat != schema.DefaultTimestamp:
		return m.TimestampFormat
	case s.TimestampFormat != schema.DefaultTimestamp:
		return s.TimestampFormat
	}
	return def
}

// AppendTime appends t, cut to milliseconds, as AWS sends them.
// https://smithy.io/2.0/spec/protocol-traits.html#timestampformat-trait
func AppendTime(dst []byte, t time.Time, f schema.TimestampFormat) []byte {
	switch t = t.UTC(); f {
	case schema.RFC822:
		return t.AppendFormat(dst, http.TimeFormat)
	case schema.UnixTimestamp:
		ms := t.UnixMilli()
		if ms < 0 {
			dst = append(dst, '-')
			ms = -ms
		}
		dst = strconv.AppendInt(dst, ms/1000, 10)
		if ms %= 1000; ms != 0 {
			dst = append(dst, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
			for dst[len(dst)-1] == '0' {
				dst = dst[:len(dst)-1]
			}
		}
		return dst
	}
	return t.Truncate(time.Millisecond).AppendFormat(dst, "2006-01-02T15:04:05.999Z")
}

var errTimestamp = errors.New("codec: not a timestamp")

// ParseTime reads a timestamp in any of the formats, to the nanosecond: services take more than their models say.
func ParseTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, errTimestamp
	}
	switch c := s[len(s)-1]; {
	case '0' <= c && c <= '9' && strings.IndexByte(s, ':') < 0:
		return parseUnix(s)
	case '0' <= s[0] && s[0] <= '9':
		// ISO 8601 as RFC 3339 restricts it; the fraction is optional when parsing.
		t, err := time.Parse("2006-01-02T15:04:05Z07:00", s)
		return checkYear(t, err)
	}
	t, err := time.Parse(http.TimeFormat, s)
	if err != nil {
		// RFC 822 wants one digit for the first days of a month, and AWS has been seen to send fractions.
		t, err = time.Parse("Mon, 2 Jan 2006 15:04:05 MST", s)
	}
	return checkYear(t, err)
}

func checkYear(t time.Time, err error) (time.Time, error) {
	if err != nil || t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}, errTimestamp
	}
	return t.UTC(), nil
}

// maxUnix is the last second of the year 9999; the first one of the year 1 is nearer to 1970.
const maxUnix = 253402300799

func parseUnix(s string) (time.Time, error) {
	if strings.ContainsAny(s, "eE") {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || !(math.Abs(f) <= maxUnix) {
			return time.Time{}, errTimestamp
		}
		sec, frac := math.Modf(f)
		return checkYear(time.Unix(int64(sec), int64(frac*1e9)), nil)
	}
	whole, frac, _ := strings.Cut(s, ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || sec > maxUnix || sec < -maxUnix {
		return time.Time{}, errTimestamp
	}
	var nanos int64
	scale := int64(1e8)
	for i := range len(frac) {
		if frac[i] < '0' || frac[i] > '9' {
			return time.Time{}, errTimestamp
		}
		nanos += int64(frac[i]-'0') * scale
		scale /= 10
	}
	if whole[0] == '-' {
		nanos = -nanos
	}
	return checkYear(time.Unix(sec, nanos), nil)
}
