// Command bench measures a brume process from outside: how fast it starts, what it weighs, and how much CPU its
// operations cost. The machines are noisy, so CPU is given beside that of a bare net/http echo server, measured just
// before, under the same load, by the same client.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"brume/internal/wire/sigv4"
	"brume/test/story"
)

const echoArg = "echo-server"

func main() {
	log.SetFlags(0)
	log.SetPrefix("bench: ")
	if len(os.Args) == 2 && os.Args[1] == echoArg {
		log.Fatal(serveEcho())
	}
	brume := flag.String("brume", "bin/brume", "the brume binary")
	duration := flag.Duration("duration", time.Second, "how long each load runs")
	workers := flag.Int("workers", 16, "connections that load at once")
	only := flag.String("only", "", "the parts to run, with commas between; empty for all")
	loads := flag.String("loads", "", "a regular expression for the names of the loads to run; empty for all")
	profiles := flag.String("profiles", "", "show where the CPU time of DynamoDB goes instead, and leave the profiles in this directory")
	large := flag.String("large", "", "numbers of items, with commas between: show what reads cost in tables so large instead")
	flag.Parse()
	// Whatever ends this program early, its servers end with it.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGPIPE)
	defer stop()
	names, err := regexp.Compile(*loads)
	if err != nil {
		log.Fatal(err)
	}
	b := &bench{loads: names, duration: *duration, workers: *workers}
	switch {
	case *profiles != "":
		err = b.profile(ctx, *brume, *profiles)
	case *large != "":
		var sizes []int
		if sizes, err = numbers(*large); err == nil {
			err = b.scale(ctx, *brume, sizes)
		}
	default:
		err = b.run(ctx, *brume, *only)
	}
	if err != nil {
		log.Fatal(err)
	}
}

func numbers(list string) (out []int, err error) {
	for text := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, nil
}

// parts are what is measured under load, each beside an echo of its own: under as many requests a second, as a server that
// sleeps and wakes up between them pays for that.
var parts = []struct {
	name      string
	perSecond int
	measure   func(*bench, context.Context) error
}{
	{"dynamodb", 0, (*bench).dynamoDB},
	{"gateway", gatewayRate, (*bench).gateway},
	{"functions", 0, (*bench).functions},
	{"lambda", 0, (*bench).lambda},
}

func (b *bench) run(ctx context.Context, brume, only string) (err error) {
	wanted := func(part string) bool { return only == "" || slices.Contains(strings.Split(only, ","), part) }
	dir, err := os.MkdirTemp("", "brume-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if wanted("start") {
		progress("an idle server")
		if err := measureStart(ctx, brume, dir); err != nil {
			return err
		}
	}
	if wanted("iam") {
		progress("an account with 10,000 users")
		if err := measureIAM(ctx, b.duration); err != nil {
			return err
		}
	}
	if wanted("many") {
		progress("1,000 functions")
		if err := b.many(ctx, brume, dir); err != nil {
			return err
		}
	}
	echo, echoAddr, err := startEcho(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, echo.Process.Kill(), ignoreKilled(echo.Wait())) }()
	if err := b.start(ctx, brume, filepath.Join(dir, "load")); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.server.Stop()) }()

	echoRequest, err := http.NewRequest(http.MethodPost, "http://"+echoAddr+"/", nil)
	if err != nil {
		return err
	}
	body := []byte(`{"TableName":"bench","Item":` + item("0") + `}`)
	echoes := b.raw(echoAddr, [][]byte{rawRequest(echoRequest, body)})
	fmt.Printf("\n%-40s %10s %12s %10s %9s %9s\n", fmt.Sprint(b.workers, " workers, 400 B"), "per second", "CPU per op", "× echo", "p50", "p99")
	for _, part := range parts {
		if !wanted(part.name) {
			continue
		}
		b.echo = 0
		if err := b.load("net/http echo", echo.Process.Pid, part.perSecond, echoes); err != nil {
			return err
		}
		if err := part.measure(b, ctx); err != nil {
			return fmt.Errorf("%w\n%s", err, b.server.LogTail())
		}
	}
	return nil
}

// progress says what goes on where a figure takes a while.
func progress(what string) { fmt.Fprintf(os.Stderr, "bench: %s…\n", what) }

func ignoreKilled(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil
	}
	return err
}

// measureStart prints the size of the binary, the time from exec to the first 200, and the memory of an idle server.
func measureStart(ctx context.Context, brume, dir string) error {
	info, err := os.Stat(brume)
	if err != nil {
		return err
	}
	fmt.Printf("binary                              %6.1f MB\n", float64(info.Size())/1e6)
	idle, err := measureIdle(ctx, brume, func(i int) string { return filepath.Join(dir, fmt.Sprint("start", i)) })
	if err != nil {
		return err
	}
	fmt.Printf("start to first 200, empty directory %6.1f ms (best of %d)\n", idle.start.Seconds()*1e3, idleStarts)
	fmt.Printf("idle RSS                            %6.1f MiB\n", float64(idle.rss)/(1<<20))
	fmt.Printf("idle CPU                            %6.1f ms per second\n", idle.cpu.Seconds()*1e3/idleTime.Seconds())
	return nil
}

// What a server costs that does nothing.
type idleCost struct {
	start time.Duration // to the first 200, the best of some
	rss   int64
	cpu   time.Duration // in idleTime
}

const (
	idleStarts = 5
	// idleTime is how long an idle server is watched.
	idleTime = 5 * time.Second
)

// measureIdle starts servers, the i-th on the directory dir(i).
func measureIdle(ctx context.Context, brume string, dir func(i int) string) (cost idleCost, err error) {
	cost.start = time.Hour
	var server *story.Server
	for i := range idleStarts {
		listen, err := story.FreeAddress()
		if err != nil {
			return cost, err
		}
		began := time.Now()
		// StartServer polls brume env; here nothing but the server is to be timed.
		if server, err = story.StartServerAt(ctx, brume, dir(i), listen); err != nil {
			return cost, err
		}
		cost.start = min(cost.start, time.Since(began))
		if i < idleStarts-1 {
			if err := server.Stop(); err != nil {
				return cost, err
			}
		}
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	time.Sleep(2 * time.Second)
	before, err := cpuTime(server.PID())
	if err != nil {
		return cost, err
	}
	time.Sleep(idleTime)
	after, err := cpuTime(server.PID())
	if err != nil {
		return cost, err
	}
	cost.cpu = after - before
	cost.rss, err = rssBytes(server.PID())
	return cost, err
}

type bench struct {
	loads    *regexp.Regexp // names of those to run
	duration time.Duration
	workers  int

	server *story.Server
	cfg    aws.Config    // root's
	echo   time.Duration // what an operation of the echo server costs
}

// start starts the server that is measured.
func (b *bench) start(ctx context.Context, brume, dir string, flags ...string) (err error) {
	if b.server, err = story.StartServer(ctx, brume, dir, "127.0.0.1:0", flags...); err != nil {
		return err
	}
	b.cfg = b.config(b.server.AccessKeyID, b.server.SecretAccessKey)
	b.endWith(ctx)
	return nil
}

// endWith has the server that runs end with ctx.
func (b *bench) endWith(ctx context.Context) {
	pid := b.server.PID()
	context.AfterFunc(ctx, func() { syscall.Kill(pid, syscall.SIGKILL) })
}

// config is that of a client with an access key.
func (b *bench) config(accessKeyID, secret string) aws.Config {
	return aws.Config{Region: b.server.Region, BaseEndpoint: aws.String(b.server.Endpoint),
		Credentials: credentials.NewStaticCredentialsProvider(accessKeyID, secret, "")}
}

// signed is a request to Brume as bytes.
func (b *bench) signed(cfg aws.Config, service, method, path, target string, body []byte) ([]byte, error) {
	creds, err := cfg.Credentials.Retrieve(context.Background())
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequest(method, b.server.Endpoint+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if target != "" {
		req.Header.Set("Content-Type", "application/x-amz-json-1.0")
		req.Header.Set("X-Amz-Target", target)
	}
	sigv4.Sign(req, body, sigv4.Key{AccessKeyID: creds.AccessKeyID, Secret: creds.SecretAccessKey}, b.server.Region, service, time.Now())
	return rawRequest(req, body), nil
}

// measure loads Brume with requests made before.
func (b *bench) measure(name string, perSecond int, requests [][]byte) error {
	return b.load(name, b.server.PID(), perSecond, b.raw(b.address(), requests))
}

func (b *bench) address() string { return strings.TrimPrefix(b.server.Endpoint, "http://") }
