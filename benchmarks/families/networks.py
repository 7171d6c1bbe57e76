"""The networks that are compared on real text: about equally many weights on each of them.

They are written as keys of a recipe. `attentive` is for dialogues alone.
"""

from __future__ import annotations

Keys = tuple[str, ...]  # KEY=VALUE, as overrides of a recipe are typed

_ATTENTION: Keys = ("model.attention=64", "model.heads=2", "model.window=256")
STACKED: Keys = ("model.hidden=256",)
HYBRID: Keys = ("model.family=hybrid", "model.hidden=256", *_ATTENTION)
ATTENTIVE: Keys = ("model.family=attentive", "model.hidden=256", *_ATTENTION)


def _projected(hidden: int) -> Keys:
    return ("model.family=projected", f"model.hidden={hidden}", "model.projection=192")


def _transformer(layers: int, window: int) -> Keys:
    """Blocks of 192 values; the more, the fewer tokens they see: states stay below 512 KiB."""
    attention = ("model.attention=64", "model.heads=2", f"model.window={window}")
    return ("model.family=transformer", "model.hidden=192", f"model.layers={layers}", *attention)


DIALOGUE_NETWORKS: dict[str, Keys] = {
    "stacked": STACKED,
    "projected": _projected(384),
    "hybrid": HYBRID,
    "attentive": ATTENTIVE,
    "transformer": _transformer(layers=5, window=192),
}
WORD_NETWORKS: dict[str, Keys] = {
    "stacked": STACKED,
    "projected": _projected(448),
    "hybrid": HYBRID,
    "transformer": _transformer(layers=6, window=128),
}
CHARACTER_NETWORKS: dict[str, Keys] = {
    "stacked": STACKED,
    "projected": _projected(320),
    # the table of so few tokens is small: what attention has, the first layer's input gives
    "hybrid": (*HYBRID, "model.embedding=96"),
    "transformer": _transformer(layers=4, window=192),
}
