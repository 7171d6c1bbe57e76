"""Servers that know their callers, and how calls on them end, in a word."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from google.rpc.error_details_pb2 import ErrorInfo

from support.callers import Callers
from support.calls import find_detail
from support.served import Served, serve
from support.wire_requests import make_request

SHORT = make_request(max_tokens=2, seed=1)


@contextmanager
def serve_callers(store: Path, callers: Callers, *arguments: str) -> Iterator[Served]:
    """A server that knows these."""
    with serve(store, "--auth-file", str(callers.path), *arguments) as served:
        yield served


def find_refusal(served: Served, metadata: Any) -> grpc.RpcError | None:  # noqa: ANN401 - of whatever kind
    """What a caller gets that asks for a short reply; None: the reply."""
    try:
        served.ask(SHORT, unary=True, metadata=metadata)
    except grpc.RpcError as error:
        return error
    return None


def reason_of(error: grpc.RpcError | None) -> str:
    """The reason in an error's ErrorInfo, or OK."""
    return "OK" if error is None else find_detail(error, ErrorInfo).reason


def try_once(served: Served, metadata: Any) -> str:  # noqa: ANN401 - of whatever kind
    return reason_of(find_refusal(served, metadata))
