package obs

import (
	"bytes"
	"log/slog"
	"net/netip"
	"regexp"
	"testing"
	"time"
)

// The records of calls are those that package slog makes, whatever is in them.
func TestLogCallWritesWhatSlogWrites(t *testing.T) {
	call := Call{
		Service: "dynamodb", Operation: "PutItem", Status: 200, Start: time.Now(), Duration: 1234567 * time.Nanosecond,
		Bytes: 2, RequestID: "a-b", Principal: "arn:aws:iam::000000000000:user/u", Region: "us-east-1",
		Source: netip.MustParseAddr("127.0.0.1"),
	}
	failed := call
	failed.Status, failed.Error = 400, "ValidationException"
	anonymous := call
	anonymous.Principal, anonymous.Region, anonymous.Source = "", "", netip.Addr{}
	quoted := call
	quoted.Principal = `arn:aws:sts::000000000000:assumed-role/r/a=b "c" \ é <&>` + "\n\x00\xff"
	zone := call
	zone.Source = netip.MustParseAddr("fe80::1%a=b")
	now := regexp.MustCompile(`^(time=|\{"time":")[^ "]+`)
	for _, format := range []string{"text", "json"} {
		for _, c := range []Call{call, failed, anonymous, quoted, zone} {
			var got, want bytes.Buffer
			log, err := NewLog(&got, format, slog.LevelInfo)
			if err != nil {
				t.Fatal(err)
			}
			LogCall(t.Context(), log.Logger, &c)
			if err := log.Close(); err != nil {
				t.Fatal(err)
			}
			h := slog.Handler(slog.NewTextHandler(&want, nil))
			if format == "json" {
				h = slog.NewJSONHandler(&want, nil)
			}
			LogCall(t.Context(), slog.New(h), &c)
			if g, w := now.ReplaceAllString(got.String(), "$1"), now.ReplaceAllString(want.String(), "$1"); g != w {
				t.Errorf("got  %swant %s", g, w)
			}
		}
	}
}

func TestTimesOfCalls(t *testing.T) {
	zone := time.FixedZone("", 3600+30*60)
	for _, test := range []struct {
		at   time.Time
		text string
	}{
		{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), "2026-01-02T03:04:05.000Z"},
		{time.Date(2026, 1, 2, 3, 4, 5, 120_999_999, time.UTC), "2026-01-02T03:04:05.120Z"},
		{time.Date(2026, 1, 2, 3, 4, 5, 999_999_999, zone), "2026-01-02T03:04:05.999+01:30"},
	} {
		c := Call{Start: test.at.Add(-time.Second), Duration: time.Second}
		if got := appendCallText(nil, &c, ""); !bytes.HasPrefix(got, []byte("time="+test.text+" level=INFO ")) {
			t.Errorf("got  %swant %s", got, test.text)
		}
		if got := appendCallJSON(nil, &c, ""); !bytes.HasPrefix(got, []byte(`{"time":"`+test.at.Format(time.RFC3339Nano)+`","level"`)) {
			t.Errorf("got  %swant %s", got, test.at.Format(time.RFC3339Nano))
		}
	}
}

func TestCallsBelowTheLevelAreNotLogged(t *testing.T) {
	for _, with := range []bool{false, true} {
		var out bytes.Buffer
		log, err := NewLog(&out, "text", slog.LevelWarn)
		if err != nil {
			t.Fatal(err)
		}
		logger := log.Logger
		if with {
			logger = logger.With("a", 1)
		}
		LogCall(t.Context(), logger, &Call{Service: "s", Principal: "p", Region: "r"})
		log.Close()
		if out.Len() > 0 {
			t.Errorf("logged %s", &out)
		}
	}
}

func BenchmarkLogCall(b *testing.B) {
	var out bytes.Buffer
	log, err := NewLog(discard{}, "text", slog.LevelInfo)
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	c := Call{
		Service: "dynamodb", Operation: "PutItem", Status: 200, Start: time.Now(), Duration: 1234567 * time.Nanosecond,
		Bytes: 2, RequestID: "6ba7b810-9dad-11d1-80b4-00c04fd430c8", Principal: "arn:aws:iam::000000000000:user/u",
		Region: "us-east-1", Source: netip.MustParseAddr("127.0.0.1"),
	}
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			LogCall(b.Context(), log.Logger, &c)
		}
	})
	b.Run("slog", func(b *testing.B) {
		b.ReportAllocs()
		logger := slog.New(slog.NewTextHandler(&out, nil))
		for b.Loop() {
			out.Reset()
			LogCall(b.Context(), logger, &c)
		}
	})
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
