"""Where options come from: flags, environment and configuration file, in this order."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lstmserve_server.config import ServerConfig
from lstmserve_server.errors import StartupError
from lstmserve_server.options import ENV_PREFIX, FILE_OPTION, OPTIONS
from lstmserve_server.settings import make_config
from lstmserve_server.text_files import decode_text

# the client reads these from the same environment
CLIENT_OPTIONS = frozenset(
    {"target", "tls", "tls_authority", "tls_server_name", "token", "token_file"}
)


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
        written = tomllib.loads(decode_text(path.read_bytes()))
    except OSError as error:
        raise StartupError(f"--config: {path}: {error.strerror or 'cannot be read'}") from None
    except tomllib.TOMLDecodeError as error:
        raise StartupError(f"--config: {path}: is not valid TOML: {error}") from None
    except (ValueError, RecursionError) as error:  # the last is the parser's: lists too deep
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
