"""``python -m benchmarks.families``: what families of networks remember, foretell and cost.

And whether replies of all of them stay exact beside each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.families.costs import measure_costs
from benchmarks.families.networks import DIALOGUE_NETWORKS
from benchmarks.families.plots import draw_quality, draw_recall
from benchmarks.families.quality import CORPORA, compare_families
from benchmarks.families.recall import NETWORKS, TASKS, recall
from benchmarks.families.replay_cli import run_replay
from benchmarks.families.texts import put_chats, put_code, put_pairs, put_wikitext
from benchmarks.load.provenance import describe_run
from benchmarks.load.report import write_json

if TYPE_CHECKING:
    from benchmarks.families.tasks import Outcome

app = typer.Typer(add_completion=False, help=__doc__)
Work = Annotated[Path, typer.Option(help="Folder of the runs; what is done is not done again.")]
Family = Annotated[
    list[str] | None, typer.Option(help="One that is trained; may be given again. All.")
]
Keys = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A key of all recipes, for all networks."),
]
Kept = Annotated[Path | None, typer.Option("--json", help="Keep the figures here.")]


@app.command("recall")
def run_recall(
    task: Annotated[
        list[str] | None, typer.Option(help="distance or facts; may be given again. Both.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Training steps of each network.")] = 1000,
    rows: Annotated[int, typer.Option(min=1, help="Texts that are measured, by size.")] = 512,
    plot: Annotated[Path | None, typer.Option(help="Draw the curves here.")] = None,
    json: Kept = None,
) -> None:
    """Train a network of each family to recall names, and count what it recalls when served."""
    console = Console()
    _check("tasks", task, TASKS)
    found = {
        each: {name: recall(name, each, steps, rows, console.print) for name in NETWORKS}
        for each in task or TASKS
    }
    for each, shares in found.items():
        console.print(f"{each}: share of right names")
        _show(console, {n: {str(size): x for size, x in s.items()} for n, s in shares.items()})
    if plot is not None:
        draw_recall(plot, found)
    write_json(json, describe_run(), {"steps": steps, "recall": found})


@app.command("quality")
def run_quality(
    chats: Annotated[
        Path | None, typer.Option(help="Conversations, JSON lines packed by gzip.")
    ] = None,
    wikitext: Annotated[
        Path | None, typer.Option(help="Folder with train.txt.gz and test.txt.gz of WikiText-2.")
    ] = None,
    code: Annotated[bool, typer.Option(help="Whether Python's standard library is read.")] = True,
    family: Family = None,
    keys: Keys = None,
    work: Work = Path("runs/families"),
    plot: Annotated[Path | None, typer.Option(help="Draw the perplexities here.")] = None,
    json: Kept = None,
) -> None:
    """Train a network of each family on texts, and measure what it foretells when served."""
    _check("families", family, DIALOGUE_NETWORKS)
    if chats is not None:
        put_chats(chats, _make_folder(work, "chats"))
    if wikitext is not None:
        put_wikitext(wikitext, _make_folder(work, "wikitext-2"))
    if code:
        put_code(_make_folder(work, "code"))
    is_given = {"chats": chats is not None, "wikitext-2": wikitext is not None, "code": code}
    found = {
        name: compare_families(name, work / name, family or (), keys or ())
        for name in CORPORA
        if is_given[name]
    }
    for name, figures in found.items():
        Console().print(f"{name}: perplexity per {CORPORA[name].unit}")
        _show(Console(), figures)
    if plot is not None:
        draw_quality(plot, found)
    write_json(json, describe_run(), {"quality": found})


@app.command("tasks")
def run_tasks(
    english: Annotated[
        Path | None, typer.Option(help="Debian's Translation-en.xz, for summaries.")
    ] = None,
    french: Annotated[
        Path | None, typer.Option(help="Its Translation-fr.bz2, for translations into English.")
    ] = None,
    held_out: Annotated[int, typer.Option(min=1, help="Pairs that are held out.")] = 1200,
    family: Family = None,
    keys: Keys = None,
    work: Work = Path("runs/families"),
    json: Kept = None,
) -> None:
    """Train networks with and without attention to answer from the question, and score them."""
    from benchmarks.families.tasks import compare_on_task

    _check("families", family, DIALOGUE_NETWORKS)
    names = put_pairs(english, french, held_out, work)
    found = {name: compare_on_task(name, work / name, family or (), keys or ()) for name in names}
    for name, outcomes in found.items():
        Console().print(f"{name}: of 100, and between what that lies (95 %)")
        _show(Console(), {each: _say(outcome) for each, outcome in outcomes.items()})
    write_json(
        json,
        describe_run(),
        {"tasks": {n: {f: asdict(o) for f, o in each.items()} for n, each in found.items()}},
    )


@app.command("costs")
def run_costs(
    seconds: Annotated[float, typer.Option(min=0.01, help="For each network and size.")] = 6.0,
    rounds: Annotated[int, typer.Option(min=1, help="So often all take turns.")] = 6,
    json: Kept = None,
) -> None:
    """Measure size, state and speed of a served module of each family, on one thread."""
    found = measure_costs(seconds, rounds)
    _show(Console(), found)
    write_json(json, describe_run(), {"costs": found})


def _check(what: str, given: Sequence[str] | None, known: Iterable[str]) -> None:
    unknown = set(given or ()) - set(known)
    if unknown:
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: {what} are {', '.join(known)}")


def _make_folder(work: Path, name: str) -> Path:
    folder = work / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _say(outcome: Outcome) -> dict[str, str]:
    """What a table shows of a network's replies."""
    facts = {"parameters": outcome.parameters, "tokens seen": outcome.tokens_seen}
    scores = {
        name: f"{value:.1f} ({low:.1f} to {high:.1f})"
        for name, (value, low, high) in outcome.scores.items()
    }
    return {name: f"{value:,}" for name, value in facts.items()} | scores


def _show(console: Console, found: Mapping[str, Mapping[str, float | str]]) -> None:
    table = Table("family", *next(iter(found.values())))
    for name, figures in found.items():
        shown = (f if isinstance(f, str) else f"{f:,.4g}" for f in figures.values())
        table.add_row(name, *shown)
    console.print(table)


app.command("replay")(run_replay)


def main() -> None:
    """Run the command line."""
    app()
