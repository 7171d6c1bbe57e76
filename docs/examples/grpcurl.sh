#!/bin/sh
# One streamed reply with grpcurl: grpcurl.sh TARGET. The server describes itself, so no .proto file is needed.
set -eu
grpcurl -plaintext -max-time 10 \
  -H "x-request-id: $(cat /proc/sys/kernel/random/uuid)" \
  ${LSTMSERVE_TOKEN:+-H "authorization: Bearer $LSTMSERVE_TOKEN"} \
  -format-error \
  -d '{"prompt": "where is my refund?", "sampling": {"temperature": 0.8, "seed": 7}, "stopping": {"max_tokens": 64}}' \
  "$1" lstmserve.v1.GenerationService/Generate
