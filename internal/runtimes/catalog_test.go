package runtimes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeBin makes a directory of programs.
func fakeBin(t *testing.T, programs map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range programs {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestDiscovery(t *testing.T) {
	all, err := here()
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range all {
		if r.Name != name || len(r.Command(Options{})) == 0 {
			t.Errorf("%s: %+v", name, r)
		}
		if r.family == provided {
			continue
		}
		if real, err := filepath.EvalSymlinks(r.Interpreter); err != nil || real != r.Interpreter || !isProgram(real) {
			t.Errorf("%s: interpreter %s is %s, %v", name, r.Interpreter, real, err)
		}
		flag := "--version"
		out, err := exec.Command(r.Interpreter, flag).Output()
		if err != nil || !strings.Contains(string(out), r.Version) {
			t.Errorf("%s: version %q, the interpreter says %q, %v", name, r.Version, out, err)
		}
		// Everything the interpreter needs is in what the sandbox shows, at the same place.
		binds := r.Binds(Options{})
		shown := func(path string) bool {
			return slices.ContainsFunc(binds, func(b Bind) bool { return within(path, b.Target) })
		}
		if !shown(r.Interpreter) {
			t.Errorf("%s: %s is not in %v", name, r.Interpreter, binds)
		}
		for _, b := range binds {
			if _, err := os.Stat(b.Source); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if ldd, err := exec.Command("ldd", r.Interpreter).Output(); err == nil {
			for _, m := range regexp.MustCompile(`=> (/\S+)`).FindAllStringSubmatch(string(ldd), -1) {
				if !shown(m[1]) {
					t.Errorf("%s: library %s is not in %v", name, m[1], binds)
				}
			}
		}
		if (r.SDK == "") != (r.InstallSDK != "") && r.family != java { // functions in Java bring it
			t.Errorf("%s: SDK %q, to install: %q", name, r.SDK, r.InstallSDK)
		}
	}
}

// A function sees what the discovery said.
func TestSDK(t *testing.T) {
	each(t, python, func(t *testing.T, r *Runtime) {
		f := pythonFunction(t, r, "def lambda_handler(event, context):\n  try:\n    import boto3; return boto3.__version__\n  except ImportError: return ''\n")
		f.returns(`{}`, fmt.Sprintf("%q", r.SDK))
	})
}

// Shims of version managers are scripts, and neither they nor anything else that is no interpreter counts.
func TestShims(t *testing.T) {
	ran := filepath.Join(t.TempDir(), "ran")
	shims := fakeBin(t, map[string]string{
		"python3": "#!/bin/sh\ntouch " + ran, "python3.99": "#!/bin/sh\ntouch " + ran, "ruby": "#!/bin/sh\ntouch " + ran, "ruby3.3": "#!/bin/sh\ntouch " + ran, "node": "#!/bin/sh\ntouch " + ran,
		"python3.98": "\x7fELF but not really", "nodejs": "x", "python3-config": "\x7fELF....",
	})
	c := NewCatalog(t.TempDir(), shims, "")
	c.OfferAny("ruby")
	if _, err := c.Find(t.Context(), "python3.99"); err == nil {
		t.Error("found")
	}
	if exists(ran) {
		t.Error("a shim was run")
	}
	problems, err := c.Problems(t.Context())
	if err != nil || len(problems) != 1 || !strings.HasPrefix(problems[0], filepath.Join(shims, "python3.98")+": ") {
		t.Errorf("%q, %v", problems, err)
	}
}

// The real programs behind a version manager's shims are found.
func TestVersionManagers(t *testing.T) {
	home := t.TempDir()
	for _, dir := range []string{".pyenv/versions/3.8.1/bin", ".nvm/versions/node/v22.1.0/bin", ".rbenv/versions/3.3.0/bin", ".sdkman/candidates/java/21/bin", "elsewhere/shims", "elsewhere/versions/3.9.1/bin"} {
		if err := os.MkdirAll(filepath.Join(home, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	c := NewCatalog(t.TempDir(), "relative:"+home+"/elsewhere/shims", home)
	want := []string{"elsewhere/shims", "elsewhere/versions/3.9.1/bin", "/usr/local/bin", "/usr/bin"}
	want = append(want, versions("/usr/lib", "jvm")...)
	want = append(want, ".pyenv/versions/3.8.1/bin", ".nvm/versions/node/v22.1.0/bin", ".rbenv/versions/3.3.0/bin", ".sdkman/candidates/java/21/bin")
	for i, w := range want {
		if !filepath.IsAbs(w) {
			want[i] = filepath.Join(home, w)
		}
	}
	if !slices.Equal(c.path, want) {
		t.Errorf("%q, want %q", c.path, want)
	}
}

// A second Catalog on the same directory asks no interpreter, and a damaged or stale cache is no harm.
func TestCache(t *testing.T) {
	real, err := exec.LookPath("/usr/bin/python3")
	if err != nil {
		t.Skip("no /usr/bin/python3")
	}
	dir := t.TempDir()
	// A copy, so that it can be changed; it finds the standard library as the original does.
	b, err := os.ReadFile(real)
	if err != nil {
		t.Fatal(err)
	}
	p := program{family: python, path: filepath.Join(t.TempDir(), "python3"), size: int64(len(b)), mtime: 1}
	if err := os.WriteFile(p.path, b, 0o755); err != nil {
		t.Fatal(err)
	}
	c := NewCatalog(dir, "", "")
	first, err := c.findings(t.Context(), []program{p})
	if err != nil || first[0].Version == "" {
		t.Fatalf("%+v, %v", first[0], err)
	}
	if !exists(filepath.Join(bootstrapDir(dir, p), "bootstrap.pyc")) {
		t.Error("the bootstrap is not compiled")
	}
	// From now on it could not answer.
	if err := os.WriteFile(p.path, []byte("#!/bin/false"), 0o755); err != nil {
		t.Fatal(err)
	}
	again, err := NewCatalog(dir, "", "").findings(t.Context(), []program{p})
	if err != nil || again[0].Version != first[0].Version || !slices.Equal(again[0].Sites, first[0].Sites) {
		t.Errorf("%+v, %v", again[0], err)
	}
	p.mtime++
	if changed, err := NewCatalog(dir, "", "").findings(t.Context(), []program{p}); err != nil || changed[0].Problem == "" {
		t.Errorf("%+v, %v", changed[0], err)
	}
	p.mtime--
	if err := os.WriteFile(c.cacheFile(), []byte(`{"`), 0o644); err != nil {
		t.Fatal(err)
	}
	if damaged, err := NewCatalog(dir, "", "").findings(t.Context(), []program{p}); err != nil || damaged[0].Problem == "" {
		t.Errorf("%+v, %v", damaged[0], err)
	}
}

// Installing a package changes what an interpreter would say.
func TestCacheSeesPackages(t *testing.T) {
	site := t.TempDir()
	f := finding{Watched: []string{site}, WatchedTimes: modTimes([]string{site})}
	if !f.current() {
		t.Fatal("not current")
	}
	if err := os.Chtimes(site, time.Unix(1e9, 0), time.Unix(1e9, 0)); err != nil {
		t.Fatal(err)
	}
	if f.current() {
		t.Error("still current")
	}
	if (&finding{Problem: "x"}).current() {
		t.Error("a problem is kept")
	}
}

func TestFind(t *testing.T) {
	c := NewCatalog(t.TempDir(), os.Getenv("PATH"), "")
	var wg sync.WaitGroup
	for range 4 { // at the same time
		wg.Go(func() {
			if r, err := c.Find(t.Context(), "provided.al2023"); err != nil || r.Command(Options{})[0] != "/var/task/bootstrap" {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
	wg.Wait()
	for name, install := range map[string]string{
		"python3.99": `pyenv install 3.99 && "$(pyenv prefix "$(pyenv latest 3.99)")"/bin/python3 -m pip install boto3`,
		"nodejs99.x": "nvm install 99",
		"ruby3.99":   `rbenv install "$(rbenv install -l | grep -m1 '^3\.99\.')"`,
		"java97":     `sdk install java "$(sdk list java | grep -oE ' 97\.[0-9.]+-tem' | head -1)"`,
		"java18":     "",
		"java8":      "",
		"ruby3.1":    "",
		"ruby3":      "",
		"nodejs16.x": "",
		"nodejs99":   "",
		"python2.7":  "",
		"python3.":   "",
		"python3.9x": "",
		"python3.09": "",
	} {
		_, err := c.Find(t.Context(), name)
		u, ok := errors.AsType[*UnavailableError](err)
		if !ok || u.Install != install || !slices.Contains(u.Available, "provided.al2") || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), install) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := NewCatalog(t.TempDir(), os.Getenv("PATH"), "").Refresh(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestInstallCommands(t *testing.T) {
	nothing := &Catalog{dir: t.TempDir(), lock: make(chan struct{}, 1)}
	missing, err := nothing.Missing(t.Context())
	if err != nil || len(missing) != 2 || missing[0].Need != "Ruby" || missing[1].Need != "Java" || missing[0].Command == "" || missing[1].Command == "" {
		t.Errorf("%v, %v", missing, err)
	}
	d := distributionOf("debian", "12")
	for name, want := range map[string]string{
		"python3.11": "apt-get install -y python3 python3-boto3", "nodejs18.x": "apt-get install -y nodejs npm",
		"nodejs20.x": "nvm install 20",
		"java17":     "apt-get install -y openjdk-17-jre-headless",
	} {
		if got := d.installCommand(name); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
	if d.offers(java) != "java17" || d.offers(ruby) != "" || distributionOf("debian", "13").offers(ruby) != "ruby3.3" {
		t.Errorf("%+v", d)
	}
	python := &Runtime{Name: "python3.11", family: python, InstallSDK: "apt-get install -y python3-boto3"}
	node := &Runtime{Name: "nodejs20.x", family: nodejs, SDK: "3.1.0"}
	lacking := Advice{"Python 3", "apt-get install -y python3 python3-boto3"}
	if got := advise([]*Runtime{python, node}, python.family, lacking, "boto3"); !slices.Equal(got, []Advice{{"boto3", "apt-get install -y python3-boto3"}}) {
		t.Errorf("%v", got)
	}
	if got := advise([]*Runtime{node}, python.family, lacking, "boto3"); !slices.Equal(got, []Advice{lacking}) {
		t.Errorf("%v", got)
	}
	if got := advise([]*Runtime{python, node}, nodejs, Advice{}, "SDK"); got != nil {
		t.Errorf("%v", got)
	}
}

func TestCompareVersions(t *testing.T) {
	for _, s := range [][2]string{{"3.9.18", "3.10.2"}, {"3.11.2", "3.11.7"}, {"3.11", "3.11.1"}, {"18.1.0", "20.0.0"}, {"", "1"}} {
		if compareVersions(s[0], s[1]) >= 0 || compareVersions(s[1], s[0]) <= 0 || compareVersions(s[0], s[0]) != 0 {
			t.Errorf("%v", s)
		}
	}
	a, b := &Runtime{Version: "3.11.2", SDK: "1.26"}, &Runtime{Version: "3.11.7"}
	if better(b, a) || !better(a, b) {
		t.Error("the one without an SDK is preferred")
	}
}

// The environment has the values AWS documents: configuration-envvars.html#configuration-envvars-runtime
func TestEnv(t *testing.T) {
	python := &Runtime{Name: "python3.11", family: python, major: "3.11", lang: "C.UTF-8", script: RuntimeDir + "/bootstrap.pyc", Interpreter: "/p/bin/python3.11", prefix: "/p"}
	node := &Runtime{Name: "nodejs20.x", family: nodejs, major: "20", SDK: "3.1.0", binds: []Bind{{"/sdk", RuntimeDir + "/node_modules"}}, script: RuntimeDir + "/index.cjs", Interpreter: "/usr/bin/node"}
	env := python.Env(Options{})
	for name, want := range map[string]string{
		"LAMBDA_TASK_ROOT": "/var/task", "LAMBDA_RUNTIME_DIR": "/var/runtime", "TZ": ":UTC", "LANG": "C.UTF-8",
		"PATH":              "/p/bin:/usr/local/bin:/usr/bin:/bin:/opt/bin",
		"LD_LIBRARY_PATH":   "/p/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib",
		"AWS_EXECUTION_ENV": "AWS_Lambda_python3.11", "PYTHONPATH": "/var/runtime",
	} {
		if env[name] != want {
			t.Errorf("%s=%s", name, env[name])
		}
	}
	if got := node.Env(Options{})["NODE_PATH"]; got != "/opt/nodejs/node20/node_modules:/opt/nodejs/node_modules:/var/runtime/node_modules:/var/runtime:/var/task" {
		t.Errorf("NODE_PATH=%s", got)
	}
	if got := node.Command(Options{MemoryMB: 128, Wrapper: "/opt/w"}); !slices.Equal(got, []string{"/opt/w", "/usr/bin/node", "--expose-gc", "--max-old-space-size=115", "/var/runtime/index.cjs"}) {
		t.Errorf("%q", got)
	}
	if got := node.Binds(Options{}); !slices.Contains(got, Bind{"/sdk", "/node_modules"}) {
		t.Errorf("%v", got)
	}
	if got := node.Binds(Options{Layers: true}); slices.Contains(got, Bind{"/sdk", "/node_modules"}) {
		t.Errorf("%v", got)
	}
	host := Options{HostPath: func(p string) string { return "/host" + p }}
	if env := python.Env(host); env["LAMBDA_TASK_ROOT"] != "/host/var/task" || env["LD_LIBRARY_PATH"] != "" {
		t.Errorf("%v", env)
	}
	if got := (&Runtime{Name: "provided.al2"}).Env(Options{}); got["AWS_EXECUTION_ENV"] != "" {
		t.Errorf("%v", got)
	}
}

func TestLogEvent(t *testing.T) {
	for in, want := range map[string]string{"": "", "a": "a", "a\rb\r\rc": "a\nb\n\nc", "a\r": "a", "\r": ""} {
		if got := string(LogEvent([]byte(in))); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}

// A program that brings libraries of its own from outside the system's directories needs those shown.
func TestLibraryDirs(t *testing.T) {
	cc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("no gcc")
	}
	dir := t.TempDir()
	for _, d := range []string{"bin", "lib", "more"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, code := range map[string]string{"a.c": "int b(void); int a(void) { return b(); }", "b.c": "int b(void) { return 0; }", "m.c": "int a(void); int main(void) { return a(); }"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(code), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"-shared", "-fPIC", "-o", "more/libb.so", "b.c"},
		{"-shared", "-fPIC", "-o", "lib/liba.so", "a.c", "-Lmore", "-lb", "-Wl,-rpath," + dir + "/more"},
		{"-o", "bin/m", "m.c", "-Llib", "-la", "-Wl,-rpath,$ORIGIN/../lib", "-Wl,--allow-shlib-undefined", "-Wl,-rpath-link,more"},
	} {
		cmd := exec.Command(cc, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	got := libraryDirs(filepath.Join(dir, "bin/m"), "")
	if !slices.Equal(got, []string{filepath.Join(dir, "lib"), filepath.Join(dir, "more")}) {
		t.Errorf("%q", got)
	}
	if got := libraryDirs(filepath.Join(dir, "bin/m"), dir); got != nil {
		t.Errorf("below the prefix: %q", got)
	}
}

// The names of runtimes come from callers, and end up in commands that users copy.
func FuzzInstallCommand(f *testing.F) {
	for _, s := range []string{"python3.11", "nodejs20.x", "python3.$(x)", "java21", "ruby3.3", "nodejs18.x;"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		command := distributionOf("debian", "12").installCommand(name)
		if command != "" && !regexp.MustCompile(`^(python3\.[1-9][0-9]{0,3}|nodejs[1-9][0-9]{1,3}\.x|ruby[1-9][0-9]{0,3}\.[0-9]{1,4}|java[1-9][0-9]{1,3})$`).MatchString(name) {
			t.Errorf("%q: %s", name, command)
		}
	})
}
