"""Nothing is lost between supervisor and worker."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lstmserve_server.config import Address
from lstmserve_server.process_messages import (
    ANSWERS,
    CHANGES,
    ORDERS,
    STATES,
    OperatorChange,
    OperatorState,
    Order,
    Ready,
    Refusal,
)
from lstmserve_server.store.directives import Directives
from support.options import read_config

OPTIONS = (
    *("--listen=[::1]:7", "--metrics-listen=[::1]:8", "--model-store=/a/b", "--default-model=c"),
    *("--max-running=9", "--max-waiting=10", "--quantum-steps=11", "--prefill-piece-tokens=12"),
    *("--torch-threads=2", "--drain-seconds=0.1", "--drain-notice-seconds=0", "--workers=3"),
    *("--pin=none", "--tls-certificate=/c", "--tls-key=/k", "--tls-client-authority=/a"),
    *("--max-connections=13", "--max-concurrent-streams=14", "--max-connection-age-seconds=0.5"),
)
SAID = (
    Directives(default_model="c", weights={"b": {1: 2, 20: 0}, "c": {3: 4}})
    .with_requested(("b", 20))
    .with_rejected(("c", 3))
)


def test_a_worker_reads_the_configuration_that_the_supervisor_has() -> None:
    config = read_config(OPTIONS)
    store = replace(config.store, version_policy="all b=1,20", traffic="b=1:2,20:3")
    assert store.folder == Path("/a/b")
    config = replace(config, store=store, reuse_port=True)
    order = Order(2, 77, (4, 5), config, SAID, "DEBUG")
    assert ORDERS.validate_json(ORDERS.dump_json(order)) == order


def test_an_answer_of_either_kind_arrives_as_one_line() -> None:
    ready = Ready((("tiny", 1),), Address("::1", 1), Address("127.0.0.1", 2))
    for answer in (ready, Refusal("a\nb")):
        line = ANSWERS.dump_json(answer)
        assert b"\n" not in line
        assert ANSWERS.validate_json(line) == answer


def test_what_operators_say_arrives_as_one_line_each_way() -> None:
    change, state = OperatorChange(Directives(), SAID), OperatorState(SAID, 7)
    lines = CHANGES.dump_json(change), STATES.dump_json(state)
    assert not any(b"\n" in line for line in lines)
    assert CHANGES.validate_json(lines[0]) == change
    assert STATES.validate_json(lines[1]) == state
