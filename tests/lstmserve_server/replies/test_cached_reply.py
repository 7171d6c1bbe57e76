"""A kept reply is sent again exactly as it was, in whatever pieces."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstmserve_server.cache.entry_key import CorruptEntryError
from lstmserve_server.engine.outbox import merge
from lstmserve_server.engine.output import Output
from lstmserve_server.engine.reply_text import ReplyText
from lstmserve_server.engine.request import GenerationRequest
from lstmserve_server.replies.cached_reply import (
    CachedReply,
    Replay,
    decode_reply,
    encode_reply,
    gather,
)
from support.engines import Bench, LoadedModel
from support.random_requests import random_request


def make(tiny: LoadedModel, seed: int) -> tuple[GenerationRequest, list[Output]]:
    """A random request, and the outputs that the engine gave for it."""
    request = random_request(tiny.bundle, random.Random(seed))
    bench = Bench(tiny)
    bench.submit(0, request)
    bench.run()
    return request, bench.outputs[0]


def keep(tiny: LoadedModel, request: GenerationRequest, outputs: list[Output]) -> CachedReply:
    text = ReplyText(
        tiny.bundle.tokenizer,
        tiny.bundle.template.end_id,
        request.max_tokens,
        request.stop_sequences,
    )
    reply = gather(outputs, text)
    assert reply is not None
    return decode_reply(encode_reply(reply))


async def replay(reply: CachedReply, start: int, message_tokens: int | None) -> list[Output]:
    return [output async for output in Replay(reply, start, message_tokens)]


@pytest.mark.parametrize("seed", range(40))
async def test_a_replay_is_the_reply_bit_for_bit(tiny: LoadedModel, seed: int) -> None:
    request, outputs = make(tiny, seed)
    whole = merge(outputs)
    assert whole.finish is not None
    reply = keep(tiny, request, outputs)
    for message_tokens in (None, 1, 3, 8, 1000):
        again = merge(await replay(reply, 0, message_tokens))
        assert (again.text, again.token_ids, again.logprobs) == (
            whole.text,
            whole.token_ids,
            whole.logprobs,
        )
        assert again.finish is not None
        assert again.finish.reason is whole.finish.reason
        assert again.finish.stop_sequence == whole.finish.stop_sequence
        assert again.finish.num_tokens == whole.finish.num_tokens
    assert reply.seconds == pytest.approx(
        whole.finish.timings.prefill_seconds + whole.finish.timings.decode_seconds
    )


@pytest.mark.parametrize("seed", range(10))
async def test_a_replay_from_any_token_is_what_resuming_there_gives(
    tiny: LoadedModel, seed: int
) -> None:
    request, outputs = make(tiny, 100 + seed)
    reply = keep(tiny, request, outputs)
    for start in range(len(reply.token_ids)):
        rest = await replay(reply, start, 4)
        before = reply.cut(0, start).text if start else ""
        assert before + "".join(output.text for output in rest) == reply.text
        assert [t for output in rest for t in output.token_ids] == list(reply.token_ids[start:])
        bench = Bench(tiny)
        bench.submit(0, resumed(request, reply.token_ids[:start]))
        assert bench.run()[0].text == "".join(output.text for output in rest)


def resumed(request: GenerationRequest, token_ids: tuple[int, ...]) -> GenerationRequest:
    return GenerationRequest(
        request.prompt_ids,
        request.sampling,
        request.max_tokens,
        request.min_tokens,
        request.stop_sequences,
        token_ids,
    )


async def test_the_first_token_comes_alone_and_the_rest_as_from_a_busy_engine(
    tiny: LoadedModel,
) -> None:
    request, outputs = make(tiny, 1)
    reply = keep(tiny, request, outputs)
    sizes = [len(output.token_ids) for output in await replay(reply, 0, 8)]
    assert sizes[0] == 1
    assert set(sizes[1:-1]) <= {8}
    assert 1 <= sizes[-1] <= 8


def test_a_reply_whose_text_is_another_when_cut_anew_is_not_kept(tiny: LoadedModel) -> None:
    request, outputs = make(tiny, 2)
    outputs[-1] = Output("?", outputs[-1].token_ids, outputs[-1].logprobs, outputs[-1].finish)
    text = ReplyText(
        tiny.bundle.tokenizer,
        tiny.bundle.template.end_id,
        request.max_tokens,
        request.stop_sequences,
    )
    assert gather(outputs, text) is None


@settings(max_examples=300)
@given(st.binary(max_size=80))
def test_bytes_that_are_no_reply_are_refused_and_nothing_else_happens(data: bytes) -> None:
    with pytest.raises(CorruptEntryError):
        decode_reply(data)


def test_a_reply_whose_parts_do_not_fit_is_refused(tiny: LoadedModel) -> None:
    request, outputs = make(tiny, 3)
    good = keep(tiny, request, outputs)
    facts = {name: getattr(good, name) for name in good.__struct_fields__}
    for wrong in (
        {"text": good.text + "x"},
        {"text_ends": good.text_ends[:-1]},
        {"text_ends": good.text_ends[::-1]},
        {"token_ids": (), "text_ends": (), "text": ""},
        {"logprobs": ((0.0, ()),) * (len(good.token_ids) + 1)},
    ):
        with pytest.raises(CorruptEntryError):
            decode_reply(encode_reply(CachedReply(**{**facts, **wrong})))
