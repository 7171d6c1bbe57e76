"""Who may come in, and when the last one has left."""

from __future__ import annotations

import asyncio

import pytest

from lstmserve_server.errors import DrainingError
from lstmserve_server.gate import Gate


@pytest.fixture
def gate() -> Gate:
    return Gate(lambda: DrainingError("closed"))


async def test_a_gate_that_nobody_has_entered_is_empty(gate: Gate) -> None:
    assert await gate.wait_until_empty()


async def test_those_inside_are_waited_for_one_and_all(gate: Gate) -> None:
    with gate.enter():
        with gate.enter():
            waiting = asyncio.create_task(gate.wait_until_empty())
        await asyncio.sleep(0)
        assert not waiting.done()
        assert not await gate.wait_until_empty(timeout_seconds=0)
    assert await waiting


async def test_a_closed_gate_refuses_all_who_come_and_keeps_those_inside(gate: Gate) -> None:
    with gate.enter():
        gate.close()
        refusals = []
        for _ in range(2):
            with pytest.raises(DrainingError, match="closed") as caught, gate.enter():
                pass
            refusals.append(caught.value)
        assert refusals[0] is not refusals[1]  # each with a traceback of its own
        assert not await gate.wait_until_empty(timeout_seconds=0)
    assert await gate.wait_until_empty()


async def test_a_gate_opens_again(gate: Gate) -> None:
    gate.close()
    gate.open()
    with gate.enter():
        assert not await gate.wait_until_empty(timeout_seconds=0)


async def test_who_fails_or_is_cancelled_inside_leaves_as_well(gate: Gate) -> None:
    with pytest.raises(KeyError), gate.enter():
        raise KeyError

    async def stay() -> None:
        with gate.enter():
            await asyncio.Event().wait()

    task = asyncio.create_task(stay())
    await asyncio.sleep(0)
    assert not await gate.wait_until_empty(timeout_seconds=0)
    task.cancel()
    assert await gate.wait_until_empty()


async def test_who_gives_up_waiting_disturbs_nobody(gate: Gate) -> None:
    with gate.enter():
        waiting = [asyncio.create_task(gate.wait_until_empty()) for _ in range(2)]
        await asyncio.sleep(0)
        waiting[0].cancel()
    assert await waiting[1]
    assert waiting[0].cancelled()
