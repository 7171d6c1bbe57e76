"""What constraints cost: a decode step with rows that keep a form, and building forms."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from statistics import median, quantiles

from benchmarks.engine.contestants import NEVER_ENDS, STEPS, Round, load_newest
from benchmarks.load.findings import Finding, Target
from lstmserve_bundle import Bundle, open_bundle
from lstmserve_server.engine.constraints.builder import ProcessBuilder
from lstmserve_server.engine.constraints.byte_automaton import of_regex
from lstmserve_server.engine.constraints.form import Form, RegularForm
from lstmserve_server.engine.constraints.grammar import Grammar
from lstmserve_server.engine.constraints.grammar_builder import GrammarBuilder
from lstmserve_server.engine.constraints.growing import ReplyMaker
from lstmserve_server.engine.constraints.spec import FormSpec
from lstmserve_server.engine.constraints.token_automaton import Vocabulary, of_tokens
from lstmserve_server.engine.decoding.decode_row import DecodeRow, FormRow
from lstmserve_server.engine.decoding.runner import Runner
from lstmserve_server.engine.request import SamplingParams
from lstmserve_server.store.repository import ModelRepository

ROWS = 64
SAMPLING = SamplingParams(temperature=0.8)
# none of them ends within a round, and what they allow differs much
DECODED = (r"[\s\S]*", r"([A-Za-z',.!?]+ ){500}[a-z]+", r"([0-9]{4}-[0-9]{2}-[0-9]{2}\n){200}")
EVERYDAY = (
    r"(yes|no|maybe)",
    r"(positive|negative|neutral)",
    r"[0-9]+",
    r"-?[0-9]+(\.[0-9]+)?",
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}",
    r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]",
    r"\d{4}-\d{2}-\d{2}",
    r"\+?[0-9]{1,3}[ -]?[0-9]{3}[ -]?[0-9]{4}",
    r"[a-z0-9._%+-]+@[a-z0-9.-]+\.[a-z]{2,}",
    r"https?://[a-z0-9.-]+(/[A-Za-z0-9._~-]*)*",
    r"[A-Z]{2}[0-9]{6}",
    r"#[0-9a-fA-F]{6}",
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    r"([0-9]{1,3}\.){3}[0-9]{1,3}",
    r"(Dear|Hello) [A-Z][a-z]+, .*",
    r"[A-Z][^.!?]*[.!?]",
    r"[A-Z][^.!?]*[.!?]( [A-Z][^.!?]*[.!?]){0,2}",
    r"- [^\n]+(\n- [^\n]+){2,4}",
    r"[A-Za-z ,.]{1,200}",
    r".{1,129}",
    r'\{"name": "[^"]{1,40}", "age": [0-9]{1,3}\}',
    r"[a-z_][a-z0-9_]{0,31}",
    r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun)day",
    r"[$€£][0-9]{1,6}(\.[0-9]{2})?",
    r"(?i)(order|invoice) [a-z0-9-]+",
)
# lines of JSON, one after the other
ORDERS = """
start: (order "\\n")*
order: %json {
  "type": "object",
  "properties": {
    "topic": {"enum": ["order", "refund", "delivery"]},
    "urgent": {"type": "boolean"},
    "number": {"type": "integer"},
    "summary": {"type": "string", "maxLength": 80}
  },
  "required": ["topic", "urgent", "summary"],
  "additionalProperties": false
}
"""
LARGE = (r"[^\n]{1,200}", r"\w{3,16}", r"[ab]*a[ab]{13}")


def time_steps(store: Path, seconds: float) -> list[Finding]:
    """Compare steps of plain rows with those of rows that keep a form; they take turns."""
    bundle = open_newest(store)
    runner = load_newest(store).runner
    with closing(ProcessBuilder()) as builder:
        forms = {pattern: _regular(builder.build(FormSpec(pattern), bundle)) for pattern in DECODED}
    for form in forms.values():
        runner.taught.teach(form.digest, form.taught)
    rounds = {**dict(_rounds(runner, forms)), **dict(_grammar_rounds(runner, bundle))}
    spent = _take_turns(rounds, seconds)
    plain = spent.pop("plain")
    return [
        Finding("a step of 64 plain rows", 1e6 * plain / STEPS, "µs"),
        *(
            Finding(f"ratio: {name}", each / plain, target=Target(1.1))
            for name, each in spent.items()
        ),
    ]


def _regular(form: Form) -> RegularForm:
    if not isinstance(form, RegularForm):
        raise TypeError(f"not a regular form: {form}")
    return form


def _rounds(runner: Runner, forms: Mapping[str, RegularForm]) -> Iterator[tuple[str, Round]]:
    yield "plain", _round(runner, [None] * ROWS)
    for pattern, form in forms.items():
        yield f"all rows keep {pattern}", _round(runner, [form] * ROWS)
    some = list(forms.values())
    yield "one row keeps a form", _round(runner, [some[0], *[None] * (ROWS - 1)])
    mixed = [some[number % len(some)] for number in range(ROWS)]
    yield "rows keep one of three", _round(runner, mixed)


def _grammar_rounds(runner: Runner, bundle: Bundle) -> Iterator[tuple[str, Round]]:
    tokens, end_id = bundle.tokenizer.all_bytes(), bundle.template.end_id
    grammar = GrammarBuilder(tokens, end_id).build(ORDERS, "")
    maker = ReplyMaker(tokens, end_id)
    for name, count in (("one row keeps a grammar", 1), ("all rows keep a grammar", ROWS)):
        yield name, _grammar_round(runner, maker, grammar, count)


def _grammar_round(runner: Runner, maker: ReplyMaker, grammar: Grammar, count: int) -> Round:
    def begin(number: int) -> DecodeRow:
        reply = maker.begin(grammar, NEVER_ENDS) if number < count else None
        return DecodeRow(number, 5, 0, SAMPLING, NEVER_ENDS, stream=number, grammar=reply)

    rows: list[DecodeRow] = []

    def warm_up() -> None:
        rows[:] = map(begin, range(ROWS))
        runner.clear(list(range(ROWS)))
        runner.decode(rows, STEPS, same_rows=False)

    return Round(warm_up, lambda: runner.decode(rows, STEPS, same_rows=True))


def _round(runner: Runner, forms: Sequence[RegularForm | None]) -> Round:
    rows = [
        DecodeRow(
            number,
            5,
            0,
            SAMPLING,
            NEVER_ENDS,
            form=None if form is None else FormRow(form.digest, form.taught.start, NEVER_ENDS),
        )
        for number, form in enumerate(forms)
    ]
    runner.clear(list(range(ROWS)))
    return Round(
        lambda: runner.decode(rows, STEPS, same_rows=False),
        lambda: runner.decode(rows, STEPS, same_rows=True),
    )


def _take_turns(rounds: Mapping[str, Round], seconds: float) -> dict[str, float]:
    """Return the median processor time of each; in changing order, as what ran before counts."""
    spent: dict[str, list[float]] = {name: [] for name in rounds}
    stop = time.perf_counter() + seconds
    while time.perf_counter() < stop:
        for name, each in random.sample([*rounds.items()], len(rounds)):
            each.warm_up()
            began_at = time.process_time()
            each.timed()
            spent[name].append(time.process_time() - began_at)
    return {name: median(times) for name, times in spent.items()}


def time_building(store: Path, repeats: int) -> list[Finding]:
    """Time what a caller waits for: building, in the process that does it, and the way there."""
    bundle = open_newest(store)
    with closing(ProcessBuilder()) as builder:
        builder.build(FormSpec("[0-9]"), bundle)  # which starts the process
        return _summarize(lambda pattern: _build(builder, pattern, bundle), repeats)


def time_building_alone(store: Path, repeats: int) -> list[Finding]:
    """Time the work of building, in processor time of one thread."""
    bundle = open_newest(store)
    tokens = map(bundle.tokenizer.token_bytes, range(bundle.tokenizer.num_tokens))
    vocabulary = Vocabulary(tuple(tokens), bundle.template.end_id)

    def build(pattern: str) -> float:
        began_at = time.process_time()
        of_tokens(of_regex(pattern), vocabulary)
        return time.process_time() - began_at

    return _summarize(build, repeats)


def _summarize(build: Callable[[str], float], repeats: int) -> list[Finding]:
    times = [min(build(pattern) for _ in range(repeats)) for pattern in EVERYDAY]
    cuts = quantiles(times, n=100, method="inclusive")
    return [
        Finding("everyday patterns", len(times)),
        Finding("building one, p50", 1e3 * cuts[49], "ms", Target(5)),
        Finding("building one, p99", 1e3 * cuts[98], "ms", Target(50)),
        *(Finding(f"building {name!r}", 1e3 * build(name), "ms") for name in LARGE),
    ]


def _build(builder: ProcessBuilder, pattern: str, bundle: Bundle) -> float:
    began_at = time.perf_counter()
    builder.build(FormSpec(pattern), bundle)
    return time.perf_counter() - began_at


def open_newest(store: Path) -> Bundle:
    """Return the newest version of a store's first model."""
    return open_bundle(next(iter(ModelRepository(store).scan().values()))[0].folder)
