"""The requests of a load: repeatable, and as the options say."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest

from benchmarks.load.driver import arrivals
from benchmarks.load.prompts import load_prompts
from benchmarks.load.workload import Ask, Lengths, Sampling, Workload


def ask(workload: Workload, count: int = 200, stream: int = 0) -> list[Ask]:
    return [*islice(workload.asks(stream), count)]


def test_the_same_seed_asks_the_same_requests_and_every_stream_its_own() -> None:
    assert ask(Workload(seed=7)) == ask(Workload(seed=7))
    assert ask(Workload(seed=7)) != ask(Workload(seed=8))
    assert ask(Workload(seed=7), stream=1) != ask(Workload(seed=7), stream=2)


def test_prompts_are_different_questions() -> None:
    prompts = load_prompts()
    assert len(prompts) > 1000
    assert all(prompts)


def test_zipf_asks_a_few_prompts_often() -> None:
    uniform = Counter(one.prompt for one in ask(Workload(), 2000))
    zipf = Counter(one.prompt for one in ask(Workload(popularity="zipf:1.1"), 2000))
    assert zipf.most_common(1)[0][1] > 10 * uniform.most_common(1)[0][1]
    assert zipf.most_common(1)[0][0] == load_prompts()[0]


@pytest.mark.parametrize("text", ["zipf", "zipf:often", "normal", "uniform:2"])
def test_an_unknown_popularity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"popularity|convert"):
        ask(Workload(popularity=text), 1)


def test_lengths_are_equal_mixed_or_the_models_own() -> None:
    def bounds(lengths: Lengths) -> set[tuple[int, int]]:
        return {(a.min_tokens, a.max_tokens) for a in ask(Workload(lengths=lengths), 2000)}

    assert bounds(Lengths.EQUAL) == {(64, 64)}
    assert bounds(Lengths.NATURAL) == {(0, 64)}
    assert bounds(Lengths.MIXED) == {(length, length) for length in range(8, 65)}


def test_mixed_sampling_uses_every_option() -> None:
    used = {one.sampling for one in ask(Workload(sampling=Sampling.MIXED))}
    assert any(options.temperature == 0 for options in used)
    assert all(
        any(getattr(options, name) is not None for options in used)
        for name in ("top_k", "top_p", "min_p")
    )


def test_without_request_seeds_the_server_picks() -> None:
    assert {one.seed for one in ask(Workload(request_seeds=False))} == {None}


def test_arrivals_come_at_the_asked_rate_whatever_happens_in_between() -> None:
    moments = [*arrivals(rate=50, start=100.0, until=300.0, seed="a")]
    assert moments == sorted(moments)
    assert moments[0] > 100
    assert moments[-1] < 300
    # 10,000 expected with a deviation of 100: five of them fail once in a million
    assert abs(len(moments) - 10_000) < 500
    assert moments == [*arrivals(rate=50, start=100.0, until=300.0, seed="a")]
