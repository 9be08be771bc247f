package environment

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"brume/internal/runtimeapi"
	"brume/internal/runtimes"
	"brume/internal/sandbox"
	"brume/internal/service/lambda/code"
	"brume/internal/telemetry"
)

// Where things are in a sandbox. The ports are those of the sandbox's own loopback.
const (
	runtimeAPIAddress = "127.0.0.1:9001"
	dnsAddress        = "127.0.0.1:53"
	tlsAddress        = "127.0.0.1:443"
	httpAddress       = "127.0.0.1:4566"

	caBundlePath      = "/etc/ssl/certs/ca-certificates.crt"
	caCertificatePath = "/etc/ssl/certs/brume.pem"

	// Nothing listens there: traces go where they go without a daemon.
	xrayAddress = "127.0.0.1"
	xrayPort    = "2000"
)

// memoryPerCPU is the memory, in MB, with which Lambda gives a function one processor.
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
const memoryPerCPU = 1769

// An environment is one sandbox that serves one Function.
type environment struct {
	manager *Manager
	fn      *Function
	id      string
	log     *logWriter
	proc    sandbox.Process
	api     *runtimeapi.Environment
	hub     *telemetry.Hub
	out     *output
	extOut  *output // of its extensions; nil without
	dir     *code.Dir
	layers  *code.Dir // nil without layers
	detach  func()
	recycle time.Time // when its credentials are too old for another invocation

	freezer freezer

	ends  sync.Mutex
	ended []func() // what is to be told to the api as soon as it is there
	// over is closed when the runtime's process has ended. It is nil if there are no extensions to outlive it.
	over chan struct{}

	// What follows belongs to whoever has the environment: an invocation, or the manager while it is idle.
	init     time.Duration // how long it took to start, until that was reported
	lastUsed time.Time
	measured time.Time // when memory was found out
	memory   int64
	// provision is what keeps it ready, if anything does; guarded by manager.mu.
	provision *provision
	// gone says that it is being ended; guarded by manager.mu.
	gone bool
	// lost says that its runtime is no more, but its extensions are; guarded by manager.mu.
	lost bool
	// reason is why it ends, as extensions are told; guarded by manager.mu.
	reason string
}

// A functionError is why a function could not be run, as far as that is the function's own fault.
type functionError struct {
	typ     string // "Runtime.InvalidEntrypoint"
	message string // without the request id
	// extension is the one that was to blame, if one was.
	extension *runtimeapi.Extension
}

func (e *functionError) Error() string { return e.typ + ": " + e.message }

// start starts a sandbox that logs to log. Its init phase has then begun.
func (m *Manager) start(ctx context.Context, f *Function, log *logWriter) (*environment, error) {
	runtime, err := m.c.Runtimes.Find(ctx, f.Runtime)
	if err != nil {
		return nil, err
	}
	creds, err := m.credentials(ctx, f)
	if err != nil {
		return nil, err
	}
	dir, err := m.c.Code.Acquire(ctx, f.Code)
	if err != nil {
		return nil, err
	}
	e := &environment{manager: m, fn: f, id: newID(), log: log, recycle: creds.recycle(), dir: dir}
	if len(f.Layers) > 0 {
		if e.layers, err = m.c.Code.AcquireLayers(ctx, f.Layers); err != nil {
			e.releaseCode()
			return nil, err
		}
	}
	e.hub = telemetry.New(telemetry.Config{
		Dial:   func(ctx context.Context, port uint16) (net.Conn, error) { return e.proc.Dial(ctx, port) },
		Budget: m.telemetry, JSON: f.LogFormat == "JSON", Told: e.subscribed,
	})
	if err := e.open(ctx, runtime, creds.Credentials); err != nil {
		e.hub.Close()
		e.releaseCode()
		return nil, err
	}
	// From here on the process's end is the end of everything.
	m.remember(e)
	m.environments.Go(e.watch)
	return e, nil
}

// open makes the sandbox and what belongs to it, or leaves nothing behind.
func (e *environment) open(ctx context.Context, r *runtimes.Runtime, creds *Credentials) error {
	if sl := e.manager.slots.take(e.fn, r, e.dir, e.layers); sl != nil {
		err := e.openSlot(sl, r, creds)
		if err == nil {
			return nil
		}
		e.manager.c.Logger.Warn("a sandbox that was ready is of no use", "runtime", r.Name, "error", err)
	}
	return e.openNew(ctx, r, creds)
}

// openSlot makes sl the sandbox, or ends it.
func (e *environment) openSlot(sl *slot, r *runtimes.Runtime, creds *Credentials) error {
	m := e.manager
	endpoint := "http://" + httpAddress
	variables := m.variables(e.fn, m.baseVariables(r.Env(m.options(e.fn, nil)), endpoint), creds, e.log.stream.Stream, runtimeAPIAddress)
	err := sl.attach(e.dir, e.layers)
	if err == nil {
		err = sl.tell(variables)
	}
	if err == nil {
		e.initStart(runtimeVersion(r))
		e.out, err = readOutput(sl.output, e.functionLine)
	}
	if err != nil {
		sl.proc.Kill()
		<-sl.proc.Done()
		sl.release()
		return err
	}
	e.proc = sl.proc
	e.serve(&primedListener{Listener: sl.proc.Sockets()[0].Listener, first: sl.conn})
	return nil
}

// listen are the sockets of a sandbox that has a network of its own.
func listen() []sandbox.ListenSpec {
	return []sandbox.ListenSpec{
		{Network: "tcp", Address: runtimeAPIAddress},
		{Network: "tcp", Address: httpAddress},
		{Network: "tcp", Address: tlsAddress},
		{Network: "udp", Address: dnsAddress},
	}
}

// openNew starts a sandbox from the beginning.
func (e *environment) openNew(ctx context.Context, r *runtimes.Runtime, creds *Credentials) error {
	m := e.manager
	config, err := m.sandboxConfig(e.fn, r, e.dir, e.layers)
	if err != nil {
		return err
	}
	// Where the sandbox has the host's network, no address can be known before there is a socket.
	api, endpoint := net.Listener(nil), m.c.Endpoint
	apiAddress := runtimeAPIAddress
	if m.features.FixedAddresses {
		endpoint = "http://" + httpAddress
		config.Listen = listen()
	} else {
		if api, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return err
		}
		apiAddress = api.Addr().String()
	}
	base := m.baseVariables(r.Env(m.options(e.fn, config)), endpoint)
	variables := m.variables(e.fn, base, creds, e.log.stream.Stream, apiAddress)
	config.Env = environ(variables)
	if err = e.launch(ctx, config, variables, runtimeVersion(r)); err != nil {
		if api != nil {
			api.Close()
		}
		return err
	}
	if api == nil {
		api = e.proc.Sockets()[0].Listener
	}
	e.serve(api)
	return nil
}

// launch starts the sandbox and reads its output.
func (e *environment) launch(ctx context.Context, config *sandbox.Config, variables map[string]string, version string) (err error) {
	var writing *os.File
	if e.out, writing, err = collect(e.functionLine); err != nil {
		return err
	}
	defer writing.Close() // the process has its own
	config.Stdout, config.Stderr = writing, writing
	e.initStart(version)
	if config.Companions, err = e.companions(variables); err == nil && len(config.Companions) > 0 {
		var writing *os.File
		if e.extOut, writing, err = collect(func(line []byte) { e.line("extension", string(line)) }); err == nil {
			defer writing.Close()
			config.CompanionOutput = writing
			e.over = make(chan struct{})
			config.Ended = e.runtimeEnded
		}
	}
	if err == nil {
		if e.proc, err = e.manager.c.Driver.Start(ctx, config); err == nil {
			return nil
		}
		err = startError(err, config)
	}
	e.out.close()
	e.extOut.close()
	return err
}

// functionLine takes a line that the function's process has written.
func (e *environment) functionLine(line []byte) { e.line("function", logMessage(line)) }

// drain takes what was written before.
func (e *environment) drain() {
	e.out.drain()
	e.extOut.drain()
}

// serve answers at the sockets of the sandbox: the Runtime API at api.
func (e *environment) serve(api net.Listener) {
	if m := e.manager; m.features.FixedAddresses {
		sockets := e.proc.Sockets() // as listen has them
		e.detach = m.c.Gateway.Attach(
			Sockets{
				HTTP: sockets[1].Listener, TLS: sockets[2].Listener, DNS: sockets[3].Packet,
				Link: e.proc.Link(), MTU: sandbox.LinkMTU,
			},
			Identity{e.fn.Account, e.fn.Region, e.fn.ARN, e.id})
	}
	e.ends.Lock()
	defer e.ends.Unlock()
	e.api = runtimeapi.NewFunction(api, runtimeapi.Function{
		Name: e.fn.Name, Version: e.fn.Version, Handler: e.fn.Handler, Account: e.fn.Account,
		Extensions: extensions(e.layers), Telemetry: e.hub,
	})
	for _, tell := range e.ended {
		tell()
	}
}

// watch waits for the end of the sandbox and ends what belongs to it.
func (e *environment) watch() {
	exit := e.proc.Wait()
	e.freezer.stop()
	e.drain()
	e.out.close()
	e.extOut.close()
	e.api.Exited(&processExit{exit})
	e.manager.forget(e)
	// The error is that of a listener which the sandbox has closed already.
	_ = e.api.Close()
	e.hub.Close()
	if e.detach != nil {
		e.detach()
	}
	e.releaseCode()
}

// releaseCode gives back the directories of the function's code and layers.
func (e *environment) releaseCode() {
	e.dir.Release()
	if e.layers != nil {
		e.layers.Release()
	}
}

// options are what the runtime has to know of the function. config says where things are if the sandbox has no file system
// of its own.
func (m *Manager) options(f *Function, config *sandbox.Config) runtimes.Options {
	o := runtimes.Options{MemoryMB: f.MemoryMB, Wrapper: f.Variables["AWS_LAMBDA_EXEC_WRAPPER"], Layers: len(f.Layers) > 0}
	if !m.features.PrivateRoot {
		o.HostPath = config.HostPath
	}
	return o
}

// sandboxBase says what the sandbox of f holds, apart from its code, command, environment and sockets.
func (m *Manager) sandboxBase(f *Function, r *runtimes.Runtime) *sandbox.Config {
	c := &sandbox.Config{
		Dir:         runtimes.TaskRoot,
		MemoryBytes: int64(f.MemoryMB) << 20,
		TmpBytes:    int64(f.TmpMB) << 20,
		CPUShare:    float64(f.MemoryMB) / memoryPerCPU,
		Link:        m.c.Outside && m.features.Link,
		Dial:        true,
	}
	for _, b := range r.Binds(m.options(f, c)) {
		c.Binds = append(c.Binds, sandbox.Bind{Source: b.Source, Target: b.Target})
	}
	if m.features.PrivateRoot {
		c.Files = systemFiles()
		c.Binds = append(c.Binds,
			sandbox.Bind{Source: m.c.CABundle, Target: caBundlePath},
			sandbox.Bind{Source: m.c.CACertificate, Target: caCertificatePath})
	}
	return c
}

// sandboxConfig says what the sandbox of f holds, apart from its environment and sockets. layers is nil if it has none.
func (m *Manager) sandboxConfig(f *Function, r *runtimes.Runtime, dir, layers *code.Dir) (*sandbox.Config, error) {
	c := m.sandboxBase(f, r)
	c.Binds = append(c.Binds, sandbox.Bind{Source: dir.Path, Target: runtimes.TaskRoot})
	if layers != nil {
		c.Binds = append(c.Binds, sandbox.Bind{Source: layers.Path, Target: runtimes.LayerRoot})
	} else if m.features.Attach {
		c.Later = []string{runtimes.LayerRoot} // which is always there
	}
	c.Command = r.Command(m.options(f, c))
	if len(c.Command) == 1 { // the function brings its own program
		if _, err := os.Stat(filepath.Join(dir.Path, "bootstrap")); err == nil {
			return c, nil
		}
		if layers == nil || !isFile(filepath.Join(layers.Path, "bootstrap")) {
			return nil, &functionError{typ: "Runtime.InvalidEntrypoint", message: "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"}
		}
		if c.Command[0] = runtimes.LayerRoot + "/bootstrap"; !m.features.PrivateRoot {
			c.Command[0] = c.HostPath(c.Command[0])
		}
	}
	return c, nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// systemFiles are the files of /etc that programs look into.
func systemFiles() []sandbox.File {
	return []sandbox.File{
		{Path: "/etc/resolv.conf", Data: []byte("nameserver 127.0.0.1\n")},
		{Path: "/etc/hosts", Data: []byte("127.0.0.1 localhost sandbox.localdomain sandbox\n")},
		{Path: "/etc/nsswitch.conf", Data: []byte("passwd: files\ngroup: files\nhosts: files dns\n")},
		{Path: "/etc/passwd", Data: fmt.Appendf(nil, "sbx_user1051:x:%d:%d::/tmp:/sbin/nologin\n", sandbox.UID, sandbox.GID)},
		{Path: "/etc/group", Data: fmt.Appendf(nil, "sbx_user1051:x:%d:\n", sandbox.GID)},
	}
}

// baseVariables adds to what a runtime needs what all functions have.
func (m *Manager) baseVariables(base map[string]string, endpoint string) map[string]string {
	// Old SDKs do not know the first one: they find Brume behind AWS's names, and trust it.
	base["AWS_ENDPOINT_URL"] = endpoint
	base["AWS_XRAY_DAEMON_ADDRESS"] = xrayAddress + ":" + xrayPort
	base["_AWS_XRAY_DAEMON_ADDRESS"] = xrayAddress
	base["_AWS_XRAY_DAEMON_PORT"] = xrayPort
	if m.features.PrivateRoot {
		base["AWS_CA_BUNDLE"] = caBundlePath
		base["SSL_CERT_FILE"] = caBundlePath
		base["REQUESTS_CA_BUNDLE"] = caBundlePath
		base["NODE_EXTRA_CA_CERTS"] = caCertificatePath
	}
	return base
}

// variables adds the rest to the base: the function's own variables over it, and over those the reserved ones.
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime
func (m *Manager) variables(f *Function, base map[string]string, creds *Credentials, logStream, api string) map[string]string {
	maps.Copy(base, f.Variables)
	maps.Copy(base, map[string]string{
		"_HANDLER":                        f.Handler,
		"AWS_REGION":                      f.Region,
		"AWS_DEFAULT_REGION":              f.Region,
		"AWS_LAMBDA_FUNCTION_NAME":        f.Name,
		"AWS_LAMBDA_FUNCTION_VERSION":     f.Version,
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(f.MemoryMB),
		"AWS_LAMBDA_INITIALIZATION_TYPE":  f.initializationType(),
		"AWS_LAMBDA_LOG_GROUP_NAME":       f.LogGroup,
		"AWS_LAMBDA_LOG_STREAM_NAME":      logStream,
		"AWS_LAMBDA_LOG_FORMAT":           f.LogFormat,
		"AWS_LAMBDA_RUNTIME_API":          api,
		"AWS_ACCESS_KEY_ID":               creds.AccessKeyID,
		"AWS_SECRET_ACCESS_KEY":           creds.SecretAccessKey,
		"AWS_SESSION_TOKEN":               creds.SessionToken,
	})
	if f.ApplicationLogLevel != "" {
		base["AWS_LAMBDA_LOG_LEVEL"] = f.ApplicationLogLevel
	}
	return base
}

// environ is the form in which a process gets its variables.
func environ(variables map[string]string) []string {
	env := make([]string, 0, len(variables))
	for k, v := range variables {
		env = append(env, k+"="+v)
	}
	slices.Sort(env)
	return env
}

// logMessage is the log event that a line of output becomes.
func logMessage(line []byte) string {
	body, whole := bytes.CutSuffix(line, []byte{'\n'})
	body = runtimes.LogEvent(body)
	if whole {
		return string(body) + "\n"
	}
	return string(body)
}

// runtimeVersion is how the log names a runtime: "python:3.12.4".
func runtimeVersion(r *runtimes.Runtime) string {
	if r.Version == "" {
		return r.Name
	}
	return strings.TrimRight(strings.TrimSuffix(r.Name, ".x"), "0123456789.") + ":" + r.Version
}

// newID returns the 32 hexadecimal digits that name an environment and end the name of its log stream.
func newID() string {
	var b [16]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// A processExit is how the process of an environment ended.
type processExit struct{ sandbox.Exit }

func (e *processExit) Error() string {
	if e.Signal == 0 && e.Code == 0 {
		return "Runtime exited without providing a reason"
	}
	return "Runtime exited with error: " + exitStatus(e.Exit)
}

func exitStatus(e sandbox.Exit) string {
	if e.Signal != 0 {
		return "signal: " + e.Signal.String()
	}
	return "exit status " + strconv.Itoa(e.Code)
}

// errorType is Lambda's name for it.
func (e *processExit) errorType() string {
	if e.OutOfMemory {
		return "Runtime.OutOfMemory"
	}
	return "Runtime.ExitError"
}
