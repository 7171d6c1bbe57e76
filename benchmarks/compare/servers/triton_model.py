"""Triton's python backend: continuous batching, one response per token."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import triton_python_backend_utils as pb_utils

from benchmarks.compare.servers.batcher import Batcher, Reply, Step
from benchmarks.compare.servers.stock import VOCABULARY, load_tokenizer

MAX_ROWS = 64


class TritonPythonModel:
    def initialize(self, _args: dict[str, str]) -> None:
        torch.set_num_threads(int(os.environ["STOCK_TORCH_THREADS"]))
        self._tokenizer = load_tokenizer()
        self._texts = [self._tokenizer.decode([token_id]) for token_id in range(VOCABULARY)]
        self._batcher = Batcher(MAX_ROWS, _emit_all)
        self._batcher.start()

    def execute(self, requests: Sequence[Any]) -> None:
        for request in requests:
            prompt, max_tokens, temperature = (
                pb_utils.get_input_tensor_by_name(request, name).as_numpy()[0]
                for name in ("prompt", "max_tokens", "temperature")
            )
            reply = Reply(
                prompt_ids=self._tokenizer.encode(prompt.decode()).ids,
                temperature=float(temperature),
                remaining=int(max_tokens),
                emit=self._make_emit(request.get_response_sender()),
            )
            self._batcher.submit(reply)

    def _make_emit(self, sender: Any) -> Callable[[int, bool], None]:  # noqa: ANN401 - untyped
        def emit(token_id: int, is_last: bool) -> None:
            text = np.array([self._texts[token_id].encode()], dtype=np.object_)
            outputs = [
                pb_utils.Tensor("token_id", np.array([token_id], dtype=np.int32)),
                pb_utils.Tensor("text", text),
            ]
            flags = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL if is_last else 0
            sender.send(pb_utils.InferenceResponse(outputs), flags=flags)

        return emit


def _emit_all(step: Step) -> None:
    for reply, token_id, is_last in step:
        reply.emit(token_id, is_last)
