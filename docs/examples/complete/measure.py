"""Measures how often completions parse: ``python measure.py FOLDER [HOST:PORT [CUTS]]``.

The folder holds code that the model has not seen. Each cut is completed with the grammar and
without it. Without it a completion ends as the grammar's does: at the line's end, or with the empty
line behind a block.
"""

from __future__ import annotations

import ast
import sys
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from complete import MAX_TOKENS, complete, context
from cuts import Cut, make_cuts
from facts import UnreadableError

from lstmserve_client import Client, InvalidRequestError, SamplingParams, StoppingCriteria

CALLS = 16  # at a time
ENDS = {"statement": "\n", "block": "\n\n"}


def parses(text: str) -> bool:
    """Whether a text is a whole module."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ast.parse(text)
        except (SyntaxError, ValueError):
            return False
    return True


def complete_freely(client: Client, cut: Cut) -> str:
    """What the model writes without a grammar."""
    end = ENDS[cut.form]
    reply = client.reply(
        context(cut.text),
        model="code-py",
        sampling=SamplingParams(temperature=0.0),
        stopping=StoppingCriteria(max_tokens=MAX_TOKENS[cut.form], stop_sequences=[end]),
    )
    return reply.text + end


def complete_both(client: Client, cut: Cut) -> tuple[str, str | None]:
    """Completions without the grammar, and with it; None where that is refused."""
    free = complete_freely(client, cut)
    try:
        return free, "".join(complete(client, cut.text, cut.form))
    except (UnreadableError, InvalidRequestError) as error:
        print(error, file=sys.stderr)
        return free, None


def judge(cut: Cut, free: str, kept: str | None) -> list[str]:
    """What is true of a cut."""
    found = ["cuts"] + ["free"] * parses(cut.text + free)
    if kept is None:
        return [*found, "refused"]
    return found + ["kept"] * parses(cut.text + kept)


def main(folder: Path, address: str = "127.0.0.1:50051", count: str = "1002") -> None:
    """Measure the files of a folder, several cuts at a time."""
    sources = [path.read_text("utf-8") for path in sorted(folder.glob("*.py"))]
    cuts = list(make_cuts(sources, int(count), seed=1))
    with Client(address) as client, ThreadPoolExecutor(CALLS) as pool:
        pairs = list(pool.map(partial(complete_both, client), cuts))
    # here, because the parser of Python 3.11 fails now and then in several threads at once
    results = [judge(cut, *pair) for cut, pair in zip(cuts, pairs, strict=True)]
    found = Counter(
        (cut.kind, name) for cut, names in zip(cuts, results, strict=True) for name in names
    )
    for kind in ("start", "middle", "body"):
        number, refused = found[kind, "cuts"], found[kind, "refused"]
        kept, free = found[kind, "kept"] / max(1, number - refused), found[kind, "free"] / number
        print(f"{kind}: {number} cuts, {refused} refused, parse {kept:.4f}, without {free:.4f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
