"""TorchServe handler over its asynchronous workers, with the expert's batcher inside.

TorchServe 0.12's own continuous batching drops every gRPC stream after its first token
(``GRPCJob.isOpen`` returns ``isCancelled()``), so the batch has to be kept here.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from ts.context import Context
from ts.handler_utils.utils import send_intermediate_predict_response

from benchmarks.compare.servers.batcher import Batcher, Reply, Step
from benchmarks.compare.servers.stock import VOCABULARY, load_tokenizer

MAX_ROWS = 64


class AsyncHandler:
    def initialize(self, context: Context) -> None:
        torch.set_num_threads(context.model_yaml_config["handler"]["torch_threads"])
        self._tokenizer = load_tokenizer()
        self._texts = [self._tokenizer.decode([token_id]) for token_id in range(VOCABULARY)]
        self._loop: asyncio.AbstractEventLoop | None = None
        self._batcher = Batcher(MAX_ROWS, self._deliver)
        self._batcher.start()

    async def handle(self, data: Sequence[Mapping[str, Any]], context: Context) -> list[bytes]:
        """One request; what this returns ends its stream."""
        self._loop = asyncio.get_running_loop()
        asked = json.loads(data[0]["data"])
        tokens: asyncio.Queue[tuple[int, bool]] = asyncio.Queue()
        reply = Reply(
            prompt_ids=self._tokenizer.encode(asked["prompt"]).ids,
            temperature=asked["temperature"],
            remaining=asked["max_tokens"],
            emit=lambda token_id, is_last: tokens.put_nowait((token_id, is_last)),
        )
        self._batcher.submit(reply)
        while True:
            token_id, is_last = await tokens.get()
            output = [f"{token_id} {self._texts[token_id]}".encode()]
            if is_last:
                return output
            send_intermediate_predict_response(output, context.request_ids, "", 200, context)

    def _deliver(self, step: Step) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(_emit_all, step)


def _emit_all(step: Step) -> None:
    for reply, token_id, is_last in step:
        reply.emit(token_id, is_last)
