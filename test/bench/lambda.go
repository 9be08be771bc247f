package main

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"brume/test/story"
)

const (
	coldStarts = 30
	// coldPause is what a machine has between two cold starts to get another sandbox ready.
	coldPause = 300 * time.Millisecond
)

// A coldKind is a function whose cold start is measured.
type coldKind struct {
	name, runtime, handler, file string
	content                      []byte
	bare                         []string // the start of the interpreter alone
}

// lambda measures cold starts: the first invocation after each update of the code, from outside, through the signed API.
func (b *bench) lambda(ctx context.Context) error {
	kinds, err := b.coldKinds(ctx)
	if err != nil {
		return err
	}
	role, err := iam.NewFromConfig(b.cfg).CreateRole(ctx, &iam.CreateRoleInput{
		RoleName: aws.String("bench-cold"),
		AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow",` +
			`"Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`),
	})
	if err != nil {
		return err
	}
	fmt.Printf("\n%-40s %10s %10s %10s %14s\n", fmt.Sprint(coldStarts, " cold starts"), "p50", "p90", "most", "bare start p50")
	for _, k := range kinds {
		times, err := b.cold(ctx, k, *role.Role.Arn)
		if err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
		bare, err := bareStart(k.bare)
		if err != nil {
			return err
		}
		fmt.Printf("%-40s %10s %10s %10s %14s\n", k.name, ms(times[len(times)/2]), ms(times[len(times)*9/10]), ms(times[len(times)-1]), ms(bare))
	}
	return nil
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }

func (b *bench) coldKinds(ctx context.Context) ([]coldKind, error) {
	runtimes, err := story.Runtimes(ctx, b.server.Binary())
	if err != nil {
		return nil, err
	}
	var kinds []coldKind
	for _, rt := range runtimes {
		kind := strings.TrimRight(rt.Name, "0123456789.x")
		s := source[kind]
		k := coldKind{name: rt.Name, runtime: rt.Name, handler: s.handler, file: s.file, content: []byte(s.source)}
		if kind == "python" {
			k.bare = []string{"python3", "-c", "pass"}
			sdk := k
			sdk.name, sdk.content = rt.Name+", import boto3", []byte("import boto3\n"+s.source)
			sdk.bare = []string{"python3", "-c", "import boto3"}
			kinds = append(kinds, k, sdk)
		} else {
			k.bare = []string{"node", "-e", "0"}
			kinds = append(kinds, k)
		}
	}
	// A function of stock aws-lambda-go, as its documentation builds one.
	dir, err := os.MkdirTemp("", "brume-bench-go-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "bootstrap")
	build := exec.CommandContext(ctx, "go", "build", "-tags", "lambda.norpc", "-ldflags", "-s -w", "-o", program, "./test/bench/gofunction")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	content, err := os.ReadFile(program)
	if err != nil {
		return nil, err
	}
	return append(kinds, coldKind{name: "provided.al2023, aws-lambda-go", runtime: "provided.al2023", handler: "bootstrap",
		file: "bootstrap", content: content}), nil
}

// archive is a function's code, of which no two are the same.
func (k coldKind) archive(version int) ([]byte, error) {
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for name, content := range map[string][]byte{k.file: k.content, "version": fmt.Append(nil, version)} {
		head := &zip.FileHeader{Name: name, Method: zip.Deflate}
		head.SetMode(0o755)
		f, err := w.CreateHeader(head)
		if err != nil {
			return nil, err
		}
		if _, err := f.Write(content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

func (b *bench) cold(ctx context.Context, k coldKind, role string) (times []time.Duration, err error) {
	client := lambda.NewFromConfig(b.cfg)
	name := aws.String("cold-" + strings.Map(func(r rune) rune {
		if r == '.' || r == ',' || r == ' ' {
			return '-'
		}
		return r
	}, k.name))
	code, err := k.archive(0)
	if err != nil {
		return nil, err
	}
	if _, err := client.CreateFunction(ctx, &lambda.CreateFunctionInput{FunctionName: name, Role: &role,
		Runtime: lambdatypes.Runtime(k.runtime), Handler: &k.handler, Timeout: aws.Int32(30), Code: &lambdatypes.FunctionCode{ZipFile: code}}); err != nil {
		return nil, err
	}
	for i := range coldStarts + 1 {
		if code, err = k.archive(i + 1); err != nil {
			return nil, err
		}
		if _, err := client.UpdateFunctionCode(ctx, &lambda.UpdateFunctionCodeInput{FunctionName: name, ZipFile: code}); err != nil {
			return nil, err
		}
		time.Sleep(coldPause)
		began := time.Now()
		out, err := client.Invoke(ctx, &lambda.InvokeInput{FunctionName: name, Payload: []byte(`{}`)})
		took := time.Since(began)
		if err != nil {
			return nil, err
		}
		if out.FunctionError != nil {
			return nil, errors.New(string(out.Payload))
		}
		if i > 0 { // the first one finds nothing ready
			times = append(times, took)
		}
	}
	slices.Sort(times)
	return times, nil
}

// bareStart is the median time of an interpreter that starts and ends; 0 if there is none.
func bareStart(command []string) (time.Duration, error) {
	if len(command) == 0 {
		return 0, nil
	}
	var times []time.Duration
	for range 10 {
		began := time.Now()
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			return 0, fmt.Errorf("%v: %w: %s", command, err, out)
		}
		times = append(times, time.Since(began))
	}
	slices.Sort(times)
	return times[len(times)/2], nil
}
