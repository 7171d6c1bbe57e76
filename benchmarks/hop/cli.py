"""``python -m benchmarks.hop``: the time of a turn's messages, at the engine's end."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.hop.transports import TRANSPORTS, End
from benchmarks.load.provenance import describe_run
from benchmarks.load.report import write_json
from lstmserve_server.engine.messages import (
    ANSWERS,
    COMMANDS,
    LENGTH_BYTES,
    Command,
    Load,
    Row,
    Submit,
    Turn,
    frame,
)
from lstmserve_server.engine.request import NO_CLAIM, GenerationRequest, SamplingParams

TURN_TOKENS = 8
PROMPT_TOKENS = 10
STOP = b"stop"
Codec = tuple[Callable[[Any], bytes], Callable[[bytes], Any], Callable[[bytes], Any]]
# to bytes, to commands, to a turn
CODECS: dict[str, Codec] = {
    "msgspec": (
        lambda message: bytes(frame(message)[LENGTH_BYTES:]), COMMANDS.decode, ANSWERS.decode,
    ),
    "pickle": (pickle.dumps, pickle.loads, pickle.loads),
}  # fmt: skip


def run(
    rows: Annotated[int, typer.Option(min=1, max=1024, help="Replies in a turn.")] = 64,
    turns: Annotated[int, typer.Option(min=10, help="Of each, per round.")] = 2000,
    rounds: Annotated[int, typer.Option(min=1, help="All take turns.")] = 5,
    json: Annotated[Path | None, typer.Option(help="Keep the figures here.")] = None,
) -> None:
    """Time what a turn's messages take of the engine: a turn of many rows out, commands in.

    The server's end is a process that answers each turn by as many requests as usually come in
    one. Waiting for it is not counted: the engine works meanwhile.
    """
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        for transport, connect in TRANSPORTS.items():
            for name, codec in CODECS.items():
                seconds = _time(*connect(), codec, rows, turns)
                found.setdefault(f"{name}, {transport}", []).append(seconds)
    table = Table(title=f"µs of the engine's time per turn, {rows} rows", title_justify="left")
    for name in ("", "median", "least", "most"):
        table.add_column(name, justify="right" if name else "left")
    for name, times in found.items():
        table.add_row(name, *(f"{1e6 * each(times):.0f}" for each in (median, min, max)))
    Console().print(table)
    if json is not None:
        write_json(json, describe_run(), {"rows": rows, "seconds_per_turn": found})


def _time(ours: End, theirs: End, codec: Codec, rows: int, turns: int) -> float:
    """Mean seconds of a turn's messages at the engine's end."""
    commands = _make_commands(max(1, rows // TURN_TOKENS))
    server = os.fork()
    if not server:
        _serve(theirs, codec, commands)
        os._exit(0)
    turn, spent = _make_turn(rows), 0.0
    encode, decode, _ = codec
    for _ in range(turns):
        started_at = time.perf_counter()
        ours.send(encode(turn))
        spent += time.perf_counter() - started_at
        data = ours.receive()
        started_at = time.perf_counter()
        decode(data)
        spent += time.perf_counter() - started_at
    ours.send(STOP)
    os.waitpid(server, 0)
    return spent / turns


def _serve(end: End, codec: Codec, commands: Sequence[Command]) -> None:
    encode, _, decode = codec
    while (data := end.receive()) != STOP:
        decode(data)
        end.send(encode(commands))


def _make_turn(rows: int) -> Turn:
    made = [Row(number, [*range(2000, 2000 + TURN_TOKENS)], [], None) for number in range(rows)]
    return Turn(1.0, made, [], [], [], (rows, TURN_TOKENS, 0.02), 0, Load(rows, 0, 0, 0), (0, 0))


def _make_commands(count: int) -> list[Command]:
    request = GenerationRequest(tuple(range(PROMPT_TOKENS)), SamplingParams(), 64)
    return [Submit(number, request, NO_CLAIM, 1.0) for number in range(count)]


def main() -> None:
    typer.run(run)
