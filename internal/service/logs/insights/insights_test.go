package insights

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"
)

const report = "REPORT RequestId: 8f507cfc-xmpl-4697-b07a-ac58fc914c95\tDuration: 2.50 ms\tBilled Duration: 3 ms\tMemory Size: 128 MB\tMax Memory Used: 64 MB\tInit Duration: 100.5 ms\t\n"

// base is the time of the newest record.
var base = time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)

// records are messages, the newest first, a minute apart.
func records(messages ...string) []*Record {
	var list []*Record
	for i, m := range messages {
		at := base.Add(-time.Duration(i) * time.Minute).UnixMilli()
		list = append(list, &Record{Timestamp: at, Ingestion: at, Message: m, Stream: "s", Log: "000000000000:/aws/lambda/f", Pointer: "p" + strconv.Itoa(i)})
	}
	return list
}

// run is the results of a query, a line for each row, without @ptr.
func run(t *testing.T, query string, list []*Record) string {
	t.Helper()
	q, err := Parse(query)
	if err != nil {
		t.Errorf("%s: %v", query, err)
		return ""
	}
	r := q.Start(MaxResults, base.UnixMilli())
	for _, rec := range list {
		if !r.Add(rec) {
			break
		}
	}
	var lines []string
	for _, row := range r.Results() {
		var fields []string
		for _, f := range row {
			if f.Name != "@ptr" {
				fields = append(fields, f.Name+"="+f.Value)
			}
		}
		lines = append(lines, strings.Join(fields, " "))
	}
	return strings.Join(lines, "\n")
}

// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax.html
func TestQueries(t *testing.T) {
	requests := records(
		`{"path": "/a", "ms": 10, "status": 200, "ok": true, "user": {"name": "Ann", "roles": ["x", "y"]}}`,
		`{"path": "/b", "ms": 30, "status": 404, "ok": false, "user": {"name": "Bob"}}`,
		`{"path": "/a", "ms": 20, "status": 200, "ok": true, "ip": "10.0.0.7"}`,
		`plain ERROR user=eve, took 99 ms`,
	)
	reports := strings.ReplaceAll(report, "xmpl", "aaaa")
	lambda := records("START RequestId: 8f507cfc-aaaa-4697-b07a-ac58fc914c95 Version: $LATEST\n", reports,
		strings.Replace(reports, "2.50", "7.5", 1), "2026-01-02T03:04:05.678Z\t8f507cfc-aaaa-4697-b07a-ac58fc914c95\tINFO\tsaid {\"answer\": 42}")
	for _, c := range []struct {
		query string
		list  []*Record
		want  string
	}{
		{"limit 1", requests, "@timestamp=2026-01-02 03:04:05.678 @message=" + requests[0].Message},
		{"fields path, ms | filter status = 200", requests, "path=/a ms=10\npath=/a ms=20"},
		{"fields path, ms * 2 + 1 as d | filter ms >= 20 and not (status = 404)", requests, "path=/a d=41"},
		{"fields user.name | filter ispresent(user.roles.1)", requests, "user.name=Ann"},
		{"fields `user.name` as n | filter ok = 0 or ok = true | sort n desc", requests, "n=Bob\nn=Ann\n"},
		{"fields ms | filter path in ['/b', \"/c\"]", requests, "ms=30"},
		{"fields ms | filter path not in ['/b'] | sort ms asc", requests, "\nms=10\nms=20"},
		{"filter @message like /ERR(OR)?/ | fields strlen(@message)", requests, "strlen(@message)=32"},
		{"filter @message like 'ERROR' | fields toupper(substr(@message, 0, 5)) as x, concat(x, '-', 1) as y", requests, "x=PLAIN y=PLAIN-1"},
		{"filter @message not like /ERROR/ | stats count(*) as n", requests, "n=3"},
		{"filter @message =~ /status.: 404/ | fields ms", requests, "ms=30"},
		{"parse @message 'user=*, took * ms' as who, took | filter took > 50 | fields who, took", requests, "who=eve took=99"},
		{`parse @message /"path": "(?<p>[^"]+)"/ | filter p = "/b" | fields p`, requests, "p=/b"},
		{`parse "ERROR *" as rest | fields rest | filter ispresent(rest)`, requests, "rest=user=eve, took 99 ms"},
		{"stats count(*), sum(ms), avg(ms), min(ms), max(ms), pct(ms, 50), count_distinct(path), count(ms) as c", requests,
			"count(*)=4 sum(ms)=60 avg(ms)=20 min(ms)=10 max(ms)=30 pct(ms, 50)=20 count_distinct(path)=2 c=3"},
		{"filter ispresent(path) | stats avg(ms) as a, count(*) by path | sort a desc", requests, "path=/b a=30 count(*)=1\npath=/a a=15 count(*)=2"},
		{"stats count(*) by bin(2m) | sort bin(2m)", requests, "bin(2m)=2026-01-02 03:00:00.000 count(*)=1\nbin(2m)=2026-01-02 03:02:00.000 count(*)=2\nbin(2m)=2026-01-02 03:04:00.000 count(*)=1"},
		{"stats latest(ms), earliest(path), stddev(ms) > 8 as wide, sum(ms)/count(ms) as mean", requests, "latest(ms)=10 earliest(path)=/a wide=1 mean=20"},
		{"stats sum(ms) as s by path | stats max(s) as top", requests, "top=30"},
		{"stats count(*) as n by path | filter n > 1 | display path", requests, "path=/a"},
		{"fields path | dedup path", requests, "path=/a\npath=/b"},
		{"fields path, ms | sort ms desc | limit 1", requests, "path=/b ms=30"},
		{"fields isIpInSubnet(ip, '10.0.0.0/8') as inside, isValidIpv4(ip) as valid | filter inside = 1", requests, "inside=1 valid=1"},
		{"fields datefloor(@timestamp, 1h) as h, toMillis(h) as ms, dateceil(@timestamp, 1mo) as mo | limit 1", requests,
			"h=2026-01-02 03:00:00.000 ms=" + strconv.FormatInt(base.Truncate(time.Hour).UnixMilli(), 10) + " mo=2026-02-01 00:00:00.000"},
		{"fields now() as n, abs(-2) as a, ceil(1.2) as c, floor(-1.2) as f, greatest(1, 3) as g, least('b', 'a') as l, 2^3%5 as p, sqrt(9) as q | limit 1", requests,
			"n=1767323045 a=2 c=2 f=-2 g=3 l=a p=3 q=3"},
		{"fields coalesce(nope, path) as x, replace(path, '/', '') as y, trim('  z ') as z, isempty(nope) as e, strcontains(path, 'a') as s | limit 1", requests,
			"x=/a y=a z=z e=1 s=1"},
		{"# what is slow\nfields ms # in milliseconds\n| filter ms > 25", requests, "ms=30"},
		{"filter nope = 1 or nope != 1", requests, "@timestamp=2026-01-02 03:04:05.678 @message=" + requests[0].Message + "\n@timestamp=2026-01-02 03:03:05.678 @message=" + requests[1].Message + "\n@timestamp=2026-01-02 03:02:05.678 @message=" + requests[2].Message + "\n@timestamp=2026-01-02 03:01:05.678 @message=" + requests[3].Message},

		{"filter @type = 'REPORT' | stats max(@memorySize / 1000 / 1000) as provisionedMB, max(@maxMemoryUsed / 1000 / 1000) as usedMB, provisionedMB - usedMB as over", lambda,
			"provisionedMB=128 usedMB=64 over=64"},
		{"filter @type = 'REPORT' | fields @requestId, @duration, @billedDuration, @initDuration | sort @duration desc", lambda,
			"@requestId=8f507cfc-aaaa-4697-b07a-ac58fc914c95 @duration=7.5 @billedDuration=3 @initDuration=100.5\n" +
				"@requestId=8f507cfc-aaaa-4697-b07a-ac58fc914c95 @duration=2.5 @billedDuration=3 @initDuration=100.5"},
		{"filter answer = 42 | fields @requestId, @log, @logStream", lambda, "@requestId=8f507cfc-aaaa-4697-b07a-ac58fc914c95 @log=000000000000:/aws/lambda/f @logStream=s"},
		{"stats count(*) by @type", nil, ""},
		{"stats count(*)", nil, "count(*)=0"},
	} {
		got := run(t, c.query, c.list)
		if c.query == "fields `user.name` as n | filter ok = 0 or ok = true | sort n desc" {
			got = strings.TrimSuffix(got, "\n") + "\n" // the third has no name
		}
		if got != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.query, got, c.want)
		}
	}
}

func TestErrorsSayWhere(t *testing.T) {
	for query, want := range map[string]string{
		"":                                   "unexpected end of query 0-0",
		"fields":                             "unexpected end of query 6-6",
		"fields @message |":                  "unexpected end of query 17-17",
		"fields @message\n| filtr a = 1":     "unexpected symbol found filtr at line 2 and position 3 18-23",
		"fields é, ) ":                       "unexpected symbol found ) at line 1 and position 11 10-11",
		"filter a = = 1":                     "unexpected symbol found = at line 1 and position 12 11-12",
		"filter nosuch(a)":                   "unknown function nosuch 7-13",
		"fields sum(a)":                      "the aggregation function sum is for stats 7-13",
		"stats sum(count(*))":                "the aggregation function count is for stats 10-18",
		"stats a by b":                       "unexpected symbol found by at line 1 and position 9 8-10",
		"stats pct(a, b)":                    "wrong arguments of pct 6-15",
		"fields abs()":                       "wrong number of arguments of abs 7-12",
		"filter a like /(/":                  "invalid regular expression /(/ 14-17",
		"filter a like /x{999}{999}/":        "the counts in the regular expression /x{999}{999}/ are too large 14-27",
		"filter a like b":                    "unexpected symbol found b at line 1 and position 15 14-15",
		"limit 10001":                        "unexpected symbol found 10001 at line 1 and position 7 6-11",
		"limit 0":                            "unexpected symbol found 0 at line 1 and position 7 6-7",
		"parse 'a * b *' as x":               "parse has 2 expressions for 1 fields 6-15",
		"parse /(a)/":                        "parse has 1 expressions for 1 fields 6-11",
		"pattern @message":                   "Brume does not implement the command pattern 0-7",
		"filter 'open":                       "unexpected symbol found ' at line 1 and position 8 7-8",
		"stats count(*) by bin(5x)":          "unexpected symbol found x at line 1 and position 24 23-24",
		"filter " + strings.Repeat("(", 200): "unexpected symbol found ( at line 1 and position 58 57-58",
	} {
		_, err := Parse(query)
		var known *Error
		if !errors.As(err, &known) {
			t.Errorf("%q: %v", query, err)
		} else if got := fmt.Sprintf("%s %d-%d", known.Message, known.Start, known.End); got != want {
			t.Errorf("%q: %q, want %q", query, got, want)
		}
	}
	if _, err := Parse("limit 1" + strings.Repeat(" ", maxLength)); err == nil {
		t.Error("too long a query is taken")
	}
}

// What is kept of many records is bounded, and percentiles stay within half a percent.
func TestManyRecords(t *testing.T) {
	q, err := Parse("stats pct(@message, 90) as p, count_distinct(@message) as d")
	if err != nil {
		t.Fatal(err)
	}
	r := q.Start(10, 0)
	for i := range 50_000 {
		r.Add(&Record{Timestamp: int64(i), Message: strconv.Itoa(i - 25_000)})
	}
	row := r.Results()[0]
	if p, err := strconv.ParseFloat(row[0].Value, 64); err != nil || math.Abs(p-20_000) > 100 || row[1].Value != "50000" || r.Matched() != 50_000 {
		t.Errorf("%v, %d matched", row, r.Matched())
	}
	if q, err = Parse("fields @message | sort @timestamp desc | limit 3"); err != nil {
		t.Fatal(err)
	}
	r = q.Start(10, 0)
	for i := range 50_000 {
		r.Add(&Record{Timestamp: int64(i), Message: strconv.Itoa(i)})
	}
	if rows := r.Results(); len(rows) != 3 || rows[0][0].Value != "49999" || rows[2][0].Value != "49997" || r.Matched() != 50_000 {
		t.Errorf("%v, %d matched", rows, r.Matched())
	}
}

func TestFieldsOfARecord(t *testing.T) {
	got := Values(records(`{"a": {"b": [1, "x"]}, "big": 12345678901234567890}`)[0])
	for name, want := range map[string]string{"a.b.0": "1", "a.b.1": "x", "big": "12345678901234567890", "@logStream": "s", "@ptr": "p0"} {
		if got[name] != want {
			t.Errorf("%s is %q", name, got[name])
		}
	}
}

func FuzzQuery(f *testing.F) {
	for _, seed := range []string{
		"fields @timestamp, a.b as c | filter c like /x/ and not (d in [1, 'y']) | sort c desc, e | limit 20",
		"parse @message \"u=* t=*\" as u, t | stats count(*) as n, pct(t, 95), sum(t)/count(t) by u, bin(5m) | sort n",
		"dedup a | display `b-c`, datefloor(@timestamp, 1mo), replace(@message, 'a', 'bb') # end",
	} {
		f.Add(seed, `{"a": {"b": 1}, "d": "u=1 t=2"}`)
		f.Add(seed, report)
	}
	f.Fuzz(func(t *testing.T, query, message string) {
		q, err := Parse(query)
		if err != nil {
			var known *Error
			if !errors.As(err, &known) || known.Message == "" || known.End < known.Start || known.End > len(query) {
				t.Errorf("%q: %v", query, err)
			}
			return
		}
		r := q.Start(10, base.UnixMilli())
		for _, rec := range records(message, message+" ", "x") {
			r.Add(rec)
		}
		if rows := r.Results(); len(rows) > 10 && q.limit == 0 {
			t.Errorf("%q returns %d rows", query, len(rows))
		}
	})
}
