"""A program that forks with clients in its hands, and prints what each child found.

A process of its own: one with a server in it, as the tests', is nothing to fork.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import sys
from collections.abc import Callable
from multiprocessing import get_context

from lstmserve_client import AsyncClient, Client

CHILD_SECONDS = 20  # far more than any takes that does not hang


def report(name: str, act: Callable[[], object]) -> None:
    """Print what becomes of it in a child, which ends as any program does."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            said = str(act())
        except RuntimeError as error:
            said = f"refused: {error}"
        os.write(writer, said.encode())
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - what is buffered is the parent's
        sys.exit()
    os.close(writer)
    # the end of the pipe is the end of the process
    said = ""
    while select.select([reader], [], [], CHILD_SECONDS)[0]:
        piece = os.read(reader, 1000).decode()
        said += piece
        if not piece:
            break
    else:
        said += " and hangs"
        os.kill(child, signal.SIGKILL)
    os.close(reader)
    _, status = os.waitpid(child, 0)
    tell(name, f"{said} ended by {status}" if status else said)


def tell(name: str, *found: str) -> None:
    sys.stdout.write(f"{name}: {' '.join(found)}\n")
    sys.stdout.flush()


def ask_anew(target: str) -> str:
    with Client(target) as client:
        return client.reply("hi").text + "".join(client.generate("hi").text)


def fork_with_threads(target: str) -> None:
    unused = Client(target)
    report("unused", lambda: unused.reply("hi").text)
    client = Client(target)
    client.reply("hi")
    report("idle reply", lambda: client.reply("hi").text)
    report("idle another", lambda: ask_anew(target))
    with get_context("fork").Pool(2) as pool:
        tell("pool", *pool.map(ask_anew, [target] * 2))
    stream = client.generate("hi")
    next(stream)
    report("busy reply", lambda: client.reply("hi").text)
    report("busy generate", lambda: list(client.generate("hi")))
    report("its next event", lambda: next(stream))
    report("leave its stream", stream.close)
    report("close", client.close)
    report("end", lambda: None)
    rest = "".join(event.text for event in stream)
    tell("parent", rest, client.reply("hi").text)


async def fork_with_a_loop(target: str) -> None:
    async def ask(client: AsyncClient) -> str:
        return (await client.reply("hi")).text

    unused = AsyncClient(target)
    report("unused", lambda: asyncio.run(ask(unused)))
    client = AsyncClient(target)
    await ask(client)
    report("idle reply", lambda: asyncio.run(ask(client)))
    report("another", lambda: asyncio.run(ask(AsyncClient(target))))
    report("a Client", lambda: ask_anew(target))
    stream = client.generate("hi")
    await anext(stream)
    report("its next event", lambda: asyncio.run(_next(stream)))
    report("leave its stream", lambda: asyncio.run(stream.aclose()))
    report("close", lambda: asyncio.run(client.close()))
    report("end", lambda: None)
    tell("parent", "".join([each.text async for each in stream]), await ask(client))


async def _next(stream: object) -> object:
    return await anext(stream)  # type: ignore[call-overload]


if __name__ == "__main__":
    if sys.argv[1] == "Client":
        fork_with_threads(sys.argv[2])
    else:
        asyncio.run(fork_with_a_loop(sys.argv[2]))
