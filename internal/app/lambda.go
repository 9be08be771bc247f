package app

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"brume/internal/awserr"
	"brume/internal/blob/fileblob"
	"brume/internal/dispatch"
	"brume/internal/kv/pebblekv"
	"brume/internal/outbox"
	"brume/internal/sandbox"
	"brume/internal/sandboxnet"
	"brume/internal/seal"
	"brume/internal/service/cloudtrail"
	"brume/internal/service/dynamodb"
	"brume/internal/service/iam"
	"brume/internal/service/lambda"
	"brume/internal/service/lambda/code"
	"brume/internal/service/lambda/environment"
	"brume/internal/service/sts"
)

// stopTime is how long invocations may go on after the last request was answered: those that nobody waits for.
const stopTime = 10 * time.Second

// lambdaParts is what Lambda stands on.
type lambdaParts struct {
	store      *pebblekv.Store
	master     *seal.Master
	identities *iam.Service
	tokens     *sts.Service
	dispatcher *dispatch.Dispatcher
	streams    *dynamodb.Streams
	audit      *cloudtrail.Service
}

// newLambda builds Lambda and all that runs functions, from the top of the sandbox to the bottom.
func (s *stack) newLambda(ctx, background context.Context, c Config, p lambdaParts) (*lambda.Service, error) {
	driver, err := sandbox.New(sandbox.Options{Logger: s.log})
	if err != nil {
		return nil, err
	}
	s.onClose(driver.Close)
	for _, protection := range driver.Protections() {
		if !protection.Active {
			s.missing = append(s.missing, protection.Name+": "+protection.Detail)
		}
	}
	if c.Functions.RequireSandbox && len(s.missing) > 0 {
		return nil, errors.New("--require-sandbox: functions would run without " + strings.Join(s.missing, "; "))
	}

	blobs, err := fileblob.Open(ctx, fileblob.Options{Dir: filepath.Join(c.DataDir, blobDir)})
	if err != nil {
		return nil, err
	}
	cache, err := code.OpenCache(filepath.Join(c.DataDir, cacheDir, "code"))
	if err != nil {
		return nil, err
	}
	s.onClose(func() error { cache.Close(); return nil })
	packages := lambda.NewPackages(p.store, blobs, cache)

	names := sandboxnet.NewNames()
	ca, err := sandboxnet.OpenCA(filepath.Join(c.DataDir, caDir), names)
	if err != nil {
		return nil, err
	}
	bundle, certificate, err := writeBundles(filepath.Join(c.DataDir, cacheDir), ca)
	if err != nil {
		return nil, err
	}
	egress, err := c.Functions.egress()
	if err != nil {
		return nil, err
	}
	var world *sandboxnet.World
	if egress != nil {
		world = &sandboxnet.World{Egress: egress, Lookup: net.DefaultResolver}
	}
	network := sandboxnet.NewServer(ca, sandboxnet.NewResolver(names, sandboxLoopback, world), egress,
		notForFunctions(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) })), s.log)
	s.onClose(network.Close)

	s.meter = lambda.NewMeter(p.store, s.log)
	s.onClose(func() error { return s.meter.Flush(context.Background()) }) // after the last invocation
	environments := environment.New(environment.Config{
		Meter:         s.meter,
		Driver:        driver,
		Runtimes:      c.Runtimes,
		Code:          packages,
		Roles:         roles{p.tokens, p.audit},
		Logs:          functionLogs{p.identities, p.dispatcher},
		Gateway:       gateway{network},
		Logger:        s.log,
		CABundle:      bundle,
		CACertificate: certificate,
		Endpoint:      s.endpoint,
		Outside:       egress != nil,
		IdleTimeout:   c.Functions.IdleTimeout,
	})
	s.onClose(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), stopTime)
		defer cancel()
		environments.Close(ctx)
		return nil
	})

	variables, err := p.master.Box("function-environment")
	if err != nil {
		return nil, err
	}
	// Links live for minutes, so a key that lives as long as the process is enough.
	linkKey := make([]byte, 32)
	rand.Read(linkKey)
	s.codeLinks = lambda.NewSignedLinks(s.endpoint, linkKey, packages)
	service := lambda.New(lambda.Config{
		Store:        p.store,
		Sealer:       variables,
		Roles:        roles{p.tokens, p.audit},
		Runtimes:     c.Runtimes,
		Environments: environments,
		Packages:     packages,
		Links:        s.codeLinks,
		Authorizer:   p.dispatcher,
		Principals:   p.identities,
		Streams:      newTableStreams(p.dispatcher, p.identities, p.streams),
		Destinations: destinations{p.identities, p.dispatcher},
		Meter:        s.meter,
		Logger:       s.log,
		Architecture: architecture(),
	})

	jobs := outbox.New(outbox.Options{Store: p.store, Logger: s.log})
	jobs.Handle(lambda.CodeQueue, 1, packages.Remove)
	jobs.Handle(lambda.DestinationQueue, lambda.DestinationConcurrency, service.Deliver)
	jobs.HandleLanes(lambda.EventQueue, service.EventLanes(), service.DeliverEvent)
	s.loop(background, func(ctx context.Context) {
		if err := jobs.Run(ctx); err != nil {
			s.log.Error("delivering jobs ended", "error", err.Error())
		}
	})
	s.loop(background, func(ctx context.Context) {
		if err := service.ProvisionAll(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("provisioned concurrency cannot be made ready", "error", err.Error())
		}
	})
	s.loop(background, service.RunMappings)
	s.loop(background, s.meter.Run)
	s.loop(background, service.MeterProvisions)
	started := time.Now()
	s.loop(background, func(ctx context.Context) {
		if err := packages.Sweep(ctx, started); err != nil && ctx.Err() == nil {
			s.log.Error("removing code that no function has", "error", err.Error())
		}
	})
	return service, nil
}

// architecture is this machine's, as Lambda names it.
func architecture() string {
	if runtime.GOARCH == "arm64" {
		return "arm64"
	}
	return "x86_64"
}

// withCode serves the links to functions' code, and everything else by next.
func withCode(links *lambda.SignedLinks, log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, lambda.CodePath) {
			next.ServeHTTP(w, r)
			return
		}
		file, err := links.Open(r.Context(), r.URL.Path, r.URL.Query())
		if err != nil {
			if !hasCode(err, "AccessDenied", "AccessDeniedException") {
				log.Error("serving code", "error", err.Error())
				err = awserr.Internal(err)
			}
			status := http.StatusForbidden
			if known, ok := err.(awserr.Error); ok {
				status = known.HTTPStatus()
				http.Error(w, known.ErrorMessage(), status)
				return
			}
			http.Error(w, http.StatusText(status), status)
			return
		}
		serveFile(w, r, file)
	})
}

func serveFile(w http.ResponseWriter, r *http.Request, file io.ReadSeekCloser) {
	defer file.Close()
	w.Header().Set("Content-Type", "application/zip")
	http.ServeContent(w, r, "", time.Time{}, file)
}

// makeDirs makes the directories that parts of the stack expect.
func makeDirs(dataDir string) error {
	for _, dir := range []string{cacheDir, caDir} {
		if err := os.MkdirAll(filepath.Join(dataDir, dir), 0o700); err != nil {
			return err
		}
	}
	return nil
}
