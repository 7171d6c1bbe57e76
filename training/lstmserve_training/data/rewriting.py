"""Prompts in other words, as a command of the user writes them: a translation there and back.

A command reads prompts from its standard input, one on each line, and writes as many lines. What
it wrote is kept in the run's folder, so that no prompt is sent twice.
"""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

from lstmserve_training.errors import DataError

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

Written = dict[str, dict[str, str]]  # by command and prompt
SHELL = "/bin/sh"


class Rewrites:
    """What each command has made of each prompt."""

    def __init__(self, written: Written) -> None:
        self._written = written

    def draw(self, text: str, rng: random.Random) -> str:
        """The prompt in other words, by one of the commands; as it is where none changed it."""
        prompt = one_line(text)
        found = [lines.get(prompt, "") for lines in self._written.values()]
        found = [other for other in found if other and other != prompt]
        return rng.choice(found) if found else text


def rewrite(
    commands: Sequence[str],
    prompts: Iterable[str],
    folder: Path,
    kept: Path,
    say: Callable[[str], object],
) -> Rewrites:
    """Have prompts rewritten by commands that run in ``folder``; raises DataError.

    ``kept`` is the file with what they wrote before.
    """
    written: Written = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
    wanted = list(dict.fromkeys(map(one_line, prompts)))
    for command in commands:
        lines = written.setdefault(command, {})
        missing = [prompt for prompt in wanted if prompt and prompt not in lines]
        if missing:
            say(f"augmentation.rewrite: {len(missing):,} prompts go to: {command}")
            lines.update(zip(missing, _ask(command, missing, folder), strict=True))
            kept.write_text(json.dumps(written, indent=1, ensure_ascii=False), encoding="utf-8")
    return Rewrites({command: written[command] for command in commands})


def one_line(text: str) -> str:
    """A prompt as a command reads it."""
    return " ".join(text.split())


def _ask(command: str, prompts: Sequence[str], folder: Path) -> list[str]:
    done = subprocess.run(  # noqa: S603 - the recipe is its user's own, as a Makefile is
        [SHELL, "-c", command],
        input="".join(f"{prompt}\n" for prompt in prompts).encode(),
        stdout=subprocess.PIPE,
        cwd=folder,
        check=False,
    )
    if done.returncode:
        raise DataError(
            f"augmentation.rewrite: the command {command!r} ended with exit code {done.returncode}"
        )
    try:
        lines = done.stdout.decode().split("\n")
    except UnicodeDecodeError:
        raise DataError(f"augmentation.rewrite: {command!r} wrote what is not UTF-8") from None
    lines = lines[:-1] if lines[-1] == "" else lines
    if len(lines) != len(prompts):
        raise DataError(
            f"augmentation.rewrite: the command {command!r} wrote {len(lines):,} lines for "
            f"{len(prompts):,} prompts: it must write one for each, in their order"
        )
    return [one_line(line) for line in lines]
