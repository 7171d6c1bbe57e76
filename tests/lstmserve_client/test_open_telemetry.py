"""A client's calls as OpenTelemetry's own SDK reads them."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from lstmserve_client import Classification, Label, RetryPolicy, UnavailableError
from lstmserve_client.open_telemetry import OpenTelemetryMetrics
from lstmserve_client.testing import FakeReply, FakeService

QUESTION, REPLY = "Where is my order?", "It is on its way."


class Meters:
    """Points by the name of their metric."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self.provider = MeterProvider([self._reader])

    def points(self, name: str) -> list[Any]:
        """Those of one metric, in the order of their attributes."""
        data = self._reader.get_metrics_data()
        metrics = [
            metric
            for resource in (data.resource_metrics if data else [])
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
        ]
        found = [point for metric in metrics for point in metric.data.data_points]
        return sorted(found, key=lambda point: sorted(map(str, point.attributes.items())))


@pytest.fixture
def meters() -> Meters:
    return Meters()


@pytest.fixture
def service() -> FakeService:
    about = Classification(Label("order", 0.9), (), 0.95)
    return FakeService({QUESTION: FakeReply(REPLY, classification=about)})


def test_replies_are_counted_by_model_and_server(meters: Meters, service: FakeService) -> None:
    observer = OpenTelemetryMetrics(meters.provider)
    with service.client("[::1]:50051", on_call_end=observer) as client:
        whole = client.reply(QUESTION)
        service.delay_next(0.03)
        client.generate(QUESTION).reply()
        client.classify(QUESTION)
        client.models()  # neither reply nor classification
    classified, written = meters.points("gen_ai.client.operation.duration")
    assert written.attributes == {
        "gen_ai.operation.name": "text_completion",
        "gen_ai.provider.name": "lstmserve",
        "gen_ai.response.model": whole.started.model,
        "lstmserve.model.version": whole.started.model_version,
        "server.address": "::1",
        "server.port": 50051,
    }
    assert (written.count, written.sum) == (2, pytest.approx(0.03))
    assert classified.attributes["gen_ai.operation.name"] == "classify"
    assert classified.count == 1
    [first] = meters.points("gen_ai.client.operation.time_to_first_chunk")
    assert (first.count, first.sum) == (1, pytest.approx(0.03))
    read, made = meters.points("gen_ai.client.token.usage")
    assert (read.count, read.sum) == (2, 2 * whole.completion.usage.prompt_tokens)
    assert (made.count, made.sum) == (2, 2 * whole.completion.usage.generated_tokens)
    assert meters.points("lstmserve.client.retries") == []


def test_failures_and_further_attempts_are_counted(meters: Meters, service: FakeService) -> None:
    options = {"on_call_end": OpenTelemetryMetrics(meters.provider)}
    with service.client(retry=RetryPolicy(max_attempts=3), **options) as client:  # type: ignore[arg-type]
        service.fail_next(UnavailableError("no network"))
        client.reply(QUESTION)
        service.fail_next(UnavailableError("no network"), times=3)
        with pytest.raises(UnavailableError):
            client.reply(QUESTION)
        with client.generate(QUESTION) as stream:
            next(stream)
    points = meters.points("gen_ai.client.operation.duration")
    errors = [point.attributes.get("error.type") for point in points]
    assert sorted(map(str, errors)) == ["None", "UnavailableError", "canceled"]
    assert sum(point.value for point in meters.points("lstmserve.client.retries")) == 1 + 2


@pytest.mark.parametrize(
    ("target", "address", "port"),
    [
        ("models.internal:50051", "models.internal", 50051),
        ("dns:///models.internal:50051", "models.internal", 50051),
        ("dns://8.8.8.8/models.internal:50051", "models.internal", 50051),
        ("dns:models.internal:50051", "models.internal", 50051),
        ("ipv4:127.0.0.1:50051", "127.0.0.1", 50051),
        ("ipv6:[::1]:50051", "::1", 50051),
        ("unix:/run/lstmserve.sock", "unix:/run/lstmserve.sock", None),
    ],
)
def test_servers_are_named_as_their_targets_are(
    meters: Meters, service: FakeService, target: str, address: str, port: int | None
) -> None:
    with service.client(target, on_call_end=OpenTelemetryMetrics(meters.provider)) as client:
        client.reply(QUESTION)
    [point] = meters.points("gen_ai.client.operation.duration")
    assert point.attributes["server.address"] == address
    assert point.attributes.get("server.port") == port
