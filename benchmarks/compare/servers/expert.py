"""grpc.aio with continuous batching and a cheap sampler: what an expert would write."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator

import grpc.aio
import torch
import uvloop

from benchmarks.compare.servers.batcher import Batcher, Reply, Step
from benchmarks.compare.servers.handler import make_handler
from benchmarks.compare.servers.stock import VOCABULARY, load_tokenizer
from lstmserve.v1 import generation_service_pb2 as pb

# an engine thread beside a busy event loop waits this long for the interpreter
SWITCH_SECONDS = 0.0002


class GenerationServicer:
    def __init__(self, max_rows: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._tokenizer = load_tokenizer()
        self._texts = [self._tokenizer.decode([token_id]) for token_id in range(VOCABULARY)]
        self._batcher = Batcher(max_rows, self._deliver)
        self._batcher.start()

    async def generate(
        self, request: pb.GenerateRequest, _context: grpc.aio.ServicerContext[object, object]
    ) -> AsyncIterator[pb.GenerateResponse]:
        tokens: asyncio.Queue[tuple[int, bool]] = asyncio.Queue()
        reply = Reply(
            prompt_ids=self._tokenizer.encode(request.prompt).ids,
            temperature=request.sampling.temperature,
            remaining=request.stopping.max_tokens,
            emit=lambda token_id, is_last: tokens.put_nowait((token_id, is_last)),
        )
        self._batcher.submit(reply)
        is_last = False
        try:
            while not is_last:
                token_id, is_last = await tokens.get()
                chunk = pb.Chunk(text=self._texts[token_id], token_ids=[token_id])
                yield pb.GenerateResponse(chunk=chunk)
        finally:
            reply.is_cancelled = True
        yield pb.GenerateResponse(
            completion=pb.Completion(finish_reason=pb.FINISH_REASON_MAX_TOKENS)
        )

    def _deliver(self, step: Step) -> None:
        self._loop.call_soon_threadsafe(_emit_all, step)  # once for all rows


def _emit_all(step: Step) -> None:
    for reply, token_id, is_last in step:
        reply.emit(token_id, is_last)


async def serve(max_rows: int) -> None:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([make_handler(GenerationServicer(max_rows).generate)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"ready 127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--max-rows", type=int, default=64)
    parser.add_argument("--torch-threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.torch_threads)
    sys.setswitchinterval(SWITCH_SECONDS)
    uvloop.run(serve(arguments.max_rows))


if __name__ == "__main__":
    main()
