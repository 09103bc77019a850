# Targets are the steps of CI. `make` alone builds.
SHELL := /bin/bash
GO ?= go
.PHONY: build proto
build:
	$(GO) build ./...

proto:
	mkdir -p bin/tools
	$(GO) build -o bin/tools/ google.golang.org/protobuf/cmd/protoc-gen-go google.golang.org/grpc/cmd/protoc-gen-go-grpc
	PATH="$(CURDIR)/bin/tools:$$PATH" protoc -I proto --go_out=. --go_opt=module=aloft --go-grpc_out=. --go-grpc_opt=module=aloft $$(cd proto && find sky -name '*.proto')
