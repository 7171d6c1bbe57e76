"""What the text of an option may be: each is checked, and kept as it was given."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator

from lstmserve_server.cache.redis.address import check_url
from lstmserve_server.config import Address
from lstmserve_server.store.shares import parse_traffic
from lstmserve_server.store.version_policy import parse_policy

MAX_PORT = 65535
ADDRESS = re.compile(
    r"(?:\[(?P<bracketed>[^\[\]\s]+)\]|(?P<host>[^\[\]:\s]+)):(?P<port>[0-9]{1,5})"
)


def parse_address(text: str) -> Address:
    """HOST:PORT, or [HOST]:PORT for IPv6; port 0 lets the system choose."""
    found = ADDRESS.fullmatch(text)
    if found is None or int(found["port"]) > MAX_PORT:
        raise ValueError(f"must be HOST:PORT ([HOST]:PORT for IPv6), port 0 to {MAX_PORT}")
    return Address(found["bracketed"] or found["host"], int(found["port"]))


def _check_redis_url(url: str) -> None:
    if url:
        check_url(url)


def _check_trace_endpoint(url: str) -> None:
    scheme, _, address = url.partition("://")
    if url and (scheme not in {"http", "https"} or not ADDRESS.fullmatch(address.rstrip("/"))):
        raise ValueError(
            "must be http://HOST:PORT or https://HOST:PORT; what a collector wants to be told "
            "besides goes into OTEL_EXPORTER_OTLP_HEADERS"
        )


def _that(check: Callable[[str], object]) -> AfterValidator:
    """The text itself, unless the check raises ValueError."""

    def keep(text: str) -> str:
        check(text)
        return text

    return AfterValidator(keep)


AddressText = Annotated[str, _that(parse_address)]
RedisUrl = Annotated[str, _that(_check_redis_url)]
PolicyText = Annotated[str, _that(parse_policy)]
TrafficText = Annotated[str, _that(parse_traffic)]
TraceEndpoint = Annotated[str, _that(_check_trace_endpoint)]
