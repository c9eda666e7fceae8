# `make help` lists the targets.

SHELL := /bin/bash
GO ?= go
# With ../shared there, and under CI, nothing that can be had may be skipped.
REQUIRE := $(if $(or $(CI),$(wildcard ../shared)),-require)
# make lint vets, and more.
TEST_FLAGS ?= -race -timeout 20m -vet=off
PACKAGES ?= ./...
SOAK ?= 30m

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

.PHONY: build
build: ## bin/weir
	$(GO) build -trimpath -ldflags '-X github.com/weir-ml/weir/cmd/weir/command.Version=$(VERSION)' -o bin/weir ./cmd/weir

.PHONY: setup
setup: ## install what the tests need (Debian)
	@scripts/setup-test.sh || echo 'make: some tests will say what they miss'

.PHONY: test
test: setup ## everything, with -race, on a real Kafka, Redis and PostgreSQL (PACKAGES=./online/... for some)
	@$(GO) run ./internal/testrun -servers $(REQUIRE) -- $(TEST_FLAGS) $(PACKAGES)

.PHONY: test-short
test-short: ## quick: no -race, no servers, no long tests
	@$(GO) run ./internal/testrun -- -short -timeout 5m $(PACKAGES)

.PHONY: soak
soak: setup ## random tests with new seeds, for SOAK=30m (0: until Ctrl-C), PACKAGES=./online/... for some
	@$(GO) run ./internal/testrun -servers $(REQUIRE) -soak -time $(SOAK) -- -timeout=20m $(PACKAGES)

.PHONY: test-peers
test-peers: ## other projects' programs against ours
	@if [ -d peers ]; then scripts/setup-test.sh --peers && $(GO) run ./internal/testrun -servers $(REQUIRE) -- -tags peers -timeout 30m ./peers/...; \
	else echo 'there are no peers yet'; fi

.PHONY: test-loop
test-loop: ## the whole loop with a real Airflow and MLflow: drift to retraining and back, as a timeline
	@scripts/setup-test.sh --loop && WEIR_TEST_REQUIRE=1 $(GO) test -tags loop -count=1 -v -timeout 40m ./peers/loop && \
	WEIR_TEST_REQUIRE=1 $(GO) test -tags loop -count=1 -timeout 40m ./peers/platform

.PHONY: lint
lint: ## gofmt, go vet, staticcheck, the floors, govulncheck, the alert rules
	@scripts/lint.sh

.PHONY: bench
bench: ## benchmarks, as a table with the machine
	@scripts/setup-test.sh --peers || echo 'make: some lines will be left out'
	@$(GO) run ./bench

.PHONY: demo
demo: ## a live stream from event to retraining, in this terminal
	$(GO) run ./cmd/weir demo

.PHONY: generate
generate: ## generated Go
	$(GO) generate ./...

.PHONY: clean
clean: ## what build and demo leave here
	rm -rf bin weir-data
