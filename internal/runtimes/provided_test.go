package runtimes

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	// The function that is compiled here needs it.
	_ "github.com/aws/aws-lambda-go/lambda"
)

// A stock aws-lambda-go function is a provided.al2023 function.
// https://docs.aws.amazon.com/lambda/latest/dg/lambda-golang.html
func TestGoFunction(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles a program")
	}
	dir := t.TempDir()
	const code = `package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type event struct{ Name string }

func handle(ctx context.Context, e event) (string, error) {
	switch e.Name {
	case "error":
		return "", errors.New("went wrong")
	case "panic":
		panic("in panic")
	case "exit":
		os.Exit(4)
	case "huge":
		return string(make([]byte, 2<<20)), nil // 12 MiB as JSON
	}
	lc, _ := lambdacontext.FromContext(ctx)
	_, deadline := ctx.Deadline()
	return fmt.Sprint(e.Name, " ", lc.InvokedFunctionArn, " ", lambdacontext.FunctionName, " ", deadline), nil
}

func main() { lambda.Start(handle) }
`
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(code), 0o644); err != nil {
		t.Fatal(err)
	}
	// Built from the directory of this package, so that its module provides the library.
	program := filepath.Join(dir, "bootstrap")
	build := exec.Command("go", "build", "-tags", "lambda.norpc", "-o", program, filepath.Join(dir, "main.go"))
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	binary, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	all, err := here()
	if err != nil {
		t.Fatal(err)
	}
	start := func() *function {
		return run(t, all["provided.al2023"], "bootstrap", map[string]string{"task/bootstrap": string(binary)})
	}
	f := start()
	f.returns(`{"Name":"bob"}`, `"bob `+functionARN+` f true"`)
	if r := f.invoke(`{"Name":"error"}`); !r.Failed || string(r.Payload) != `{"errorMessage":"went wrong","errorType":"errorString"}` {
		t.Errorf("%+v %s", r, r.Payload)
	}
	big := strings.Repeat("x", 4<<20)
	f.returns(`{"Name":"`+big+`"}`, `"`+big+` `+functionARN+` f true"`)
	if r := f.invoke(`{"Name":"huge"}`); r.ErrorType != "Function.ResponseSizeTooLarge" {
		t.Errorf("%s", r.ErrorType)
	}
	f = start()
	if r := f.invoke(`{"Name":"panic"}`); !r.Failed || !strings.HasPrefix(string(r.Payload), `{"errorMessage":"in panic","errorType":"string","stackTrace":[`) {
		t.Errorf("%+v %s", r, r.Payload)
	}
	f.exits(1)
	f = start()
	if _, err := f.tryInvoke(`{"Name":"exit"}`); err == nil {
		t.Error("no error")
	}
	f.exits(4)
}

// A custom runtime in the shell, with curl: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-walkthrough.html
func TestShellFunction(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("no curl")
	}
	all, err := here()
	if err != nil {
		t.Fatal(err)
	}
	f := run(t, all["provided.al2"], "function.handler", map[string]string{"task/bootstrap": `#!/bin/sh
set -eu
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
while true; do
  headers="$(mktemp)" event="$(mktemp)"
  curl -sS -L -D "$headers" "$api/invocation/next" -o "$event"
  id=$(tr -d '\r' < "$headers" | sed -n 's/^lambda-runtime-aws-request-id: *//Ip')
  if grep -q fail "$event"; then
    curl -sS -X POST "$api/invocation/$id/error" -d '{"errorMessage":"m","errorType":"Shell"}' -H 'Lambda-Runtime-Function-Error-Type: Shell' -o /dev/null
  else
    curl -sS -X POST "$api/invocation/$id/response" -H 'Expect: 100-continue' --data-binary "@$event" -o /dev/null
  fi
  rm -f "$headers" "$event"
done
`})
	f.returns(`{"a": 1}`, `{"a": 1}`)
	big := `"` + strings.Repeat("x", 3<<20) + `"`
	f.returns(big, big)
	f.fails(`"fail"`, "Shell", "m")
	f.returns(`1`, `1`)
}
