# The targets are the steps of CI. `make run` is a new user's first command, `make test` the second.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
GO ?= go
export CGO_ENABLED ?= 0

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo 0.0.0-dev)
COMMIT  := $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
STAMP   := -X main.version=$(VERSION) -X main.commit=$(COMMIT)
HOST    := $(shell $(GO) env GOOS)-$(shell $(GO) env GOARCH)
# Without gRPC's tracing pages, and the HTML templates they need, the agent is a seventh smaller; without Arrow's own JSON
# library, of which nothing here uses anything, another twelfth.
TAGS    := -tags grpcnotrace,arrow_json_stdlib
# In the agent, functions of packages that need no speed are not inlined: a twentieth less to send to every node.
COLD  := github.com/apache/arrow-go/v18/parquet/internal/gen-go/parquet github.com/apache/thrift/lib/go/thrift go.yaml.in/yaml/v3 encoding/xml html \
	aloft/tasks/check aloft/tasks/check/report aloft/tasks/check/suitecmd aloft/tasks/check/bridge aloft/tasks/check/schema \
	aloft/tasks/check/engine aloft/tasks/check/vision aloft/tasks/check/nlp aloft/tasks/check/text aloft/tasks/check/drift aloft/tasks/check/custom \
	aloft/tasks/check/baseline aloft/tasks/check/livemodel \
	aloft/agent aloft/agent/gang aloft/agent/mounts aloft/agent/shim aloft/agent/supervise aloft/agent/meter aloft/agent/link \
	crypto/tls crypto/x509 encoding/asn1 net net/http log/slog regexp/syntax google.golang.org/grpc google.golang.org/grpc/internal/transport \
	google.golang.org/protobuf/internal/filedesc google.golang.org/protobuf/internal/descfmt google.golang.org/protobuf/encoding/prototext \
	google.golang.org/protobuf/internal/impl google.golang.org/protobuf/reflect/protoreflect google.golang.org/protobuf/proto google.golang.org/protobuf/internal/encoding/text
SMALL := $(COLD:%=-gcflags=%=-l)
# Agents carried inside sky: the platforms of nodes, and this one.
PLATFORMS ?= $(sort linux-amd64 linux-arm64 $(HOST))
PAYLOAD   := cmd/sky/payload
SOURCES   := $(shell git ls-files -co --exclude-standard -- '*.go' go.mod go.sum Makefile 'cmd' 'tasks' 'proto' 2>/dev/null | grep -v '^$(PAYLOAD)/agent' || true)

.PHONY: all build run test race race-clouds sim bench lint fmt proto proto-check fuzz release clean

all: build

build: bin/sky

# One compressed agent per platform, with the digest of its plain form.
$(PAYLOAD)/agent-%.zst: $(SOURCES)
	@echo "agent $*"
	@mkdir -p bin/agents
	GOOS=$(word 1,$(subst -, ,$*)) GOARCH=$(word 2,$(subst -, ,$*)) $(GO) build $(TAGS) $(SMALL) -ldflags "-s -w $(STAMP)" -o bin/agents/sky-agent-$* ./cmd/sky-agent
	$(GO) run ./cmd/sky/pack bin/agents/sky-agent-$* $(PAYLOAD)/agent-$*

bin/sky: $(SOURCES) $(PLATFORMS:%=$(PAYLOAD)/agent-%.zst)
	@mkdir -p bin
	$(GO) build $(TAGS) -ldflags "-s -w $(STAMP)" -o bin/sky ./cmd/sky

# A new user's first launch: trains on the iris data on this machine, validates the model, brings the results back.
run: build
	bin/sky launch -y -c quickstart examples/quickstart/task.yaml

test: build
	$(GO) test -timeout 20m ./...

# The simulation runs one goroutine at a time under fake time, and cmd/sky drives real processes: the race detector would
# only slow them down. The clouds' SDKs take minutes to compile for it: `make race-clouds` has them.
# -short leaves out the longest runs, which `make test` has.
race: build
	CGO_ENABLED=1 $(GO) test -race -short $$($(GO) list ./... | grep -v -e /controller/sim -e '/cmd/sky$$' -e /providers/aws -e /providers/gcp -e '/providers/all$$' -e /controller/forge/picture)

race-clouds: build
	CGO_ENABLED=1 $(GO) test -race -short ./providers/aws/... ./providers/gcp/... ./controller/forge/picture

# The no-leak protocol under 10,000 seeds.
sim:
	ALOFT_SIM_SEEDS=10000 $(GO) test ./controller/sim -run TestNoLeak -v -timeout 120m

# Every benchmark, in a few minutes and without a network; docs/performance.md says what the figures are.
bench: build
	@{ uname -srm; grep -m1 'model name' /proc/cpuinfo || sysctl -n machdep.cpu.brand_string; getconf _NPROCESSORS_ONLN; uptime; } 2>/dev/null | tee bin/bench.txt
	$(GO) test -run '^$$' -bench . -benchmem ./... | grep -v 'no test files' | tee -a bin/bench.txt

lint: fmt proto-check
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

fmt:
	@bad=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go' | grep -v '\.pb\.go$$')); if [ -n "$$bad" ]; then echo "gofmt:"; echo "$$bad"; exit 1; fi

PROTOS := $(shell cd proto && find sky -name '*.proto' | sort)

bin/tools/protoc-gen-go-grpc: go.mod
	@mkdir -p bin/tools
	$(GO) build -o bin/tools/ google.golang.org/protobuf/cmd/protoc-gen-go google.golang.org/grpc/cmd/protoc-gen-go-grpc

proto: bin/tools/protoc-gen-go-grpc
	PATH="$(CURDIR)/bin/tools:$$PATH" protoc -I proto --go_out=. --go_opt=module=aloft --go-grpc_out=. --go-grpc_opt=module=aloft $(PROTOS)

# Generated code must be what protoc makes of the .proto files.
proto-check: bin/tools/protoc-gen-go-grpc
	@if ! command -v protoc >/dev/null; then echo "proto-check: protoc is not installed (apt-get install protobuf-compiler libprotobuf-dev): skipped"; exit 0; fi; \
	out=$$(mktemp -d); trap 'rm -rf "$$out"' EXIT; \
	PATH="$(CURDIR)/bin/tools:$$PATH" protoc -I proto --go_out=$$out --go_opt=module=aloft --go-grpc_out=$$out --go-grpc_opt=module=aloft $(PROTOS); \
	diff -r -x '*.proto' -x 'compat' proto $$out/proto

# Ten seconds for each fuzz target.
fuzz:
	@for p in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p 2>/dev/null | grep '^Fuzz' || true); do \
	    echo "fuzz $$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $${FUZZTIME:-10s} -fuzzminimizetime 1s $$p; done; done

# Reproducible binaries with their digests under dist/.
release: $(PLATFORMS:%=$(PAYLOAD)/agent-%.zst)
	@mkdir -p dist
	@for p in linux-amd64 linux-arm64 darwin-arm64; do \
	  GOOS=$${p%-*} GOARCH=$${p#*-} $(GO) build $(TAGS) -trimpath -buildvcs=false -ldflags "-s -w $(STAMP)" -o dist/sky-$$p ./cmd/sky; done
	@cd dist && sha256sum sky-* > SHA256SUMS && cat SHA256SUMS

clean:
	rm -rf bin dist $(PAYLOAD)/agent-*
