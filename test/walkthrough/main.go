// Command walkthrough tells the story of package story against a temporary Brume, and ends with an API that works. At a
// terminal it leaves that API running until Ctrl-C.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"brume/test/story"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("walkthrough: ")
	brume := flag.String("brume", "bin/brume", "the brume binary")
	examples := flag.String("examples", "examples/microservice-http-endpoint", "directory of the example functions")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *brume, *examples); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, brume, examples string) (err error) {
	dir, err := os.MkdirTemp("", "brume-walkthrough-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	runtimes, err := story.Runtimes(ctx, brume)
	if err != nil {
		return err
	}
	server, err := story.StartServer(ctx, brume, filepath.Join(dir, "data"), "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	fmt.Printf("Brume runs at %s, with its data in %s\n", server.Endpoint, dir)
	result, err := story.Tell(ctx, os.Stdout, server, examples, runtimes)
	if err != nil {
		return fmt.Errorf("%w\n\nthe end of Brume's log:\n%s", err, server.LogTail())
	}
	fmt.Printf("\nYour API:  %s\nIts key:   %s\nTry it:    %s\n", result.URL, result.Key, result.Curl)
	if isTerminal(os.Stdin) {
		fmt.Println("\nBrume keeps running until you press Ctrl-C.")
		<-ctx.Done()
	}
	return nil
}

// isTerminal tells a terminal from a pipe, a file and /dev/null.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}
