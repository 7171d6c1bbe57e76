"""Users' programs are checked by the package's types: the right one passes, the wrong one fails."""

from __future__ import annotations

import os
import re
import sys
from importlib.resources import files
from pathlib import Path

import lstmserve
import lstmserve_client
from benchmarks.testbed.process import run_program

PROGRAMS = Path(__file__).parent / "programs"
ERROR = re.compile(r":(?P<line>\d+): error: .*\[(?P<code>[a-z-]+)\]$", re.MULTILINE)


def check(program: str, tmp_path: Path) -> tuple[str, set[tuple[int, str]]]:
    """What mypy says, and the errors by line and code."""
    sources = [
        Path(lstmserve_client.__path__[0]).parent,
        Path(next(iter(lstmserve.__path__))).parent,
    ]
    run = run_program(
        [
            *(sys.executable, "-m", "mypy", "--strict"),
            # nobody is told of what is wrong in a package that is installed
            *("--follow-imports=silent", "--config-file=", f"--cache-dir={tmp_path}"),
            PROGRAMS / program,
        ],
        env=os.environ | {"MYPYPATH": os.pathsep.join(map(str, sources))},
        capture_output=True,
        text=True,
        check=False,
    )
    found = {(int(each["line"]), each["code"]) for each in ERROR.finditer(run.stdout)}
    return run.stdout + run.stderr, found


def expected(program: str) -> set[tuple[int, str]]:
    lines = (PROGRAMS / program).read_text().splitlines()
    return {
        (number, line.rpartition("  # ")[2])
        for number, line in enumerate(lines, start=1)
        if "  # " in line
    }


def test_types_come_with_the_package() -> None:
    assert files(lstmserve_client).joinpath("py.typed").is_file()


def test_a_right_program_has_no_errors(tmp_path: Path) -> None:
    said, found = check("right.py", tmp_path)
    assert found == expected("right.py") == set(), said
    assert "Success" in said


def test_a_wrong_program_has_every_error_that_it_tells(tmp_path: Path) -> None:
    said, found = check("wrong.py", tmp_path)
    assert found == expected("wrong.py"), said
    assert len(found) > 10
