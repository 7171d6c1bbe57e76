"""Finds which of a company's own questions a customer asks, by the n-grams that they share.

Built in seconds, without training. A word, or a run of its characters, counts for the more the
fewer entries have it; words that say nothing by themselves are not read. All weights and sums are
whole numbers, so the same question finds the same entry everywhere.

    magic, length of the header (4 bytes), header (JSON), then little-endian arrays without gaps:
    hashes uint32[ngrams], ends of their postings uint32[ngrams], postings uint32[ends[-1]],
    rarity of each n-gram uint16[ngrams], entry of each wording uint16[wordings], length of each
    wording's vector uint32[wordings]
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import isqrt
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from lstmserve_bundle.classifier_file import little_endian, native_array
from lstmserve_bundle.errors import FaqError
from lstmserve_bundle.files import size_of
from lstmserve_bundle.manifest import StrictModel
from lstmserve_bundle.ngrams import hash_word, split_words

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from pathlib import Path

MAX_ENTRIES = (1 << 16) - 1
MAX_BYTES = 64_000_000
MIN_SCORE = 0.4  # of an entry that is given as an answer: docs/log.md tells how it was found
WORD = 4  # what a whole word counts; a run of characters counts 1
# half a thousand questions; measured with 10,000, of which everyday questions take 25 ms
POSTINGS_AS_A_TOKENIZER = 10_000
UNKNOWN_WORD = 2  # one that no entry has may be a known one, mistyped
# English: with few entries, how many have a word does not tell that it says nothing
_IGNORED = """
a about again all also am an and any are as at be because been before but by can cant come could do
does doing dont for from get getting give go going got had has have having he hello help her here
hey hi him his how i id if ill im in into is it its ive just know let like many may me might mine
more much must my need no not of off ok on one or our out over please possible really say see shall
she should so some something tell than thank thanks that the their them then there theres these
they this those to too up us use using very want was way we were what whats when where wheres which
who whom why will with wont would yes you your yours
"""
IGNORED_WORDS = tuple(_IGNORED.split())
FAQ_NAME = "faq.bin"
_MAGIC = b"lstmserve-faq\n"
_LENGTH_BYTES = 4
_RATIO_BITS = 8
_CODES = "IIIHHI"


@dataclass(frozen=True)
class FaqEntry:
    """A question, its answer, and the question in other words."""

    question: str
    answer: str
    other_wordings: tuple[str, ...] = ()


class FaqHeader(StrictModel):
    """Sizes, and the least likeness of an entry that fits."""

    schema_version: Literal[1]
    entries: Annotated[int, Field(ge=1, le=MAX_ENTRIES)]
    wordings: Annotated[int, Field(ge=1)]
    ngrams: Annotated[int, Field(ge=0)]
    postings: Annotated[int, Field(ge=0)]
    min_score: Annotated[float, Field(ge=0, le=1)]
    ignored_words: list[str]


class Faq:
    """An index of questions. Entries are told by their places in the list that it was built of."""

    def __init__(self, header: FaqHeader, arrays: Sequence[array[int]]) -> None:
        self._header = header
        self._ignored = frozenset(header.ignored_words)
        self._arrays = arrays
        self._hashes, self._ends, self._postings = arrays[:3]
        self._rarity, self._entry_of, self._lengths = arrays[3:]

    @classmethod
    def build(
        cls,
        entries: Sequence[FaqEntry],
        min_score: float = MIN_SCORE,
        ignored_words: Sequence[str] = IGNORED_WORDS,
    ) -> Faq:
        """Raises ValueError where there is no entry, or too many."""
        if not 1 <= len(entries) <= MAX_ENTRIES:
            raise ValueError(f"{len(entries)} questions: 1 to {MAX_ENTRIES} are allowed")
        wordings = list(_wordings(entries))
        grams = [_weigh(text, frozenset(ignored_words)) for _, text in wordings]
        holders: dict[int, dict[int, None]] = {}  # the entries that have an n-gram
        postings: dict[int, list[int]] = {}
        for number, ((entry, _), found) in enumerate(zip(wordings, grams, strict=True)):
            for value in found:
                holders.setdefault(value, {})[entry] = None
                postings.setdefault(value, []).append(number)
        rarity = {value: _rarity(len(entries), len(found)) for value, found in holders.items()}
        hashes = sorted(postings)
        header = FaqHeader(
            schema_version=1,
            entries=len(entries),
            wordings=len(wordings),
            ngrams=len(hashes),
            postings=sum(map(len, postings.values())),
            min_score=min_score,
            ignored_words=list(ignored_words),
        )
        arrays = (
            array("I", hashes),
            array("I", accumulate(len(postings[value]) for value in hashes)),
            array("I", [number for value in hashes for number in postings[value]]),
            array("H", [rarity[value] for value in hashes]),
            array("H", [entry for entry, _ in wordings]),
            array("I", [_length((k, rarity[v]) for v, k in found.items()) for found in grams]),
        )
        return cls(header, arrays)

    @property
    def num_entries(self) -> int:
        """How many questions there are."""
        return self._header.entries

    @property
    def work(self) -> int:
        """How many times as long as tokenizing a text takes finding it, however long it is."""
        return self._header.postings // POSTINGS_AS_A_TOKENIZER

    def find(self, text: str) -> tuple[int, float] | None:
        """The entry that is most like a question, and how like, from 0 to 1; None if none fits."""
        ranking = self.rank(text)
        return ranking[0] if ranking and ranking[0][1] >= self._header.min_score else None

    def rank(self, text: str) -> list[tuple[int, float]]:
        """All entries that share anything with a question, the most like first."""
        products, length = self._multiply(_weigh(text, self._ignored))
        scores: dict[int, float] = {}
        for entry, product, own in zip(self._entry_of, products, self._lengths, strict=True):
            if product:
                likeness = product / (length * own)  # a cosine
                if likeness > scores.get(entry, 0.0):
                    scores[entry] = likeness
        return sorted(scores.items(), key=lambda item: (-item[1], item[0]))

    def _multiply(self, found: dict[int, int]) -> tuple[list[int], int]:
        """The product of a question's vector with each wording's, and the length of its own."""
        hashes, ends, postings = self._hashes, self._ends, self._postings
        products = [0] * len(self._lengths)
        weights: list[tuple[int, int]] = []
        for value, kind in found.items():
            place = bisect_left(hashes, value)
            if place == len(hashes) or hashes[place] != value:
                # what no entry has counts as if one had it: it speaks against all of them
                weights.append((min(kind, UNKNOWN_WORD), _rarity(self._header.entries, 1)))
                continue
            weights.append((kind, self._rarity[place]))
            weight = (kind * self._rarity[place]) ** 2
            for wording in postings[ends[place - 1] if place else 0 : ends[place]]:
                products[wording] += weight
        return products, _length(weights)

    def to_bytes(self) -> bytes:
        header = self._header.model_dump_json().encode()
        data = [little_endian(part) for part in self._arrays]
        return b"".join([_MAGIC, len(header).to_bytes(_LENGTH_BYTES, "little"), header, *data])

    @classmethod
    def read(cls, path: Path) -> Faq:
        """Raises FaqError for a file that is none, naming it and what is wrong."""
        try:
            if size_of(path) > MAX_BYTES:
                raise FaqError(f"{path}: an index of questions has at most {MAX_BYTES:,} bytes")
            return cls.from_bytes(path.read_bytes())
        except OSError as error:
            raise FaqError(f"{path}: cannot be read: {error.strerror or error}") from None
        except ValueError as error:
            raise FaqError(f"{path}: {error}") from None

    @classmethod
    def from_bytes(cls, data: bytes) -> Faq:
        """Raises ValueError (pydantic's among them) for what is none."""
        if not data.startswith(_MAGIC):
            raise ValueError("not an index of questions: it does not begin as one")
        start = len(_MAGIC) + _LENGTH_BYTES
        end = start + int.from_bytes(data[len(_MAGIC) : start], "little")
        header = FaqHeader.model_validate_json(data[start:end])
        counts = [header.ngrams, header.ngrams, header.postings]
        counts += [header.ngrams, header.wordings, header.wordings]
        sizes = [array(code).itemsize * count for code, count in zip(_CODES, counts, strict=True)]
        if len(data) != end + sum(sizes):
            raise ValueError(f"{len(data)} bytes instead of {end + sum(sizes)}: cut or damaged")
        arrays = []
        for code, size in zip(_CODES, sizes, strict=True):
            arrays.append(native_array(code, data[end : end + size]))
            end += size
        _check(header, arrays)
        return cls(header, arrays)


def _check(header: FaqHeader, arrays: Sequence[array[int]]) -> None:
    """Raise ValueError where a number leads out of the arrays."""
    _, ends, postings, _, entry_of, lengths = arrays
    bounds = [0, *ends, header.postings]
    if any(low > high for low, high in pairwise(bounds)):
        raise ValueError("the ends of the postings do not ascend")
    if any(wording >= header.wordings for wording in postings):
        raise ValueError("a posting names a wording that there is not")
    if any(entry >= header.entries for entry in entry_of) or not all(lengths):
        raise ValueError("a wording is of no entry, or has no length")


def _wordings(entries: Sequence[FaqEntry]) -> Iterator[tuple[int, str]]:
    for number, entry in enumerate(entries):
        for text in (entry.question, *entry.other_wordings):
            yield number, text


def _weigh(text: str, ignored: Collection[str]) -> dict[int, int]:
    """What each n-gram of a text counts by its kind, however often it is in it."""
    found: dict[int, int] = {}
    for word in split_words(text):
        if word not in ignored:
            whole, *runs = hash_word(word)
            found |= dict.fromkeys(runs, 1)
            found[whole] = WORD
    return found


def _rarity(entries: int, having: int) -> int:
    """16 times the binary logarithm of the share of entries that have an n-gram, inverted."""
    ratio = ((entries + 1) << _RATIO_BITS) // having
    return (ratio**16).bit_length() - 1 - 16 * _RATIO_BITS


def _length(weights: Iterable[tuple[int, int]]) -> int:
    """Of the vector of a text's n-grams; never 0."""
    return isqrt(sum((kind * rarity) ** 2 for kind, rarity in weights)) + 1
