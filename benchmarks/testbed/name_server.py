"""A name server like Docker's: one name has the addresses of all containers of a service."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from dnslib import QTYPE, RCODE, RR, A, DNSRecord
from dnslib.server import BaseResolver, DNSHandler, DNSLogger, DNSServer

HOST = "127.0.0.1"


class NameServer(BaseResolver):  # type: ignore[misc]  # dnslib is not typed
    """Answers for as long as the block takes; what it knows may be changed meanwhile."""

    def __init__(self, **addresses: Sequence[str]) -> None:
        self.addresses = dict(addresses)

    def __enter__(self) -> Self:
        quiet = DNSLogger(logf=lambda _line: None)
        self._server = DNSServer(self, address=HOST, port=0, logger=quiet)
        self._server.start_thread()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.stop()
        self._server.server.server_close()

    @property
    def address(self) -> str:
        return f"{HOST}:{self._server.server.server_address[1]}"

    def resolve(self, request: DNSRecord, _handler: DNSHandler) -> DNSRecord:
        """One answer, as dnslib asks for it."""
        reply = request.reply()
        name = str(request.q.qname).removesuffix(".")
        known = self.addresses.get(name)
        if known is None:
            reply.header.rcode = RCODE.NXDOMAIN
        elif request.q.qtype == QTYPE.A:
            for address in known:
                reply.add_answer(RR(request.q.qname, QTYPE.A, ttl=1, rdata=A(address)))
        return reply
