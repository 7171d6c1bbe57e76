"""Is the service well, and if not, where to look."""

from __future__ import annotations

from lstmserve_dashboards import latency, models, process, room, traffic
from lstmserve_dashboards.board import Board, Section
from lstmserve_dashboards.panels import Panel


def make_overview() -> Board:
    return Board(
        "overview",
        "overview",
        "Is the service well: traffic, latency, the room that is left, and the models served.",
        [
            Section("Now", _now()),
            Section("Traffic", [traffic.tokens(), traffic.outcomes(), traffic.refusals()]),
            Section(
                "Latency",
                [latency.first_token(), latency.between_tokens(), latency.whole_request()],
            ),
            Section("Room", [room.places(), room.queue(), process.memory()]),
            Section("Models", [models.states_of_versions(), models.traffic_shares()]),
            Section("What runs", [models.served_versions(), process.servers()]),
        ],
    )


def _now() -> list[Panel]:
    return [
        process.servers_up(),
        traffic.tokens_now(),
        traffic.requests_now(),
        traffic.failed_now(),
        latency.first_token_in_time(),
        process.alerts(),
    ]
