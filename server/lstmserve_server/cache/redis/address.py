"""What a Redis URL says. Connects to nothing; no message quotes it, as it may hold a password."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

FORMS = (
    "redis://host:port/db, rediss:// for TLS, unix:///path?db=0, "
    "redis+sentinel://host:port,host:port/service/db or redis+cluster://host:port,host:port"
)
TLS_OPTIONS = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs"})
CERT_REQS = ("none", "optional", "required")
# who we are to the sentinels, which know other users than the server that they name
SENTINEL_LOGIN = ("sentinel_username", "sentinel_password")
REDIS_PORT = 6379
SENTINEL_PORT = 26379


class Topology(Enum):
    """How many servers there are, and who knows them."""

    STANDALONE = ""
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Where Redis is, and who we are there."""

    topology: Topology
    nodes: tuple[tuple[str, int], ...] = ()  # empty for a Unix socket
    path: str = ""  # of the Unix socket
    service: str = ""  # what the sentinels call the master
    db: int = 0
    is_tls: bool = False
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    sentinel_username: str | None = field(default=None, repr=False)
    sentinel_password: str | None = field(default=None, repr=False)
    tls: tuple[tuple[str, str], ...] = ()  # options of redis-py: files, and whom to trust


def check_url(text: str) -> None:
    """Raise ValueError, without a word of the URL, unless it can be used."""
    parse_url(text)


def describe(url: str) -> str:
    """The URL for logs: scheme, hosts, service and database."""
    address = parse_url(url)
    scheme = url.partition("://")[0]
    if address.path:
        return f"{scheme}://{address.path}?db={address.db}"
    nodes = ",".join(_join(host, port) for host, port in address.nodes)
    service = f"/{address.service}" if address.service else ""
    return f"{scheme}://{nodes}{service}/{address.db}"


def parse_url(text: str) -> RedisAddress:
    """Read a URL; raises ValueError, without a word of the URL."""
    parts = _split(text)
    if parts.fragment or "#" in text:
        raise ValueError("must not contain '#': write %23 in a password")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    match parts.scheme:
        case "unix":
            return _parse_socket(parts, options)
        case "redis" | "rediss":
            return _parse_hosts(parts, options, Topology.STANDALONE)
        case "redis+sentinel" | "rediss+sentinel":
            return _parse_hosts(parts, options, Topology.SENTINEL)
        case "redis+cluster" | "rediss+cluster":
            return _parse_hosts(parts, options, Topology.CLUSTER)
        case _:
            raise ValueError(f"must be a URL like {FORMS}")


def _split(text: str) -> SplitResult:
    """Split a URL that may have several hosts: urlsplit refuses some lists with brackets."""
    hosts = re.match("(?:[^:/?#]*:)?//([^/?#]*)", text)
    if hosts is None:
        return urlsplit(text)
    start, end = hosts.span(1)
    return urlsplit(text[:start] + text[end:])._replace(netloc=hosts[1])


def _parse_socket(parts: SplitResult, options: dict[str, str]) -> RedisAddress:
    login, _, host = parts.netloc.rpartition("@")
    if host or not parts.path.startswith("/"):
        raise ValueError("must have an absolute path: unix:///path?db=0")
    username, password = _parse_login(login)
    _check_options(options, frozenset({"db"}))
    return RedisAddress(
        Topology.STANDALONE,
        path=unquote(parts.path),
        db=_parse_db(options.get("db", "")),
        username=username,
        password=password,
    )


def _parse_hosts(parts: SplitResult, options: dict[str, str], topology: Topology) -> RedisAddress:
    is_tls = parts.scheme.startswith("rediss")
    is_sentinel = topology is Topology.SENTINEL
    known = {*(TLS_OPTIONS if is_tls else ()), *(SENTINEL_LOGIN if is_sentinel else ())}
    _check_options(options, frozenset(known))
    watcher, secret = (options.pop(name, None) or None for name in SENTINEL_LOGIN)
    login, _, hosts = parts.netloc.rpartition("@")
    username, password = _parse_login(login)
    service, db = _parse_path(parts.path, topology)
    return RedisAddress(
        topology,
        nodes=_parse_nodes(hosts, topology),
        service=service,
        db=db,
        is_tls=is_tls,
        username=username,
        password=password,
        sentinel_username=watcher,
        sentinel_password=secret,
        tls=tuple(options.items()),
    )


def _parse_nodes(hosts: str, topology: Topology) -> tuple[tuple[str, int], ...]:
    default = SENTINEL_PORT if topology is Topology.SENTINEL else REDIS_PORT
    nodes = tuple(_parse_node(host, default) for host in hosts.split(","))
    if topology is Topology.STANDALONE and len(nodes) > 1:
        raise ValueError(
            "must name one host; several are for redis+sentinel:// and redis+cluster://"
        )
    return nodes


def _parse_node(text: str, default_port: int) -> tuple[str, int]:
    try:
        node = urlsplit(f"//{text}")
        host, port = node.hostname, node.port
    except ValueError:
        host = port = None
    if not host or port == 0:
        raise ValueError(
            "must have hosts like name:6379, comma between them, and /, ?, # and @ in a password "
            "percent-encoded"
        )
    return host, port or default_port


def _parse_path(path: str, topology: Topology) -> tuple[str, int]:
    if topology is not Topology.SENTINEL:
        db = _parse_db(path.removeprefix("/"))
        if db and topology is Topology.CLUSTER:
            raise ValueError("must use database 0, the only one that a cluster has")
        return "", db
    service, _, db_text = path.removeprefix("/").partition("/")
    if not service:
        raise ValueError("must name the sentinels' service: redis+sentinel://host:port/service")
    if "@" in service:  # then a password holds a /, and part of it would pass for the service
        raise ValueError("must have /, ?, # and @ in a password percent-encoded")
    return unquote(service), _parse_db(db_text)


def _parse_login(login: str) -> tuple[str | None, str | None]:
    username, _, password = login.partition(":")
    return unquote(username) or None, unquote(password) or None


def _parse_db(text: str) -> int:
    if text and not (text.isascii() and text.isdecimal()):
        raise ValueError("must have a number as its database, or none")
    return int(text or 0)


def _check_options(options: dict[str, str], known: frozenset[str]) -> None:
    if not options.keys() <= known:
        if not known:
            raise ValueError(
                "must have no options after '?'; those of TLS are for rediss://, those of "
                "sentinels for redis+sentinel://"
            )
        raise ValueError(f"must have only these options after '?': {', '.join(sorted(known))}")
    if options.get("ssl_cert_reqs", "required") not in CERT_REQS:
        raise ValueError(f"must have one of {', '.join(CERT_REQS)} as ssl_cert_reqs")


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
