package main

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
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
	// coldStarts is how often a function is made, and again how often it is updated.
	coldStarts = 10
	// coldPause is what a machine has between two cold starts to get another sandbox ready.
	coldPause = 300 * time.Millisecond
)

// A coldKind is a function whose cold start is measured.
type coldKind struct {
	name, runtime, handler, file string
	content                      []byte
	bare                         []string // the start of the interpreter alone
}

// lambda measures what one invocation after the other takes, from outside, through the signed API: first invocations after
// a function was made, and after each update of its code, and later ones.
func (b *bench) lambda(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "brume-bench-go-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	kinds, err := b.coldKinds(ctx, dir)
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
	fmt.Printf("\n%-30s %10s %10s %10s %10s %10s %9s\n", fmt.Sprint(coldStarts, " cold starts after"), "create p50", "p90", "update p50", "p90", "bare start", "warm p50")
	for _, k := range kinds {
		progress(k.name)
		created, updated, warm, err := b.cold(ctx, k, *role.Role.Arn)
		if err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
		bare, err := bareStart(k.bare)
		if err != nil {
			return err
		}
		fmt.Printf("%-30s %10s %10s %10s %10s %10s %9s\n", k.name, ms(quantile(created, 0.5)), ms(quantile(created, 0.9)),
			ms(quantile(updated, 0.5)), ms(quantile(updated, 0.9)), ms(bare), fmt.Sprintf("%.2f ms", warm.Seconds()*1e3))
	}
	return nil
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }

// quantile sorts times.
func quantile(times []time.Duration, q float64) time.Duration {
	slices.Sort(times)
	return times[int(float64(len(times))*q)]
}

// coldKinds makes the functions to start; dir is for the one that has to be compiled.
func (b *bench) coldKinds(ctx context.Context, dir string) ([]coldKind, error) {
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
			k.bare = []string{rt.Interpreter, "-c", "pass"}
			sdk := k
			sdk.name, sdk.content = rt.Name+", import boto3", []byte("import boto3\n"+s.source)
			sdk.bare = []string{rt.Interpreter, "-c", "import boto3"}
			kinds = append(kinds, k, sdk)
		} else {
			k.bare = []string{rt.Interpreter, "-e", "0"}
			kinds = append(kinds, k)
		}
	}
	more, err := b.unbundledKinds(ctx, dir)
	if err != nil {
		return nil, err
	}
	kinds = append(kinds, more...)
	// A function of stock aws-lambda-go, as its documentation builds one.
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
	return append(kinds, coldKind{name: "provided.al2023, Go", runtime: "provided.al2023", handler: "bootstrap",
		file: "bootstrap", content: content, bare: []string{program}}), nil
}

// unbundledKinds are functions in Ruby and Java, where there is one, whose SDK is no part of what is measured.
func (b *bench) unbundledKinds(ctx context.Context, dir string) (kinds []coldKind, err error) {
	offers, err := story.Offered(ctx, b.server.Binary())
	if err != nil {
		return nil, err
	}
	for _, o := range offers {
		switch {
		case strings.HasPrefix(o.Name, "ruby"):
			kinds = append(kinds, coldKind{name: o.Name, runtime: o.Name, handler: "f.handler", file: "f.rb",
				content: []byte("def handler(event:, context:) = { statusCode: 200, body: 'ok' }\n"), bare: []string{o.Interpreter, "-e", "0"}})
		case strings.HasPrefix(o.Name, "java"):
			if _, err := exec.LookPath("javac"); err != nil {
				continue // its function cannot be compiled
			}
			class := filepath.Join(dir, "F.class")
			if _, err := os.Stat(class); err != nil {
				source := filepath.Join(dir, "F.java")
				if err := os.WriteFile(source, []byte("public class F {\n"+
					"\tpublic Object handler(Object event) { return java.util.Map.of(\"statusCode\", 200, \"body\", \"ok\"); }\n"+
					"\tpublic static void main(String[] args) {}\n}\n"), 0o644); err != nil {
					return nil, err
				}
				if out, err := exec.CommandContext(ctx, "javac", "--release", "11", "-d", dir, source).CombinedOutput(); err != nil {
					return nil, fmt.Errorf("%w: %s", err, out)
				}
			}
			content, err := os.ReadFile(class)
			if err != nil {
				return nil, err
			}
			kinds = append(kinds, coldKind{name: o.Name, runtime: o.Name, handler: "F::handler", file: "F.class", content: content,
				bare: []string{o.Interpreter, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", dir, "F"}})
		}
	}
	return kinds, nil
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

// cold returns the times of first invocations, after functions of a kind were made and after one was updated, and what an
// invocation takes then, one after the other.
func (b *bench) cold(ctx context.Context, k coldKind, role string) (created, updated []time.Duration, warm time.Duration, err error) {
	client := lambda.NewFromConfig(b.cfg)
	base := strings.Map(func(r rune) rune {
		if r == '.' || r == ',' || r == ' ' {
			return '-'
		}
		return r
	}, k.name)
	create := func(name string, version int) error {
		code, err := k.archive(version)
		if err == nil {
			_, err = client.CreateFunction(ctx, &lambda.CreateFunctionInput{FunctionName: &name, Role: &role,
				Runtime: lambdatypes.Runtime(k.runtime), Handler: &k.handler, Timeout: aws.Int32(30), Code: &lambdatypes.FunctionCode{ZipFile: code}})
		}
		return err
	}
	first := func(name string) (time.Duration, error) {
		time.Sleep(coldPause)
		began := time.Now()
		out, err := client.Invoke(ctx, &lambda.InvokeInput{FunctionName: &name, Payload: []byte(`{}`)})
		took := time.Since(began)
		if err == nil && out.FunctionError != nil {
			err = errors.New(string(out.Payload))
		}
		return took, err
	}
	if err := create(base, 0); err != nil {
		return nil, nil, 0, err
	}
	if _, err := first(base); err != nil { // which may find nothing ready
		return nil, nil, 0, err
	}
	for i := range coldStarts {
		name := fmt.Sprint(base, "-", i)
		if err := create(name, i+1); err != nil {
			return nil, nil, 0, err
		}
		took, err := first(name)
		if err != nil {
			return nil, nil, 0, err
		}
		created = append(created, took)
		if _, err := client.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: &name}); err != nil {
			return nil, nil, 0, err
		}
	}
	for i := range coldStarts {
		code, err := k.archive(coldStarts + i + 1)
		if err != nil {
			return nil, nil, 0, err
		}
		if _, err := client.UpdateFunctionCode(ctx, &lambda.UpdateFunctionCodeInput{FunctionName: &base, ZipFile: code}); err != nil {
			return nil, nil, 0, err
		}
		took, err := first(base)
		if err != nil {
			return nil, nil, 0, err
		}
		updated = append(updated, took)
	}
	warm, err = b.oneByOne(base)
	return created, updated, warm, err
}

// oneByOne is the median time of an invocation of a function that is up, by one client that waits for each answer.
func (b *bench) oneByOne(function string) (time.Duration, error) {
	request, err := b.signed(b.cfg, "lambda", http.MethodPost, "/2015-03-31/functions/"+function+"/invocations", "", []byte(`{}`))
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	times, err := b.loadOne(b.raw(b.address(), [][]byte{request}), 0, 0, begin, begin.Add(b.duration/4), begin.Add(b.duration/2))
	if err != nil {
		return 0, err
	}
	if len(times) == 0 {
		return 0, fmt.Errorf("no invocation ended within %s", b.duration/4)
	}
	return quantile(times, 0.5), nil
}

// bareStart is the median time of a program that starts and ends. A function's own program, which comes alone, ends with an
// error, as there is no Runtime API.
func bareStart(command []string) (time.Duration, error) {
	var times []time.Duration
	for range 10 {
		began := time.Now()
		var exit *exec.ExitError
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil && !(len(command) == 1 && errors.As(err, &exit)) {
			return 0, fmt.Errorf("%v: %w: %s", command, err, out)
		}
		times = append(times, time.Since(began))
	}
	return quantile(times, 0.5), nil
}
