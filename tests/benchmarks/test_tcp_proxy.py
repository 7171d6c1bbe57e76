"""The proxy that breaks connections ends what it has begun."""

from __future__ import annotations

import asyncio
import gc
import socket
import warnings

import pytest

from benchmarks.testbed.tcp_proxy import TcpProxy


@pytest.mark.parametrize("turns", range(5))
async def test_a_connection_that_comes_at_the_end_is_closed(turns: int) -> None:
    """However far it has been accepted by then; the turns are the event loop's."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        warnings.catch_warnings(record=True) as told,
    ):
        warnings.simplefilter("always", ResourceWarning)
        async with TcpProxy(server.getsockname()[1]) as proxy:
            coming = socket.create_connection(("127.0.0.1", proxy.port))
            for _ in range(turns):
                await asyncio.sleep(0)
        with coming:
            coming.settimeout(20)
            assert was_ended(coming)
        del proxy
        gc.collect()
    assert [str(each.message) for each in told] == []


def was_ended(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True
