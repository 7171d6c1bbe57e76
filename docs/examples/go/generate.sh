#!/bin/sh
# Writes the Go stubs to OUT/lstmservev1, from the server's own .proto files: generate.sh OUT
# needs protoc (or PROTOC="python -m grpc_tools.protoc"), protoc-gen-go and protoc-gen-go-grpc
set -eu
protos=$(cd "$(dirname "$0")/../../../protos" && pwd)
file=lstmserve/v1/generation_service.proto
package="M$file=lstmserve.example/stream/lstmservev1"
mkdir -p "$1"
${PROTOC:-protoc} --proto_path="$protos" \
  --go_out="$1" --go_opt="module=lstmserve.example/stream,$package" \
  --go-grpc_out="$1" --go-grpc_opt="module=lstmserve.example/stream,$package" \
  "$file"
