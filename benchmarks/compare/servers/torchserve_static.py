"""TorchServe handler: static batches, streamed; a batch ends when its longest reply does."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from ts.context import Context
from ts.handler_utils.utils import send_intermediate_predict_response

from benchmarks.compare.servers.rows import StockRows
from benchmarks.compare.servers.stock import VOCABULARY, load_tokenizer


class StaticHandler:
    def initialize(self, context: Context) -> None:
        torch.set_num_threads(context.model_yaml_config["handler"]["torch_threads"])
        self._rows = StockRows()
        self._tokenizer = load_tokenizer()
        self._texts = [self._tokenizer.decode([token_id]) for token_id in range(VOCABULARY)]

    @torch.inference_mode()
    def handle(self, data: Sequence[Mapping[str, Any]], context: Context) -> list[bytes]:
        asked = [json.loads(row["data"]) for row in data]
        lengths = [one["max_tokens"] for one in asked]
        self._rows.join(
            [self._tokenizer.encode(one["prompt"]).ids for one in asked],
            [one["temperature"] for one in asked],
        )
        for number in range(1, max(lengths)):
            send_intermediate_predict_response(
                self._step(number, lengths), context.request_ids, "", 200, context
            )
        last = self._step(max(lengths), lengths)
        self._rows.keep([])
        return last

    def _step(self, number: int, lengths: Sequence[int]) -> list[bytes]:
        return [
            f"{token_id} {self._texts[token_id]}".encode() if number <= length else b""
            for token_id, length in zip(self._rows.step(), lengths, strict=True)
        ]
