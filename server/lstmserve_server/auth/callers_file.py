"""The file that says who may call: strict TOML, read anew when it changes.

What is wrong is named by principal and key, and never repeated: somebody may have put a token
where its hash belongs.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from math import ceil
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.functional_validators import AfterValidator
from pydantic_core import ErrorDetails

from lstmserve_bundle.files import decode_text
from lstmserve_server.auth.principal import ANONYMOUS_NAME, Principal, Scope
from lstmserve_server.auth.tokens import parse_hash
from lstmserve_server.errors import StartupError
from lstmserve_server.text_files import parse_toml

MAX_FILE_BYTES = 1 << 20
MAX_RATE = 1e6  # requests per second, and in a burst
MIN_RATE = 1e-6  # one in twelve days; the delay until the next has to fit into RetryInfo
MAX_CONCURRENT = 1 << 20


def _check_hash(text: str) -> str:
    parse_hash(text)
    return text


class _Entry(BaseModel):
    """One ``[[principals]]`` as it stands in the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    name: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")
    scopes: list[Literal["generate", "admin"]] = Field(min_length=1)
    tokens: list[Annotated[str, AfterValidator(_check_hash)]] = []
    certificates: list[Annotated[str, Field(min_length=1, max_length=255)]] = []
    requests_per_second: float | None = Field(None, ge=MIN_RATE, le=MAX_RATE, allow_inf_nan=False)
    burst: int | None = Field(None, ge=1, le=MAX_RATE)
    max_concurrent: int | None = Field(None, ge=1, le=MAX_CONCURRENT)
    cache: Literal["shared", "own"] = "shared"

    @model_validator(mode="after")
    def _check_keys_together(self) -> Self:
        if self.name == ANONYMOUS_NAME:
            raise ValueError(f"name: {ANONYMOUS_NAME!r} is the name of all who prove nothing")
        if not self.tokens and not self.certificates:
            raise ValueError("needs tokens or certificates: it cannot prove who it is")
        if self.burst is not None and self.requests_per_second is None:
            raise ValueError(
                "burst: has no effect without requests_per_second; give both or neither"
            )
        return self

    def to_principal(self) -> Principal:
        rate = self.requests_per_second
        return Principal(
            self.name,
            frozenset(map(Scope, self.scopes)),
            tuple(map(parse_hash, self.tokens)),
            tuple(self.certificates),
            rate,
            float(self.burst or ceil(rate or 1)),
            self.max_concurrent,
            has_own_cache=self.cache == "own",
        )


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    principals: list[_Entry] = []
    anonymous: list[Literal["generate"]] = Field([], max_length=1)

    @model_validator(mode="after")
    def _check_somebody_may_call(self) -> Self:
        if not self.principals and not self.anonymous:
            raise ValueError("needs principals or anonymous callers; otherwise nobody could call")
        return self

    def to_principals(self) -> list[Principal]:
        known = [entry.to_principal() for entry in self.principals]
        if self.anonymous:
            known.append(Principal(ANONYMOUS_NAME, frozenset(map(Scope, self.anonymous))))
        return known


def read_file(path: Path) -> bytes:
    """What stands in the file; raises StartupError when it cannot be read or trusted."""
    try:
        # a pipe would keep us waiting for whoever writes it
        with open(path, "rb", opener=_open_at_once) as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise _refused(path, "is not a regular file, which can be read again and again")
            # whoever may write it may call; reading it helps nobody (docs/security.md)
            if mode & stat.S_IWOTH:
                raise _refused(path, "everybody on this machine may write it; chmod o-w")
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise _refused(path, error.strerror or "cannot be read") from None
    if len(data) > MAX_FILE_BYTES:
        raise _refused(path, f"has more than {MAX_FILE_BYTES} bytes")
    return data


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def parse_callers(data: bytes, path: Path) -> list[Principal]:
    """The principals of a file; raises StartupError naming every wrong key. ``path`` is told."""
    try:
        file = _File.model_validate(tables := _read_tables(data, path))
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        raise _refused(path, "; ".join(_describe(one, tables) for one in problems)) from None
    _check_unique(path, file.principals)
    return file.to_principals()


def _read_tables(data: bytes, path: Path) -> dict[str, Any]:
    try:
        return parse_toml(decode_text(data))
    except ValueError as error:
        raise _refused(path, str(error)) from None


def _check_unique(path: Path, entries: Sequence[_Entry]) -> None:
    """No name, token or certificate may stand there twice."""
    for key, values in (
        ("name", [(entry.name, entry.name) for entry in entries]),
        ("tokens", [(entry.name, token) for entry in entries for token in entry.tokens]),
        ("certificates", [(one.name, name) for one in entries for name in one.certificates]),
        ("scopes", [(one.name, f"{one.name} {scope}") for one in entries for scope in one.scopes]),
    ):
        for owner in _find_repeated(values):
            raise _refused(path, f"principal {owner!r}: {key}: the same value appears twice")


def _find_repeated(values: Iterable[tuple[str, str]]) -> Iterable[str]:
    """The owners of values that another, or they themselves, have already."""
    seen: set[str] = set()
    for owner, value in values:
        if value in seen:
            yield owner
        seen.add(value)


def _describe(problem: ErrorDetails, tables: dict[str, Any]) -> str:
    first, *rest = problem["loc"] or ("principals",)
    reason = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        reason = "is not a known key"
    if first != "principals" or not rest:
        return f"{first}: {reason}"
    number, *keys = rest
    return ": ".join([_name_entry(tables, number), *map(str, keys), reason])


def _name_entry(tables: dict[str, Any], number: int | str) -> str:
    """By its name where it has one that may be repeated."""
    found = tables["principals"][number] if isinstance(number, int) else None
    name = found.get("name") if isinstance(found, dict) else None
    return f"principal {name!r}" if isinstance(name, str) else f"principals[{number}]"


def _refused(path: Path, reason: str) -> StartupError:
    return StartupError(f"--auth-file: {path}: {reason}")
