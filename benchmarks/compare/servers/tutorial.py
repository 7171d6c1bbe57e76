"""A grpcio service as tutorials build it: threads, one request on each, a Python loop."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import torch

from benchmarks.compare.servers.handler import make_handler
from benchmarks.compare.servers.stock import (
    load_tokenizer,
    make_stock_model,
    sample_multinomial,
    zero_state,
)
from lstmserve.v1 import generation_service_pb2 as pb


class GenerationServicer:
    def __init__(self) -> None:
        self._model = make_stock_model()
        self._tokenizer = load_tokenizer()

    @torch.inference_mode()
    def generate(
        self, request: pb.GenerateRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.GenerateResponse]:
        tokens = torch.tensor([self._tokenizer.encode(request.prompt).ids])
        h, c = zero_state(1), zero_state(1)
        temperatures = torch.tensor([[request.sampling.temperature]])
        for _ in range(request.stopping.max_tokens):
            if not context.is_active():
                return
            logits, h, c = self._model(tokens, h, c)
            tokens = sample_multinomial(logits, temperatures)
            token_id = int(tokens)
            text = self._tokenizer.decode([token_id])
            yield pb.GenerateResponse(chunk=pb.Chunk(text=text, token_ids=[token_id]))
        finish = pb.Completion(finish_reason=pb.FINISH_REASON_MAX_TOKENS)
        yield pb.GenerateResponse(completion=finish)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=64)
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # more is slower: the rows are single, and requests are the threads
    server = grpc.server(ThreadPoolExecutor(arguments.threads))
    server.add_generic_rpc_handlers([make_handler(GenerationServicer().generate)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(f"ready 127.0.0.1:{port}", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
