package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	apigatewayapi "brume/internal/api/apigateway"
	managementapi "brume/internal/api/apigatewaymanagementapi"
	apigatewayv2api "brume/internal/api/apigatewayv2"
	cloudtrailapi "brume/internal/api/cloudtrail"
	dynamodbapi "brume/internal/api/dynamodb"
	streamsapi "brume/internal/api/dynamodbstreams"
	iamapi "brume/internal/api/iam"
	lambdaapi "brume/internal/api/lambda"
	logsapi "brume/internal/api/logs"
	stsapi "brume/internal/api/sts"
	"brume/internal/customdomain"
	"brume/internal/dispatch"
	"brume/internal/edge"
	"brume/internal/gatewaylog"
	"brume/internal/jwks"
	"brume/internal/kv/pebblekv"
	"brume/internal/obs"
	"brume/internal/outbox"
	"brume/internal/schema"
	"brume/internal/seal"
	"brume/internal/service/apigateway"
	"brume/internal/service/apigatewayv2"
	"brume/internal/service/cloudtrail"
	"brume/internal/service/dynamodb"
	"brume/internal/service/iam"
	"brume/internal/service/lambda"
	"brume/internal/service/logs"
	"brume/internal/service/sts"
	"brume/internal/wire"
	"brume/internal/wire/executeapi"
	"brume/internal/wire/functionurl"
)

// What lies in the data directory. A reset removes stateDirs; the keys and the certificate authority stay.
const (
	storeDir  = "store"
	blobDir   = "blobs"
	cacheDir  = "cache"
	caDir     = "ca"
	masterKey = "master.key"
)

// accessKeyBox is what the secrets of access keys are sealed in.
const accessKeyBox = "access-key"

var stateDirs = []string{storeDir, blobDir, cacheDir}

// stack is everything that stands on one opened data directory.
type stack struct {
	endpoint   string
	handler    http.Handler
	dispatcher *dispatch.Dispatcher
	services   []*schema.Service
	identities *iam.Service
	audit      *cloudtrail.Service
	log        *slog.Logger
	// missing are the protections that functions do not have on this machine, one line each.
	missing   []string
	codeLinks *lambda.SignedLinks
	meter     *lambda.Meter
	logs      *logs.Service
	sockets   *apigatewayv2.Service
	// requests ends by endRequests, and with it those requests that a reset does not wait for.
	requests    context.Context
	endRequests context.CancelFunc

	// closers run in reverse order.
	closers []func() error
	// begin are the loops that have not begun.
	begin []func()
	// loops are the background loops of the services; stopLoops ends them.
	loops     sync.WaitGroup
	stopLoops context.CancelFunc
}

// newStack opens the data directory and builds the services on it. endpoint is the URL under which clients on this
// machine reach the server. On an error nothing stays open.
func newStack(ctx context.Context, c Config, endpoint string, log *slog.Logger) (s *stack, err error) {
	s = &stack{endpoint: endpoint, log: log}
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.stopLoops = cancel
	s.requests, s.endRequests = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
			s = nil
		}
	}()

	if err := makeDirs(c.DataDir); err != nil {
		return s, err
	}
	_, err = os.Stat(filepath.Join(c.DataDir, storeDir))
	isNew := errors.Is(err, fs.ErrNotExist)
	// Before the store: without the key nothing that is sealed there can be opened.
	master, err := loadMaster(c.DataDir, isNew)
	if err != nil {
		return s, err
	}
	store, err := pebblekv.Open(ctx, pebblekv.Options{Dir: filepath.Join(c.DataDir, storeDir), CacheSize: c.CacheBytes, Logger: log})
	switch {
	case errors.Is(err, pebblekv.ErrLocked):
		return s, fmt.Errorf("another Brume runs on the data directory %s: stop it, or name another directory with --data-dir", c.DataDir)
	case err != nil:
		return s, fmt.Errorf("the data directory %s cannot be opened: %w", c.DataDir, err)
	}
	s.onClose(store.Close)

	keyBox, err := master.Box(accessKeyBox)
	if err != nil {
		return s, err
	}
	identities := iam.New(store, keyBox, log)
	s.identities = identities
	s.loop(background, identities.Run)

	metrics := obs.NewMetrics()
	dispatcher := dispatch.New(identities, metrics)
	dispatcher.SetAccesses(identities)
	s.dispatcher = dispatcher
	// It is closed after all that makes calls, and before the store.
	audit := cloudtrail.New(cloudtrail.Options{Store: store, Log: log, MaxBytes: c.TrailBytes})
	s.audit = audit
	s.onClose(audit.Close)
	dispatcher.SetTrail(trail{audit})
	add := func(svc *schema.Service, handlers []schema.Handler, checks dispatch.Checks) {
		s.services = append(s.services, svc)
		dispatcher.Add(svc, handlers, checks)
	}
	add(cloudtrailapi.Schema(), cloudtrailapi.Handlers(audit), audit.Checks)
	add(iamapi.Schema(), iamapi.Handlers(identities), identities.Checks)

	tokenBox, err := master.Box("session-token")
	if err != nil {
		return s, err
	}
	signingKeys := jwks.NewSource()
	options := sts.Options{Identities: identities, Sealer: tokenBox, Keys: signingKeys}
	if c.TestCredentials {
		options.TestAccount = c.AccountID
	}
	tokens := sts.New(options)
	add(stsapi.Schema(), stsapi.Handlers(tokens), tokens.Checks)

	cloudWatchLogs := logs.New(logs.Options{Store: store, Log: log, Functions: subscribers{dispatcher}})
	s.logs = cloudWatchLogs
	s.loop(background, cloudWatchLogs.Run)
	if err := cloudWatchLogs.CountPending(background); err != nil {
		return s, err
	}
	subscriptions := outbox.New(outbox.Options{Store: store, Logger: log})
	subscriptions.Handle(logs.SubscriptionQueue, logs.SubscriptionConcurrency, cloudWatchLogs.Deliver)
	s.loop(background, func(ctx context.Context) {
		if err := subscriptions.Run(ctx); err != nil {
			log.Error("delivering log events to subscriptions ended", "error", err.Error())
		}
	})
	add(logsapi.Schema(), logsapi.Handlers(cloudWatchLogs), cloudWatchLogs.Checks)

	tables := dynamodb.New(store, log)
	tables.SetPrincipals(identities)
	s.loop(background, tables.Run)
	add(dynamodbapi.Schema(), dynamodbapi.Handlers(tables), tables.Checks)

	streams := tables.Streams()
	add(streamsapi.Schema(), streamsapi.Handlers(streams), streams.Checks)

	functions, err := s.newLambda(ctx, background, c, lambdaParts{
		store: store, master: master, identities: identities, tokens: tokens, dispatcher: dispatcher, audit: audit, streams: streams,
	})
	if err != nil {
		return s, err
	}
	add(lambdaapi.Schema(), lambdaapi.Handlers(functions), functions.Checks)

	public, err := url.Parse(endpoint)
	if err != nil {
		return s, err
	}
	endpoints := newHTTPIntegration()
	s.onClose(endpoints.Close)
	serviceCalls := &serviceIntegration{iam: identities, sts: tokens}
	functionCalls, buckets := lambdaIntegration{dispatcher, identities, tokens}, edge.NewBuckets()
	gatewayLog := gatewaylog.NewQueue(gatewayLogs{identities, tokens, dispatcher}, log)
	s.loop(background, gatewayLog.Run)
	apis := apigateway.New(apigateway.Config{
		HTTP: endpoints, Services: serviceCalls, Logs: gatewayLog,
		Store: store, Lambda: functionCalls, Authorizer: dispatcher, Keys: signingKeys, Issuers: c.UserPools,
		Endpoint: public, Buckets: buckets, Log: log,
	})
	s.loop(background, func(ctx context.Context) {
		if err := apis.Run(ctx); err != nil {
			log.Error("API Gateway's last usage is not counted", "error", err.Error())
		}
	})
	add(apigatewayapi.Schema(), apigatewayapi.Handlers(apis), apis.Checks)

	httpAPIs := apigatewayv2.New(apigatewayv2.Config{
		Store: store, Lambda: functionCalls, HTTP: endpoints, Authorizer: dispatcher, Keys: signingKeys, Issuers: c.UserPools, Buckets: buckets, Log: log, REST: apis, Logs: gatewayLog,
		Endpoint: func(apiID, region string) string { return executeapi.URL(public, apiID, region) }, APIKeys: apis, LogRoles: apis, Services: serviceCalls,
	})
	add(apigatewayv2api.Schema(), apigatewayv2api.Handlers(httpAPIs), httpAPIs.Checks)
	apis.SetSocketStages(httpAPIs)
	connections := httpAPIs.Connections()
	add(managementapi.Schema(), managementapi.Handlers(connections), connections.Checks)
	s.sockets = httpAPIs
	dataPlane := executeapi.New(apis, httpAPIs, httpAPIs, &customdomain.Names{Store: store, Log: log, Own: public.Hostname()}, tokens)

	if err := writeClient(ctx, c, endpoint, identities, isNew); err != nil {
		return s, err
	}
	server, err := wire.NewServer(wire.Config{
		Services:    s.services,
		Dispatcher:  dispatcher,
		Credentials: &credentials{Credentials: tokens, test: c.TestCredentials, log: log},
		Messages:    tokens,
		Uses:        identities,
		DataPlane:   dataPlanes{functionurl.New(functions, tokens, metrics, log), dataPlane},
		Connections: dataPlane,
		Region:      c.Region,
		Metrics:     metrics,
		Log:         log,
		Now:         time.Now,
		Healthy:     store.Err,
	})
	if err != nil {
		return s, err
	}
	serviceCalls.server = server
	s.handler = metricsHandler(cloudWatchLogs, tokens, log, usageHandler(s.meter, tokens, log, withCode(s.codeLinks, log, server)))
	for _, loop := range s.begin {
		s.loops.Go(loop)
	}
	return s, nil
}

// dataPlanes are several as one: a request is for the first that serves it.
type dataPlanes []wire.DataPlane

func (d dataPlanes) Serves(r *http.Request) bool { return d.of(r) != nil }

func (d dataPlanes) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.of(r).ServeHTTP(w, r) }

func (d dataPlanes) of(r *http.Request) wire.DataPlane {
	for _, plane := range d {
		if plane.Serves(r) {
			return plane
		}
	}
	return nil
}

// endSockets closes the connections of WebSocket APIs. What they have begun may take so long, and is then cut off.
func (s *stack) endSockets(patience time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s.sockets.EndConnections(ctx)
}

func (s *stack) onClose(f func() error) { s.closers = append(s.closers, f) }

// loop has a background loop run until the stack closes. It begins when the whole stack is there: some call operations of
// services that come later.
func (s *stack) loop(ctx context.Context, run func(context.Context)) {
	s.begin = append(s.begin, func() { run(ctx) })
}

func (s *stack) close() error {
	s.endRequests()
	s.stopLoops()
	s.loops.Wait()
	var err error
	for i := len(s.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, s.closers[i]())
	}
	return err
}

// loadMaster is the key that secrets are sealed with: out of BRUME_MASTER_KEY, or a file beside the store. Only for a new
// store is a file made.
func loadMaster(dataDir string, isNew bool) (*seal.Master, error) {
	if text := os.Getenv("BRUME_MASTER_KEY"); text != "" {
		master, err := seal.ParseMaster(text)
		if err != nil {
			return nil, fmt.Errorf("BRUME_MASTER_KEY: %w", err)
		}
		return master, nil
	}
	file := filepath.Join(dataDir, masterKey)
	if _, err := os.Stat(file); !isNew && errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is not there, and without it no secret in %s can be opened: put it back, or set BRUME_MASTER_KEY to what it was",
			file, dataDir)
	}
	return seal.LoadMaster(file)
}

// writeClient sees that the default account's root has a key, and tells clients. In a new store that is the key that
// clients know already. In another one a key that is gone was deleted, and stays so.
func writeClient(ctx context.Context, c Config, endpoint string, identities *iam.Service, isNew bool) error {
	known, err := readClient(c.DataDir)
	if err != nil {
		return err
	}
	if !isNew {
		known = client{}
	}
	id, secret, err := identities.EnsureRootKey(ctx, c.AccountID, known.AccessKeyID, known.SecretAccessKey)
	if err != nil {
		return err
	}
	root := client{Endpoint: endpoint, Region: c.Region, AccessKeyID: id, SecretAccessKey: secret}
	return root.write(c.DataDir)
}
