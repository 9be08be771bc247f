# `make run` is all a newcomer needs; `make help` lists the rest.

VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
LDFLAGS     := -s -w -X main.version=$(VERSION)
# What runtimes need beyond the system's packages is installed once for all test runs.
RUNTIMES    := BRUME_RUNTIMES_DIR=$(CURDIR)/.brume/runtimes
GOFILES      = $(shell git ls-files '*.go')

.DEFAULT_GOAL := help

.PHONY: help
help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: build ## Build Brume, see to what functions need, and start it
	@scripts/prerequisites
	@bin/brume runtimes install nodejs || echo 'Going on without Node.js functions.'
	bin/brume serve

.PHONY: build
build: ## Build bin/brume
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/brume ./cmd/brume

.PHONY: walkthrough
# What `make run` has installed need not be installed again.
walkthrough: RUNTIMES := BRUME_RUNTIMES_DIR=$(or $(patsubst %/nodejs,%,$(wildcard $(or $(XDG_DATA_HOME),$(HOME)/.local/share)/brume/runtimes/nodejs)),$(CURDIR)/.brume/runtimes)
walkthrough: build runtimes ## The whole story against a temporary Brume: user, role, table, function, API, key
	@$(RUNTIMES) go run ./test/walkthrough -brume bin/brume

.PHONY: runtimes
runtimes: build
	@scripts/prerequisites
	@$(RUNTIMES) bin/brume runtimes install nodejs || echo 'Going on without Node.js functions.'

.PHONY: test
test: runtimes ## Every test of the project
	go vet ./...
	$(RUNTIMES) go test -timeout 15m ./...
	cd codegen && go vet ./... && go test ./...

.PHONY: race
race: runtimes ## The tests under the race detector
	$(RUNTIMES) go test -race -timeout 30m ./...

.PHONY: soak
soak: runtimes ## The long tests: crashes, leaks
	$(RUNTIMES) BRUME_SOAK=1 go test -timeout 80m ./...

.PHONY: fuzz
fuzz: ## Each fuzz target for FUZZTIME (10s)
	scripts/fuzz $(or $(FUZZTIME),10s)

.PHONY: bench
bench: runtimes ## Start-up, memory, size, and CPU per operation beside a bare echo server
	@$(RUNTIMES) go run ./test/bench -brume bin/brume

.PHONY: bench-large
bench-large: build ## What reads cost in tables of up to five million items; takes minutes
	@go run ./test/bench -brume bin/brume -large 1000,100000,5000000

.PHONY: bench-profile
bench-profile: build ## Where the CPU time of DynamoDB's operations goes; the profiles stay in bin/
	@go run ./test/bench -brume bin/brume -profiles bin

.PHONY: generate
generate: ## Write the generated code, the managed policies, the bootstrap for Java and the README's table of operations
	cd codegen && go run . && go run ./managedpolicies
	go run ./scripts/javabootstrap internal/runtimes/bootstrap
	go run ./scripts/coverage README.md

.PHONY: lint
lint: ## gofmt, vet and staticcheck
	@test -z "$$(gofmt -l $(GOFILES))" || { echo 'not formatted:'; gofmt -l $(GOFILES); exit 1; }
	go vet ./...
	go run $(STATICCHECK) ./...
	cd codegen && go run $(STATICCHECK) ./...
