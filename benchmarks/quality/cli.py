"""``python -m benchmarks.quality``: a support model against the held-out sets of its recipe."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.load.findings import print_findings
from benchmarks.load.options import Json, ServerArguments, Start, Target, errors_told, open_server
from benchmarks.load.provenance import describe_run
from benchmarks.load.report import write_json
from benchmarks.quality.asking import Respondent
from benchmarks.quality.judging import Judge
from benchmarks.quality.sets import read_rules
from benchmarks.quality.topics import TopicJudge
from lstmserve_client import Client
from lstmserve_training.recipe.shipped import find_recipe

app = typer.Typer(add_completion=False)


@app.command()
def quality(
    target: Target = None,
    start: Start = False,
    server_arg: ServerArguments = None,
    model: Annotated[str, typer.Option(help="The model; empty: the default one.")] = "",
    version: Annotated[str, typer.Option(help="Its version; empty: the one served.")] = "",
    recipe: Annotated[str, typer.Option(help="The shipped recipe whose sets are asked.")] = (
        "support-en"
    ),
    seeds: Annotated[int, typer.Option(min=0, help="Fixed seeds; 0: none.")] = 20,
    replies: Annotated[bool, typer.Option(help="Ask for replies, too, not for labels alone.")] = (
        True
    ),
    json: Json = None,
) -> None:
    """Print how well a served version understands and answers; the sets are for nothing else."""
    folder = find_recipe(recipe)
    known = _read_replies(folder / "replies")
    with (
        open_server(target, start=start, arguments=server_arg) as server,
        errors_told(),
        Client(server.target) as client,
    ):
        judge = Judge(
            Respondent(client, model, version),
            folder / "heldout",
            read_rules(folder / "forbidden.json"),
            TopicJudge(known),
            seeds,
        )
        parts = {"understanding": [*judge.understanding()]}
        if replies:
            parts["replies"] = [*judge.replies()]
    print_findings(parts)
    figures = {name: [each.to_json() for each in part] for name, part in parts.items()}
    write_json(json, describe_run(), {"findings": figures})


def _read_replies(folder: Path) -> list[tuple[str, str]]:
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.jsonl"))]
    rows = [json_format.loads(line) for text in texts for line in text.splitlines()]
    return [(row["reply"], row["label"]) for row in rows]


def main() -> None:
    app()
