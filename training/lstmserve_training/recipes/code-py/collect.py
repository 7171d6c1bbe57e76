# noqa: INP001 - a script, which is copied together with its recipe
"""Collects Python's standard library for the recipe ``code-py``: ``python collect.py [FOLDER]``.

Writes ``library/training/`` and ``library/held-out/``: the code of every module as it is written,
without comments and docstrings. What is held out is named below, by package and module.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import sysconfig
import tokenize
from pathlib import Path

HELD_OUT = {
    *("argparse.py", "concurrent", "configparser.py", "csv.py", "graphlib.py", "json", "logging"),
    *("mailbox.py", "sched.py", "shelve.py", "sqlite3", "statistics.py", "textwrap.py", "tomllib"),
    *("wsgiref", "zoneinfo"),
}
# tests, what is no library, and files that are mostly tables
LEFT_OUT = {
    *("__pycache__", "idlelib", "lib-dynload", "site-packages", "test", "tests", "turtledemo"),
    *("encodings", "entities.py", "locale.py", "pydoc_data", "stringprep.py"),
}
GENERATED = re.compile(r"_sysconfigdata|config-\d")
Defined = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def collect(library: Path, folder: Path) -> dict[str, int]:
    """Write the modules of ``library`` into two folders; return the characters of each."""
    sizes = {"training": 0, "held-out": 0}
    for path in sorted(library.rglob("*.py")):
        parts = path.relative_to(library).parts
        if LEFT_OUT & set(parts) or any(map(GENERATED.match, parts)):
            continue
        use = "held-out" if parts[0] in HELD_OUT else "training"
        text = code_of(path.read_text(encoding="utf-8"))
        if text.strip():
            target = folder / use / ".".join(parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
            sizes[use] += len(text)
    return sizes


def code_of(source: str) -> str:
    """The code of a module, line by line as it is, without comments and docstrings."""
    lines = source.splitlines()
    gone = _docstring_lines(source)
    for line, column in _comments(source):
        rest = lines[line - 1][:column].rstrip()
        lines[line - 1] = rest
        if not rest:
            gone.add(line)
    kept = [line for number, line in enumerate(lines, start=1) if number not in gone]
    text = re.sub(r"\n{4,}", "\n\n\n", "\n".join(kept).strip("\n"))
    return text + "\n"


def _docstring_lines(source: str) -> set[int]:
    """Of docstrings that have lines of their own, and are not all that a body holds."""
    found: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, Defined) or ast.get_docstring(node, clean=False) is None:
            continue
        text, *rest = node.body
        if rest and rest[0].lineno > (text.end_lineno or 0) and text.lineno > _header_line(node):
            found.update(range(text.lineno, (text.end_lineno or 0) + 1))
    return found


def _header_line(node: Defined) -> int:
    return 0 if isinstance(node, ast.Module) else node.lineno


def _comments(source: str) -> list[tuple[int, int]]:
    """Line and column of each."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return [token.start for token in tokens if token.type == tokenize.COMMENT]


if __name__ == "__main__":
    found = collect(Path(sysconfig.get_path("stdlib")), Path(*sys.argv[1:2] or ["."]) / "library")
    for use, size in found.items():
        print(f"{use}: {size:,} characters")  # noqa: T201 - it is a script
