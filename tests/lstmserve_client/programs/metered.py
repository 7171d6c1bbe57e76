"""Prints the calls of both clients by method, as gRPC's own OpenTelemetry plugin counts them."""

import asyncio
import json
import sys

from grpc_observability import OpenTelemetryPlugin
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from lstmserve_client import AsyncClient, Client


async def ask_on_a_loop(target: str) -> None:
    async with AsyncClient(target) as client:
        await client.reply("hi")


def main(target: str) -> None:
    reader = InMemoryMetricReader()
    plugin = OpenTelemetryPlugin(
        meter_provider=MeterProvider(metric_readers=[reader]),
        generic_method_attribute_filter=lambda _: True,  # name them
    )
    plugin.register_global()
    with Client(target) as client:
        client.reply("hi")
        client.generate("hi").reply()
    asyncio.run(ask_on_a_loop(target))
    plugin.deregister_global()  # hands out what is left
    found = reader.get_metrics_data()
    counts = {
        str(point.attributes["grpc.method"]).rpartition("/")[2]: point.count
        for resource in found.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == "grpc.client.attempt.duration"
        for point in metric.data.data_points
    }
    sys.stdout.write(json.dumps(counts))


if __name__ == "__main__":
    main(sys.argv[1])
