"""``lstmserve-server``: runs the server and says when it is ready."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lstmserve_server.config import ServerConfig
from lstmserve_server.errors import StartupError
from lstmserve_server.startup import (
    EXIT_CANNOT_START,
    check_exposure,
    end,
    end_on_signals,
    explain,
    prepare_files,
)

if TYPE_CHECKING:
    from lstmserve_server.app import App
    from lstmserve_server.process_messages import Ready
    from lstmserve_server.supervision.supervisor import Supervisor
    from lstmserve_server.telemetry.logging import ProcessLog

# what these libraries print themselves is neither a log line nor news: a port in use is
# told in our own words, and torch's deprecations are known (docs/architecture.md)
QUIET_LIBRARIES = {"GRPC_VERBOSITY": "NONE", "TORCH_CPP_LOG_LEVEL": "ERROR"}
DEFAULT_TARGET = "127.0.0.1:50051"  # where the client looks when not told


def main() -> None:
    """Serve until told to stop; a server that cannot start says why in one line."""
    end_on_signals()
    prepare_files()
    try:
        end(_run(sys.argv[1:]))
    except (StartupError, ModuleNotFoundError) as error:
        with suppress(OSError):  # the exit code tells that it failed, if nothing else can
            print(f"lstmserve-server: {explain(error)}", file=sys.stderr)
    sys.exit(EXIT_CANNOT_START)


def _run(arguments: list[str]) -> int:
    from lstmserve_server.command_line import read_command_line

    config = read_command_line(arguments)
    return 0 if config is None else _serve(config)


def _serve(config: ServerConfig) -> int:
    check_exposure(config)
    for name, value in QUIET_LIBRARIES.items():
        os.environ.setdefault(name, value)
    import structlog
    import uvloop

    from lstmserve_server.telemetry.logging import configure_logging

    # whoever asks for JSON reads both outputs as one, as container engines do
    is_for_programs = config.telemetry.log_format == "json"
    say_ready = _log_ready if is_for_programs else partial(_print_ready, config=config)

    async def run() -> int:
        return await _make_server(config, log).run(say_ready)

    telemetry = config.telemetry
    with closing(configure_logging(telemetry.log_level, telemetry.log_format)) as log:
        try:
            # a supervisor has no traffic, and starts its workers by the means of asyncio
            runner = uvloop.run if config.workers.count == 1 else asyncio.run
            return runner(run())
        except (StartupError, ModuleNotFoundError) as error:
            if not is_for_programs:
                raise
            structlog.get_logger().error("cannot start", reason=explain(error))
            return EXIT_CANNOT_START


def _make_server(config: ServerConfig, log: ProcessLog) -> App | Supervisor:
    # torch takes a second to import: --help and configuration errors do not wait for it, and
    # a supervisor does without
    if config.workers.count == 1:
        from lstmserve_server.app import App

        return App(config, log)
    from lstmserve_server.supervision.supervisor import Supervisor

    return Supervisor(config)


def _log_ready(ready: Ready) -> None:
    import structlog

    structlog.get_logger().info(
        "ready",
        models=[{"model": name, "version": version} for name, version in ready.versions],
        listen=str(ready.listen),
        metrics=f"http://{ready.metrics_listen}/metrics",
        **({"http": str(ready.http_listen)} if ready.http_listen else {}),
    )


def _print_ready(ready: Ready, *, config: ServerConfig) -> None:
    names = ", ".join(f"{name} version {version}" for name, version in ready.versions)
    page = f"\npage: http://{ready.metrics_listen.nearby}/" if config.page_config.is_on else ""
    scheme = "http" if config.tls is None else "https"
    api = f"\nOpenAI's API: {scheme}://{ready.http_listen}/v1" if ready.http_listen else ""
    with suppress(OSError):  # a server is no less ready because nobody reads its output
        print(
            f"lstmserve is ready: {names} on {ready.listen}, "
            f"metrics on http://{ready.metrics_listen}/metrics\n"
            f"try: {_example_command(ready, config)}{page}{api}",
            flush=True,
        )


def _example_command(ready: Ready, config: ServerConfig) -> str:
    """What to type next: it names the client so that the shell finds it."""
    places = [Path(program).with_name("lstmserve") for program in (sys.argv[0], sys.executable)]
    beside = next((os.path.relpath(place) for place in places if place.exists()), "lstmserve")
    client = "lstmserve" if shutil.which("lstmserve") else beside
    address = str(ready.listen.nearby)
    target = "" if address == DEFAULT_TARGET else f" --target {address}"
    model = "" if ready.has_default else f" --model {ready.versions[0][0]}"
    tls = " --tls" if config.tls is not None else ""
    token = "LSTMSERVE_TOKEN=… " if config.auth is not None else ""
    return f'{token}{client} generate "I want to cancel my order"{model}{target}{tls}'
