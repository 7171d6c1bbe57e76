"""The command line of the server: its options, and the commands that do something else."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from lstmserve_server.auth.callers_file import parse_callers
from lstmserve_server.auth.principal import Scope
from lstmserve_server.auth.tokens import hash_token, make_token, show_hash
from lstmserve_server.config import ServerConfig
from lstmserve_server.errors import ModelLoadError, StartupError
from lstmserve_server.options import ENV_PREFIX, OPTIONS, Option
from lstmserve_server.settings import read_config

PROGRAM = "lstmserve-server"
EXIT_REFUSED = 3  # any other program ends with 1 where it fails


def read_command_line(arguments: Sequence[str]) -> ServerConfig | None:
    """Return the configuration to serve with.

    Or None where the command has done all that it was asked to, as for ``token`` or ``--help``.
    Raises StartupError naming every unknown name and bad value.
    """
    try:
        result = make_command().main([*arguments], PROGRAM, standalone_mode=False)
    except click.ClickException as error:
        reason = " ".join(error.format_message().split())  # choices come in lines
        raise StartupError(f"{reason} See --help.") from None
    except OSError as error:
        if error.filename is not None:  # no stream has one
            raise
        raise StartupError(f"the output cannot be written: {error.strerror}") from None
    return result if isinstance(result, ServerConfig) else None


class ServerCommand(click.Group):
    """Shows its options under the names of the parts that they belong to."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, then the commands."""
        params = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        for section, members in groupby(params, key=_section_of):
            records = filter(None, (param.get_help_record(ctx) for param in members))
            with formatter.section(section):
                formatter.write_dl([*records])
        self.format_commands(ctx, formatter)


@click.command("token", short_help="Make a token for a caller, and its lines for --auth-file.")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice([scope.value for scope in Scope]),
    help="What the caller may do; give it once for each scope.",
)
def _token(name: str, scopes: Sequence[str]) -> None:
    """Make a bearer token of 256 random bits for the caller NAME.

    NAME is 1 to 64 letters, digits, '.', '_' or '-'. The lines for the file that --auth-file names
    go to standard output, and the token itself, once, to standard error.
    """
    _make_token(name, scopes)


def _make_token(name: str, scopes: Sequence[str]) -> None:
    """Print lines for the file on standard output, and the token, once, on standard error.

    So ``>> callers.toml`` appends the lines, and the token goes to whoever sits there. Raises
    StartupError when the name is not allowed.
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


@click.command("verify", short_help="Try a version as a server would, and prove it exact.")
@click.argument("folder", type=click.Path(path_type=Path))
def _verify(folder: Path) -> None:
    """Load the version in FOLDER in a process of its own, and prove that its replies are exact.

    Nothing is served. The exit code is 0 for a version that a server takes, and 3 for one that it
    refuses, with the reason on standard error.
    """
    from lstmserve_server.verifying import verify  # noqa: PLC0415 - of no use to whoever serves

    try:
        stored = verify(folder)
    except ModelLoadError as error:
        sys.stderr.write(f"{PROGRAM}: {error}\n")
        sys.exit(EXIT_REFUSED)
    sys.stdout.write(f"{stored.name} version {stored.version} is exact\n")


def make_command() -> click.Group:
    """Return ``lstmserve-server``, whose value is a ServerConfig unless a subcommand is named."""
    command = ServerCommand(
        callback=_serve,
        params=[_make_option(option) for option in OPTIONS.values()],
        help="Serve the models of a store over gRPC.\n\n"
        f"Every option may also be set in the environment ({ENV_PREFIX}MODEL_STORE for "
        "--model-store) or in the TOML file that --config names (model_store). A flag wins over "
        "the environment, and the environment over the file.",
        invoke_without_command=True,
        commands=[_token, _verify],
        subcommand_metavar="[COMMAND]",
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    return click.version_option(_find_version(), prog_name=PROGRAM, message="%(prog)s %(version)s")(
        command
    )


def _make_option(option: Option) -> click.Option:
    if option.is_switch:
        return click.Option([option.flag, option.name], is_flag=True, help=option.help)
    default = "" if option.default in (None, "") else f"  [default: {option.default}]"
    # checked with what comes from the environment and the file, so that all is told at once
    return click.Option(
        [option.flag, option.name],
        type=click.STRING,
        metavar=_describe_value(option),
        help=f"{option.help}{default}",
    )


def _describe_value(option: Option) -> str:
    if option.choices:
        return "|".join(option.choices)
    return {int: "INTEGER", float: "NUMBER", str: "TEXT", Path: "PATH"}.get(
        option.kind, "HOST:PORT"
    )


def _section_of(param: click.Option) -> str:
    name = param.name or ""
    return OPTIONS[name].section if name in OPTIONS else "Other"


@click.pass_context
def _serve(ctx: click.Context, /, **flags: Any) -> ServerConfig | None:  # noqa: ANN401 - click's
    given = {name: value for name, value in flags.items() if value not in (None, False)}
    if ctx.invoked_subcommand is not None:
        if given:
            named = ", ".join(OPTIONS[name].flag for name in given)
            raise click.UsageError(f"{ctx.invoked_subcommand!r} does not take {named}.")
        return None
    return read_config(given)


def _find_version() -> str:
    try:
        return version("lstmserve")
    except PackageNotFoundError:
        return "(run from its source, not installed)"
