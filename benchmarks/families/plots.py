"""Draws what families of networks were found to do."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.families.networks import DIALOGUE_NETWORKS
from benchmarks.families.quality import CORPORA
from benchmarks.families.recall import LONGEST_SHOWN, NUM_NAMES

mpl.use("agg")  # a file, not a window
SIZES = {
    "distance": "words between the name and the question",
    "facts": "pairs of a key and a name",
}
COLORS = {family: f"C{number}" for number, family in enumerate(DIALOGUE_NETWORKS)}


def draw_recall(path: Path, found: dict[str, dict[str, dict[int, float]]]) -> None:
    """Draw the share of right names by size, a panel for each task."""
    figure, panels = _make_panels(len(found))
    for axes, (task, shares) in zip(panels, found.items(), strict=True):
        for name, by_size in shares.items():
            axes.plot([*by_size], [100 * x for x in by_size.values()], marker="o", label=name)
        axes.axhline(100 / NUM_NAMES, color="gray", linestyle=":", label="guessing")
        axes.axvline(LONGEST_SHOWN[task], color="gray", alpha=0.5, label="longest in training")
        axes.set_xscale("log", base=2)
        axes.set_xlabel(SIZES[task])
        axes.set_ylabel("right names, %")
        axes.grid(alpha=0.3)
        axes.legend()
    _save(figure, path)


def draw_quality(path: Path, found: dict[str, dict[str, dict[str, float]]]) -> None:
    """Draw the perplexity of the served modules, a panel for each corpus."""
    figure, panels = _make_panels(len(found))
    for axes, (name, families) in zip(panels, found.items(), strict=True):
        heights = [figures["perplexity_int8"] for figures in families.values()]
        bars = axes.bar([*families], heights, color=[COLORS[family] for family in families])
        axes.bar_label(bars, fmt="%.4g")
        axes.margins(y=0.1)  # for the numbers
        axes.set_title(name)
        axes.set_ylabel(f"perplexity per {CORPORA[name].unit}, INT8")
    _save(figure, path)


def _make_panels(count: int) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(5 * count, 4), layout="constrained")
    return figure, list(figure.subplots(1, count, squeeze=False)[0])


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
