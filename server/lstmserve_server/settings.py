"""Makes the configuration of what flags, environment and file give, and tells what is wrong."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from lstmserve_bundle.files import decode_text
from lstmserve_server.cache.redis.address import check_url
from lstmserve_server.config import ServerConfig
from lstmserve_server.errors import StartupError
from lstmserve_server.options import ENV_PREFIX, FILE_OPTION, OPTIONS, Option
from lstmserve_server.store.shares import parse_traffic
from lstmserve_server.store.version_policy import parse_policy
from lstmserve_server.text_files import parse_toml

# the client reads these from the same environment
CLIENT_OPTIONS = frozenset(
    {"target", "tls", "tls_authority", "tls_server_name", "token", "token_file"}
)
CONFIG: TypeAdapter[ServerConfig] = TypeAdapter(ServerConfig)
_BY_PATH = {option.path: option for option in OPTIONS.values()}


def read_config(flags: Mapping[str, Any]) -> ServerConfig:
    """Return the configuration that flags, environment and file describe together.

    Raises StartupError naming every unknown name and bad value.
    """
    given = {**_read_environment(), **flags}
    path = given.pop(FILE_OPTION.name, None)
    return make_config({**(_read_file(Path(path)) if path is not None else {}), **given})


def _read_environment() -> dict[str, Any]:
    found: dict[str, Any] = {}
    unknown: list[str] = []
    for variable, value in os.environ.items():
        name = variable[len(ENV_PREFIX) :].lower()
        if not variable.upper().startswith(ENV_PREFIX) or name in CLIENT_OPTIONS:
            continue
        if name in OPTIONS:
            found[name] = value
        else:
            unknown.append(variable)
    if unknown:
        raise StartupError(f"unknown environment variable {', '.join(sorted(unknown))}; see --help")
    return found


def _read_file(path: Path) -> Mapping[str, object]:
    try:
        written = parse_toml(decode_text(path.read_bytes()))
    except OSError as error:
        raise StartupError(f"--config: {path}: {error.strerror or 'cannot be read'}") from None
    except ValueError as error:
        raise StartupError(f"--config: {path}: {error}") from None
    unknown = [
        f"unknown key {name!r} (given: {value!r})"
        for name, value in written.items()
        if name not in OPTIONS
    ]
    if unknown:
        raise StartupError(f"--config: {path}: {'; '.join(unknown)}; see --help")
    written.pop(FILE_OPTION.name, None)
    return written


def make_config(given: Mapping[str, object]) -> ServerConfig:
    """Return the configuration in which the options of these names have these values.

    Numbers may be text. Raises StartupError naming every option whose value is not allowed.
    """
    config, problems = _try_config(given)
    problems += _check_texts(given)
    if config is None or problems:
        raise StartupError("; ".join(problems))
    return _without_unused(config)


def _try_config(given: Mapping[str, object]) -> tuple[ServerConfig | None, list[str]]:
    tree: dict[str, Any] = {}
    problems = []
    for name, value in given.items():
        option = OPTIONS[name]
        if isinstance(value, bool) and not option.is_switch:  # pydantic would take 1 for it
            problems.append(_describe(option, f"must be {option.allowed}", value))
            continue
        *parts, field = option.path
        part = tree
        for each in parts:
            part = part.setdefault(each, {})
        part[field] = value
    try:
        return CONFIG.validate_python(tree), problems
    except ValidationError as error:
        return None, problems + [
            _describe_problem(problem) for problem in error.errors(include_url=False)
        ]


def _describe_problem(problem: ErrorDetails) -> str:
    option = _BY_PATH[tuple(str(name) for name in problem["loc"])]
    if problem["type"] == "missing":  # the part's other options are given
        return f"{option.flag}: missing; the other options of {option.section} need it"
    if problem["type"] == "value_error":
        return _describe(option, str(problem["ctx"]["error"]), problem["input"])
    return _describe(option, f"must be {option.allowed}", problem["input"])


def _describe(option: Option, reason: str, value: object) -> str:
    given = "" if option.metadata.get("is_secret") else f" (given: {value!r})"
    return f"{option.flag}: {reason}{given}"


def _check_redis_url(url: str) -> None:
    if url:
        check_url(url)


# texts that parts read which know the configuration, and which it cannot know
CHECKS: Mapping[str, Callable[[str], object]] = {
    "redis_url": _check_redis_url,
    "traffic": parse_traffic,
    "version_policy": parse_policy,
}


def _check_texts(given: Mapping[str, object]) -> Iterator[str]:
    for name, check in CHECKS.items():
        text = given.get(name)
        if isinstance(text, str):
            try:
                check(text)
            except ValueError as error:
                yield _describe(OPTIONS[name], str(error), text)


def _without_unused(config: ServerConfig) -> ServerConfig:
    """Leave out the parts whose address was not given; their other options mean nothing then."""
    cache, telemetry = config.cache, config.telemetry
    if cache.redis is not None and not cache.redis.url:
        cache = replace(cache, redis=None)
    if telemetry.tracing is not None and not telemetry.tracing.endpoint:
        telemetry = replace(telemetry, tracing=None)
    return replace(config, cache=cache, telemetry=telemetry)
