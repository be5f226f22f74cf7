# Each target is one line; CONTRIBUTING.md says when to use which.
SHELL := /bin/bash
GO ?= go
LINT := $(GO) tool -modfile=tools/go.mod golangci-lint
export CGO_ENABLED ?= 0

.PHONY: run test check cross fuzz vuln sim conformance crash bench docs build lint race setup

run: build ; ./bin/berth serve
build: ; $(GO) build -trimpath -o bin/berth ./cmd/berth
test: setup build ; $(GO) vet ./... && $(MAKE) race && $(MAKE) conformance
race: ; CGO_ENABLED=1 $(GO) test -race ./cmd/... ./internal/...
conformance: setup build ; $(GO) test -count=1 -timeout 15m ./test/...
lint: ; $(LINT) run ./... && $(LINT) fmt --diff ./...
check: lint ; $(GO) vet ./... && $(GO) vet -C bench/peers ./... && $(MAKE) race
cross: ; for t in linux/arm windows/amd64; do GOOS=$${t%/*} GOARCH=$${t#*/} $(GO) build -o /dev/null ./cmd/berth || exit 1; done
fuzz: ; ./test/fuzz.sh
vuln: ; ./test/vuln.sh
sim: ; BERTH_SIM_STEPS=1000000 $(GO) test -count=1 -timeout 60m -run 'Sim' ./internal/arbiter ./internal/presence ./internal/hub
crash: build ; BERTH_CRASH_ROUNDS=$(or $(ROUNDS),100) $(GO) test -count=1 -v -timeout 24h ./test/crash ./internal/hub ./internal/store/pebble ./internal/telemetry
bench: build ; ./test/setup.sh bench && $(GO) build -C bench/peers -o ../../bin/ ./... && $(GO) run ./bench $(BENCH)
docs: ; $(GO) test ./internal/fault -run TestErrorsDoc -update
setup: ; ./test/setup.sh
