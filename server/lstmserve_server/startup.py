"""What a process of a server does around its start: whether it may, how it ends if it cannot."""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from lstmserve_server.config import ServerConfig, is_loopback
from lstmserve_server.errors import StartupError

EXIT_CANNOT_START = 2
LAST_WORDS_SECONDS = 1.0
TLS = "TLS (--tls-certificate and --tls-key)"
AUTHENTICATION = "authentication (--auth-file or --tls-client-authority)"
STANDARD_FILES = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def prepare_files() -> None:
    """Make good what whoever started this process left it: all standard files, and enough room."""
    for number, (name, mode) in enumerate(STANDARD_FILES):
        if getattr(sys, name) is None:  # closed: the next file or connection would get its number
            _open_null(number)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - for good
    # the usual 1,024 are a bound for programs that call select(), and every connection is a file
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # a system may allow less than it says
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def check_exposure(config: ServerConfig) -> None:
    """Raise StartupError where others could reach a port that is in clear or open to all."""
    missing = _find_missing(config)
    if config.is_insecure or not missing:
        return
    for option, address in (("--listen", config.listen), ("--http-listen", config.http_listen)):
        if address is not None and not is_loopback(address.host):
            raise StartupError(
                f"{option}: {address} can be reached from other machines, and there is no "
                f"{' and no '.join(missing)}; give what is missing, or a loopback address "
                f"(127.0.0.1:{address.port}), or --insecure where the network keeps strangers away"
            )


def _find_missing(config: ServerConfig) -> list[str]:
    has_authority = config.tls is not None and config.tls.client_authority is not None
    needs = {TLS: config.tls is not None, AUTHENTICATION: config.auth is not None or has_authority}
    return [need for need, is_met in needs.items() if not is_met]


def end_on_signals() -> None:
    """Signals that tell a server to end do so with exit code 0, until the app listens for them."""
    numbers = list_ending_signals()
    # whoever started this process may have blocked them, and then they would wait for ever
    signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)
    for number in numbers:
        signal.signal(number, _quit)


def list_ending_signals() -> list[signal.Signals]:
    """Return SIGTERM and SIGINT, and SIGHUP, which comes when the terminal is closed.

    The last one not if it is ignored, as ``nohup`` has it.
    """
    is_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [signal.SIGTERM, signal.SIGINT, *([] if is_ignored else [signal.SIGHUP])]


def end(code: int) -> NoReturn:
    """End this process, whose parts are closed, at once.

    An interpreter that has imported torch takes 1.3 s of a core to let go of it, for nothing.
    """
    flushing = threading.Thread(target=_flush, daemon=True)
    flushing.start()
    flushing.join(LAST_WORDS_SECONDS)  # a pipe may be full, and whoever reads it asleep
    os._exit(code)


def _flush() -> None:
    for file in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads it any more
            file.flush()


def explain(error: StartupError | ModuleNotFoundError) -> str:
    """The one line for the operator."""
    if isinstance(error, ModuleNotFoundError):  # the base install is the client alone
        return f"{error.name} is not installed; in a checkout, run: pip install '.[server]'"
    return str(error)


def _open_null(number: int) -> None:
    found = os.open(os.devnull, os.O_RDWR)
    if found != number:
        os.dup2(found, number)
        os.close(found)


def _quit(_number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(0)
