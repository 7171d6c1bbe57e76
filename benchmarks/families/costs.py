"""What a network of each family costs to run, at about the same number of weights."""

from __future__ import annotations

import time

import torch

from lstmserve_server.engine.decoding.state_format import StateFormat
from lstmserve_training.families import make_model, quantize_model
from lstmserve_training.model import LanguageModel, ModelConfig
from lstmserve_training.speed import one_thread, tokens_per_second
from lstmserve_training.stepper import Served

NUM_TOKENS = 4160  # as support-en
PROMPT_TOKENS = 1000
ROWS = (1, 64)
NETWORKS = {
    "stacked": ModelConfig(NUM_TOKENS, 512),
    "projected": ModelConfig(NUM_TOKENS, 704, family="projected", projection=384),
    "hybrid": ModelConfig(NUM_TOKENS, 512, family="hybrid", attention=64, heads=2, window=256),
    "attentive": ModelConfig(
        NUM_TOKENS, 512, family="attentive", attention=64, heads=2, window=256
    ),
    "transformer": ModelConfig(
        NUM_TOKENS, 384, 5, family="transformer", attention=64, heads=2, window=256
    ),
}


def measure_costs(seconds: float, rounds: int) -> dict[str, dict[str, float]]:
    """Return the costs of each family; the best of several rounds, which take turns.

    Costs do not depend on the weights, so nobody has to train them.
    """
    models = {family: _make(config) for family, config in NETWORKS.items()}
    served = {family: quantize_model(model, ()) for family, model in models.items()}
    found: dict[str, dict[str, float]] = {}
    for family, model in models.items():
        weights = sum(parameter.numel() for parameter in model.parameters())
        found[family] = {"parameters": weights, **_sizes(served[family])}
    for _ in range(rounds):
        for family, module in served.items():
            _note(found[family], module, seconds / rounds)
    return found


@torch.no_grad()
def _make(config: ModelConfig) -> LanguageModel:
    model = make_model(config)
    model.train()(torch.randint(NUM_TOKENS, (8, 8)), None)  # how large projected values are
    return model.eval()


def _sizes(module: Served) -> dict[str, float]:
    """The bytes of a state, in a row that runs and where it is kept."""
    values = module.initial_state(1).shape[1]
    kept = StateFormat(values, getattr(module, "int8_columns", ()))
    return {"state_bytes": 4 * values, "kept_state_bytes": kept.num_bytes}


def _note(best: dict[str, float], module: Served, seconds: float) -> None:
    for rows in ROWS:
        speed, name = tokens_per_second(module, rows, seconds), f"tokens_per_second_{rows}_rows"
        best[name] = max(best.get(name, 0.0), speed)
    name = f"prompt_ms_{PROMPT_TOKENS}_tokens"
    best[name] = min(best.get(name, float("inf")), 1000 * _read_prompt(module))


@torch.no_grad()
def _read_prompt(module: Served) -> float:
    """Seconds that a long prompt takes alone."""
    tokens = torch.randint(NUM_TOKENS, (1, PROMPT_TOKENS))
    with one_thread():
        begin = time.perf_counter()
        module.prefill(module.initial_state(1), tokens, torch.tensor([PROMPT_TOKENS]))
        return time.perf_counter() - begin
