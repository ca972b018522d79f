# freshet: `make` lists what there is. `make test` is what CI runs.

SHELL := /bin/sh
.DEFAULT_GOAL := help

GOLANGCI_LINT_VERSION := v2.15.0
LINT := bin/golangci-lint-$(GOLANGCI_LINT_VERSION)
FUZZTIME ?= 10s
SOAKS ?= 10
HTTP_CACHE_TESTS_VERSION := 0.4.5
HTTP_CACHE_TESTS := bin/http-cache-tests-$(HTTP_CACHE_TESTS_VERSION)

# The go command keeps its caches below HOME, which some CI systems do not set.
ifeq ($(strip $(HOME)),)
export HOME := $(shell getent passwd "$$(id -u)" | cut -d: -f6)
endif

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: build
build: ## build bin/freshet, one file without cgo
	CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o bin/freshet ./cmd/freshet

.PHONY: lambda
lambda: ## bin/freshet-lambda-arm64.zip and -amd64.zip, the same bytes each time
	@scripts/lambda-zips bin

# Not part of test: it compiles everything twice more.
.PHONY: lambda-twice
lambda-twice: ## build the zips from nothing as well, and compare
	@scripts/lambda-zips --twice bin

.PHONY: test
test: programs check lint test-race ## all that CI runs; installs what the tests need if it may

.PHONY: test-fast
test-fast: ## the tests alone, without the race detector
	go test -timeout 30m ./... </dev/null

.PHONY: test-race
test-race:
	go test -race -vet=off -timeout 30m ./... </dev/null

.PHONY: check
check: ## formatting, go vet, go.mod and the house's import rules
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "not gofmt-ed:"; echo "$$unformatted"; exit 1; fi
	go mod tidy -diff
	go test -count=1 ./internal/archtest </dev/null
	go vet ./...

.PHONY: lint
lint: $(LINT) ## golangci-lint, with the rules of .golangci.yml
	$(LINT) run

$(LINT):
	@mkdir -p bin
	GOBIN='$(CURDIR)/bin' go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	mv bin/golangci-lint $@

.PHONY: programs
programs: ## install the programs that tests call, on Debian and its kin
	@scripts/install-test-programs </dev/null

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (10s)
	@scripts/each-fuzz-target $(FUZZTIME) </dev/null

# Not part of test: it takes Node.js and npm, which nothing else here does.
.PHONY: conformance
conformance: $(HTTP_CACHE_TESTS) ## the HTTP caching suite of cache-tests.fyi against the program; takes Node.js
	FRESHET_HTTP_CACHE_TESTS='$(CURDIR)/$(HTTP_CACHE_TESTS)/node_modules/http-cache-tests' \
		go test -v -count=1 -run '^TestConformance$$' ./internal/e2e </dev/null

$(HTTP_CACHE_TESTS):
	@mkdir -p bin
	npm install --prefix $@.part --ignore-scripts --no-audit --no-fund --loglevel=error http-cache-tests@$(HTTP_CACHE_TESTS_VERSION)
	mv $@.part $@

# Not part of test: it takes Node.js and npm. Once it was run, test does the same.
.PHONY: test-cdk
test-cdk: ## the CDK construct against freshet aws template; takes Node.js
	cd deploy/cdk && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	FRESHET_CDK=1 go test -count=1 -run '^TestConstruct$$' ./internal/awssetup </dev/null

.PHONY: bench
bench: ## every benchmark; those of internal/e2e are of the whole program
	go test -run '^$$' -bench . -benchmem ./... </dev/null

# Not part of test: it takes both cores for twenty minutes.
.PHONY: bench-edge
bench-edge: build ## the edge beside nginx, HAProxy, Varnish and Traffic Server, into docs/bench-edge.md; installs them if it may
	@scripts/install-bench-programs </dev/null
	go run ./scripts/bench-edge $(BENCH_EDGE)

.PHONY: bench-lambda
bench-lambda: ## our Lambda function beside a Python one with boto3, in turns: start, time, processor, memory, calls
	go test -run '^$$' -bench '^BenchmarkLambda$$' -benchtime 1x -timeout 30m ./internal/e2e </dev/null

# Not part of test: it takes both cores and 10 GB for a quarter of an hour.
.PHONY: bench-deploy
bench-deploy: ## deploys beside aws s3 sync and rclone: time, processor, requests, memory; BENCH_RCLONE='/path/of/another …' adds others
	go test -run '^$$' -bench '^BenchmarkDeploy$$' -benchtime 1x -timeout 60m ./internal/e2e </dev/null

.PHONY: soak
soak: ## the tests SOAKS (10) times over, shuffled, then the edge's model and the whole program for long, all with the race detector; FRESHET_SOAK_FOR=1h is how long for the last two
	go test -race -shuffle=on -count=$(SOAKS) -timeout 3h ./... </dev/null
	FRESHET_SOAK=1 go test -race -v -count=1 -timeout 12h -run 'EveryByteIsOfItsTime|MemoryOfPatternsIsBounded' ./internal/edge </dev/null
	FRESHET_SOAK=1 go test -race -v -count=1 -timeout 12h ./internal/e2e </dev/null

.PHONY: clean
clean: ## remove what was built; what freshet stored stays
	rm -rf bin
