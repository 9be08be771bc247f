package environment

import (
	"strings"
	"testing"
)

// A function in Ruby finds the same in a sandbox that was ready as in one that was made for it.
func TestRuby(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h *harness, prepare func(*Function)) {
		f := h.function(h.runtime("ruby"), "index.rb", "")
		f = h.zip(f, map[string]string{"index.rb": `
require "helper"
require "tmpdir"
require "openssl"
def handler(event:, context:)
  puts "hello"
  raise "no" if event == "fail"
  thread = Thread.new { 6 * 7 }
  {
    own: ENV["OWN"], child: ` + "`env`" + `.include?("OWN=variable"), waits: ENV.keys.grep(/WAIT/), here: Dir.children(".").sort,
    path: $LOAD_PATH.first, helper: $helper, thread: thread.value, user: Process.uid, name: context.function_name,
    tmp: File.write(File.join(Dir.tmpdir, "x"), "abc"), zone: Time.now.zone, cert: OpenSSL::X509::DEFAULT_CERT_FILE_ENV,
    argv: ARGV.size,
  }
end
`, "helper.rb": "$helper = 'found'\n"})
		f.Variables = map[string]string{"OWN": "variable"}
		prepare(f)
		const want = `{"own":"variable","child":true,"waits":[],"here":["helper.rb","index.rb"],"path":"/var/task","helper":"found",` +
			`"thread":42,"user":993,"name":"f","tmp":3,"zone":"UTC","cert":"SSL_CERT_FILE","argv":0}`
		if got := h.invoke(f, "{}"); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
		if r := h.fails(f, `"fail"`); !strings.Contains(string(r.Payload), `"errorType":"Function<RuntimeError>"`) || !strings.Contains(string(r.LogTail), "hello\n") {
			t.Errorf("%s\n%s", r.Payload, r.LogTail)
		}
	})
}

// Gems of layers are found in a sandbox that was started before anybody knew which layers.
func TestRubyLayers(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h *harness, prepare func(*Function)) {
		f := h.function(h.runtime("ruby"), "index.rb", "require 'layered'\ndef handler(event:, context:) = [$layered, Gem.loaded_specs.key?('layered')]\n")
		dir := "ruby/gems/" + strings.TrimPrefix(f.Runtime, "ruby") + ".0/"
		layer := h.zip(f, map[string]string{
			dir + "specifications/layered-1.0.0.gemspec": "Gem::Specification.new { |s| s.name = 'layered'; s.version = '1.0.0'; s.summary = ''; s.authors = ['']; s.require_paths = ['lib'] }\n",
			dir + "gems/layered-1.0.0/lib/layered.rb":    "$layered = 'layer'\n",
		})
		f.Layers = []string{layer.Code}
		prepare(f)
		if got := h.invoke(f, "1"); got != `["layer",true]` {
			t.Error(got)
		}
	})
}
