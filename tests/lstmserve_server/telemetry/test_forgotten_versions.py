"""A version that is gone leaves its totals, its last state, and nothing else."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, disable_created_metrics
from prometheus_client.samples import Sample

from lstmserve_server.config import EngineConfig
from lstmserve_server.engine.messages import Load
from lstmserve_server.engine.output import FinishReason, Timings
from lstmserve_server.rpc.call import Call, CallOutcome, Served
from lstmserve_server.telemetry.calls import CallMetrics
from lstmserve_server.telemetry.engine import EngineMetrics, watch_engine
from lstmserve_server.telemetry.metrics import MODEL_STATES, Metrics

LOAD = Load(running=1, waiting=2, waiting_tokens=3, parked=4)


def serve(metrics: Metrics, version: str) -> None:
    """All that is told of a version while it is served."""
    models = metrics.models
    models.info.labels("tiny", version).info({"digest": version, "family": "lstm"})
    for gauge in (models.bytes, models.state_bytes, models.inexact, models.traffic_share):
        gauge.labels("tiny", version).set(1)
    models.set_state("tiny", version, "ready")
    models.loads.labels("tiny", version, "ok").inc()
    metrics.quality.reference_log_perplexity.labels("tiny", version).set(2)
    watch_engine(metrics, "tiny", version, lambda: LOAD, EngineConfig())
    engine = EngineMetrics(metrics, "tiny", version)
    engine.on_decode(1, 2, 0.003)
    engine.on_wasted(4, "finished")
    engine.on_scored([1.0])
    engine.on_measured("two words", FinishReason.END_OF_TEXT)
    engine.on_cancelled(0.001)
    answer(CallMetrics(metrics), version)


def answer(calls: CallMetrics, version: str) -> None:
    call = Call("Generate", "id")
    reply = calls.on_accepted(call, "tiny", version, 5)
    for _ in range(2):
        reply.on_tokens(1, "miss")
    calls.on_classified("tiny", version, "greet", 0.75)
    reply.on_outcome("answered")
    reply.on_finished(Timings(0.001, 0.001, 0.001, 0.001, 0.003), 0.0)
    calls.on_call_end(call, CallOutcome("OK", 0.003, served=Served("tiny", version)))


def samples_of(registry: CollectorRegistry, version: str) -> list[Sample]:
    families = [*registry.collect()]
    return [
        one for family in families for one in family.samples if one.labels.get("version") == version
    ]


def test_a_forgotten_version_leaves_its_totals_and_its_state() -> None:
    disable_created_metrics()  # as the server does
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    serve(metrics, "1")
    serve(metrics, "2")
    totals = [one for one in samples_of(registry, "1") if one.name.endswith("_total")]
    others = samples_of(registry, "2")
    assert len(others) > len(totals) > 0

    metrics.forget("tiny", "1")
    metrics.models.set_state("tiny", "1", "unloaded")
    left = samples_of(registry, "1")
    states = {one.labels["state"]: one.value for one in left if one.name.endswith("model_state")}
    assert states == {state: state == "unloaded" for state in MODEL_STATES}
    assert [one for one in left if not one.name.endswith("model_state")] == totals
    assert samples_of(registry, "2") == others


def test_every_metric_of_a_version_is_told_in_this_test() -> None:
    registry = CollectorRegistry()
    serve(Metrics(registry), "1")
    silent = {
        family.name
        for family in registry.collect()
        if "version" in getattr(registry._names_to_collectors[family.name], "_labelnames", ())
        and not family.samples
    }
    assert not silent


def test_a_version_that_comes_again_is_told_anew() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    calls = CallMetrics(metrics)
    serve(metrics, "1")
    metrics.forget("tiny", "1")
    serve(metrics, "1")
    answer(calls, "1")
    labels = {"model": "tiny", "version": "1"}
    read = registry.get_sample_value
    assert read("lstmserve_tokens_per_second", labels) == 0.4  # of the last ten seconds
    assert read("lstmserve_generated_tokens_total", {**labels, "source": "model"}) == 6
    assert read("lstmserve_inter_token_seconds_count", labels) == 2
