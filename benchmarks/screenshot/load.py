"""A few callers who ask, think, and ask again."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.load.prompts import load_prompts, parse_popularity
from lstmserve_client import Client

NUM_CALLERS = 24
THINKING_SECONDS = 0.4  # on average


@contextmanager
def a_little_load(target: str) -> Iterator[None]:
    """Callers of this server, for as long as the block takes."""
    is_over = threading.Event()
    callers = [
        threading.Thread(target=_call, args=(target, number, is_over))
        for number in range(NUM_CALLERS)
    ]
    for caller in callers:
        caller.start()
    try:
        yield
    finally:
        is_over.set()
        for caller in callers:
            caller.join()


def _call(target: str, number: int, is_over: threading.Event) -> None:
    source = random.Random(number)
    choose = parse_popularity("zipf:0.6", load_prompts())
    with Client(target) as client:
        while not is_over.wait(source.expovariate(1 / THINKING_SECONDS)):
            client.reply(choose(source))
