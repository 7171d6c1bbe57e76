"""Fuzz one target for as long as one likes, guided by coverage: ``docs/reliability.md``.

What a run finds and keeps lies in its corpus folder; options are libFuzzer's.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

TESTS = Path(__file__).parents[2]
sys.path[:0] = [str(TESTS), str(TESTS.parent)]

with atheris.instrument_imports(
    include=["lstmserve_server", "lstmserve_bundle", "support.fuzz_targets"]
):
    from support.fuzz_targets import TARGETS


def main(name: str, corpus: str, *options: str) -> None:
    """Begin with the target's seeds and what is in the corpus folder."""
    target = TARGETS[name]
    folder = Path(corpus)
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(target.seeds):
        (folder / f"seed-{number}").write_bytes(data)
    atheris.Setup([sys.argv[0], str(folder), *options], lambda data: target.read(data) and None)
    atheris.Fuzz()


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in TARGETS:
        sys.exit(f"usage: python tests/reliability/fuzz {'|'.join(TARGETS)} CORPUS [OPTION …]")
    main(*sys.argv[1:])
