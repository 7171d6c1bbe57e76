"""The section of a recipe that says what the network is."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import model_validator

from lstmserve_bundle.manifest import MAX_STATE, ROW_STEP
from lstmserve_training.recipe.sections import Section, key

# every family of networks, and the keys that it needs and others do not have
OF_FAMILY: dict[str, frozenset[str]] = {
    "stacked": frozenset(),
    "projected": frozenset({"projection"}),
    "hybrid": frozenset({"attention", "heads", "window"}),
    "attentive": frozenset({"attention", "heads", "window"}),
    "transformer": frozenset({"attention", "heads", "window"}),
}
OF_FAMILIES = frozenset().union(*OF_FAMILY.values())
SUCH_AS = {"projection": 64, "attention": 64, "heads": 2, "window": 256}
MAX_WINDOW = 1024  # 255 * 64 * window, the largest sum, stays below 2^24, too
MAX_HIDDEN = 2048  # 64 * 127 * hidden, the largest sum, stays below 2^24: exact as a float


def _optional_width(help_text: str, highest: int = MAX_HIDDEN) -> Any:  # noqa: ANN401 - as ``key``
    """A key that only some families have; 0 where it is not given."""
    return key(help_text, ge=0, le=highest, multiple_of=ROW_STEP, default=0)


class ModelSection(Section):
    """The network: an embedding, layers, and an output layer.

    Families differ in what the layers hand on, and in what the output layer reads.
    """

    family: Literal["stacked", "projected", "hybrid", "attentive", "transformer"] = key(
        "`stacked`: LSTM layers; `projected`: layers of many cells that hand on few values; "
        "`hybrid`: layers, and attention over the last tokens; `attentive`: layers, and attention "
        "over what was asked; `transformer`: layers of attention, and none that recur",
        default="stacked",
    )
    hidden: int = key(
        f"values per layer, a multiple of {ROW_STEP}; of a `transformer` at most {MAX_HIDDEN // 2}",
        ge=ROW_STEP,
        le=MAX_HIDDEN,
        multiple_of=ROW_STEP,
        default=256,
    )
    layers: int = key("layers of LSTMs; of a `transformer`, blocks", ge=1, le=8, default=2)
    projection: int = _optional_width(
        f"`projected` only: values that leave a layer, a multiple of {ROW_STEP}, below `hidden`"
    )
    attention: int = _optional_width(
        f"`hybrid`, `attentive`, `transformer`: values of a key, a multiple of {ROW_STEP}"
    )
    heads: int = key(
        "`hybrid`, `attentive`, `transformer`: heads, which share `attention` evenly",
        ge=0,
        le=32,
        default=0,
    )
    window: int = _optional_width(
        f"`hybrid`, `attentive`, `transformer`: tokens it looks back on, a multiple of {ROW_STEP}",
        MAX_WINDOW,
    )
    embedding: int = key(
        "values of an embedding beside an output layer of its own; 0: one table is both, as wide "
        "as a layer",
        ge=0,
        le=MAX_HIDDEN,
        default=0,
    )
    dropout: float = key("dropout between layers", ge=0, le=0.9, default=0.2)
    locked_dropout: bool = key(
        "whether embeddings and outputs lose the same values at all steps of a document's segment",
        default=False,
    )
    weight_drop: float = key(
        "share of recurrent weights left out of each training step", ge=0, le=0.9, default=0.0
    )

    @model_validator(mode="after")
    def _keys_are_those_of_the_family(self) -> ModelSection:
        own = OF_FAMILY[self.family]
        given = {name for name in OF_FAMILIES if getattr(self, name)}
        if given - own:
            names = ", ".join(sorted(given - own))
            raise ValueError(f"the family {self.family!r} has no {names}: leave it out")
        if own - given:
            such = ", ".join(f"{name} = {SUCH_AS[name]}" for name in sorted(own - given))
            raise ValueError(f"the family {self.family!r} needs more keys, such as {such}")
        if self.projection >= self.hidden:
            raise ValueError(f"projection must be below hidden, {self.hidden}")
        if self.weight_drop and self.family in {"projected", "transformer"}:
            raise ValueError(f"weight_drop is no key of the family {self.family!r}")
        if self.heads:
            self._check_attention()
        return self

    def _check_attention(self) -> None:
        if self.attention % self.heads:
            raise ValueError(f"attention must be a multiple of heads, {self.heads}")
        if self.family == "transformer":  # whose feed-forward layers are twice as wide
            inputs, what = 2 * self.hidden, f"hidden must be at most {MAX_HIDDEN // 2}"
        else:
            inputs = self.hidden + self.attention
            what = f"hidden and attention together must be at most {MAX_HIDDEN}"
        if inputs > MAX_HIDDEN:
            raise ValueError(f"{what} in the family {self.family!r}")
        state = self._state_with_attention()
        if state > MAX_STATE:
            raise ValueError(
                f"a state would have {state} values, of which {MAX_STATE} are allowed: lower "
                "window or attention, on whose product it depends"
            )

    def _state_with_attention(self) -> int:
        """Return how many values a state has: recurrent ones, a ring of entries, and a count."""
        ring = 2 * self.attention * self.window
        if self.family == "transformer":
            return self.layers * ring + ROW_STEP
        return 2 * self.layers * self.hidden + ring + ROW_STEP

    def own_keys(self) -> dict[str, Any]:
        """Return what decides the network, without the keys of other families."""
        others = OF_FAMILIES - OF_FAMILY[self.family]
        # a run that began when there was one family is still the same run
        is_first = self.family == "stacked"
        return self.model_dump(exclude=set(others | ({"family"} if is_first else set())))
