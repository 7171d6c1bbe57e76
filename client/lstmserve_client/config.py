"""What a client is told when it is made, checked and frozen."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Unpack

from lstmserve_client.addresses import check_targets
from lstmserve_client.affinity import METADATA_KEY as AFFINITY_KEY
from lstmserve_client.affinity import Affinity, Request, affinity_key, check_affinity
from lstmserve_client.checks import check_seconds, check_type
from lstmserve_client.keywords import ClientOptions, Token
from lstmserve_client.merging import timeout_of
from lstmserve_client.nearness import is_local
from lstmserve_client.policies import HedgePolicy, RetryPolicy
from lstmserve_client.records import Observer
from lstmserve_client.tls import Tls

DEFAULT_TARGET = "127.0.0.1:50051"
DEFAULT_TIMEOUT_SECONDS = 60.0

_CALLER = re.compile(r"[A-Za-z0-9._-]{1,64}")
_KEY = re.compile(r"[a-z0-9._-]+")
_VALUE = re.compile(r"[ -~]*")
_TOKEN = re.compile(r"[!-~]+")
# servers of ours hang up on who asks more often than every four seconds
_SHORTEST_KEEPALIVE_SECONDS = {"keepalive_seconds": 4, "keepalive_timeout_seconds": 1}
_LONGEST_KEEPALIVE_SECONDS = 86_400
_OWN_KEYS = frozenset({"authorization", "x-caller-id", "x-request-id", AFFINITY_KEY})


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig:
    """One client's options; raises ValueError or TypeError naming the one that is wrong."""

    targets: tuple[str, ...]
    tls: Tls | None = None
    token: Token | None = field(default=None, repr=False)
    caller: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    hedge: HedgePolicy | None = None
    affinity: Affinity = False
    keepalive_seconds: float = 5.0
    keepalive_timeout_seconds: float = 3.0
    allow_clear_token: bool = False
    on_call_end: Observer | None = None

    def __post_init__(self) -> None:
        self._check_types()
        check_targets(self.targets)
        if self.caller and not _CALLER.fullmatch(self.caller):
            raise ValueError("caller: must have 1 to 64 letters, digits, '.', '_' or '-'")
        check_metadata(self.metadata)
        check_affinity(self.affinity)
        for name, least in _SHORTEST_KEEPALIVE_SECONDS.items():
            check_seconds(name, getattr(self, name))
            if not least <= getattr(self, name) <= _LONGEST_KEEPALIVE_SECONDS:
                raise ValueError(f"{name}: must be from {least} to {_LONGEST_KEEPALIVE_SECONDS}")
        self._check_token()

    def affinity_key(self, own: Affinity | None, request: Request) -> str:
        """What is sent for a request, by what its call says, or else this client."""
        return affinity_key(self.affinity if own is None else own, request)

    def check_single_target(self) -> None:
        """Raise ValueError unless it is certain which server a call reaches."""
        if len(self.targets) > 1:
            raise ValueError(
                "target: administration is for one server at a time; make a client for each"
            )

    def _check_types(self) -> None:
        check_type("retry", self.retry, RetryPolicy)
        check_type("metadata", self.metadata, Mapping)
        check_type("caller", self.caller, str)
        for target in self.targets:
            check_type("target", target, str)
        if self.tls is not None:
            check_type("tls", self.tls, Tls)
        if self.hedge is not None:
            check_type("hedge", self.hedge, HedgePolicy)
        if self.on_call_end is not None and not callable(self.on_call_end):
            kind = type(self.on_call_end).__name__
            raise TypeError(f"on_call_end: must be a function of a CallRecord, not {kind}")

    def _check_token(self) -> None:
        if isinstance(self.token, str):
            check_token(self.token)
        elif self.token is not None and not callable(self.token):
            kind = type(self.token).__name__
            raise TypeError(f"token: must be text, or a function that gives it, not {kind}")
        is_exposed = self.tls is None and not all(map(is_local, self.targets))
        if self.token is not None and is_exposed and not self.allow_clear_token:
            raise ValueError(
                "token: would be sent in clear to another machine; use TLS (tls=Tls(), --tls), or "
                "allow it where the network in between is trusted (allow_clear_token=True, "
                "--allow-clear-token)"
            )


def make_config(target: str | Sequence[str], **options: Unpack[ClientOptions]) -> ClientConfig:
    """Return the configuration for one target or several.

    Raises ValueError, and TypeError for a value of another type.
    """
    if not isinstance(target, str | Sequence | None):
        raise TypeError(f"target: must be text, or a list of them, not {type(target).__name__}")
    targets = (target,) if isinstance(target, str) else tuple(target or ())
    given: dict[str, Any] = {name: each for name, each in options.items() if each is not None}
    given.pop("timeout", None)
    if (timeout := timeout_of(options)) is not None:
        given["timeout_seconds"] = timeout
    return ClientConfig(targets=targets, **given)


def check_metadata(metadata: Mapping[str, str]) -> None:
    """Raise ValueError for what cannot be sent, and for keys that have options of their own."""
    for key, value in metadata.items():
        check_type("metadata", key, str)
        check_type(f"metadata[{key!r}]", value, str)
        if key.lower() in _OWN_KEYS:
            raise ValueError(f"metadata: {key}: use token, caller, request_id or affinity instead")
        if not _KEY.fullmatch(key.lower()) or key.lower().startswith("grpc-"):
            raise ValueError(
                f"metadata: {key!r} is not a metadata key: use letters, digits, '.', '_' and '-'"
            )
        if key.lower().endswith("-bin") or not _VALUE.fullmatch(value):
            raise ValueError(f"metadata: {key}: must be printable ASCII")


def check_token(token: str) -> None:
    """Raise ValueError for what cannot be sent; gRPC would, too, and show it.

    Raises TypeError for what a function gives that is no text.
    """
    check_type("token", token, str)
    if not _TOKEN.fullmatch(token):
        raise ValueError("token: must be printable ASCII without spaces or line ends")
