"""``lstmserve-server token``: makes a token, and what the callers' file takes in its place."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from lstmserve_server.auth.callers_file import parse_callers
from lstmserve_server.auth.principal import Scope
from lstmserve_server.auth.tokens import hash_token, make_token, show_hash
from lstmserve_server.errors import StartupError

VERB = "token"


def make(arguments: Sequence[str]) -> None:
    """Print lines for the file on standard output, and the token, once, on standard error.

    So ``>> callers.toml`` appends the lines, and the token goes to whoever sits there. Raises
    StartupError when the name is none.
    """
    options = _make_parser().parse_args(arguments)
    token = make_token()
    lines = _write_lines(options.name, options.scope, token)
    try:
        parse_callers(lines.encode(), Path("-"))
    except StartupError as error:
        raise StartupError(str(error).removeprefix("--auth-file: -: ")) from None
    try:
        sys.stdout.write(lines)
        sys.stdout.flush()
        sys.stderr.write(f"the token of {options.name}, which is shown this once:\n{token}\n")
    except OSError as error:
        raise StartupError(f"the token cannot be written: {error.strerror}; make another") from None


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        f"lstmserve-server {VERB}",
        description="Makes a bearer token of 256 random bits. The lines for the file that "
        "--auth-file names go to standard output, the token itself to standard error.",
        allow_abbrev=False,
    )
    parser.add_argument("name", help="of the caller: 1 to 64 letters, digits, '.', '_' or '-'")
    parser.add_argument(
        "--scope",
        action="append",
        required=True,
        choices=[scope.value for scope in Scope],
        help="what the caller may do; may be given once for each",
    )
    return parser


def _write_lines(name: str, scopes: Sequence[str], token: str) -> str:
    named = ", ".join(f'"{scope}"' for scope in dict.fromkeys(scopes))
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    return (
        f'[[principals]]\nname = "{quoted}"\nscopes = [{named}]\n'
        f'tokens = ["{show_hash(hash_token(token))}"]\n'
    )
