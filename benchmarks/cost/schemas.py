"""What JSON schemas of others are served: MaskBench, of guidance-ai/jsonschemabench, from a path.

Each of its files has a schema, and instances that are valid or not. A schema passes when it is
served, every valid instance is what a reply may be, and no other is.
"""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import Any

from benchmarks.load.findings import Finding, Target
from lstmserve_bundle import Bundle
from lstmserve_server.engine.constraints.builder import MAX_SECONDS
from lstmserve_server.engine.constraints.completion import SCHEMA_EFFORT
from lstmserve_server.engine.constraints.grammar import Grammar, GrammarError
from lstmserve_server.engine.constraints.grammar_builder import GrammarBuilder
from lstmserve_server.engine.constraints.grammar_texts import of_json_schema
from lstmserve_server.engine.constraints.messages import RefusedFormError
from lstmserve_server.engine.constraints.parsing import GrammarVocabulary, mask_of

MAX_REASONS = 12


@dataclass
class Tally:
    """What came of the schemas so far."""

    counts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    building: list[float] = field(default_factory=list)  # seconds of processor time
    masks: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)  # files of which an invalid instance is taken


class SchemaBench:
    """Tries schemas over the tokens of one version."""

    def __init__(self, bundle: Bundle) -> None:
        tokens, end_id = bundle.tokenizer.all_bytes(), bundle.template.end_id
        self._end_id = end_id
        self._builder = GrammarBuilder(tokens, end_id)
        self._vocabulary = GrammarVocabulary(tokens, end_id)
        self.tally = Tally()

    def run(self, path: Path) -> None:
        """Count what comes of one file."""
        content = json.loads(path.read_text("utf-8"))
        began_at = time.process_time()
        try:
            with _time_limit(MAX_SECONDS):
                text = of_json_schema(json.dumps(content["schema"]))
                grammar = self._builder.build(text, "", SCHEMA_EFFORT)
        except (RefusedFormError, TimeoutError) as error:
            self.tally.counts["refused"] += 1
            self.tally.reasons[str(error)[:80] or "takes too long"] += 1
            return
        self.tally.building.append(time.process_time() - began_at)
        self._judge(path.name, grammar, content["tests"])

    def _judge(self, name: str, grammar: Grammar, tests: list[Mapping[str, Any]]) -> None:
        try:
            verdicts = {
                (bool(test["valid"]), self._accepts(grammar, test["data"])) for test in tests
            }
        except GrammarError as error:
            self.tally.counts["given up"] += 1
            self.tally.reasons[str(error)[:80]] += 1
            return
        if (False, True) in verdicts:
            self.tally.counts["wrongly accepted"] += 1
            self.tally.wrong.append(name)
        elif (True, False) in verdicts:
            self.tally.counts["valid not accepted"] += 1
        else:
            self.tally.counts["passed"] += 1

    def _accepts(self, grammar: Grammar, instance: object) -> bool:
        """Return whether a reply may be an instance, as most programs write it."""
        matcher = self._vocabulary.begin(grammar.text, b"")
        text = json.dumps(instance, ensure_ascii=False).encode("utf-8", "surrogatepass")
        for token_id in [*(self._vocabulary.tokenize(text) or ()), self._end_id]:
            began_at = time.perf_counter()
            mask = mask_of(matcher)
            self.tally.masks.append(time.perf_counter() - began_at)
            if not mask[token_id >> 3] >> (token_id & 7) & 1:
                return False
            matcher.consume_token(token_id)
        return True


def try_schemas(bundle: Bundle, folder: Path, every: int) -> Iterator[Finding]:
    """Try every so many of the files of a folder; yield what came of it."""
    bench = SchemaBench(bundle)
    paths = sorted(folder.glob("*.json"))[::every]
    for path in paths:
        bench.run(path)
    tally = bench.tally
    yield Finding("schemas", len(paths))
    for name in ("passed", "refused", "valid not accepted", "given up"):
        yield Finding(name, tally.counts[name])
    yield Finding("wrongly accepted", tally.counts["wrongly accepted"], target=Target(0))
    yield from (Finding(f"wrongly accepted: {name}", 1) for name in tally.wrong)
    built = quantiles(tally.building, n=100)
    yield Finding("building one, p50", 1e3 * built[49], "ms", Target(5))
    yield Finding("building one, p99", 1e3 * built[98], "ms", Target(50))
    masks = quantiles(tally.masks, n=100)
    yield Finding("a mask, p50", 1e6 * masks[49], "µs")
    yield Finding("a mask, p99", 1e6 * masks[98], "µs", Target(20))
    for reason, count in tally.reasons.most_common(MAX_REASONS):
        yield Finding(f"reason: {reason}", count)


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError after so much processor time of this process."""

    def stop(*_: object) -> None:
        raise TimeoutError("takes too long to build")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
