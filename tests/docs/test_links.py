"""Documents: every link to another leads somewhere, and no line is too long to read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("docs", "benchmarks", "docker", "model_store")
OURS = [*ROOT.glob("*.md"), *(path for name in FOLDERS for path in ROOT.glob(f"{name}/**/*.md"))]
DOCUMENTS = [path for path in OURS if "node_modules" not in path.parts]
MAX_COLUMNS = 120
LINK = re.compile(r"\]\((?!https?://)(?P<file>[^)#\s]*)(?:#(?P<anchor>[^)\s]+))?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def anchors(document: Path) -> set[str]:
    """How GitHub names the headings."""
    kept = (
        re.sub(r"[^\w\- ]", "", heading.lower())
        for heading in HEADING.findall(document.read_text())
    )
    return {heading.replace(" ", "-") for heading in kept}


def broken_links(document: Path) -> list[str]:
    found = []
    for link in LINK.finditer(document.read_text()):
        target = document.parent / link["file"] if link["file"] else document
        if not target.exists() or (link["anchor"] and link["anchor"] not in anchors(target)):
            found.append(link[0])
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    assert not broken_links(document)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_line_is_too_long(document: Path) -> None:
    lines = enumerate(document.read_text().splitlines(), start=1)
    assert not [number for number, line in lines if len(line) > MAX_COLUMNS]


def test_a_broken_link_would_be_found(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text(
        "# One & two\n[a](#one--two) [b](#none) [c](b.md) [d](https://x.example/#y)"
    )
    assert broken_links(document) == ["](#none)", "](b.md)"]
