"""What the caches bring, what they hold, and how Redis does."""

from __future__ import annotations

from lstmserve_dashboards import entries, savings
from lstmserve_dashboards.board import Board, Section
from lstmserve_dashboards.entries import REPLIES, STATES


def make_cache() -> Board:
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
