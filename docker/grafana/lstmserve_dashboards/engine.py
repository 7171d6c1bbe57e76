"""What the engines do with their time, for whoever wants them faster."""

from __future__ import annotations

from lstmserve_dashboards import decoding, latency, process, room, traffic
from lstmserve_dashboards.board import Board, Section


def make_engine() -> Board:
    return Board(
        "engine",
        "engine",
        "What the engines do: how full batches are, what a step costs, what is wasted, who waits.",
        [
            Section("Decoding", [decoding.speed(), decoding.rows(), decoding.step()]),
            Section("Work", [decoding.wasted(), decoding.prompts(), traffic.refusals()]),
            Section("Stages", [room.sequences(), room.waiting_tokens(), latency.queued()]),
            Section("Turns", [latency.prefill(), latency.cancellation(), room.states_memory()]),
            Section("Restarts", [process.engine_restarts(), process.restarts()]),
            Section("Processes", [room.workers(), process.dropped_lines()]),
        ],
    )
