"""Flags, environment and configuration file, in this order of precedence."""

from __future__ import annotations

import argparse
import inspect
import os
import tomllib
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    CliSettingsSource,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsError,
)

from lstmserve_server.errors import StartupError
from lstmserve_server.settings import ENV_PREFIX, SECRET_OPTIONS, Settings
from lstmserve_server.text_files import decode_text

# the client reads these from the same environment
CLIENT_VARIABLES = frozenset(
    f"{ENV_PREFIX}{name}"
    for name in (
        "TARGET",
        "TLS",
        "TLS_AUTHORITY",
        "TLS_SERVER_NAME",
        "TOKEN",
        "TOKEN_FILE",
    )
)


def read_settings(arguments: Sequence[str]) -> Settings:
    """Read all three sources; raises StartupError naming every unknown key and bad value.

    ``--help`` and ``--version`` end the process, as argparse does.
    """
    _check_environment()
    written = _read_file(_find_file(arguments))

    class Sources(Settings):
        __doc__ = inspect.getdoc(Settings)  # without the indentation of its source

        @classmethod
        def settings_customise_sources(  # type: ignore[override]  # the default sources go unused
            cls, settings_cls: type[BaseSettings], **_: PydanticBaseSettingsSource
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            cli: CliSettingsSource[argparse.ArgumentParser] = CliSettingsSource(settings_cls)
            cli.root_parser.add_argument(
                "--version",
                action="version",
                version=f"lstmserve-server {_find_version()}",
                help="print the version and exit",
            )
            return (
                cli(args=list(arguments)),
                EnvSettingsSource(settings_cls),
                InitSettingsSource(settings_cls, written),
            )

    try:
        return Sources()
    except ValidationError as error:
        raise StartupError(_describe(error)) from None
    except SettingsError as error:  # a flag unknown or without its value
        reason = str(error).removeprefix("error parsing CLI: ")
        raise StartupError(f"{reason}; see --help") from None


def _find_file(arguments: Sequence[str]) -> Path | None:
    """The configuration file, which must be known before the other sources are read."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--config", default=os.environ.get(f"{ENV_PREFIX}CONFIG"))
    try:
        name = parser.parse_known_args(arguments)[0].config
    except argparse.ArgumentError as error:
        raise StartupError(f"{error.argument_name}: {error.message}; see --help") from None
    return Path(name) if name is not None else None


def _read_file(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return tomllib.loads(decode_text(path.read_bytes()))
    except OSError as error:
        raise StartupError(f"--config: {path}: {error.strerror or 'cannot be read'}") from None
    except tomllib.TOMLDecodeError as error:
        raise StartupError(f"--config: {path}: is no TOML: {error}") from None
    except (ValueError, RecursionError) as error:  # the last is the parser's: lists too deep
        raise StartupError(f"--config: {path}: {error}") from None


def _find_version() -> str:
    try:
        return version("lstmserve")
    except PackageNotFoundError:
        return "(run from its source, not installed)"


def _check_environment() -> None:
    known = {f"{ENV_PREFIX}{name.upper()}" for name in Settings.model_fields} | CLIENT_VARIABLES
    unknown = sorted(
        name
        for name in os.environ
        if name.upper().startswith(ENV_PREFIX) and name.upper() not in known
    )
    if unknown:
        raise StartupError(f"unknown environment variable {', '.join(unknown)}; see --help")


def _describe(error: ValidationError) -> str:
    return "; ".join(map(_describe_one, error.errors(include_url=False)))


def _describe_one(problem: ErrorDetails) -> str:
    name = ".".join(map(str, problem["loc"]))
    given = "" if name in SECRET_OPTIONS else f" (given: {problem['input']!r})"
    if problem["type"] == "extra_forbidden":  # unknown flags and variables end earlier
        return f"unknown key {name!r} in the configuration file{given}"
    reason = problem["msg"].removeprefix("Value error, ")
    return f"--{name.replace('_', '-')}: {reason}{given}"
