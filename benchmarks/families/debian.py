"""Reads Debian's package descriptions, and pairs them as questions and answers.

They are fetched from ``dists/bookworm/main/i18n/`` of any mirror: ``Translation-en.xz`` and
``Translation-fr.bz2``.
"""

from __future__ import annotations

import bz2
import lzma
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

OPENERS = {b"\xfd7zXZ": lzma.decompress, b"BZh": bz2.decompress}
MIN_WORDS, MAX_WORDS = 5, 40  # of a paragraph
LANGUAGE = re.compile(r"^(lib|python3?-|ruby-|node-|golang-|php-|r-cran-|r-bioc-)")
VERSION = re.compile(r"[-.]?\d[\w.+]*(?=-|$)")
PART = re.compile(r"(-(dev|doc|dbg|data|common|bin|utils|tools|perl|java|core|all|plugins?))+$")
# what tells packages of one source apart: words in brackets, or behind a dash
VARIANT = re.compile(r"\s*(\(.*|\s[-\u2013\u2014]+\s.*|\[.*)$")


@dataclass(frozen=True)
class Description:
    """What Debian says of a package; ``md5`` is that of the English text."""

    package: str
    md5: str
    synopsis: str
    paragraph: str  # the first one of the long description


@dataclass(frozen=True)
class Pair:
    """A question and its answer; pairs with a key in common are near-duplicates."""

    prompt: str
    reply: str
    keys: tuple[str, ...]


def read_descriptions(path: Path) -> list[Description]:
    """Read a Translation file, packed by xz or bzip2 or not at all, whatever its name."""
    content = path.read_bytes()
    for mark, unpack in OPENERS.items():
        if content.startswith(mark):
            content = unpack(content)
    stanzas = content.decode("utf-8").split("\n\n")
    return [found for stanza in stanzas if (found := _read_stanza(stanza)) is not None]


def _read_stanza(stanza: str) -> Description | None:
    fields: dict[str, str] = {}
    paragraph: list[str] = []
    has_ended = False
    for line in stanza.splitlines():
        if line.startswith(" "):
            has_ended |= line.strip() == "."
            paragraph += [] if has_ended else [line.strip()]
        else:
            name, _, value = line.partition(": ")
            fields[name] = value
    synopses = [fields[name] for name in fields if re.fullmatch(r"Description-[a-z_]{2,5}", name)]
    if not synopses or "Package" not in fields:
        return None
    md5 = fields.get("Description-md5", "")
    return Description(fields["Package"], md5, synopses[0].strip(), " ".join(paragraph))


def pair_synopses(english: Iterable[Description]) -> Iterator[Pair]:
    """Pair first paragraphs with synopses: a summary is asked for."""
    for each in english:
        if MIN_WORDS <= len(each.paragraph.split()) <= MAX_WORDS and each.synopsis:
            keys = (*_keys(each), f"paragraph:{_fold(each.paragraph)}")
            yield Pair(each.paragraph, each.synopsis, keys)


def pair_translations(
    english: Iterable[Description], others: Iterable[Description]
) -> Iterator[Pair]:
    """Pair synopses of another language with the English ones that they translate."""
    own = {(each.package, each.md5): each for each in english}
    for each in others:
        source = own.get((each.package, each.md5))
        if source is not None and each.synopsis and source.synopsis:
            yield Pair(each.synopsis, source.synopsis, (*_keys(source), *_keys(each)))


def _keys(each: Description) -> tuple[str, str]:
    """What packages of one source have in common: the synopsis, up to what tells them apart."""
    return f"synopsis:{_fold(VARIANT.sub('', each.synopsis))}", f"package:{_stem(each.package)}"


def _stem(package: str) -> str:
    """The name without what packages of one source are told apart by."""
    stem = VERSION.sub("", LANGUAGE.sub("", package))
    return PART.sub("", stem) or package


def _fold(text: str) -> str:
    return " ".join(text.lower().split())
