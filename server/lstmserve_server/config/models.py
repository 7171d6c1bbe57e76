"""Which models are served, and within what bounds each of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lstmserve_server.config.declaring import option


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """Where models are, and which of their versions answer."""

    folder: Path = option(
        Path("model_store"),
        "Folder that holds <model>/<version>/manifest.json.",
        name="model_store",
    )
    default_model: str = option(
        "",
        "Model that answers requests that name none. Empty: the one that the store's file "
        "DEFAULT_MODEL names, else the only one there is.",
    )
    torch_threads: int = option(
        1,
        "Threads per decode step. Two help only with large batches and an idle core; more "
        "would split rows unevenly and change bits.",
        ge=1,
        le=2,
    )
    # as store.version_policy reads it
    version_policy: str = option(
        "latest",
        "Versions to serve: latest, latest:N, all, or numbers with commas. The first is for "
        "all models, those that follow are for single ones: 'latest:2 support-en=3,4'.",
    )
    poll_seconds: float = option(
        2.0,
        "Time between two looks for new versions; 0: load one only when told to.",
        ge=0,
        le=86400,
    )
    # as store.shares reads it
    traffic: str = option(
        "",
        "Weights of versions for requests that name none: 'support-en=2:90,3:10'. Empty: the "
        "newest version gets all.",
    )
    stored_default: str = ""  # what the store said when the supervisor started
    allow_inexact: bool = option(
        False,
        "Serve also versions whose replies are not bit for bit a function of their requests: "
        "one reply at a time, neither kept, shared nor resumed. Without this they are refused.",
    )


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Bounds of one model's engine."""

    max_running: int = option(64, "Replies generated at the same time, per model.", ge=1, le=1024)
    max_waiting: int = option(
        1024,
        "Requests that may wait for a row of the batch or be parked, per model; more are refused.",
        ge=0,
    )
    max_waiting_tokens: int = option(
        1 << 20,
        "Tokens (prompt and max_tokens) of the requests that may wait, per model; more are "
        "refused.",
        ge=1,
    )
    quantum_steps: int = option(
        8,
        "Decode steps between two looks at the queue. More is faster, but new requests wait "
        "longer.",
        ge=1,
        le=64,
    )
    prefill_piece_tokens: int = option(
        32, "Tokens of each new prompt to prefill between two quanta.", ge=1, le=1024
    )
    prefill_budget_tokens: int = option(
        512,
        "Tokens of all new prompts to prefill between two quanta: it bounds the pause of running "
        "replies.",
        ge=2,
    )
    park_after_tokens: int = option(
        256, "Tokens decoded ahead of a slow reader before its reply is parked.", ge=1
    )
    measured_tokens_per_second: float = 32.0  # scored for quality, at most about; 0: none


@dataclass(frozen=True, slots=True)
class ConstraintsConfig:
    """What the forms that requests want their replies to keep may cost."""

    build_seconds: float = option(
        2.0,
        "Processor time that building a request's constraint may take; what needs more is refused. "
        "Callers take turns, so it also bounds how long one keeps another waiting.",
        name="constraint_seconds",
        ge=0.01,
        le=60,
    )
    kept_bytes: int = option(
        16 << 20,
        "Bytes of constraints that are kept once they are built; those used last stay.",
        name="constraint_bytes",
        ge=1 << 20,
        le=1 << 40,
    )
