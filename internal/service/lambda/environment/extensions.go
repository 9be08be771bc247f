package environment

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"brume/internal/runtimeapi"
	"brume/internal/runtimes"
	"brume/internal/sandbox"
	"brume/internal/service/lambda/code"
)

// How long the end of an environment with extensions may take.
// https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-shutdown
const (
	// shutdownTime is for those with external extensions, of which the runtime has runtimeShare.
	shutdownTime = 2 * time.Second
	runtimeShare = 600 * time.Millisecond
	// internalTime is for a runtime that has extensions inside alone.
	internalTime = 500 * time.Millisecond
	// flushTime is how long what is buffered for subscribers may take before extensions are told of the end.
	flushTime = 100 * time.Millisecond
)

const extensionRoot = runtimes.LayerRoot + "/extensions"

// extensions are the names of the external extensions that layers bring: the files of /opt/extensions, whether they can be
// executed or not.
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html
func extensions(layers *code.Dir) (names []string) {
	if layers == nil {
		return nil
	}
	entries, err := os.ReadDir(filepath.Join(layers.Path, "extensions"))
	if err != nil {
		return nil // most layers have none
	}
	for _, e := range entries {
		if isFile(filepath.Join(layers.Path, "extensions", e.Name())) && !strings.ContainsAny(e.Name(), "\"\n") {
			names = append(names, e.Name())
		}
	}
	return names
}

// shutDown has the runtime finish, by SIGTERM, and then the extensions that want to know of the end.
func (e *environment) shutDown(reason string) {
	total, share := internalTime, internalTime
	if e.over != nil {
		total, share = shutdownTime, runtimeShare
	}
	ctx, cancel := context.WithTimeout(context.Background(), total)
	defer cancel()
	e.proc.SignalCommand(syscall.SIGTERM)
	select {
	case <-e.over: // never, if it is nil
	case <-e.proc.Done():
		return
	case <-time.After(share):
		e.proc.SignalCommand(syscall.SIGKILL)
	}
	if e.over == nil {
		return
	}
	flush, stop := context.WithTimeout(ctx, flushTime)
	defer stop()
	e.hub.Flush(flush)
	e.api.Shutdown(ctx, reason)
}

// runtimeOnly are the variables that extensions do not get.
// https://docs.aws.amazon.com/lambda/latest/dg/lambda-extensions.html#using-extensions-env
var runtimeOnly = []string{
	"AWS_EXECUTION_ENV", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_XRAY_CONTEXT_MISSING",
	"AWS_XRAY_DAEMON_ADDRESS", "LAMBDA_RUNTIME_DIR", "LAMBDA_TASK_ROOT", "_AWS_XRAY_DAEMON_ADDRESS", "_AWS_XRAY_DAEMON_PORT",
	"_HANDLER",
}

// companions are the extensions of e as programs of its sandbox. variables are the runtime's.
func (e *environment) companions(variables map[string]string) (list []sandbox.Companion, err error) {
	names := extensions(e.layers)
	if len(names) > sandbox.MaxCompanions {
		return nil, &functionError{
			typ: launchError, message: fmt.Sprintf("Extension limit (%d) reached", sandbox.MaxCompanions),
			extension: &runtimeapi.Extension{Name: names[sandbox.MaxCompanions], State: "LaunchError", ErrorType: "TooManyExtensions"},
		}
	}
	for _, name := range runtimeOnly {
		delete(variables, name)
	}
	for _, name := range names {
		list = append(list, sandbox.Companion{
			Command: []string{extensionRoot + "/" + name}, Env: environ(variables),
			Ended: func(exit sandbox.Exit) { e.extensionEnded(name, exit) },
		})
	}
	return list, nil
}

// launchError is the type of error of an extension that cannot be started.
const launchError = "Extension.LaunchError"

// startError tells a program that cannot be executed, which is the function's own fault, from everything else.
func startError(err error, c *sandbox.Config) error {
	rest, ok := strings.CutPrefix(err.Error(), "sandbox: execute ")
	if !ok {
		return err
	}
	if reason, ok := strings.CutPrefix(rest, c.Command[0]+": "); ok {
		return &functionError{typ: "Runtime.InvalidEntrypoint", message: "fork/exec " + c.Command[0] + ": " + reason}
	}
	for _, companion := range c.Companions {
		if reason, ok := strings.CutPrefix(rest, companion.Command[0]+": "); ok {
			typ := "UnknownError"
			if errors.Is(err, syscall.EACCES) || reason == syscall.EACCES.Error() {
				typ = "PermissionDenied"
			}
			return &functionError{
				typ: launchError, message: "fork/exec " + companion.Command[0] + ": " + reason,
				extension: &runtimeapi.Extension{Name: filepath.Base(companion.Command[0]), State: "LaunchError", ErrorType: typ},
			}
		}
	}
	return err
}

// extensionEnded takes note of the end of an extension's process.
func (e *environment) extensionEnded(name string, exit sandbox.Exit) {
	e.tell(func() { e.api.ExtensionEnded(name, &extensionExit{exit}) })
}

// runtimeEnded takes note of the end of the runtime's process, which its extensions outlive.
func (e *environment) runtimeEnded(exit sandbox.Exit) {
	e.tell(func() {
		e.manager.environments.Go(func() { // it waits for connections to end
			e.drain()
			close(e.over)
			e.api.Exited(&processExit{exit})
			e.manager.lose(e)
		})
	})
}

// tell tells the api something: now, or as soon as there is one, for processes may have ended by then.
func (e *environment) tell(what func()) {
	e.ends.Lock()
	defer e.ends.Unlock()
	if e.api == nil {
		e.ended = append(e.ended, what)
		return
	}
	what()
}

// An extensionExit is how the process of an extension ended.
type extensionExit struct{ sandbox.Exit }

func (e *extensionExit) Error() string {
	if e.Signal == 0 && e.Code == 0 {
		return "exit code 0"
	}
	return exitStatus(e.Exit)
}
