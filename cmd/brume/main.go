// Command brume is AWS on your own ground: every service in one process, state in one directory.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"brume/internal/app"
	"brume/internal/sandbox"
)

// version is stamped by the linker (make build).
var version = "devel"

type cli struct {
	Serve       serveCmd         `cmd:"" help:"Run every service on one address, until SIGTERM or Ctrl-C."`
	Env         envCmd           `cmd:"" help:"Print shell exports that point AWS clients here: eval \"$(brume env)\"."`
	Exec        execCmd          `cmd:"" help:"Run one command with that environment, or with --temporary against a Brume of its own: brume exec --temporary -- pytest."`
	Runtimes    runtimesCmd      `cmd:"" help:"Show what functions can be written in on this machine, and what to install for more."`
	Usage       usageCmd         `cmd:"" help:"Show what functions used, and what AWS would have charged for it."`
	Apis        apisCmd          `cmd:"" help:"List the APIs of API Gateway, or export one, to Postman for instance."`
	Admin       adminCmd         `cmd:"" help:"Replace the root key of a data directory: for whoever may use that directory."`
	ShowVersion kong.VersionFlag `name:"version" help:"Print the version."`
	Version     versionCmd       `cmd:"" help:"Print the version."`
}

type dataDir struct {
	DataDir string `placeholder:"DIR" env:"BRUME_DATA_DIR" help:"Directory that holds all state. Default: ${data_dir}."`
}

type serveCmd struct {
	dataDir
	runtimesDir
	Listen          string `default:"${listen}" placeholder:"ADDR" env:"BRUME_LISTEN" help:"Address to listen on (${default})."`
	AccountID       string `name:"account-id" default:"${account_id}" placeholder:"ID" env:"BRUME_ACCOUNT_ID" help:"The default account, 12 digits (${default})."`
	Region          string `default:"${region}" env:"BRUME_REGION" help:"Region of clients that name none (${default})."`
	LogFormat       string `default:"text" enum:"text,json" env:"BRUME_LOG_FORMAT" help:"Format of the log on standard error: text or json (${default})."`
	TrailMegabytes  int64  `name:"trail-megabytes" default:"1024" placeholder:"MB" env:"BRUME_TRAIL_MEGABYTES" help:"How large the audit trail grows before its oldest records make room (${default}). They go after 90 days in any case."`
	CacheMegabytes  int64  `name:"cache-megabytes" default:"64" placeholder:"MB" env:"BRUME_CACHE_MEGABYTES" help:"How much of the stored data is kept in memory for reading (${default})."`
	CPUProfile      string `name:"cpu-profile" hidden:"" placeholder:"FILE" help:"Write a CPU profile of the server's whole life, for go tool pprof."`
	FunctionNetwork string `default:"internet" enum:"internet,none" env:"BRUME_FUNCTION_NETWORK" help:"How far functions reach: internet or none (${default}). They always reach Brume, and never this machine or private addresses unless those are allowed."`

	FunctionNetworkAllow []string      `placeholder:"CIDR" env:"BRUME_FUNCTION_NETWORK_ALLOW" help:"Addresses or ranges that functions reach besides the Internet, such as 192.168.1.20 or 10.1.0.0/16."`
	FunctionNetworkDeny  []string      `placeholder:"CIDR" env:"BRUME_FUNCTION_NETWORK_DENY" help:"Addresses or ranges that functions do not reach."`
	FunctionIdleTimeout  time.Duration `default:"10m" placeholder:"TIME" env:"BRUME_FUNCTION_IDLE_TIMEOUT" help:"How long the environment of a function is kept for its next invocation (${default})."`
	RequireSandbox       bool          `env:"BRUME_REQUIRE_SANDBOX" help:"Refuse to start where functions would lack a protection, instead of saying so."`

	UserPools       map[string]string `name:"user-pool" placeholder:"ID=URL" env:"BRUME_USER_POOLS" mapsep:"," help:"Who issues the tokens of a Cognito user pool that API Gateway authorizers name: us-east-1_AbC=https://issuer.example. An issuer on this machine may have an http URL of a loopback host. May be given several times."`
	TestCredentials bool              `env:"BRUME_TEST_CREDENTIALS" help:"For throw-away test runs on a loopback address: accept test/test as root, any 12-digit access key id with the secret test as root of that account, and POST /_brume/reset, which empties everything."`
}

func (c *serveCmd) Run(ctx context.Context) error {
	if c.CPUProfile != "" {
		f, err := os.Create(c.CPUProfile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	catalog, err := newCatalog(c.path(c.DataDir))
	if err != nil {
		return err
	}
	return app.Run(ctx, app.Config{
		Runtimes:        catalog,
		Listen:          c.Listen,
		DataDir:         c.DataDir,
		AccountID:       c.AccountID,
		Region:          c.Region,
		LogFormat:       c.LogFormat,
		TrailBytes:      c.TrailMegabytes << 20,
		CacheBytes:      c.CacheMegabytes << 20,
		UserPools:       c.UserPools,
		TestCredentials: c.TestCredentials,
		Functions: app.FunctionsConfig{
			Network: c.FunctionNetwork, NetworkAllow: c.FunctionNetworkAllow, NetworkDeny: c.FunctionNetworkDeny,
			IdleTimeout: c.FunctionIdleTimeout, RequireSandbox: c.RequireSandbox,
		},
		Version: version,
	}, os.Stdout, os.Stderr)
}

type envCmd struct{ dataDir }

func (c *envCmd) Run() error {
	vars, err := app.ClientEnv(c.DataDir)
	if err != nil {
		return err
	}
	for _, v := range vars {
		if v.Value == "" {
			fmt.Println("unset", v.Name)
			continue
		}
		fmt.Printf("export %s='%s'\n", v.Name, v.Value)
	}
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); app.ForOneService(name) {
			fmt.Println("unset", name)
		}
	}
	return nil
}

type versionCmd struct{}

func (versionCmd) Run() error {
	revision := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		revision = info.GoVersion
	}
	fmt.Println("brume", version, revision)
	return nil
}

func main() {
	if sandbox.IsInit(os.Args) {
		sandbox.Init()
		return
	}
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	var c cli
	parser, err := kong.New(&c,
		kong.Name("brume"),
		kong.Description("AWS Lambda and the services around it, on your own machine: durable, isolated, with IAM enforced.\n\n"+
			"Start with `brume serve`, then `eval \"$(brume env)\"` in another shell, and use any AWS client."),
		kong.Vars{
			"version":  "brume " + version,
			"data_dir": app.DefaultDataDir(), "listen": app.DefaultListen, "account_id": app.DefaultAccount, "region": app.DefaultRegion,
		},
	)
	if err != nil {
		return fail(err)
	}
	if len(args) > 0 && args[0] == "help" {
		args = append(args[1:], "--help")
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	kctx, err := parser.Parse(args)
	if err != nil {
		return fail(explain(err, args))
	}
	for _, dir := range []*string{&c.Serve.DataDir, &c.Env.DataDir, &c.Exec.DataDir, &c.Runtimes.List.DataDir, &c.Runtimes.Install.DataDir,
		&c.Usage.DataDir, &c.Apis.List.DataDir, &c.Apis.Export.DataDir, &c.Admin.RotateRoot.DataDir, &c.Admin.ResetRoot.DataDir} {
		if *dir == "" {
			*dir = app.DefaultDataDir()
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once: what was acknowledged is durable
	kctx.BindTo(ctx, (*context.Context)(nil))
	err = kctx.Run()
	if status, ok := errors.AsType[exitStatus](err); ok {
		return int(status)
	}
	if err != nil {
		return fail(err)
	}
	return 0
}

// explain says where the help is that the command line needed.
func explain(err error, args []string) error {
	var wrong *kong.ParseError
	if !errors.As(err, &wrong) {
		return err
	}
	command := "brume"
	if node := wrong.Context.Selected(); node != nil {
		command += " " + node.Path()
	} else if !strings.HasPrefix(args[0], "-") && len(wrong.Context.Path) == 1 {
		err = fmt.Errorf("there is no command %q", args[0])
	}
	return fmt.Errorf("%w\n%s --help says what there is", err, command)
}

func fail(err error) int {
	fmt.Fprintf(os.Stderr, "brume: %v\n", err)
	return 1
}
