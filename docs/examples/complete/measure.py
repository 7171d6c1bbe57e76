"""Measures how often completions of held-out code parse: ``python measure.py FOLDER [HOST:PORT]``.

Each cut is completed with the grammar and without it; without it a completion ends as the grammar's
does, at the line's end, or with the empty line behind a block.
"""

from __future__ import annotations

import ast
import sys
import warnings
from collections import Counter
from pathlib import Path

from complete import CONTEXT, MAX_TOKENS, complete
from cuts import Cut, make_cuts
from facts import UnreadableError

from lstmserve_client import Client, InvalidRequestError, SamplingParams, StoppingCriteria

COUNT = 1002
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
        cut.text[-CONTEXT:],
        model="code-py",
        sampling=SamplingParams(temperature=0.0),
        stopping=StoppingCriteria(max_tokens=MAX_TOKENS[cut.form], stop_sequences=[end]),
    )
    return reply.text + end


def measure(client: Client, cuts: list[Cut]) -> Counter[tuple[str, str]]:
    """Count, by kind of cut, what is refused and what parses."""
    found: Counter[tuple[str, str]] = Counter()
    for cut in cuts:
        found[cut.kind, "cuts"] += 1
        found[cut.kind, "free"] += parses(cut.text + complete_freely(client, cut))
        try:
            completion = "".join(complete(client, cut.text, cut.form))
        except (UnreadableError, InvalidRequestError):
            found[cut.kind, "refused"] += 1
            continue
        found[cut.kind, "kept"] += parses(cut.text + completion)
    return found


def main(folder: Path, address: str = "127.0.0.1:50051") -> None:
    """Measure the files of a folder."""
    sources = [path.read_text("utf-8") for path in sorted(folder.glob("*.py"))]
    with Client(address) as client:
        found = measure(client, list(make_cuts(sources, COUNT, seed=1)))
    for kind in ("start", "middle", "body"):
        count, refused = found[kind, "cuts"], found[kind, "refused"]
        kept, free = found[kind, "kept"] / max(1, count - refused), found[kind, "free"] / count
        print(f"{kind}: {count} cuts, {refused} refused, parse {kept:.4f}, without {free:.4f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
