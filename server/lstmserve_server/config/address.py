"""Where something listens, and who can reach it there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

EVERY_INTERFACE = ("0.0.0.0", "::")  # noqa: S104 - compared with, not listened on
MAX_PORT = 65535
ADDRESS = re.compile(
    r"(?:\[(?P<bracketed>[^\[\]\s]+)\]|(?P<host>[^\[\]:\s]+)):(?P<port>[0-9]{1,5})"
)


@dataclass(frozen=True, slots=True)
class Address:
    """Where something listens."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def nearby(self) -> Address:
        """Where a process on the same machine finds what listens here."""
        return Address("127.0.0.1", self.port) if self.host in EVERY_INTERFACE else self


def is_loopback(host: str) -> bool:
    """Return whether a name or an address belongs to this machine alone, whoever looks it up."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:  # a name
        return False


def parse_address(text: str) -> Address:
    """Return the address that HOST:PORT, or [HOST]:PORT for IPv6, names.

    Port 0 lets the system choose. Raises ValueError for any other text.
    """
    found = ADDRESS.fullmatch(text)
    if found is None or int(found["port"]) > MAX_PORT:
        raise ValueError(f"must be HOST:PORT ([HOST]:PORT for IPv6), port 0 to {MAX_PORT}")
    return Address(found["bracketed"] or found["host"], int(found["port"]))


def _read_address(value: object) -> Address:
    return value if isinstance(value, Address) else parse_address(str(value))


# an address that is text in options and in messages between processes
TextAddress = Annotated[Address, BeforeValidator(_read_address), PlainSerializer(str)]
