"""The kinds of network that can be trained, and what each is served as."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lstmserve_training.attention import AttentionLstm
from lstmserve_training.int8_attention import quantize_attention
from lstmserve_training.int8_projection import quantize_projected
from lstmserve_training.int8_transformer import quantize_transformer
from lstmserve_training.model import LanguageModel, ModelConfig
from lstmserve_training.projection import ProjectedLstm
from lstmserve_training.quantize import quantize
from lstmserve_training.stacked import StackedLstm
from lstmserve_training.stepper import Served
from lstmserve_training.transformer import Transformer


@dataclass(frozen=True)
class Family:
    """How a network is made, and how it becomes the module that is served."""

    name: str  # as a manifest has it
    make: Callable[[ModelConfig], LanguageModel]
    quantize: Callable[[Any, Sequence[int]], Served]


FAMILIES = {
    "stacked": Family("stacked-lstm", StackedLstm, quantize),
    "projected": Family("projected-lstm", ProjectedLstm, quantize_projected),
    "hybrid": Family("hybrid-lstm", AttentionLstm, quantize_attention),
    "attentive": Family("attentive-lstm", AttentionLstm, quantize_attention),
    "transformer": Family("transformer", Transformer, quantize_transformer),
}


def make_model(config: ModelConfig) -> LanguageModel:
    """Return a network of the family that the sizes name, with its first weights."""
    return FAMILIES[config.family].make(config)


def quantize_model(model: LanguageModel, never: Sequence[int]) -> Served:
    """Return the served module of a trained network; it never writes the tokens in ``never``."""
    return FAMILIES[model.config.family].quantize(model, never)
