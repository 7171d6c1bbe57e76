"""The program of an engine's process; ``launcher`` starts it with its pid and three descriptors.

It loads one version and makes its replies until the server closes the socket. What is wrong with
the version is its answer; whatever else goes wrong ends it, and the server starts another.
"""

from __future__ import annotations

import gc
import os
import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from lstmserve_server.children import die_with
from lstmserve_server.engine.messages import ORDERS, Loaded, Order, Refused
from lstmserve_server.engine.process.channel import Channel
from lstmserve_server.engine.shared_page import SharedPage
from lstmserve_server.errors import ModelLoadError, StartupError

if TYPE_CHECKING:
    from lstmserve_server.engine.process.engine import Engine
    from lstmserve_server.engine.process.loader import LoadedModel

EXIT_REFUSED = 2
NICENESS = 10  # a tenth of what the replies that run get, where they want it all
# when memory ends the kernel kills whoever has the highest score, be the server larger or not:
# proc_pid_oom_score_adj(5). Anybody may raise its own
OOM_SCORE_FILE = Path("/proc/self/oom_score_adj")
MAX_OOM_SCORE = 1000


def main(arguments: list[str]) -> None:
    """Serve the version that the first message names."""
    parent, connection, archive, page = map(int, arguments)
    trouble = die_with(parent)
    channel = Channel(socket.socket(fileno=connection))
    order = ORDERS.decode(channel.receive(is_waiting=True)[0])
    warnings = [trouble] if trouble else []
    try:
        model = _load(order, archive, warnings)
    except (ModelLoadError, StartupError) as error:
        channel.send(Refused(str(error)))
        _end(EXIT_REFUSED)
    channel.send(
        Loaded(
            model.facts.digest,
            model.difference,
            model.runner.state_bytes,
            model.runner.row_bytes,
            tuple(warnings),
        )
    )
    with suppress(EOFError, ConnectionError):  # the server has closed it, or has ended
        _serve(model, order, channel, SharedPage(page))
    _end(0)


def _load(order: Order, archive: int, warnings: list[str]) -> LoadedModel:
    """Load on a thread that lets others go first, where there are others."""
    if not order.is_beside_others:
        return _load_model(order, archive)
    with (
        _first_to_be_killed(warnings),
        ThreadPoolExecutor(1, initializer=_be_nice, initargs=(warnings,)) as pool,
    ):
        return pool.submit(_load_model, order, archive).result()


def _load_model(order: Order, archive: int) -> LoadedModel:
    # importing torch is half of the work
    from lstmserve_server.engine.process import loader

    loader.configure_torch(order.threads)
    if order.difference is not None:
        return loader.load_archive(archive, order.config.max_running, order.difference)
    return loader.load_version(Path(order.folder), archive, order.config.max_running)


def _be_nice(warnings: list[str]) -> None:
    """Lower the priority of this thread; Linux keeps one for each."""
    try:
        os.nice(NICENESS)
    except OSError as error:
        warnings.append(f"a version that is tried is no nicer than the server: {error.strerror}")


@contextmanager
def _first_to_be_killed(warnings: list[str]) -> Iterator[None]:
    """Be whom the kernel kills where memory ends, for the length of the block."""
    before = ""
    try:
        before = OOM_SCORE_FILE.read_text()
        OOM_SCORE_FILE.write_text(str(MAX_OOM_SCORE))
    except OSError as error:  # a read-only /proc, or none
        warnings.append(
            "a version that is tried is not the first to be killed where memory ends: "
            f"{error.filename or OOM_SCORE_FILE}: {error.strerror}"
        )
    try:
        yield
    finally:
        if before:
            with suppress(OSError):
                OOM_SCORE_FILE.write_text(before)


def _serve(model: LoadedModel, order: Order, channel: Channel, page: SharedPage) -> None:
    from lstmserve_server.engine.process import loader
    from lstmserve_server.engine.process.engine import Engine
    from lstmserve_server.engine.process.memory import give_back

    loader.configure_torch(order.threads)  # of this thread, too
    model.runner.arrivals = loader.watch(page)
    # nothing may run beside a reply that would change by it
    config = replace(order.config, max_running=1) if model.difference else order.config
    engine = Engine(model.runner, model.facts.end_id, config, page, time.monotonic)
    gc.collect()
    gc.freeze()  # what is loaded stays: no collection looks at it again
    give_back()
    run_turns(engine, model, channel)


def run_turns(engine: Engine, model: LoadedModel, channel: Channel) -> NoReturn:
    """Do what the server says until it has gone; raises EOFError or ConnectionError then."""
    while True:
        model.runner.note_arrivals()  # what comes after that is news to the next quantum
        for command in channel.commands(is_waiting=not engine.has_work):
            engine.run(command)
        if engine.has_work:
            channel.send(engine.turn())


def _end(code: int) -> None:
    """End without letting go of torch, which takes a second of a core."""
    os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
