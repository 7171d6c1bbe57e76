"""How TorchServe and Triton are asked."""

from __future__ import annotations

import json
import struct
from typing import Any

from benchmarks.compare.messages import TORCHSERVE, TRITON, make_message_classes
from benchmarks.load.workload import Ask

MODEL = "stock"


class TorchServeDialect:
    """One request, a response per token; finished rows of a static batch get empty ones."""

    path = "/org.pytorch.serve.grpc.inference.InferenceAPIsService/StreamPredictions"

    def __init__(self) -> None:
        self._classes: dict[str, Any] = dict(make_message_classes("torchserve", TORCHSERVE))

    def __reduce__(self) -> tuple[type[TorchServeDialect], tuple[()]]:
        return TorchServeDialect, ()  # generated classes do not travel between processes

    def encode(self, ask: Ask) -> bytes:
        asked = {
            "prompt": ask.prompt,
            "max_tokens": ask.max_tokens,
            "temperature": ask.sampling.temperature,
        }
        entry = self._classes["Input"](key="data", value=json.dumps(asked).encode())
        request = self._classes["PredictionsRequest"](model_name=MODEL, input=[entry])
        return bytes(request.SerializeToString())

    def count_tokens(self, message: bytes) -> int:
        return bool(self._classes["PredictionResponse"].FromString(message).prediction)

    def is_complete(self, last: bytes) -> bool:  # noqa: ARG002 - no word for the end but the status
        return True


class TritonDialect:
    """A stream of requests that holds one, a response per token."""

    path = "/inference.GRPCInferenceService/ModelStreamInfer"

    def __init__(self) -> None:
        self._classes: dict[str, Any] = dict(make_message_classes("inference", TRITON))

    def __reduce__(self) -> tuple[type[TritonDialect], tuple[()]]:
        return TritonDialect, ()  # generated classes do not travel between processes

    def encode(self, ask: Ask) -> bytes:
        prompt = ask.prompt.encode()
        tensors = {
            "prompt": ("BYTES", struct.pack("<I", len(prompt)) + prompt),
            "max_tokens": ("INT32", struct.pack("<i", ask.max_tokens)),
            "temperature": ("FP32", struct.pack("<f", ask.sampling.temperature)),
        }
        tensor = self._classes["Tensor"]
        request = self._classes["ModelInferRequest"](
            model_name=MODEL,
            inputs=[
                tensor(name=name, datatype=datatype, shape=[1])
                for name, (datatype, _) in tensors.items()
            ],
            raw_input_contents=[content for _, content in tensors.values()],
        )
        return bytes(request.SerializeToString())

    def count_tokens(self, message: bytes) -> int:
        response = self._classes["ModelStreamInferResponse"].FromString(message)
        return bool(response.infer_response.raw_output_contents)

    def is_complete(self, last: bytes) -> bool:
        response = self._classes["ModelStreamInferResponse"].FromString(last)
        return not response.error_message
