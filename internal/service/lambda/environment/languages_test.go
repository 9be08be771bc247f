package environment

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"brume/internal/runtimes"
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

// javaClasses compiles a class and returns its files.
func javaClasses(t testing.TB, name, source string) map[string]string {
	t.Helper()
	if _, err := exec.LookPath("javac"); err != nil && os.Getenv("CI") == "" {
		t.Skip("no javac: install openjdk-17-jdk-headless to run this")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, name+".java")
	must(t, os.WriteFile(file, []byte(source), 0o644))
	out, err := exec.Command("javac", "-cp", "../../../runtimes/bootstrap/bootstrap.jar", "--release", "17", "-d", dir, file).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	classes := make(map[string]string)
	found, err := filepath.Glob(dir + "/*.class")
	must(t, err)
	for _, path := range found {
		b, err := os.ReadFile(path)
		must(t, err)
		classes[filepath.Base(path)] = string(b)
	}
	return classes
}

// authority is a certificate of an authority that signs nothing.
const authority = `# a comment
-----BEGIN CERTIFICATE-----
MIIBgDCCASWgAwIBAgIUZF3pNMIaLkZmLK5ILBbRHKpk+3MwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJYXV0aG9yaXR5MCAXDTI2MTEyODIyNDQxOVoYDzIxMjYxMTA0
MjI0NDE5WjAUMRIwEAYDVQQDDAlhdXRob3JpdHkwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAQHvmQTIdU1vAQ0FkUnv/TMCRHMsEY307czHO/gZ1mk8htDpmttXpqY
qi3q0FM2ZXANacBwBl7kMa8yHeCATE2Uo1MwUTAdBgNVHQ4EFgQUvsMB7yB344F4
gvg2LGZYuWOvp4gwHwYDVR0jBBgwFoAUvsMB7yB344F4gvg2LGZYuWOvp4gwDwYD
VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNJADBGAiEA1wAE9XVzdfu13eFvdmek
j9xmOj8/S++hsSNV9SInibcCIQDRsA4z16VtVPqyZFe+Adk/JYeZt4JclXE2c/VM
hpvLdA==
-----END CERTIFICATE-----
`

const javaSource = `
import com.amazonaws.services.lambda.runtime.Context;
import java.io.*;
import java.nio.file.*;
import java.security.KeyStore;
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.*;

public class Main {
    public Object handle(Map<String, Object> event, Context context) throws Exception {
        if (event.containsKey("fail")) { throw new IllegalStateException("no"); }
        if (event.containsKey("fill")) {
            List<byte[]> all = new ArrayList<>();
            for (;;) { all.add(new byte[1 << 20]); }
        }
        System.out.println("hello");
        Map<String, Object> m = new LinkedHashMap<>();
        m.put("own", System.getenv("OWN"));
        m.put("waits", System.getenv().keySet().stream().filter(k -> k.contains("WAIT")).collect(Collectors.toList()));
        ProcessBuilder child = new ProcessBuilder("/usr/bin/env");
        child.environment().remove("none"); // without a look at it a process gets what the virtual machine was started with
        m.put("child", new String(child.start().getInputStream().readAllBytes()).contains("OWN=variable"));
        m.put("here", Stream.of(new File(".").list()).sorted().collect(Collectors.toList()));
        try (InputStream in = new FileInputStream("data.txt")) { m.put("file", new String(in.readAllBytes())); }
        m.put("nio", Files.readString(Path.of("data.txt")));
        m.put("resource", new String(Main.class.getResourceAsStream("/data.txt").readAllBytes()));
        m.put("cwd", System.getProperty("user.dir"));
        m.put("user", System.getProperty("user.name"));
        m.put("tmp", new File("/tmp").list().length);
        Files.writeString(Path.of("/tmp/x"), "x");
        ExecutorService pool = Executors.newFixedThreadPool(8);
        int sum = 0;
        Callable<Integer> one = () -> 1;
        for (Future<Integer> f : pool.invokeAll(Collections.nCopies(50, one))) { sum += f.get(); }
        pool.shutdown();
        m.put("threads", sum);
        m.put("heap", Runtime.getRuntime().maxMemory() / 1e6 > 200 && Runtime.getRuntime().maxMemory() / 1e6 < 230);
        m.put("zone", TimeZone.getDefault().getID());
        m.put("trust", System.getProperty("javax.net.ssl.trustStore"));
        javax.net.ssl.SSLContext.getDefault();
        KeyStore store = KeyStore.getInstance(System.getProperty("javax.net.ssl.trustStoreType"));
        try (InputStream in = new FileInputStream(System.getProperty("javax.net.ssl.trustStore"))) { store.load(in, null); }
        m.put("authorities", store.size());
        m.put("name", context.getFunctionName());
        return m;
    }
}
`

// A function in Java finds the same in a sandbox that was ready as in one that was made for it.
func TestJava(t *testing.T) {
	t.Parallel()
	classes := javaClasses(t, "Main", javaSource)
	classes["data.txt"] = "data"
	catalog := runtimes.NewCatalog(sharedCatalog(t), os.Getenv("PATH"), os.Getenv("HOME"))
	all, err := catalog.All(t.Context())
	must(t, err)
	tested := false
	for _, r := range all { // they differ in what a process that waits must know of them
		if strings.HasPrefix(r.Name, "java") && r.Name != "java11" {
			tested = true
			t.Run(r.Name, func(t *testing.T) { testJava(t, r.Name, classes) })
		}
	}
	if !tested && os.Getenv("CI") != "" {
		t.Error("no Java on this machine")
	}
}

func testJava(t *testing.T, runtime string, classes map[string]string) {
	both(t, func(t *testing.T, h *harness, prepare func(*Function)) {
		f := h.zip(h.function(runtime, "data.txt", ""), classes)
		f.Handler, f.MemoryMB, f.Timeout = "Main::handle", 256, 20*time.Second
		f.Variables = map[string]string{"OWN": "variable"}
		must(t, os.WriteFile(h.config.CABundle, []byte(authority), 0o644))
		prepare(f)
		const want = `{"own":"variable","waits":[],"child":true,"here":["Main.class","data.txt"],"file":"data","nio":"data","resource":"data","cwd":"/var/task",` +
			`"user":"sbx_user1051","tmp":0,"threads":50,"heap":true,"zone":"UTC","trust":"/etc/ssl/certs/ca-certificates.crt","authorities":1,"name":"f"}`
		if got := h.invoke(f, "{}"); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
		if r := h.fails(f, `{"fail":1}`); !strings.Contains(string(r.Payload), `"errorType":"java.lang.IllegalStateException"`) || !strings.Contains(string(r.LogTail), "no: java.lang.IllegalStateException\n") {
			t.Errorf("%s\n%s", r.Payload, r.LogTail)
		}
		// The heap ends before the sandbox does, and so the function is told what was wrong with it.
		if r := h.fails(f, `{"fill":1}`); !strings.Contains(string(r.Payload), `{"errorMessage":"Java heap space","errorType":"java.lang.OutOfMemoryError"`) {
			t.Errorf("%s", r.Payload)
		}
		if got := h.invoke(f, "{}"); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	})
}

// What changes the virtual machine it must find when it starts.
func TestJavaToolOptions(t *testing.T) {
	t.Parallel()
	classes := javaClasses(t, "Main", "public class Main { public Object handle(Object o) { return System.getProperty(\"own\"); } }")
	h := newHarness(t, false, nil)
	f := h.zip(h.function(h.runtime("java"), "x", ""), classes)
	f.Handler, f.MemoryMB, f.Timeout = "Main::handle", 256, 20*time.Second
	h.prepare(f)
	h.settle()
	f.Variables = map[string]string{"JAVA_TOOL_OPTIONS": "-Down=set"}
	if got := h.invoke(f, "{}"); got != `"set"` {
		t.Errorf("%s", got)
	}
}
