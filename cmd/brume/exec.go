package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"brume/internal/app"
)

type execCmd struct {
	dataDir
	Temporary bool     `help:"Start a Brume for this command, as serve --test-credentials does, on a free port and with nothing in it, and let nothing remain of it."`
	Log       string   `placeholder:"FILE" help:"With --temporary: where the server writes its log. Default: nowhere."`
	Command   []string `arg:"" passthrough:"" name:"command" help:"The command and its arguments."`
}

// An exitStatus is that of the command that was run, which has said itself what was wrong.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

func (c *execCmd) Run(ctx context.Context) error {
	args := c.Command
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		return errors.New("exec: no command given")
	}
	path, err := exec.LookPath(args[0])
	if err != nil {
		return err
	}
	if c.Temporary {
		return c.temporary(ctx, path, args)
	}
	vars, err := app.ClientEnv(c.DataDir)
	if err != nil {
		return err
	}
	return syscall.Exec(path, args, app.Environ(os.Environ(), vars))
}

// patience is how long the command may take to end after SIGTERM.
const patience = 20 * time.Second

// temporary runs the command against a server in this process.
func (c *execCmd) temporary(ctx context.Context, path string, args []string) (err error) {
	dir, err := os.MkdirTemp("", "brume-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var log io.Writer = io.Discard
	if c.Log != "" {
		f, err := os.Create(c.Log)
		if err != nil {
			return err
		}
		defer f.Close()
		log = f
	}
	catalog, err := newCatalog((&runtimesDir{RuntimesDir: os.Getenv("BRUME_RUNTIMES_DIR")}).path(c.DataDir))
	if err != nil {
		return err
	}
	// The server goes on until the command has ended, whatever signals come.
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ready, served := make(chan struct{}), make(chan error, 1)
	go func() {
		served <- app.Run(serving, app.Config{
			Runtimes: catalog, Listen: "127.0.0.1:0", DataDir: dir, AccountID: app.DefaultAccount, Region: app.DefaultRegion, LogFormat: "text",
			TestCredentials: true, Version: version, Ready: func() { close(ready) },
		}, io.Discard, log)
	}()
	select {
	case err := <-served:
		return err
	case <-ready:
	}
	vars, err := app.ClientEnv(dir)
	if err == nil {
		err = runCommand(ctx, path, args, app.Environ(os.Environ(), append(vars, app.Variable{Name: "BRUME_DATA_DIR", Value: dir})))
	}
	stop()
	return errors.Join(err, <-served)
}

// runCommand runs a command until it ends, and asks it to when ctx ends: Ctrl-C reaches it too, SIGTERM does not.
func runCommand(ctx context.Context, path string, args, environ []string) error {
	cmd := exec.CommandContext(ctx, path)
	cmd.Args, cmd.Env = args, environ
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = patience
	err := cmd.Run()
	if ended, ok := errors.AsType[*exec.ExitError](err); ok {
		if status, ok := ended.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return exitStatus(128 + int(status.Signal())) // as a shell says it
		}
		return exitStatus(ended.ExitCode())
	}
	return err
}
