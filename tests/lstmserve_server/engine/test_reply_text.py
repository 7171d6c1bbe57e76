"""Where a reply ends, and what is safe to send before that."""

from __future__ import annotations

import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, decoders, models, pre_tokenizers

from lstmserve_bundle import Tokenizer
from lstmserve_server.engine.output import FinishReason
from lstmserve_server.engine.reply_text import ReplyText

END = 256


def _byte_tokenizer() -> Tokenizer:
    """One token per byte, so that token borders fall inside characters and words."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = tokenizers.Tokenizer(
        models.BPE(vocab={letter: n for n, letter in enumerate(alphabet)}, merges=[])
    )
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken("<|end|>", special=True)])
    return Tokenizer(backend)


TOKENIZER = _byte_tokenizer()


def _push_all(reply: ReplyText, token_ids: list[int]) -> list[str]:
    pieces = []
    for token_id in token_ids:
        pieces.append(reply.push(token_id))
        if reply.finish_reason is not None:
            break
    return pieces


def _reply(*stops: str, max_tokens: int = 10_000) -> ReplyText:
    return ReplyText(TOKENIZER, END, max_tokens, stops)


def test_the_end_token_ends_and_adds_no_text() -> None:
    reply = _reply()
    assert _push_all(reply, [*TOKENIZER.encode("hi"), END]) == ["h", "i", ""]
    assert reply.finish_reason is FinishReason.END_OF_TEXT
    assert reply.num_tokens == 3


def test_max_tokens_ends_after_that_many() -> None:
    reply = _reply(max_tokens=2)
    assert "".join(_push_all(reply, TOKENIZER.encode("abc"))) == "ab"
    assert reply.finish_reason is FinishReason.MAX_TOKENS


def test_a_stop_sequence_across_tokens_is_never_sent() -> None:
    reply = _reply("stop")
    assert "".join(_push_all(reply, TOKENIZER.encode("please stop now"))) == "please "
    assert reply.finish_reason is FinishReason.STOP_SEQUENCE
    assert reply.stop_sequence == "stop"


def test_what_only_began_like_a_stop_sequence_is_sent_after_all() -> None:
    reply = _reply("stop")
    assert _push_all(reply, TOKENIZER.encode("sto!")) == ["", "", "", "sto!"]


def test_held_text_is_sent_when_the_reply_ends() -> None:
    reply = _reply("stop")
    assert "".join(_push_all(reply, [*TOKENIZER.encode("a sto"), END])) == "a sto"
    assert reply.finish_reason is FinishReason.END_OF_TEXT


def test_an_unfinished_character_at_the_end_becomes_a_replacement_character() -> None:
    reply = _reply(max_tokens=2)
    assert "".join(_push_all(reply, TOKENIZER.encode("你"))) == "\ufffd"


def test_a_stop_sequence_of_chinese_characters() -> None:
    reply = _reply("再见")
    assert "".join(_push_all(reply, TOKENIZER.encode("谢谢,再见!"))) == "谢谢,"


@given(
    text=st.text(alphabet="abc好🙂", max_size=30),
    stops=st.lists(st.text(alphabet="abc好🙂", min_size=1, max_size=4), max_size=4),
)
def test_the_reply_is_the_text_before_the_first_stop_sequence(text: str, stops: list[str]) -> None:
    """Byte by byte, the stop sequence that is complete first cuts the text."""
    reply = _reply(*stops)
    found = "".join(_push_all(reply, [*TOKENIZER.encode(text), END]))
    ends = {
        stop: text.index(stop) + len(stop) for stop in stops if stop in text
    }  # where each is complete
    if not ends:
        assert found == text
        assert reply.finish_reason is FinishReason.END_OF_TEXT
        return
    first = min(ends.values())
    begins = min(first - len(stop) for stop, end in ends.items() if end == first)
    assert found == text[:begins]
    assert reply.finish_reason is FinishReason.STOP_SEQUENCE


@given(text=st.text(alphabet="ab你🙂", max_size=30), stop=st.text("ab", min_size=1, max_size=3))
def test_text_sent_so_far_never_has_to_be_taken_back(text: str, stop: str) -> None:
    token_ids = [*TOKENIZER.encode(text), END]
    whole = "".join(_push_all(_reply(stop), token_ids))
    reply, sent = _reply(stop), ""
    for token_id in token_ids:
        sent += reply.push(token_id)
        assert whole.startswith(sent)
        assert "\ufffd" not in sent
        if reply.finish_reason is not None:
            break


@given(
    st.lists(st.integers(0, END), max_size=40),
    st.lists(st.integers(1, 9), min_size=40),
    st.lists(st.text("ab\u00e9", min_size=1, max_size=3), max_size=2),
    st.integers(1, 50),
)
def test_tokens_that_come_together_are_those_that_come_one_by_one(
    token_ids: list[int], sizes: list[int], stops: list[str], max_tokens: int
) -> None:
    whole, single = _reply(*stops, max_tokens=max_tokens), _reply(*stops, max_tokens=max_tokens)
    start = 0
    for size in sizes:
        part = token_ids[start : start + size]
        start += size
        pieces = _push_all(single, part)
        assert whole.extend(part) == (part[: len(pieces)], "".join(pieces))
        facts = [(one.num_tokens, one.finish_reason, one.stop_sequence) for one in (whole, single)]
        assert facts[0] == facts[1]
        if whole.finish_reason is not None:
            return
