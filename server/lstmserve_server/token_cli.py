"""``lstmserve-server token``: makes a token, and what the callers' file takes in its place."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from lstmserve_server.auth.callers_file import parse_callers
from lstmserve_server.auth.tokens import hash_token, make_token, show_hash
from lstmserve_server.errors import StartupError


def make(name: str, scopes: Sequence[str]) -> None:
    """Print lines for the file on standard output, and the token, once, on standard error.

    So ``>> callers.toml`` appends the lines, and the token goes to whoever sits there. Raises
    StartupError when the name is none.
    """
    token = make_token()
    lines = _write_lines(name, scopes, token)
    try:
        parse_callers(lines.encode(), Path("-"))
    except StartupError as error:
        raise StartupError(str(error).removeprefix("--auth-file: -: ")) from None
    try:
        sys.stdout.write(lines)
        sys.stdout.flush()
        sys.stderr.write(f"the token of {name}, which is shown this once:\n{token}\n")
    except OSError as error:
        raise StartupError(f"the token cannot be written: {error.strerror}; make another") from None


def _write_lines(name: str, scopes: Sequence[str], token: str) -> str:
    named = ", ".join(f'"{scope}"' for scope in dict.fromkeys(scopes))
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    return (
        f'[[principals]]\nname = "{quoted}"\nscopes = [{named}]\n'
        f'tokens = ["{show_hash(hash_token(token))}"]\n'
    )
