"""Strangers are refused before they have sent a message, so that none of it is kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hpack import Decoder
from hyperframe.frame import HeadersFrame

from support.callers import Callers
from support.http2_raw import READY, Requests, open_raw, read_frames
from support.refusals import serve_callers
from support.served import Served

UNAUTHENTICATED = ("grpc-status", "16")


@pytest.fixture(scope="module")
def served(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    known = Callers(tmp_path_factory.mktemp("callers") / "callers.toml")
    known.add("shop", "generate")
    with serve_callers(tiny_store, known) as running:
        yield running


@pytest.mark.parametrize(
    "method",
    [
        "lstmserve.v1.GenerationService/Generate",
        "lstmserve.v1.GenerationService/GenerateReply",
        "inference.GRPCInferenceService/ModelStreamInfer",
        "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    ],
)
def test_a_stranger_is_refused_by_its_headers(served: Served, method: str) -> None:
    decoder = Decoder()
    with open_raw(served.process.target, READY + Requests(f"/{method}").begin()) as connection:
        blocks = (f.data for f in read_frames(connection) if isinstance(f, HeadersFrame))
        headers = (header for block in blocks for header in decoder.decode(block))
        assert any(header == UNAUTHENTICATED for header in headers)
