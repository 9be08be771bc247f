package telemetry

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// inside is the network of an environment: what listens there, by port, connected by pipes.
type inside struct {
	mu        sync.Mutex
	listeners map[uint16]*listener
}

func (n *inside) Dial(ctx context.Context, port uint16) (net.Conn, error) {
	n.mu.Lock()
	l := n.listeners[port]
	n.mu.Unlock()
	if l == nil {
		return nil, syscall.ECONNREFUSED
	}
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type listener struct {
	conns chan net.Conn
	once  sync.Once
	over  chan struct{}
}

func (n *inside) listen(port uint16) *listener {
	l := &listener{conns: make(chan net.Conn), over: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.listeners[port] = l
	return l
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.over:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error   { l.once.Do(func() { close(l.over) }); return nil }
func (l *listener) Addr() net.Addr { return &net.TCPAddr{} }

// A world is a Hub with an environment around it.
type world struct {
	t *testing.T
	*inside
	*Hub
	mu      sync.Mutex
	told    []string
	closers []io.Closer
}

// run runs a test in virtual time.
func run(t *testing.T, c Config, test func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, inside: &inside{listeners: map[uint16]*listener{}}}
		c.Dial = w.inside.Dial
		if c.Budget == nil {
			c.Budget = NewBudget(64 << 20)
		}
		budget := c.Budget.left.Load()
		c.Told = func(typ string, record any) {
			b, err := json.Marshal(record)
			if err != nil {
				t.Error(err)
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			w.told = append(w.told, typ+" "+string(b))
		}
		w.Hub = New(c)
		test(w)
		w.Close()
		for _, c := range w.closers {
			c.Close()
		}
		for _, l := range w.listeners {
			l.Close()
		}
		if left := c.Budget.left.Load(); left != budget {
			t.Errorf("%d bytes of the budget are lost", budget-left)
		}
	})
}

func (w *world) subscribe(api API, extension, body string, status int) *Refusal {
	w.t.Helper()
	no := w.Subscribe(api, extension, []byte(body))
	if no == nil && status != 200 || no != nil && no.Status != status {
		w.t.Fatalf("%+v", no)
	}
	return no
}

// A server notes the batches that it takes, and when.
type server struct {
	mu      sync.Mutex
	batches [][]json.RawMessage
	at      []time.Time
	answer  func(http.ResponseWriter, *http.Request) // instead of 200
}

func (w *world) serve(port uint16) *server {
	s := &server{}
	l := w.listen(port)
	web := &http.Server{Handler: s}
	go web.Serve(l)
	w.closers = append(w.closers, web)
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	answer := s.answer
	s.mu.Unlock()
	if answer != nil {
		answer(w, r)
		return
	}
	var batch []json.RawMessage
	if err := json.NewDecoder(r.Body).Decode(&batch); err != nil {
		http.Error(w, err.Error(), 400)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.batches = append(s.batches, batch)
	s.at = append(s.at, time.Now())
}

// records are the records of the events that came, each with its type.
func (s *server) records() (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, batch := range s.batches {
		for _, event := range batch {
			var e struct {
				Type   string
				Record json.RawMessage
			}
			if json.Unmarshal(event, &e) != nil {
				return []string{"no event: " + string(event)}
			}
			all = append(all, e.Type+" "+string(e.Record))
		}
	}
	return all
}

func (s *server) want(t *testing.T, want ...string) {
	t.Helper()
	if got := s.records(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func (s *server) sizes() (sizes []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.batches {
		sizes = append(sizes, len(b))
	}
	return sizes
}

const example = `{"schemaVersion": "2022-12-13", "types": ["platform", "function", "extension"],
	"buffering": {"maxItems": 1000, "maxBytes": 262144, "timeoutMs": 100},
	"destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:8080"}}`

func platform(typ string) Event {
	return Event{Time: time.Now(), Type: "platform." + typ, Record: map[string]string{"of": "telemetry"}, LogsRecord: map[string]string{"of": "logs"}}
}

func line(category, text string) Event { return Line(time.Now(), category, text) }

// What is wrong with a subscription is said at once, with the limits at their edges.
// https://docs.aws.amazon.com/lambda/latest/dg/telemetry-api-reference.html
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-logs-api.html
func TestParse(t *testing.T) {
	with := func(key, value string) string {
		members := map[string]string{
			"schemaVersion": `"2022-07-01"`, "types": `["platform"]`, "destination": `{"protocol":"HTTP","URI":"http://sandbox.localdomain:8080/a?b"}`,
		}
		if members[key] = value; value == "" {
			delete(members, key)
		}
		var list []string
		for k, v := range members {
			list = append(list, `"`+k+`":`+v)
		}
		return "{" + strings.Join(list, ",") + "}"
	}
	for _, test := range []struct {
		api     API
		body    string
		problem string
	}{
		{Telemetry, example, ""},
		{Telemetry, with("", ""), ""},
		{Telemetry, with("schemaVersion", `"2025-01-29"`), ""},
		{Telemetry, with("schemaVersion", `"2020-08-15"`), "schemaVersion is not valid"},
		{Telemetry, with("schemaVersion", ""), "schemaVersion is not valid"},
		{Logs, with("schemaVersion", ""), ""},
		{Logs, with("schemaVersion", `"2021-03-18"`), ""},
		{Logs, with("schemaVersion", `"2022-07-01"`), "schemaVersion is not valid"},
		{Logs, `{"types":[],"destination":{"protocol":"HTTP","URI":"http://sandbox"}}`, "URI port is not provided; types should not be empty"},
		{Telemetry, with("types", `["platform","other"]`), "types should be platform, function or extension"},
		{Telemetry, with("buffering", `{"maxItems":1000,"maxBytes":262144,"timeoutMs":25}`), ""},
		{Telemetry, with("buffering", `{"maxItems":10000,"maxBytes":1048576,"timeoutMs":30000}`), ""},
		{Telemetry, with("buffering", `{}`), ""},
		{Telemetry, with("buffering", `{"maxItems":999,"maxBytes":262143,"timeoutMs":24}`),
			"maxItems should be between 1000 and 10000; maxBytes should be between 262144 and 1048576; timeoutMs should be between 25 and 30000"},
		{Telemetry, with("buffering", `{"maxItems":10001,"maxBytes":1048577,"timeoutMs":30001}`),
			"maxItems should be between 1000 and 10000; maxBytes should be between 262144 and 1048576; timeoutMs should be between 25 and 30000"},
		{Telemetry, with("buffering", `{"maxItems":0}`), "maxItems should be between 1000 and 10000"},
		{Telemetry, with("buffering", `{"maxItems":"1000"}`), "the request is not a subscription in JSON"},
		{Telemetry, with("destination", ""), "destination is not provided"},
		{Telemetry, with("destination", `{"protocol":"HTTP"}`), "URI is not provided"},
		{Telemetry, with("destination", `{"protocol":"UDP","port":1}`), "protocol should be HTTP or TCP"},
		{Telemetry, with("destination", `{"protocol":"HTTP","URI":"http://sandbox:1/"}`), ""},
		{Telemetry, with("destination", `{"protocol":"HTTP","URI":"https://sandbox:1/"}`), "URI is not valid"},
		{Telemetry, with("destination", `{"protocol":"HTTP","URI":"http://169.254.169.254:80/"}`), "URI host should be sandbox.localdomain"},
		{Telemetry, with("destination", `{"protocol":"HTTP","URI":"http://sandbox:80@example.com:80/"}`), "URI host should be sandbox.localdomain"},
		{Telemetry, with("destination", `{"protocol":"HTTP","URI":"http://sandbox:65536/"}`), "URI port is not valid"},
		{Telemetry, with("destination", `{"protocol":"HTTP","URI":"http://sandbox:9001/"}`), "port 9001 is reserved"},
		{Telemetry, with("destination", `{"protocol":"HTTP","URI":"http://sandbox:1/","method":"PUT","encoding":"JSON"}`), ""},
		{Telemetry, with("destination", `{"protocol":"HTTP","URI":"http://sandbox:1/","method":"GET","encoding":"XML"}`), "encoding should be JSON; method should be POST or PUT"},
		{Telemetry, with("destination", `{"protocol":"TCP","port":65535}`), ""},
		{Telemetry, with("destination", `{"protocol":"TCP","port":0}`), "port should be between 1 and 65535"},
		{Telemetry, with("destination", `{"protocol":"TCP","port":65536}`), "port should be between 1 and 65535"},
		{Telemetry, with("destination", `{"protocol":"TCP"}`), "port is not provided"},
		{Telemetry, with("destination", `{"protocol":"TCP","URI":"sandbox.localdomain:8080"}`), ""},
		{Telemetry, with("destination", `{"protocol":"TCP","URI":"tcp://sandbox:8080"}`), ""},
		{Telemetry, with("destination", `{"protocol":"TCP","URI":"example.com:8080"}`), "URI host should be sandbox.localdomain"},
		{Telemetry, "", "the request is not a subscription in JSON"},
	} {
		_, err := parse(test.api, []byte(test.body))
		switch {
		case test.problem == "" && err != nil:
			t.Errorf("%s: %v", test.body, err)
		case test.problem != "" && (err == nil || !strings.HasPrefix(err.Error(), test.problem)):
			t.Errorf("%s: %v", test.body, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(example), false)
	f.Add([]byte(`{"types":["function"],"destination":{"protocol":"TCP","URI":"sandbox:1"}}`), true)
	f.Fuzz(func(t *testing.T, body []byte, logs bool) {
		api := Telemetry
		if logs {
			api = Logs
		}
		s, err := parse(api, body)
		if err != nil {
			return
		}
		if s.port == 0 || s.port == reservedPort || len(s.types) == 0 || s.items < minItems || s.items > maxItems ||
			s.bytes < minBytes || s.bytes > maxBytes || s.timeout < minTimeout*time.Millisecond || s.timeout > maxTimeout*time.Millisecond {
			t.Errorf("%+v", s)
		}
		if !s.tcp {
			if _, err := http.NewRequest(s.method, s.url, nil); err != nil {
				t.Error(err)
			}
		}
	})
}

// The docs' example: a subscriber gets everything from the beginning of the init phase on, in order, and each batch when the
// oldest event in it is as old as was asked for.
func TestSubscribe(t *testing.T) {
	run(t, Config{}, func(w *world) {
		s := w.serve(8080)
		w.Publish(platform("initStart"))
		w.Publish(line("function", "loading\n"))
		began := time.Now()
		w.subscribe(Telemetry, "x", example, 200)
		w.Publish(line("extension", "ready <&>\n"))
		time.Sleep(99 * time.Millisecond)
		if n := len(s.records()); n != 0 {
			t.Errorf("%d too early", n)
		}
		time.Sleep(2 * time.Millisecond)
		s.want(t, `platform.initStart {"of":"telemetry"}`, `function "loading\n"`,
			`platform.telemetrySubscription {"name":"x","state":"Subscribed","types":["platform","function","extension"]}`, `extension "ready <&>\n"`)
		synctest.Wait()
		if s.at[0].Sub(began) != 100*time.Millisecond || len(s.batches) != 1 {
			t.Error(s.at[0].Sub(began), s.sizes())
		}
		w.Settle()
		w.Publish(platform("start"))
		time.Sleep(time.Second)
		if got := s.sizes(); len(got) != 2 || got[1] != 1 {
			t.Error(got)
		}
		if strings.Join(w.told, ";") != `platform.telemetrySubscription {"name":"x","state":"Subscribed","types":["platform","function","extension"]}` {
			t.Error(w.told)
		}
	})
}

// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-logs-api.html: subscription is idempotent, closed after the init phase,
// and by one API or the other.
func TestSubscribeAgain(t *testing.T) {
	run(t, Config{}, func(w *world) {
		s := w.serve(8080)
		w.subscribe(Telemetry, "x", example, 200)
		w.subscribe(Telemetry, "x", example, 200)
		if answer := w.subscribe(Logs, "x", `{"types":["platform"],"destination":{"protocol":"TCP","port":1}}`, 403); !strings.Contains(answer.Message, "Telemetry API already") {
			t.Error(answer)
		}
		if answer := w.subscribe(Logs, "y", `{`, 400); answer.Type != "Logs.ValidationError" {
			t.Error(answer)
		}
		if answer := w.subscribe(Telemetry, "y", `{`, 400); answer.Type != "ValidationError" {
			t.Error(answer)
		}
		w.Publish(line("function", "1"))
		// Another subscription takes the place of the first, for what comes.
		w.subscribe(Telemetry, "x", strings.Replace(example, `"platform", "function", `, "", 1), 200)
		w.Publish(line("function", "2"))
		w.Publish(line("extension", "3"))
		time.Sleep(time.Second)
		s.want(t, `platform.telemetrySubscription {"name":"x","state":"Subscribed","types":["platform","function","extension"]}`, `function "1"`, `extension "3"`)
		for i := range maxSubscribers - 1 {
			w.subscribe(Telemetry, fmt.Sprint(i), example, 200)
		}
		w.subscribe(Telemetry, "one more", example, 403)
		w.Settle()
		if answer := w.subscribe(Telemetry, "x", example, 403); *answer != (Refusal{403, "Telemetry.SubscriptionClosed", "Telemetry API subscription is closed already"}) {
			t.Error(answer)
		}
		if answer := w.subscribe(Logs, "z", `{}`, 403); *answer != (Refusal{403, "Logs.SubscriptionClosed", "Logs API subscription is closed already"}) {
			t.Error(answer)
		}
	})
}

// Each schema has its own words.
func TestSchemas(t *testing.T) {
	run(t, Config{JSON: true}, func(w *world) {
		logs := `{"schemaVersion": %q, "types": ["platform", "function"], "destination": {"protocol": "HTTP", "URI": "http://sandbox:%d"}}`
		of := map[string]*server{}
		for i, version := range []string{"2020-08-15", "2021-03-18", "2022-07-01", "2022-12-13", "2025-01-29"} {
			of[version] = w.serve(uint16(i + 1))
			api := Telemetry
			if i < 2 {
				api = Logs
			}
			w.subscribe(api, version, fmt.Sprintf(logs, version, i+1), 200)
		}
		w.Settle()
		time.Sleep(2 * time.Second)
		for _, s := range of {
			s.mu.Lock()
			s.batches = nil // of the subscriptions
			s.mu.Unlock()
		}
		w.Publish(platform("report"))
		w.Publish(Event{Time: time.Now(), Type: "platform.runtimeDone", Record: 1, LogsRecord: 2, Recent: true})
		w.Publish(Event{Time: time.Now(), Type: "platform.initReport", Record: 3})
		w.Publish(Event{Time: time.Now(), Type: "platform.end", LogsRecord: 4})
		w.Publish(line("function", "{\"level\": \"INFO\"}\n"))
		w.Publish(line("function", "{no JSON}\n"))
		w.Publish(line("extension", "not asked for"))
		time.Sleep(2 * time.Second)
		text := []string{`function "{\"level\": \"INFO\"}\n"`, `function "{no JSON}\n"`}
		report := `platform.report {"of":"logs"}`
		of["2020-08-15"].want(t, append([]string{report, `platform.end 4`}, text...)...)
		of["2021-03-18"].want(t, append([]string{report, `platform.runtimeDone 2`, `platform.end 4`}, text...)...)
		report = `platform.report {"of":"telemetry"}`
		of["2022-07-01"].want(t, append([]string{report, `platform.runtimeDone 1`, `platform.initReport 3`}, text...)...)
		text[0] = `function {"level":"INFO"}`
		of["2022-12-13"].want(t, append([]string{report, `platform.runtimeDone 1`, `platform.initReport 3`}, text...)...)
		of["2025-01-29"].want(t, append([]string{report, `platform.runtimeDone 1`, `platform.initReport 3`}, text...)...)
	})
}

// A batch is sent at once when it has as many items, or bytes, as was asked for.
func TestBatches(t *testing.T) {
	run(t, Config{}, func(w *world) {
		s := w.serve(8080)
		w.subscribe(Telemetry, "x", strings.Replace(example, `"timeoutMs": 100`, `"timeoutMs": 30000`, 1), 200)
		w.Settle()
		for range 999 {
			w.Publish(line("function", "x"))
		}
		synctest.Wait()
		if got := s.sizes(); len(got) != 1 || got[0] != 1000 { // with that of the subscription
			t.Error(got)
		}
		big := strings.Repeat("x", 100_000)
		w.Publish(line("function", big))
		w.Publish(line("function", big))
		synctest.Wait()
		if got := s.sizes(); len(got) != 1 {
			t.Error(got)
		}
		w.Publish(line("function", big))
		synctest.Wait()
		if got := s.sizes(); len(got) != 2 || got[1] != 2 {
			t.Error(got)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		w.Flush(ctx)
		if got := s.sizes(); len(got) != 3 || got[2] != 1 || ctx.Err() != nil {
			t.Error(got)
		}
	})
}

// While the environment is frozen nothing is sent.
func TestPause(t *testing.T) {
	run(t, Config{}, func(w *world) {
		s := w.serve(8080)
		w.subscribe(Telemetry, "x", example, 200)
		w.Settle()
		w.Pause()
		w.Pause()
		w.Publish(line("function", "x"))
		time.Sleep(time.Hour)
		if got := s.sizes(); len(got) != 0 {
			t.Error(got)
		}
		w.Resume()
		w.Resume()
		synctest.Wait()
		if got := s.sizes(); len(got) != 1 || got[0] != 2 {
			t.Error(got)
		}
	})
}

// A batch that was not taken is sent again: nobody listens yet, the subscriber fails, it sends elsewhere.
func TestRetries(t *testing.T) {
	run(t, Config{}, func(w *world) {
		w.subscribe(Telemetry, "x", example, 200)
		w.Settle()
		time.Sleep(3 * time.Second)
		s := w.serve(8080)
		var tries atomic.Int64
		s.mu.Lock()
		s.answer = func(rw http.ResponseWriter, r *http.Request) {
			n := tries.Add(1)
			if r.Method != "POST" || r.Host != "sandbox.localdomain:8080" || r.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%s %s %v", r.Method, r.Host, r.Header)
			}
			if n == 1 {
				http.Redirect(rw, r, "http://elsewhere:1/", http.StatusTemporaryRedirect)
				return
			}
			rw.WriteHeader(500)
		}
		s.mu.Unlock()
		time.Sleep(5 * time.Second)
		s.mu.Lock()
		s.answer = nil
		s.mu.Unlock()
		time.Sleep(2 * time.Second)
		if got := s.sizes(); tries.Load() < 3 || len(got) != 1 || got[0] != 1 {
			t.Error(tries.Load(), got)
		}
	})
}

// What a subscriber answers is nobody's concern, and bounded.
func TestAnswersAreBounded(t *testing.T) {
	run(t, Config{}, func(w *world) {
		s := w.serve(8080)
		var tries atomic.Int64
		s.mu.Lock()
		s.answer = func(rw http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			switch tries.Add(1) {
			case 1: // headers larger than are read: no answer, so it is sent again
				rw.Header().Set("X", strings.Repeat("x", 64<<10))
			case 2: // a body without an end: taken
				for {
					if _, err := rw.Write(make([]byte, 4<<10)); err != nil {
						return
					}
				}
			}
		}
		s.mu.Unlock()
		w.subscribe(Telemetry, "x", example, 200)
		w.Settle()
		time.Sleep(5 * time.Second)
		if n := tries.Load(); n != 2 {
			t.Errorf("sent %d times", n)
		}
		w.Publish(line("function", "x"))
		time.Sleep(5 * time.Second)
		if n := tries.Load(); n != 3 {
			t.Errorf("sent %d times", n)
		}
	})
}

// A subscriber that does not answer costs nobody but itself: the others get everything, and it learns what it has missed.
func TestSubscriberThatHangs(t *testing.T) {
	run(t, Config{}, func(w *world) {
		hangs, works := w.serve(1), w.serve(2)
		until := make(chan struct{})
		hangs.mu.Lock()
		hangs.answer = func(rw http.ResponseWriter, r *http.Request) {
			if _, err := io.ReadAll(r.Body); err != nil {
				t.Error(err)
			}
			select {
			case <-until:
			case <-r.Context().Done():
			}
		}
		hangs.mu.Unlock()
		for i, name := range []string{"hangs", "works"} {
			w.subscribe(Telemetry, name, strings.Replace(example, "sandbox.localdomain:8080", fmt.Sprint("sandbox:", i+1), 1), 200)
		}
		w.Settle()
		time.Sleep(time.Second)
		began := time.Now()
		for range 5000 {
			w.Publish(line("function", "0123456789"))
			if i := time.Since(began); i != 0 {
				t.Fatalf("publishing has taken %s", i)
			}
			synctest.Wait()
		}
		time.Sleep(time.Second)
		if n := len(works.records()); n != 5000+2 {
			t.Errorf("%d", n)
		}
		hangs.mu.Lock()
		hangs.answer = nil
		hangs.mu.Unlock()
		close(until)
		time.Sleep(10 * time.Second)
		got := hangs.records()
		if len(got) < 2 || !strings.HasPrefix(got[1000], `platform.logsDropped {"reason":"Consumer seems to have fallen behind as it has not acknowledged receipt of logs.","droppedRecords":3000,"droppedBytes":`) {
			t.Fatalf("%d %s", len(got), got[min(1000, len(got)-1)])
		}
		if len(got) != 2000+1 {
			t.Errorf("%d", len(got))
		}
		synctest.Wait()
		if len(w.told) != 3 || !strings.Contains(w.told[2], `"droppedRecords":3000`) {
			t.Error(w.told)
		}
	})
}

// What all subscribers hold together is bounded too, and those of one environment leave as much for others as they have.
func TestBudget(t *testing.T) {
	run(t, Config{Budget: NewBudget(1000)}, func(w *world) {
		w.subscribe(Telemetry, "x", example, 200)
		for range 100 {
			w.Publish(line("function", strings.Repeat("x", 50)))
		}
		if left := w.c.Budget.left.Load(); left < 500 || left > 650 {
			t.Error(left)
		}
		other := New(Config{Budget: w.c.Budget, Told: func(string, any) {}})
		other.Publish(line("function", strings.Repeat("x", 50)))
		if other.lost.Records != 0 {
			t.Error("there is no room for another environment")
		}
		other.Close()
		w.Settle()
		s := w.serve(8080)
		time.Sleep(5 * time.Second)
		if got := s.records(); !strings.HasPrefix(got[len(got)-1], `platform.logsDropped {`) {
			t.Error(got)
		}
	})
}

// By TCP each event is a line, and a connection that breaks is made anew.
func TestTCP(t *testing.T) {
	run(t, Config{}, func(w *world) {
		l := w.listen(1)
		w.subscribe(Logs, "x", `{"types":["function"],"destination":{"protocol":"TCP","port":1},"buffering":{"timeoutMs":25}}`, 200)
		w.Settle()
		w.Publish(line("function", "one\n"))
		w.Publish(line("function", "two\n"))
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(c)
		read := func(want string) {
			t.Helper()
			got, err := r.ReadString('\n')
			if err != nil || !strings.HasPrefix(got, `{"time":"20`) || !strings.HasSuffix(got, `Z","type":"function","record":"`+want+`\n"}`+"\n") {
				t.Errorf("%q %v", got, err)
			}
		}
		read("one")
		read("two")
		w.Publish(line("function", "three\n"))
		c.Close()
		if c, err = l.Accept(); err != nil {
			t.Fatal(err)
		}
		r = bufio.NewReader(c)
		read("three")
		w.Close()
		if _, err := r.ReadString('\n'); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%v", err)
		}
	})
}

// Without subscribers a Hub is quiet after the init phase, and so is one that there is not.
func TestNobody(t *testing.T) {
	run(t, Config{}, func(w *world) {
		w.Publish(platform("initStart"))
		w.Settle()
		if w.Wanted() {
			t.Error("wanted by nobody")
		}
		w.Publish(platform("start"))
		w.Pause()
		w.Flush(context.Background())
		w.Resume()
	})
	var none *Hub
	none.Publish(Event{})
	none.Settle()
	none.Pause()
	none.Resume()
	none.Flush(context.Background())
	none.Close()
}

// BenchmarkPublish shows what an event costs those who tell of it: without a subscriber, with one that takes everything, and with
// one that never answers.
func BenchmarkPublish(b *testing.B) {
	for _, bench := range []struct {
		name   string
		answer func(r *http.Request)
	}{
		{"nobody", nil},
		{"one", func(*http.Request) {}},
		{"hangs", func(r *http.Request) { <-r.Context().Done() }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			web := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				bench.answer(r)
			})}
			go web.Serve(l)
			defer web.Close()
			h := New(Config{
				Budget: NewBudget(64 << 20),
				Dial: func(ctx context.Context, _ uint16) (net.Conn, error) {
					var d net.Dialer
					return d.DialContext(ctx, "tcp", l.Addr().String())
				},
				Told: func(string, any) {},
			})
			defer h.Close()
			if bench.answer != nil {
				if no := h.Subscribe(Telemetry, "x", []byte(example)); no != nil {
					b.Fatal(no)
				}
			}
			h.Settle()
			event := line("function", "a line as functions write them, with a number: 0123456789\n")
			b.ReportAllocs()
			for b.Loop() {
				h.Publish(event)
			}
		})
	}
}
