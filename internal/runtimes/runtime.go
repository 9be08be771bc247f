// Package runtimes knows with what this machine can run a function: the Python, Node.js, Ruby and Java interpreters that are
// installed, what a sandbox must show of the host for each, and the bootstrap that makes an interpreter serve the Lambda
// Runtime API. Functions with a runtime of their own, provided.al2023 and provided.al2, always run.
//
// The package promises:
//
//   - An interpreter is the real program, never a shim of pyenv or nvm: it was asked itself what it is.
//   - Looking for interpreters costs nothing until somebody asks, and little when nothing has changed since the last
//     time: what they said is kept in a file, under path, time and size of the interpreter.
//   - What is missing comes with the command that installs it.
//
// The bootstraps, in the directory bootstrap, answer as Lambda's own runtimes do. They cut what a function writes to
// stdout and stderr into log events at each LF. A record that has line breaks itself (of Python's logging module, of
// Node.js's console, of an error report) is written with CR in their place; LogEvent turns them back.
package runtimes

import (
	"bytes"
	"cmp"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A Runtime runs functions whose Runtime property is its name. It does not change.
// https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html
type Runtime struct {
	// Name is AWS's, "python3.11" for instance.
	Name string
	// Version is the interpreter's, "3.11.2"; empty for the provided ones, as is everything below.
	Version string
	// Interpreter is the path of the program, with no symbolic link in it.
	Interpreter string
	// SDK is the version of the AWS SDK that functions find without bringing their own: of boto3, or of
	// @aws-sdk/client-dynamodb. It is empty if there is none; InstallSDK is then the command that installs it.
	SDK        string
	InstallSDK string

	family family
	major  string // "3.11", "20"
	prefix string // the directory the interpreter is installed in, if the system's directories do not hold it
	binds  []Bind
	script string // the bootstrap's path, inside
	sdkDir string // where boto3 is, inside, if the interpreter has none of its own
	lang   string
	// archive is the directory of the bootstrap on the host, if it has an archive of classes.
	archive string
}

type family uint8

const (
	provided family = iota
	python
	nodejs
	ruby
	java
)

// A Bind is a directory or file of the host that a sandbox shows, read-only, at a path of its own.
type Bind struct{ Source, Target string }

// Where things are inside of a sandbox.
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime
const (
	TaskRoot   = "/var/task"
	RuntimeDir = "/var/runtime"
	LayerRoot  = "/opt"
)

// Options are what a process of a runtime depends on besides the runtime.
type Options struct {
	// MemoryMB is the function's memory limit in MiB, 0 if it has none. Node.js and Java size their heaps by it.
	MemoryMB int
	// Wrapper is the function's AWS_LAMBDA_EXEC_WRAPPER, empty if it has none.
	// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-modify.html#runtime-wrapper
	Wrapper string
	// Layers says that something lies in LayerRoot.
	Layers bool
	// HostPath says where a path that the process would see in a sandbox is on the host. It is for functions that run
	// without a file system of their own; in a sandbox it is nil.
	HostPath func(string) string
}

func (o Options) path(p string) string {
	if o.HostPath == nil {
		return p
	}
	return o.HostPath(p)
}

// Binds are what the sandbox shows besides the function's code: the system's programs and libraries, the interpreter,
// and the bootstrap, which is at RuntimeDir. A target may lie in the target of an earlier one, which has a directory
// there. Sources may be in directories that only the user of this process can enter, but are readable for all
// themselves.
func (r *Runtime) Binds(o Options) []Bind {
	binds := slices.Clone(r.binds)
	if r.family == nodejs && r.SDK != "" && !o.Layers {
		// import does not look into NODE_PATH, unless the bootstrap makes it, which takes time. It does look here. With
		// layers this would hide what they have of the SDK.
		i := slices.IndexFunc(binds, func(b Bind) bool { return b.Target == RuntimeDir+"/node_modules" })
		binds = append(binds, Bind{binds[i].Source, "/node_modules"})
	}
	return binds
}

// Command is the program to run, and its arguments.
func (r *Runtime) Command(o Options) []string {
	var command []string
	switch r.family {
	case python:
		command = []string{r.Interpreter, "-s", "-B", o.path(r.script)}
		for _, dir := range r.LayerPaths() {
			command = append(command, o.path(dir))
		}
	case nodejs:
		command = []string{r.Interpreter, "--expose-gc"}
		if o.MemoryMB > 0 {
			command = append(command, "--max-old-space-size="+strconv.Itoa(o.MemoryMB*9/10))
		}
		command = append(command, o.path(r.script))
	case ruby:
		command = []string{r.Interpreter, o.path(r.script)}
	case java:
		command = r.javaCommand(o)
	default:
		return []string{o.path(TaskRoot + "/bootstrap")}
	}
	if o.Wrapper != "" {
		command = append([]string{o.path(o.Wrapper)}, command...)
	}
	return command
}

// LayerPaths are the directories in which the runtime looks for modules that layers bring.
// https://docs.aws.amazon.com/lambda/latest/dg/packaging-layers.html
func (r *Runtime) LayerPaths() []string {
	switch r.family {
	case python:
		return []string{LayerRoot + "/python/lib/python" + r.major + "/site-packages", LayerRoot + "/python"}
	case nodejs:
		return []string{LayerRoot + "/nodejs/node" + r.major + "/node_modules", LayerRoot + "/nodejs/node_modules"}
	case ruby:
		return []string{LayerRoot + "/ruby/gems/" + r.major + ".0", LayerRoot + "/ruby/lib"}
	case java:
		return []string{LayerRoot + "/java/lib"}
	}
	return nil
}

// WaitVariable makes a bootstrap wait before it looks at the function: it connects to the Runtime API, writes a line with
// a JSON array, the top-level modules that it has loaded for the function's benefit, and goes on when it gets the whole
// environment as the JSON object in the body of a response. With the value "sdk" it loads the AWS SDK beforehand.
const WaitVariable = "_BRUME_WAIT"

// CanWait says whether the bootstrap of the runtime with a name knows WaitVariable.
func CanWait(name string) bool {
	return slices.ContainsFunc([]string{"python", "nodejs", "ruby", "java"}, func(p string) bool { return strings.HasPrefix(name, p) })
}

// PreloadsSDK says whether the bootstrap can load an SDK beforehand.
func (r *Runtime) PreloadsSDK() bool { return r.family == python && r.SDK != "" }

// Env is the part of the environment that the runtime determines. A function's own variables may replace those that AWS
// does not reserve, so they are to be laid over it.
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime
func (r *Runtime) Env(o Options) map[string]string {
	task, runtime := o.path(TaskRoot), o.path(RuntimeDir)
	env := map[string]string{
		"LAMBDA_TASK_ROOT":         task,
		"LAMBDA_RUNTIME_DIR":       runtime,
		"LANG":                     r.lang,
		"TZ":                       ":UTC",
		"AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
	}
	path := []string{"/usr/local/bin", "/usr/bin", "/bin", o.path(LayerRoot + "/bin")}
	if r.prefix != "" {
		path = slices.Insert(path, 0, filepath.Dir(r.Interpreter))
	}
	env["PATH"] = strings.Join(path, ":")
	if o.HostPath == nil {
		libraries := []string{"/lib64", "/usr/lib64", runtime, runtime + "/lib", task, task + "/lib", LayerRoot + "/lib"}
		if r.prefix != "" {
			libraries = slices.Insert(libraries, 0, r.prefix+"/lib")
		}
		env["LD_LIBRARY_PATH"] = strings.Join(libraries, ":")
	}
	switch r.family {
	case python:
		env["PYTHONPATH"] = runtime
		if r.sdkDir != "" {
			env["PYTHONPATH"] += ":" + o.path(r.sdkDir)
		}
	case nodejs:
		var dirs []string
		for _, dir := range append(r.LayerPaths(), RuntimeDir+"/node_modules", RuntimeDir, TaskRoot) {
			dirs = append(dirs, o.path(dir))
		}
		env["NODE_PATH"] = strings.Join(dirs, ":")
	case ruby:
		layers := r.LayerPaths()
		env["RUBYLIB"] = strings.Join([]string{task, runtime + "/lib", o.path(layers[1])}, ":")
		// The colon at the end stands for the directories that Ruby itself knows.
		env["GEM_PATH"] = task + "/vendor/bundle/ruby/" + r.major + ".0:" + o.path(layers[0]) + ":"
	}
	if r.family != provided {
		env["AWS_EXECUTION_ENV"] = "AWS_Lambda_" + r.Name
	}
	return env
}

// LogEvent returns the log event that a line of a function's output is, without its LF: in a line the bootstraps write a
// line break as CR. It works in place. A CR before the LF is no part of the event.
func LogEvent(line []byte) []byte {
	line = bytes.TrimSuffix(line, []byte{'\r'})
	for i, c := range line {
		if c == '\r' {
			line[i] = '\n'
		}
	}
	return line
}

// systemDirs are where the system's own programs and libraries are. Functions see all of them.
func systemDirs() []string {
	return []string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store"}
}

// systemBinds are the ones of systemDirs that are here, and what the dynamic linker needs to find libraries.
func systemBinds() []Bind {
	var binds []Bind
	for _, dir := range append(systemDirs(), "/etc/ld.so.cache") {
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			binds = append(binds, Bind{real, dir})
		}
	}
	return binds
}

// inSystem says whether a path without symbolic links is in one of systemDirs.
func inSystem(path string) bool {
	return slices.ContainsFunc(systemDirs(), func(dir string) bool { return within(path, dir) })
}

func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, dir+"/")
}

// language is the locale of functions: Lambda's, or what every C library has.
func language() string {
	if _, err := os.Stat("/usr/lib/locale/en_US.utf8"); err == nil {
		return "en_US.UTF-8"
	}
	return "C.UTF-8"
}

// providedRuntimes are the ones that the function brings itself.
func providedRuntimes() map[string]*Runtime {
	m := make(map[string]*Runtime)
	for _, name := range []string{"provided.al2", "provided.al2023"} {
		m[name] = &Runtime{Name: name, binds: systemBinds(), lang: language()}
	}
	return m
}

// names returns the names of runtimes in the order of people: python3.9 before python3.10.
func names(m map[string]*Runtime) []string {
	return slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		return cmp.Or(cmp.Compare(m[a].family, m[b].family), compareVersions(m[a].major, m[b].major), cmp.Compare(a, b))
	})
}
