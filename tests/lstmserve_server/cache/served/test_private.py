"""What customers type, and what is sent for the gaps of a reply, reaches no cache."""

# ruff: noqa: RUF001 - Chinese punctuation is meant

from __future__ import annotations

from pathlib import Path

from benchmarks.testbed.redis import RedisProcess
from lstmserve.v1 import generation_service_pb2 as pb
from support.metrics_page import scrape_until
from support.served import serve
from support.understanding import ANSWERS, SPELLINGS, make_understanding_store
from support.wire_requests import conversation

GREEDY = pb.SamplingParams(temperature=0)
SECRETS = ("482131", "482132", "jo@example.org", "mia@example.org", "Jo Lee", "Mia Moe")
# the weights depend on the CPU that trained them, and a few replies have none but these
STOPS = ["!", "！", ".", "。", "?", "？"]
PLACEHOLDERS = {
    **ANSWERS["placeholders"],
    "order_number": {"kind": "order_number", "spellings": [*SPELLINGS, *STOPS]},
}


def ask(number: str, address: str, name: str) -> pb.GenerateRequest:
    said = conversation(f"hello, order {number}", "Your address?", f"cancel, {address}")
    return pb.GenerateRequest(conversation=said, sampling=GREEDY, variables={"name": name})


def test_two_customers_share_one_entry_that_names_neither(
    tiny_store: Path, tmp_path: Path, redis_server: RedisProcess
) -> None:
    store = make_understanding_store(
        tiny_store / "tiny" / "1", tmp_path, {**ANSWERS, "placeholders": PLACEHOLDERS}
    )
    options = ("--redis-url", redis_server.url, "--cache-threshold", "1")
    with serve(store, *options) as served:
        first = served.ask(ask(SECRETS[0], SECRETS[2], SECRETS[4]))
        scrape_until(
            served.process.metrics_url,
            lambda page: page.total("cache_stores_total", store="redis") >= 1,
        )
    with serve(store, *options) as another:
        second = another.ask(ask(SECRETS[1], SECRETS[3], SECRETS[5]))
    assert first.outcome == pb.CACHE_OUTCOME_MISS
    assert second.outcome == pb.CACHE_OUTCOME_HIT
    assert SECRETS[0] in first.text
    of_second = first.text.replace(SECRETS[0], SECRETS[1]).replace(SECRETS[2], SECRETS[3])
    assert of_second == second.text
    redis = redis_server.client
    keys = list(redis.scan_iter())
    kept = b"".join(key + redis.dump(key) for key in keys)
    values = b"".join(redis.get(key) or b"" for key in keys if redis.type(key) == b"string")
    assert keys
    for secret in SECRETS:
        assert secret.encode() not in kept + values
