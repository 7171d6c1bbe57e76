"""Which models are served, and within what bounds each of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from lstmserve_server.config.declaring import option


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """Where models are, and which of their versions answer."""

    folder: Path = field(
        default=Path("model_store"),
        metadata=option("Folder that holds <model>/<version>/manifest.json.", name="model_store"),
    )
    default_model: str = field(
        default="",
        metadata=option(
            "Model that answers requests that name none. Empty: the one that the store's file "
            "DEFAULT_MODEL names, else the only one there is."
        ),
    )
    torch_threads: int = field(
        default=1,
        metadata=option(
            "Threads per decode step. Two help only with large batches and an idle core; more "
            "would split rows unevenly and change bits.",
            ge=1,
            le=2,
        ),
    )
    version_policy: str = field(  # as store.version_policy reads it
        default="latest",
        metadata=option(
            "Versions to serve: latest, latest:N, all, or numbers with commas. The first is for "
            "all models, those that follow are for single ones: 'latest:2 support-en=3,4'."
        ),
    )
    poll_seconds: float = field(
        default=2.0,
        metadata=option(
            "Time between two looks for new versions; 0: only when told to load one.",
            ge=0,
            le=86400,
        ),
    )
    traffic: str = field(  # as store.shares reads it
        default="",
        metadata=option(
            "Weights of versions for requests that name none: 'support-en=2:90,3:10'. Empty: the "
            "newest version gets all."
        ),
    )
    stored_default: str = ""  # what the store said when the supervisor started
    allow_inexact: bool = field(
        default=False,
        metadata=option(
            "Serve also versions whose replies are not bit for bit a function of their requests: "
            "one reply at a time, neither kept, shared nor resumed. Without this they are refused."
        ),
    )


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Bounds of one model's engine."""

    max_running: int = field(
        default=64,
        metadata=option("Replies generated at the same time, per model.", ge=1, le=1024),
    )
    max_waiting: int = field(
        default=1024,
        metadata=option(
            "Requests kept per model that have no row of the batch: they wait for one, or for a "
            "slow reader. More are refused.",
            ge=0,
        ),
    )
    max_waiting_tokens: int = field(
        default=1 << 20,
        metadata=option(
            "The bound of --max-waiting in tokens: prompt and max_tokens of the requests that "
            "wait.",
            ge=1,
        ),
    )
    quantum_steps: int = field(
        default=8,
        metadata=option(
            "Tokens decoded per reply between two looks at the queue. More is faster, but new "
            "requests wait longer.",
            ge=1,
            le=64,
        ),
    )
    prefill_piece_tokens: int = field(
        default=32,
        metadata=option("Tokens read of each new prompt between two quanta.", ge=1, le=1024),
    )
    prefill_budget_tokens: int = field(
        default=512,
        metadata=option(
            "Tokens read of all new prompts between two quanta: the longest pause of running "
            "replies.",
            ge=2,
        ),
    )
    park_after_tokens: int = field(
        default=256,
        metadata=option(
            "Tokens made ahead of a slow reader before its row is given to another request.", ge=1
        ),
    )
    measured_tokens_per_second: float = 32.0  # scored for quality, at most about; 0: none
