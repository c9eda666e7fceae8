#!/bin/sh
# Generates the Go beside the .proto files. The plugins are pinned so that the
# same .proto files always give the same Go.
set -eu
cd "$(dirname "$0")"
go install google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12
go install google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2
PATH="$(go env GOPATH)/bin:$PATH" protoc -I . \
  --go_out=. --go_opt=paths=source_relative \
  --go-grpc_out=. --go-grpc_opt=paths=source_relative \
  weir/v1/*.proto inference/*.proto feast/types/*.proto feast/serving/*.proto
