"""Forms are built once, aside, callers in turn, and what is refused is refused at once again."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_bundle import Bundle
from lstmserve_server.engine.constraints.form import Form
from lstmserve_server.engine.constraints.kept_forms import KeptForms
from lstmserve_server.engine.constraints.messages import RefusedFormError
from lstmserve_server.engine.constraints.spec import FormSpec
from lstmserve_server.engine.request import NO_CLAIM, Claim
from lstmserve_server.errors import DeadlineError, InvalidRequestError
from lstmserve_server.rpc.constraining import UNCONSTRAINED, Constrained, Constraining
from support.engines import LoadedModel
from support.forms import regex_form

MAX_TOKENS = 20
GREEDY, OTHER = Claim("greedy"), Claim("other")


class SlowBuilder:
    """Builds when it is let go; what begins with "bad" is refused."""

    def __init__(self, *, is_slow: bool = False) -> None:
        self.begun: list[str] = []
        self.let_go = threading.Event()
        if not is_slow:
            self.let_go.set()

    def build(self, spec: FormSpec, bundle: Bundle) -> Form:
        assert spec.regex is not None
        self.begun.append(spec.regex)
        self.let_go.wait()
        if spec.regex.startswith("bad"):
            raise RefusedFormError("is bad")
        return regex_form(bundle, spec.regex)


class Bench:
    def __init__(self, tiny: LoadedModel, builder: SlowBuilder) -> None:
        self.outcomes: list[str] = []
        self._bundle = tiny.bundle
        self._constraining = Constraining(builder, KeptForms(1 << 20), self)

    def on_form(self, outcome: str, seconds: float) -> None:
        assert (seconds > 0) == (outcome == "built") or outcome == "refused"
        self.outcomes.append(outcome)

    async def find(
        self, pattern: str, claim: Claim = NO_CLAIM, max_tokens: int = MAX_TOKENS
    ) -> Constrained:
        request = pb.GenerateRequest(constraint=pb.Constraint(regex=pattern))
        return await self._constraining.find(request, self._bundle, max_tokens, claim)

    async def find_none(self) -> Constrained:
        return await self._constraining.find(
            pb.GenerateRequest(), self._bundle, MAX_TOKENS, NO_CLAIM
        )


async def turn_loop() -> None:
    """Let tasks that were created begin."""
    for _ in range(4):
        await asyncio.sleep(0)


async def test_a_form_is_built_once_also_for_those_who_ask_meanwhile(tiny: LoadedModel) -> None:
    builder = SlowBuilder(is_slow=True)
    bench = Bench(tiny, builder)
    tasks = [asyncio.create_task(bench.find("a+")) for _ in range(3)]
    await turn_loop()
    builder.let_go.set()
    found = await asyncio.gather(*tasks)
    again = await bench.find("a+")
    assert builder.begun == ["a+"]
    assert {id(each.form) for each in (*found, again)} == {id(again.form)}
    assert again.seconds == 0 < min(each.seconds for each in found)
    assert bench.outcomes == ["built"] * 3 + ["kept"]
    assert await bench.find_none() == UNCONSTRAINED
    assert len(bench.outcomes) == 4


async def test_what_is_refused_is_refused_again_without_building(tiny: LoadedModel) -> None:
    builder = SlowBuilder()
    bench = Bench(tiny, builder)
    for _ in range(2):
        with pytest.raises(InvalidRequestError, match=r"constraint\.regex: is bad"):
            await bench.find("bad")
    assert builder.begun == ["bad"]
    assert bench.outcomes == ["refused", "refused"]


async def test_one_who_leaves_or_is_late_stops_nobody_else(tiny: LoadedModel) -> None:
    builder = SlowBuilder(is_slow=True)
    bench = Bench(tiny, builder)
    leaving, staying = (asyncio.create_task(bench.find("a+")) for _ in range(2))
    await turn_loop()
    leaving.cancel()
    with pytest.raises(DeadlineError, match="constraint was built"):
        await bench.find("a+", Claim(deadline=time.monotonic()))
    builder.let_go.set()
    assert (await staying).form is not None
    assert leaving.cancelled()
    assert builder.begun == ["a+"]


async def test_callers_take_turns(tiny: LoadedModel) -> None:
    builder = SlowBuilder(is_slow=True)
    bench = Bench(tiny, builder)
    patterns = [f"a{{{number}}}" for number in range(1, 6)]
    tasks = [asyncio.create_task(bench.find(pattern, GREEDY)) for pattern in patterns]
    await turn_loop()
    tasks.append(asyncio.create_task(bench.find("b", OTHER)))
    await turn_loop()
    builder.let_go.set()
    await asyncio.gather(*tasks)
    assert builder.begun.index("b") <= 2


async def test_a_form_that_needs_more_tokens_is_refused_by_the_number(tiny: LoadedModel) -> None:
    bench = Bench(tiny, SlowBuilder())
    form = regex_form(tiny.bundle, "[0-9]{4}")
    most = form.taught.shortest
    assert (await bench.find("[0-9]{4}", max_tokens=most)).form is not None
    with pytest.raises(InvalidRequestError, match=f"must be at least {most}, not {most - 1}"):
        await bench.find("[0-9]{4}", max_tokens=most - 1)
