"""How good replies are, live, beside what the manifest promises."""

from __future__ import annotations

from lstmserve_dashboards import models, replies
from lstmserve_dashboards.board import Board, Section


def make_quality() -> Board:
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
