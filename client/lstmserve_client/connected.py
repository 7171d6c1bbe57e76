"""How every verb of the command line reaches its server."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from lstmserve_client.client import Client
from lstmserve_client.errors import LstmserveError
from lstmserve_client.options import ServerOptions


@contextmanager
def connected(server: ServerOptions) -> Iterator[Client]:
    """A client; what goes wrong with it ends the command with one line."""
    from lstmserve_client.console import describe, write_note  # noqa: PLC0415 - rich is heavy

    try:
        with _make_client(server) as client:
            yield client
    except LstmserveError as error:
        write_note(f"error: {describe(error, server.target)}")
        raise typer.Exit(1) from error
    except UnicodeError as error:  # of standard input, or of an argument
        write_note("error: the input is not UTF-8 text")
        raise typer.Exit(2) from error
    except ValueError as error:  # such as several targets where one must be certain
        write_note(f"error: {error}")
        raise typer.Exit(2) from error


def _make_client(server: ServerOptions) -> Client:
    try:
        return Client(server.targets, **server.client_options)
    except (OSError, ValueError) as error:
        raise typer.BadParameter(str(error), param_hint="Server") from error
