package runtimes

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"brume/internal/runtimeapi"
)

func rubyFunction(t *testing.T, r *Runtime, code string, env ...string) *function {
	return run(t, r, "lambda_function.handler", one("lambda_function.rb", code), env...)
}

// failsAs checks an answer that is an error, whose type for the Runtime API is another one than the caller sees.
func (f *function) failsAs(event, header, typ, message string) failure {
	f.t.Helper()
	r := f.invoke(event)
	var got failure
	if err := json.Unmarshal(r.Payload, &got); err != nil {
		f.t.Fatal(err)
	}
	if !r.Failed || r.ErrorType != header || got.ErrorType != typ || got.ErrorMessage != message {
		f.t.Errorf("%s returned %s %s, want %s: %s: %s\n%s", event, r.ErrorType, r.Payload, header, typ, message, f.stdout)
	}
	return got
}

// What a handler returns is serialized to JSON: https://docs.aws.amazon.com/lambda/latest/dg/ruby-handler.html
func TestRubyResponses(t *testing.T) {
	each(t, ruby, func(t *testing.T, r *Runtime) {
		f := rubyFunction(t, r, `
def handler(event:, context:)
  event.is_a?(Hash) && event["expr"] ? eval(event["expr"]) : event
end
`)
		for _, v := range []string{`{}`, `[1,2.5,"x",null,true]`, `"text ü"`, `null`, `{"a":{"b":[]}}`, `12345678901234567890`} {
			f.returns(v, v)
		}
		f.returns(`{"expr":"nil"}`, `null`)
		f.returns(`{"expr":"{ a: :b, 1 => Time.at(0).utc }"}`, `{"a":"b","1":"1970-01-01 00:00:00 UTC"}`)
		f.returns(`{"expr":"StringIO.new(\"\\x00raw\")"}`, "\x00raw")
		f.returns(`{"expr":"require 'stringio'; StringIO.new('')"}`, "")
		if got := f.invoke(`{"expr":"Float::NAN"}`); got.ErrorType != "Function<UserException>" || !strings.Contains(string(got.Payload), `"errorType":"Function<JSON::GeneratorError>"`) {
			t.Errorf("%s %s", got.ErrorType, got.Payload)
		}
		f.returns(`1`, `1`) // the one after an error works
		big := `"` + strings.Repeat("0123456789abcdef", 300<<10) + `"`
		f.returns(big, big)
		if r := f.invoke(`{"expr":"'x' * 6291556"}`); r.ErrorType != "Function.ResponseSizeTooLarge" {
			t.Errorf("%s", r.ErrorType)
		}
		f.returns(`2`, `2`)
	})
}

// https://docs.aws.amazon.com/lambda/latest/dg/ruby-handler.html
func TestRubyHandlers(t *testing.T) {
	each(t, ruby, func(t *testing.T, r *Runtime) {
		code := `
module Outer
  class Inner
    def self.process(event:, context:) = "inner #{event} #{context.function_name}"
  end
end
class Plain
  class << self
    private def process(event:, context:) = "private"
  end
end
def process(event:, context:) = "top"
`
		for handler, want := range map[string]string{
			"source.process": `"top"`, "source.Outer::Inner.process": `"inner 1 f"`, "source.Plain.process": `"private"`,
		} {
			run(t, r, handler, one("source.rb", code)).returns(`1`, want)
		}
		run(t, r, "lib/deep/source.process", one("lib/deep/source.rb", code)).returns(`1`, `"top"`)
	})
}

// https://docs.aws.amazon.com/lambda/latest/dg/ruby-exceptions.html. Errors that say that the code is wrong end the process,
// as in Lambda's runtime client (lib/aws_lambda_ric.rb).
func TestRubyErrors(t *testing.T) {
	each(t, ruby, func(t *testing.T, r *Runtime) {
		const code = `
class Odd < StandardError; end
def inner(x) = raise(ArgumentError, x)
def handler(event:, context:)
  raise Odd, "caf\xe9" if event == "odd"
  eval(event) if event.is_a?(String)
  inner("two\nlines")
end
`
		f := rubyFunction(t, r, code)
		got := f.failsAs(`1`, "Function<ArgumentError>", "Function<ArgumentError>", "two\nlines")
		if len(got.StackTrace) != 2 || !strings.Contains(got.StackTrace[0], "lambda_function.rb:3:in ") || !strings.Contains(got.StackTrace[1], "lambda_function.rb:7:in ") {
			t.Errorf("stack trace %q", got.StackTrace)
		}
		events := f.logs("two\\nlines")
		if len(events) != 2 || events[0] != "Error raised from handler method" || !strings.HasPrefix(events[1], "{\n  \"errorMessage\": \"two\\nlines\",\n  \"errorType\": \"Function<ArgumentError>\"") {
			t.Errorf("log %q", events)
		}
		f.failsAs(`"odd"`, "Function<UserException>", "Function<Odd>", "caf\ufffd")
		f.failsAs(`"raise 'x'"`, "Function<UserException>", "Function<RuntimeError>", "x")
		// https://docs.aws.amazon.com/lambda/latest/dg/ruby-exceptions.html: the class of an error may be any
		for _, tc := range []struct{ event, header, typ, message string }{
			{`"exit 3"`, "Function<SystemExit>", "Function<SystemExit>", "exit"},
			{`"raise NotImplementedError, 'later'"`, "Function<UserException>", "Function<NotImplementedError>", "later"},
			{`"raise NameError, 'n'"`, "Function<NameError>", "Function<NameError>", "n"},
			{`"nil.foo"`, "Function<NoMethodError>", "Function<NoMethodError>", ""},
		} {
			f := rubyFunction(t, r, code)
			if tc.message != "" {
				f.failsAs(tc.event, tc.header, tc.typ, tc.message)
			} else if got := f.invoke(tc.event); got.ErrorType != tc.header || !strings.Contains(string(got.Payload), "undefined method") {
				t.Errorf("%s %s", got.ErrorType, got.Payload)
			}
			f.exits(255)
			if events := f.logs("Critical"); events[0] != "Critical exception from handler" {
				t.Errorf("log %q", events)
			}
		}
		f = run(t, r, "lambda_function.missing", one("lambda_function.rb", code))
		if got := f.invoke(`1`); got.ErrorType != "Function<NoMethodError>" || !regexp.MustCompile("undefined method [`']missing' for .*LambdaHandler").Match(got.Payload) {
			t.Errorf("%s %s", got.ErrorType, got.Payload)
		}
		f.exits(255)
	})
}

func TestRubyInitErrors(t *testing.T) {
	each(t, ruby, func(t *testing.T, r *Runtime) {
		const form = "must be of form FILENAME.METHOD or FILENAME.CLASS.METHOD where FILENAME corresponds with an existing Ruby source file FILENAME.rb, CLASS is an optional module/class namespace and METHOD is a callable method. If using CLASS, METHOD must be a class-level method."
		for _, tc := range []struct{ handler, code, typ, message string }{
			{"nowhere.handler", "", "Init<LoadError>", "cannot load such file -- nowhere"},
			{"lambda_function.handler", "require 'no_such_gem'\n", "Init<LoadError>", "cannot load such file -- no_such_gem"},
			{"handler", "", "Init<ArgumentError>", `Invalid handler ["handler"], ` + form},
			{"a.b.c.d", "", "Init<ArgumentError>", `Invalid handler ["a", "b", "c", "d"], ` + form},
			{"lambda_function.handler", "raise 'no'\n", "Init<RuntimeError>", "no"},
			{"lambda_function.handler", "def handler(\n", "Init<SyntaxError>", ""},
		} {
			f := run(t, r, tc.handler, one("lambda_function.rb", tc.code))
			err := f.env.Ready(deadline(t))
			e, ok := err.(*runtimeapi.InitError)
			if !ok {
				t.Fatalf("%v\n%s", err, f.stdout)
			}
			want := "Function<UserException>"
			if strings.HasPrefix(tc.typ, "Init<LoadError") || strings.HasPrefix(tc.typ, "Init<ArgumentError") {
				want = tc.typ
			}
			var got failure
			if err := json.Unmarshal(e.Payload, &got); err != nil || e.Type != want || got.ErrorType != tc.typ || tc.message != "" && got.ErrorMessage != tc.message {
				t.Errorf("%s %s, want %s: %s", e.Type, e.Payload, tc.typ, tc.message)
			}
			f.exits(252)
			if events := f.logs("Init error"); len(events) != 2 || !strings.Contains(events[1], tc.typ) {
				t.Errorf("log %q", events)
			}
		}
	})
}

// https://docs.aws.amazon.com/lambda/latest/dg/ruby-context.html
func TestRubyContext(t *testing.T) {
	each(t, ruby, func(t *testing.T, r *Runtime) {
		f := rubyFunction(t, r, `
def handler(event:, context:)
  left = context.get_remaining_time_in_millis
  raise "left #{left}" unless left.is_a?(Integer) && left > 0 && left <= 30000 && context.deadline_ms > 1_700_000_000_000
  [context.function_name, context.function_version, context.invoked_function_arn, context.memory_limit_in_mb, context.aws_request_id,
   context.log_group_name, context.log_stream_name, context.identity, context.client_context, ENV["_X_AMZN_TRACE_ID"]]
end
`)
		const fixed = `["f","$LATEST","` + functionARN + `","128","00000000-0000-4000-8000-00000000000N","/aws/lambda/f","2024/01/01/[$LATEST]0",`
		check := func(n, rest string, with ...func(*runtimeapi.Invocation)) {
			t.Helper()
			got := f.invoke(`{}`, with...)
			if want := strings.Replace(fixed, "N", n, 1) + rest; string(got.Payload) != want {
				t.Errorf("got  %s\nwant %s", got.Payload, want)
			}
		}
		check("1", `null,null,null]`)
		check("2", `{"cognitoIdentityId":"i"},{"client":{"installation_id":"id"},"custom":{"a":"ü"}},"Root=1"]`, func(inv *runtimeapi.Invocation) {
			inv.TraceID = "Root=1"
			inv.CognitoIdentity = `{"cognitoIdentityId":"i"}`
			inv.ClientContext = "{\"client\":\n{\"installation_id\":\"id\"},\"custom\":{\"a\":\"ü\"}}"
		})
		check("3", `null,null,null]`)
		f.failsAs(`{`, "Function<UserException>", "Function<JSON::ParserError>", f.message(`{`))
		check("6", `null,null,null]`)
	})
}

// message returns the message of the error that an event leads to: the parser's own.
func (f *function) message(event string) string {
	var got failure
	if err := json.Unmarshal(f.invoke(event).Payload, &got); err != nil {
		f.t.Fatal(err)
	}
	return got.ErrorMessage
}

// https://docs.aws.amazon.com/lambda/latest/dg/ruby-logging.html
func TestRubyLogging(t *testing.T) {
	each(t, ruby, func(t *testing.T, r *Runtime) {
		const code = `
require 'logger'
LOG = Logger.new($stdout, progname: "p")
def handler(event:, context:)
  puts "a", ["b", "ü"]
  print "c\n"
  $stdout.puts "d\ne"
  $stderr.puts "to stderr"
  p :x
  LOG.info("two\nlines")
  LOG.debug("quiet")
  LOG.error(ArgumentError.new("bad"))
  own = Logger.new($stdout, formatter: ->(s, t, n, m) { "own #{m}\n" })
  own.warn("format")
  Logger.new(nil).error("nowhere")
end
`
		f := rubyFunction(t, r, code)
		f.returns(`1`, `true`)
		const head = `, \[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6} #\d+\] `
		want := []string{
			"^a\nb\nü$", "^c$", "^d$", "^e$", "^to stderr$", "^:x$",
			"^I" + head + " INFO 00000000-0000-4000-8000-000000000001 -- p: two\nlines$",
			"^D" + head + "DEBUG 00000000-0000-4000-8000-000000000001 -- p: quiet$",
			"^E" + head + `ERROR 00000000-0000-4000-8000-000000000001 -- p: bad \(ArgumentError\)`, "^own format$",
		}
		events := f.logs("own format")
		for i, w := range want {
			if i >= len(events) || !regexp.MustCompile(w).MatchString(events[i]) {
				t.Errorf("event %d of %q does not match %s", i, events, w)
			}
		}
		if len(events) != len(want) {
			t.Errorf("events %q", events)
		}

		f = rubyFunction(t, r, code, "AWS_LAMBDA_LOG_FORMAT=JSON", "AWS_LAMBDA_LOG_LEVEL=INFO")
		f.returns(`1`, `true`)
		events = slices.DeleteFunc(f.logs("own format"), func(e string) bool { return !strings.HasPrefix(e, "{") })
		if len(events) != 2 {
			t.Fatalf("events %q", events)
		}
		var records [2]map[string]any
		for i := range records {
			if err := json.Unmarshal([]byte(events[i]), &records[i]); err != nil {
				t.Fatal(err)
			}
			if !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$`).MatchString(records[i]["timestamp"].(string)) {
				t.Errorf("timestamp %v", records[i]["timestamp"])
			}
		}
		for name, want := range map[string]any{"level": "INFO", "message": "two\nlines", "requestId": "00000000-0000-4000-8000-000000000001", "logger": "p"} {
			if records[0][name] != want {
				t.Errorf("%s: %v, want %v", name, records[0][name], want)
			}
		}
		for name, want := range map[string]any{"level": "ERROR", "message": "bad", "errorType": "ArgumentError", "errorMessage": "bad"} {
			if records[1][name] != want {
				t.Errorf("%s: %v, want %v", name, records[1][name], want)
			}
		}
		f = rubyFunction(t, r, "def handler(event:, context:) = raise('v')\n", "AWS_LAMBDA_LOG_FORMAT=JSON")
		f.failsAs(`1`, "Function<UserException>", "Function<RuntimeError>", "v")
		var record map[string]any
		if err := json.Unmarshal([]byte(f.logs("RuntimeError")[0]), &record); err != nil || record["level"] != "ERROR" || record["errorType"] != "Function<RuntimeError>" {
			t.Errorf("%v: %v", err, record)
		}
	})
}

// https://docs.aws.amazon.com/lambda/latest/dg/ruby-package.html and …/packaging-layers.html
func TestRubyPath(t *testing.T) {
	each(t, ruby, func(t *testing.T, r *Runtime) {
		gem := func(root, name, value string) map[string]string {
			dir := root + "/" + r.major + ".0/"
			return map[string]string{
				dir + "specifications/" + name + "-1.0.0.gemspec":   "Gem::Specification.new { |s| s.name = '" + name + "'; s.version = '1.0.0'; s.summary = ''; s.authors = ['']; s.files = ['lib/" + name + ".rb']; s.require_paths = ['lib'] }\n",
				dir + "gems/" + name + "-1.0.0/lib/" + name + ".rb": "$" + name + " = '" + value + "'\n",
			}
		}
		files := map[string]string{
			"task/m.rb":         "require 'a'; require 'b'; require 'vendored'; require 'layered'; require 'lib/c'\ndef handler(event:, context:) = [$a, $b, $vendored, $layered, $c, $LOAD_PATH.first == ENV['LAMBDA_TASK_ROOT'], Dir.pwd == ENV['LAMBDA_TASK_ROOT']]\n",
			"task/a.rb":         "$a = 'task'\n",
			"task/lib/c.rb":     "$c = 'task'\n",
			"opt/ruby/lib/a.rb": "$a = 'layer'\n",
			"opt/ruby/lib/b.rb": "$b = 'layer'\n",
		}
		for _, more := range []map[string]string{gem("task/vendor/bundle/ruby", "vendored", "task"), gem("opt/ruby/gems", "layered", "layer")} {
			for name, content := range more {
				files[name] = content
			}
		}
		run(t, r, "m.handler", files).returns(`1`, `["task","layer","task","layer","task",true,true]`)
	})
}

func TestRubyEnds(t *testing.T) {
	each(t, ruby, func(t *testing.T, r *Runtime) {
		f := rubyFunction(t, r, "def handler(event:, context:) = event\n")
		f.returns(`1`, `1`)
		f.env.Close() // the platform answers nothing any more: the process must not stay behind
		f.exits(1)
		f = run(t, r, "m.h", map[string]string{
			"task/m.rb":   "def h(event:, context:) = ENV['WRAPPED']\n",
			"opt/wrapper": "#!/bin/sh\nWRAPPED=yes exec \"$@\"\n",
		}, "AWS_LAMBDA_EXEC_WRAPPER=/opt/wrapper")
		f.returns(`{}`, `"yes"`)
	})
}

// A function may replace how events are read and responses written.
func TestRubyMarshaller(t *testing.T) {
	each(t, ruby, func(t *testing.T, r *Runtime) {
		f := rubyFunction(t, r, `
class AwsLambda::Marshaller
  def self.marshall_request(raw) = "#{raw['Content-Type']} #{raw.body}"
end
def handler(event:, context:) = event
`)
		f.returns(`1`, `"application/json 1"`)
	})
}
