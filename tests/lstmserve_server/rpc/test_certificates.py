"""Principals that prove who they are by a certificate, on a real connection with mutual TLS."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme

from lstmserve_server.auth.limits import Limits
from lstmserve_server.auth.live_register import LiveRegister
from lstmserve_server.auth.tokens import make_token
from lstmserve_server.errors import LstmserveError
from lstmserve_server.rpc.call import Call
from lstmserve_server.rpc.door import GuardedDoor
from lstmserve_server.rpc.status import classify
from support.callers import Callers, bearer
from support.no_auth_counts import NoAuthCounts

SERVICE = "lstmserve.v1.ModelService"
AUTHORITY = trustme.CA()


@asynccontextmanager
async def serve_door(door: GuardedDoor) -> AsyncIterator[int]:
    """A server that tells who is admitted, or why nobody is; its port."""

    async def serve(_: bytes, context: Any) -> bytes:  # noqa: ANN401
        call = Call("ListModels", "id", SERVICE)
        try:
            with door.admit(door.identify(call, context), context) as admitted:
                return admitted.caller.encode()
        except LstmserveError as error:
            return classify(error)[1].encode()

    handlers = {"ListModels": grpc.unary_unary_rpc_method_handler(serve)}
    server = grpc.aio.server()
    server.add_registered_method_handlers(SERVICE, handlers)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, handlers)])
    port = server.add_secure_port("localhost:0", _server_credentials())
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


def _server_credentials() -> grpc.ServerCredentials:
    own = AUTHORITY.issue_cert("localhost")
    return grpc.ssl_server_credentials(
        [(own.private_key_pem.bytes(), own.cert_chain_pems[0].bytes())],
        AUTHORITY.cert_pem.bytes(),
        require_client_auth=True,
    )


async def call(port: int, client: trustme.LeafCert, metadata: Sequence[tuple[str, str]]) -> str:
    credentials = grpc.ssl_channel_credentials(
        AUTHORITY.cert_pem.bytes(),
        client.private_key_pem.bytes(),
        client.cert_chain_pems[0].bytes(),
    )
    async with grpc.aio.secure_channel(f"localhost:{port}", credentials) as channel:
        reply = await channel.unary_unary(f"/{SERVICE}/ListModels")(b"", metadata=tuple(metadata))
        return str(reply.decode())


CASES = {
    "its own name": (("shop.example",), None, "shop"),
    "one of several names": (("x.example", "shop.example"), None, "shop"),
    "nobody's name": (("x.example",), None, "UNAUTHENTICATED"),
    "two principals' names": (("shop.example", "ops.example"), None, "UNAUTHENTICATED"),
    "a common name alone": ((), "Shop Backend", "shop"),
    "a common name beside others": (("x.example",), "Shop Backend", "UNAUTHENTICATED"),
}


@pytest.fixture
def door(tmp_path: Path) -> GuardedDoor:
    return GuardedDoor(
        LiveRegister(make_callers(tmp_path).path, NoAuthCounts()),
        Limits(lambda: 0.0),
        NoAuthCounts(),
    )


def make_callers(folder: Path) -> Callers:
    callers = Callers(folder / "callers.toml")
    callers.add("shop", "generate", certificates=["shop.example", "Shop Backend"])
    callers.add("ops", "admin", certificates=["ops.example"])
    return callers


@pytest.mark.parametrize("case", CASES)
async def test_a_certificate_tells_who_calls(door: GuardedDoor, case: str) -> None:
    names, common_name, expected = CASES[case]
    client = AUTHORITY.issue_cert(*names, common_name=common_name)
    async with serve_door(door) as port:
        assert await call(port, client, ()) == expected


async def test_a_token_that_is_sent_counts_and_not_the_certificate(tmp_path: Path) -> None:
    callers = make_callers(tmp_path)
    door = GuardedDoor(
        LiveRegister(callers.path, NoAuthCounts()), Limits(lambda: 0.0), NoAuthCounts()
    )
    client = AUTHORITY.issue_cert("shop.example")
    async with serve_door(door) as port:
        assert await call(port, client, callers.of("ops")) == "ops"
        assert await call(port, client, bearer(make_token())) == "UNAUTHENTICATED"
