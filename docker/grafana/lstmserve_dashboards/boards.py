"""All dashboards, in the order in which they are read: which panels stand where."""

from __future__ import annotations

from lstmserve_dashboards import (
    constraints,
    decoding,
    entries,
    latency,
    models,
    process,
    replies,
    room,
    savings,
    traffic,
)
from lstmserve_dashboards.board import Board, Section
from lstmserve_dashboards.entries import REPLIES, STATES
from lstmserve_dashboards.panels import Panel


def _make_overview() -> Board:
    """Show whether the service is well, and if not, where to look."""
    return Board(
        "overview",
        "overview",
        "Is the service well: traffic, latency, the room that is left, and the models served.",
        [
            Section("Now", _list_now()),
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


def _list_now() -> list[Panel]:
    return [
        process.servers_up(),
        traffic.tokens_now(),
        traffic.requests_now(),
        traffic.failed_now(),
        latency.first_token_in_time(),
        process.alerts(),
    ]


def _make_engine() -> Board:
    """Show what the engines do with their time, for whoever wants them faster."""
    return Board(
        "engine",
        "engine",
        "What the engines do: how full batches are, what a step costs, what is wasted, who waits.",
        [
            Section("Decoding", [decoding.speed(), decoding.rows(), decoding.step()]),
            Section("Work", [decoding.wasted(), decoding.prompts(), traffic.refusals()]),
            Section("Stages", [room.sequences(), room.waiting_tokens(), latency.queued()]),
            Section("Turns", [latency.prefill(), latency.cancellation(), room.states_memory()]),
            Section(
                "Constraints", [constraints.outcomes(), constraints.waiting(), constraints.kept()]
            ),
            Section("Restarts", [process.engine_restarts(), process.restarts()]),
            Section("Processes", [room.workers(), process.dropped_lines()]),
        ],
    )


def _make_cache() -> Board:
    """Show what the caches bring, what they hold, and how Redis does."""
    return Board(
        "cache",
        "cache",
        "What kept replies and states of prompts bring and cost, and how Redis does.",
        [
            Section("What they bring", [savings.outcomes(), savings.share(), savings.seconds()]),
            Section("Replies: lookups", entries.lookups(REPLIES)),
            Section("Replies: what is held", entries.held(REPLIES)),
            Section("States of prompts: lookups", entries.lookups(STATES)),
            Section("States of prompts: what is held", entries.held(STATES)),
            Section("Redis", [savings.breaker(), savings.problems()]),
        ],
    )


def _make_quality() -> Board:
    """Show how good replies are, live, beside what the manifest promises."""
    return Board(
        "quality",
        "model quality",
        "How good replies are, by version: compare a canary with what it is to replace.",
        [
            Section("Perplexity", [replies.perplexity(), replies.drift(), replies.window()]),
            Section("Variety and length", [replies.distinct(), replies.empty(), replies.limited()]),
            Section("Labels", [replies.labels(), replies.confidence(), replies.unsure()]),
            Section("Replies", [replies.finished(), replies.lengths(), replies.reasons()]),
            Section("Versions", [models.states_of_versions(), models.traffic_shares()]),
            Section("Loads", [models.loads(), models.load_seconds()]),
        ],
    )


BOARDS = (_make_overview(), _make_engine(), _make_cache(), _make_quality())
