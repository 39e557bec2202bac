# Everything a developer and CI do. Needs Go and a C compiler (DuckDB is linked in);
# `make e2e` also needs the runtimes that CONTRIBUTING names.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build

TAGS    ?= duckdb
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
TOOL    := go tool -modfile=tools/go.mod
BIN     := $(CURDIR)/bin
FUZZTIME ?= 10s

# Commands of loadtest land in bin/ under their own names.
COMMANDS = $(notdir $(patsubst %/,%,$(wildcard loadtest/cmd/*/)))

# The files with tests against real parts, and those tests.
E2E_FILES = $(shell grep -rlE --include='*_test.go' '^//go:build .*\be2e\b' pkg services loadtest)
E2E_TESTS = $(shell sed -nE 's/^func (Test\w+).*/\1/p' $(E2E_FILES) | sort -u | paste -sd '|' -)

.PHONY: build release demo test race lint fmt fuzz model sim chaos bench bench-formats profile e2e proto clean

build: bin/weir $(addprefix bin/,$(COMMANDS))

.PHONY: bin/weir
bin/weir:
	go build -tags '$(TAGS)' -ldflags "-X main.version=$(VERSION)" -o bin/weir ./services/weir

.PHONY: $(addprefix bin/,$(COMMANDS))
$(addprefix bin/,$(COMMANDS)): bin/%:
	go build -tags '$(TAGS)' -o $@ ./loadtest/cmd/$*

# What goes into an image: by the profile, for processors of the last ten years (GOAMD64=v1 for older ones). It compiles
# everything once more, for minutes.
release: export GOAMD64 ?= v3
release:
	go build -tags '$(TAGS)' -pgo=$(PGO) -ldflags "-X main.version=$(VERSION)" -o bin/weir ./services/weir

# Starts everything on the embedded parts, sends sample events, prints the answer and keeps running.
demo: bin/weir
	@exec bin/weir dev --demo

# Every test that needs no server and no installed tool. What was skipped is listed at the end.
test: bin/weir
	WEIR_BIN=$(BIN)/weir $(TOOL) gotestsum --format pkgname --format-hide-empty-pkg -- -tags '$(TAGS)' -timeout 10m ./...

# The same tests under the race detector, without those that run processes.
race:
	$(TOOL) gotestsum --format pkgname --format-hide-empty-pkg -- -race -short -timeout 15m ./pkg/... ./services/...

lint:
	@bad="$$($(TOOL) gofumpt -l pkg services loadtest deploy proto)"; test -z "$$bad" || { echo "not formatted, run make fmt:"; echo "$$bad"; exit 1; }
	go vet -tags '$(TAGS) e2e' ./...
	go vet ./...
	$(TOOL) golangci-lint run

fmt:
	$(TOOL) gofumpt -w pkg services loadtest deploy

# Each fuzz target for a while; the corpora in testdata run in `make test`.
fuzz:
	@grep -rHoE --include='*_test.go' '^func (Fuzz[A-Za-z0-9_]+)' pkg services | sed -E 's/^(.*)\/[^/]+:func (.*)$$/\1 \2/' | sort -u | \
	while read -r dir name; do echo "== $$dir $$name"; go test -tags '$(TAGS)' -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s "./$$dir"; done

# The flush protocol at the larger bound.
model:
	go test ./pkg/flush -run TestExplore -timeout 60m -v -args -model

# The assembled services under virtual time and seeded faults; `make test` plays 30 seeds. REPORT=page.md gets the table.
SEEDS ?= 200
sim:
	go test ./loadtest/sim -run TestSeeds -count=1 -timeout 60m $(if $(REPORT),-args -report $(abspath $(REPORT)),-args) -seeds $(SEEDS)

# A scenario on processes: kills, pauses, faults of S3 and Glue, then the auditor's verdict.
SCENARIO ?= everyday
chaos: build
	bin/weirchaos loadtest/scenarios/$(SCENARIO).yaml

# weir and its references in one run, built as a release is: tables, and bench.json. ONLY=gateway measures the rows whose
# names begin so; LONG=10m keeps the gateway on half load for so long besides, and looks at its memory.
bench: export GOAMD64 ?= v3
bench:
	go run -tags '$(TAGS)' -pgo=$(PGO) ./loadtest/cmd/weirbench $(if $(ONLY),-only '$(ONLY)') $(if $(LONG),-long '$(LONG)')

# The same events as JSON lines, gzip and Parquet: time, bytes and Athena's price of four questions, by DuckDB and, where it
# can be had, by Trino. The page and its picture go to OUT; NOTE is what the page says of the machine.
EVENTS ?= 1000000
bench-formats:
	go run -tags '$(TAGS)' ./loadtest/cmd/weirformats -events $(EVENTS) $(if $(OUT),-out '$(OUT)') $(if $(NOTE),-note '$(NOTE)')

# What the compiler is told of how weir runs: the sink's and the gateway's profiles under the benchmark's load, made anew
# now and then.
PGO = $(CURDIR)/services/weir/weir.pgo
profile:
	rm -rf bin/profiles && mkdir -p bin/profiles
	go run -tags '$(TAGS)' -pgo=off ./loadtest/cmd/weirbench -only sink/parquet+raw/whole -profiles bin/profiles -out bin/profiles/sink.json
	go run -tags '$(TAGS)' -pgo=off ./loadtest/cmd/weirbench -only gateway/batch100 -profiles bin/profiles -out bin/profiles/gateway.json
	go tool pprof -proto bin/profiles/*.pprof > $(PGO)

# The product against real parts. E2E_REQUIRE=kafka,moto,trino,spark,hive makes an absent one a failure.
e2e: bin/weir
	WEIR_BIN=$(BIN)/weir $(TOOL) gotestsum --format standard-verbose -- -tags '$(TAGS) e2e' -count=1 -timeout 30m -p 1 -run '^($(E2E_TESTS))$$' $(addprefix ./,$(sort $(dir $(E2E_FILES))))

proto:
	$(TOOL) buf lint
	$(TOOL) buf generate

clean:
	rm -rf bin bench.json
