"""The sampler against plain arithmetic."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lstmserve_server.engine.decoding.decode_row import DecodeRow
from lstmserve_server.engine.decoding.drawing import (
    column_mass,
    draw,
    draw_in,
    random_bits,
    uniform,
)
from lstmserve_server.engine.decoding.filters import is_kept, keep_likely, max_draws
from lstmserve_server.engine.decoding.following import Biases, Following
from lstmserve_server.engine.decoding.row_params import RowParams, to_params
from lstmserve_server.engine.decoding.sampler import (
    adjust,
    choose,
    forbid_end,
    most_likely,
    remember,
    score,
)
from lstmserve_server.engine.decoding.taught import Taught
from lstmserve_server.engine.request import MAX_LOGPROBS, SamplingParams

MASK = (1 << 64) - 1
NUM_TOKENS = 128


def _mix(x: int) -> int:
    """SplitMix64's finalizer on Python's whole numbers."""
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & MASK
    return x ^ (x >> 31)


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _reference_bits(name: int, position: int, number: int) -> int:
    golden = 0x9E3779B97F4A7C15
    stream = _mix((name + golden) & MASK)
    return _mix((stream + (16 * position + number + 1) * golden) & MASK)


@given(name=st.integers(0, MASK), position=st.integers(0, 10_000), number=st.integers(0, 8))
def test_random_numbers_are_splitmix64_of_stream_position_and_draw(
    name: int, position: int, number: int
) -> None:
    draws = torch.tensor([number])
    found = random_bits(torch.tensor([_signed(name)]), torch.tensor([position]), draws)
    expected = _reference_bits(name, position, number)
    assert found.item() & MASK == expected
    halves = uniform(torch.tensor([[_signed(name)]]), torch.tensor([[position]]), draws)
    assert halves.flatten().tolist() == [
        (expected >> 32) / 2**32,
        (expected & 0xFFFFFFFF) / 2**32,
    ]


def _reference_keep(weights: list[float], top_k: int, top_p: float, min_p: float) -> list[float]:
    """What passes each filter, by its definition."""
    limit = top_p * sum(weights) if top_p < 1 else math.inf
    return [
        weight
        if sum(other > weight for other in weights) < (top_k or len(weights))
        and sum(other for other in weights if other > weight) < limit
        and weight >= min_p
        else 0.0
        for weight in weights
    ]


@given(
    # multiples of a power of two: every sum is exact, in any order
    weights=st.lists(st.integers(0, 1000), min_size=1, max_size=127),
    top_k=st.integers(0, 60),
    top_p=st.sampled_from([0.125, 0.25, 0.5, 0.75, 0.9375, 1.0]),
    min_p=st.sampled_from([0.0, 0.125, 0.5]),
)
@settings(deadline=None)
def test_each_filter_keeps_what_it_should(
    weights: list[int], top_k: int, top_p: float, min_p: float
) -> None:
    """By drawing again, and by putting a row in order: both keep the same."""
    values = [1.0, *(weight / 1024 for weight in weights)]
    values += [0.0] * (NUM_TOKENS - len(values))
    row = torch.tensor([values])
    params = make_params(
        [_row(temperature=1.0, top_k=top_k or NUM_TOKENS, top_p=top_p, min_p=min_p)], NUM_TOKENS
    )
    limit = params.top_p * sum(values)
    expected = _reference_keep(values, top_k, top_p, min_p)
    in_order = keep_likely(row, limit, params.top_k, params.min_p)
    assert in_order[0].tolist() == expected
    for token in (0, 1, len(weights) // 2, len(weights)):
        chosen = torch.tensor([[token]])
        kept = is_kept(row, chosen, limit, params.top_k, params.min_p, params.any_ranked)
        assert bool(kept) == (values[token] == expected[token]) or not values[token]


@given(
    weights=st.lists(st.integers(0, 8), min_size=1, max_size=NUM_TOKENS).filter(any),
    u=st.tuples(*[st.floats(0, 1, exclude_max=True)] * 2),
)
def test_a_token_of_weight_zero_is_never_drawn(weights: list[int], u: tuple[float, float]) -> None:
    weights += [0] * (NUM_TOKENS - len(weights))
    row, numbers = torch.tensor([weights]).float(), torch.tensor([[u]], dtype=torch.float64)
    mass = column_mass(row)
    assert weights[int(draw(row, mass, numbers))] > 0
    assert int(mass[0, -1]) == sum(weights)


@given(rows=st.lists(st.integers(0, 5), min_size=1, max_size=6, unique=True), seed=st.integers(0))
def test_a_draw_from_some_rows_is_that_from_a_copy_of_them(rows: list[int], seed: int) -> None:
    source = torch.Generator().manual_seed(seed % 2**63)
    weights = torch.rand(6, NUM_TOKENS, generator=source)
    u = torch.rand(len(rows), 7, 2, generator=source, dtype=torch.float64)
    where = torch.tensor(rows)
    mass = column_mass(weights)
    expected = draw(weights[where], mass[where], u)
    assert draw_in(weights, where, mass[where], u).equal(expected)
    one_by_one = [draw(weights[where], mass[where], u[:, n : n + 1]) for n in range(7)]
    assert torch.cat(one_by_one, dim=1).equal(expected)


def make_params(rows: list[DecodeRow], num_tokens: int) -> RowParams:
    taught = Taught(num_tokens)
    none = Following({}, Biases(num_tokens), num_tokens).grammars
    return to_params(rows, num_tokens, taught, none)


def _row(stream: int = 0, **sampling: object) -> DecodeRow:
    params = SamplingParams(**sampling)  # type: ignore[arg-type]
    return DecodeRow(0, 0, 0, params, min_tokens=3, stream=stream)


def _choose(logits: torch.Tensor, rows: list[DecodeRow]) -> list[int]:
    params = make_params(rows, logits.shape[1])
    position = torch.tensor([row.position for row in rows])[params.sampled]
    u = uniform(params.stream, position.unsqueeze(1), torch.arange(1 + max_draws()))
    found: list[int] = choose(logits.clone(), u, params).tolist()
    return found


@given(st.lists(st.integers(-3, 3), min_size=NUM_TOKENS, max_size=NUM_TOKENS))
def test_greedy_takes_the_first_of_equals(logits: list[int]) -> None:
    assert most_likely(torch.tensor([logits]).float()).tolist() == [logits.index(max(logits))]


@pytest.mark.parametrize("temperature", [1e-30, 1e-3])
def test_a_tiny_temperature_is_greedy_and_no_division_by_zero(temperature: float) -> None:
    logits = torch.linspace(-3, 3, NUM_TOKENS).unsqueeze(0)
    for stream in range(20):
        assert _choose(logits, [_row(temperature=temperature, stream=stream)]) == [NUM_TOKENS - 1]


def test_the_end_token_is_impossible_before_min_tokens() -> None:
    logits = torch.zeros(2, NUM_TOKENS)
    logits[:, 5] = 50.0
    params = make_params([_row(temperature=0.0), _row(temperature=0.0)], NUM_TOKENS)
    forbid_end(logits, torch.tensor([2, 3]) < params.min_tokens, 5)
    assert logits.argmax(dim=1).tolist() == [0, 5]


def test_min_p_drops_what_is_much_less_likely_than_the_best() -> None:
    logits = torch.full((1, NUM_TOKENS), -50.0)
    logits[0, 3], logits[0, 4] = math.log(0.8), math.log(0.2)
    drawn = {
        _choose(logits, [_row(temperature=1.0, min_p=0.3, stream=stream)])[0]
        for stream in range(50)
    }
    assert drawn == {3}


@pytest.mark.parametrize(
    ("filters", "limit"),
    [
        # 0.1 % points of chi-squared at the tokens kept less one
        ({}, 181.99),  # 127
        ({"top_k": 40}, 72.06),  # 39
        ({"top_k": 3}, 13.82),  # 2: most of the draws are drawn in order
        ({"top_p": 0.9}, None),
        ({"min_p": 0.2}, None),
        ({"top_k": 50, "top_p": 0.5, "min_p": 0.02}, None),
    ],
)
def test_sampled_tokens_follow_the_distribution(
    filters: dict[str, float], limit: float | None
) -> None:
    """Chi-squared over 40,000 draws of one stream.

    The stream is fixed, so this cannot fail by chance on an unchanged sampler; for a changed
    but right one it fails with odds of about one in a thousand per set of filters.
    """
    draws = 40_000
    order = torch.randperm(NUM_TOKENS, generator=torch.Generator().manual_seed(1))
    logits = torch.linspace(-2, 2, NUM_TOKENS)[order]
    weights = torch.exp((logits - logits.max()).double() / 0.7).tolist()
    kept = torch.tensor(
        _reference_keep(
            weights,
            int(filters.get("top_k", 0)),
            filters.get("top_p", 1.0),
            filters.get("min_p", 0.0),
        )
    )
    params = SamplingParams(0.7, **filters)  # type: ignore[arg-type]
    rows = [DecodeRow(0, 0, n, params, 0, stream=12345) for n in range(draws)]
    counts = torch.bincount(
        torch.tensor(_choose(logits.repeat(draws, 1), rows)), minlength=NUM_TOKENS
    )
    is_possible = kept > 0
    assert int(counts[~is_possible].sum()) == 0
    expected = (kept / kept.sum() * draws)[is_possible]
    found = float(((counts[is_possible] - expected) ** 2 / expected).sum())
    assert found < (limit or _chi_squared_limit(len(expected) - 1))


def _chi_squared_limit(degrees: int) -> float:
    """The 0.1 % point by Wilson and Hilferty's cube, good to a percent."""
    spread = 2 / (9 * degrees)
    return degrees * (1 - spread + 3.0902 * math.sqrt(spread)) ** 3


def _adjusted(row: DecodeRow, logits: list[float]) -> list[float]:
    values = torch.tensor([logits + [0.0] * (NUM_TOKENS - len(logits))])
    adjust(values, make_params([row], NUM_TOKENS))
    found: list[float] = values[0].tolist()
    return found[: len(logits)]


def test_bias_and_penalties_come_in_the_documented_order() -> None:
    params = SamplingParams(
        repetition_penalty=2.0,
        frequency_penalty=0.25,
        presence_penalty=0.5,
        logit_bias=((0, 3.0), (1, -4.0)),
    )
    row = DecodeRow(0, 0, 3, params, 0, prompt_ids=(0, 1), reply_ids=(2, 3, 3))
    # biased to 4 and -3, then halved and doubled: in the prompt; 2 and 3 in the reply too
    expected = [2.0, -6.0, 0.5 - 0.25 - 0.5, -2.0 - 0.5 - 0.5, 1.0]
    assert _adjusted(row, [1.0, 1.0, 1.0, -1.0, 1.0]) == expected


def test_penalties_follow_what_is_chosen() -> None:
    params = SamplingParams(
        temperature=0.0, repetition_penalty=2.0, frequency_penalty=1.0, presence_penalty=0.5
    )
    before = DecodeRow(0, 0, 0, params, 0, (4,), ())
    row_params: RowParams = make_params([before], NUM_TOKENS)
    for token in (7, 9, 7):
        remember(torch.tensor([token]), row_params)
    anew = make_params([DecodeRow(0, 0, 3, params, 0, (4,), (7, 9, 7))], NUM_TOKENS)
    for name in ("repetition", "counts", "presence"):
        assert torch.equal(getattr(row_params, name), getattr(anew, name))


def test_only_the_rows_that_asked_are_adjusted() -> None:
    logits = torch.randn(3, NUM_TOKENS, generator=torch.Generator().manual_seed(1))
    before = logits.clone()
    rows = [_row(), _row(logit_bias=((5, 1.0),)), _row(temperature=0.0)]
    adjust(logits, make_params(rows, NUM_TOKENS))
    before[1, 5] += 1.0
    assert torch.equal(logits, before)


def test_equals_are_ranked_alike_whoever_else_is_scored() -> None:
    logits = torch.zeros(2, NUM_TOKENS)
    tokens = logits.argmax(dim=1)
    _, _, (alone, *_), _ = score(logits[:1], tokens[:1], MAX_LOGPROBS)
    _, _, (beside, *_), _ = score(logits, tokens, MAX_LOGPROBS)
    assert alone.tolist() == beside.tolist()


def test_a_row_is_filtered_by_its_own_wishes_only() -> None:
    logits = torch.randn(4, NUM_TOKENS, generator=torch.Generator().manual_seed(1))
    rows = [
        _row(temperature=1.0, top_k=2, stream=1),
        _row(temperature=0.5, stream=2),
        _row(temperature=0.0),
        _row(temperature=1.5, top_p=0.4, min_p=0.1, stream=3),
    ]
    alone = [_choose(logits[n : n + 1], [row])[0] for n, row in enumerate(rows)]
    assert _choose(logits, rows) == alone
