"""``python -m benchmarks.verse``: whether quatrains keep tone and rhyme, and what else they do."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.load.findings import Finding, print_findings
from benchmarks.load.options import Json, ServerArguments, Start, Target, errors_told, open_server
from benchmarks.load.provenance import describe_run
from benchmarks.load.report import write_json
from benchmarks.verse.figures import (
    PATTERNS,
    Poems,
    count_broken,
    count_copied,
    count_kept,
    count_repeated,
)
from benchmarks.verse.rhyme_books import Reading, read_books
from benchmarks.verse.rules import patterns_of
from lstmserve_client import CacheMode, Client, Form, SamplingParams

AT_ONCE = 16
app = typer.Typer(add_completion=False)


@app.command()
def verse(
    books: Annotated[list[Path], typer.Argument(help="Books of rhymes; the first counts first.")],
    target: Target = None,
    start: Start = False,
    server_arg: ServerArguments = None,
    model: Annotated[str, typer.Option(help="The model.")] = "verse-zh",
    poems: Annotated[int, typer.Option(min=4, help="Poems, a quarter of each pattern.")] = 1000,
    presence_penalty: Annotated[
        float, typer.Option(min=0, max=2, help="For characters that stand in the poem; 0: none.")
    ] = 0.0,
    show: Annotated[int, typer.Option(min=0, help="Poems of each pattern to print.")] = 0,
    run: Annotated[
        Path | None, typer.Option(help="The run that made the model: its text is compared.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="The version's folder, with --run: perplexities.")
    ] = None,
    json: Json = None,
) -> None:
    """Sample quatrains with the model's own defaults, and check and compare them."""
    readings = read_books(books)
    with open_server(target, start=start, arguments=server_arg) as server, errors_told():
        found = sample(server.target, model, poems, presence_penalty)
    for form, texts in found.items():
        for text in texts[:show]:
            typer.echo(f"{form} {text}")
    parts = {"rules": count_broken(found, readings)}
    if run is not None:
        parts |= dict(_compare(found, readings, run, folder))
    print_findings(parts)
    figures = {name: [each.to_json() for each in part] for name, part in parts.items()}
    write_json(json, describe_run(), {"findings": figures})


def sample(address: str, model: str, count: int, presence_penalty: float) -> Poems:
    """Return so many poems by form, with the seeds 0, 1, …"""
    found: dict[str, list[str]] = {}
    with Client(address) as client, ThreadPoolExecutor(AT_ONCE) as threads:
        for form in PATTERNS:
            ask = partial(_ask, client, model, form, presence_penalty)
            found[form] = list(threads.map(ask, range(count // len(PATTERNS))))
    return found


def _ask(client: Client, model: str, form: str, presence_penalty: float, seed: int) -> str:
    return client.reply(
        "",
        model=model,
        sampling=SamplingParams(seed=seed, presence_penalty=presence_penalty),
        constraint=Form(form),
        cache_mode=CacheMode.BYPASS,
    ).text


def _compare(
    found: Poems, readings: dict[str, Reading], run: Path, folder: Path | None
) -> Iterator[tuple[str, list[Finding]]]:
    from benchmarks.verse.training_text import TrainingText

    text = TrainingText.read(run)
    sampled = [poem for form in found for poem in found[form]]
    yield "copies", count_copied(sampled, text.lines())
    trained = count_repeated("training poems", text.trained)
    most = trained[0].value
    yield "repeats", [*trained, *count_repeated("sampled poems", sampled, most)]
    yield "training text", [count_kept(text.trained, readings)]
    if folder is not None:
        yield "held-out poems", _perplexity(text.held_out, readings, folder)


def _perplexity(held_out: list[str], readings: dict[str, Reading], folder: Path) -> list[Finding]:
    from benchmarks.verse.perplexity import perplexities

    name_of = {pattern: name for name, pattern in PATTERNS.items()}
    kept = [
        (name_of[patterns[0]], poem)
        for poem in held_out
        if (patterns := patterns_of(poem, readings))
    ]
    count, free, within = perplexities(folder, kept)
    return [
        Finding("held-out poems that keep a pattern, of characters that are tokens", count),
        Finding("perplexity without the form", free),
        Finding("perplexity among what the form allows", within),
    ]


def main() -> None:
    app()
