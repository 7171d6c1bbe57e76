"""A row of whole numbers for each n-gram that training has seen, and their sums.

Rows are added as one big number each, whose digits are their elements: CPython does that in C, and
a server's front process needs no numpy for it.
"""

from __future__ import annotations

from array import array
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING

from lstmserve_bundle.ngrams import hash_phrases, hash_word, split_words
from lstmserve_bundle.packing import Unpacker, repeat

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_ROWS = (1 << 16) - 1
NUM_BUCKETS = 1 << 16
LANE_BITS = 32  # of one element in a sum
KEPT_WORDS = 2048
OFFSET = 128  # elements are stored as bytes from 0 on
# so many bytes add up in 16 bits
ROWS_AT_ONCE = 257


class NgramTable:
    """Rows by hash. ``hashes`` ascend; ``rows`` are ``width`` bytes each, in their order."""

    def __init__(self, hashes: Sequence[int], rows: bytes, width: int) -> None:
        if width % 4 or len(rows) != width * len(hashes) or len(hashes) > MAX_ROWS:
            raise ValueError(
                f"{len(hashes)} hashes and {len(rows)} bytes in rows of {width}: rows have a "
                f"multiple of 4 bytes, and there is one for each of at most {MAX_ROWS} hashes"
            )
        self.width = width
        self._rows = _order_for_sums(rows, width)
        self._ends = _count_ends(hashes)
        self._low = array("H", (value & 0xFFFF for value in hashes))
        self._bytes = repeat(0xFF, width // 2, 16)
        self._pairs = repeat(0xFFFF, width // 2, LANE_BITS)
        self._offsets = repeat(OFFSET, width, LANE_BITS)
        self._unpacker = Unpacker(width, LANE_BITS)
        self._word = lru_cache(KEPT_WORDS)(self._sum_word)

    def sum_text(self, text: str) -> tuple[list[int], int, int]:
        """The sum of the rows of a text's n-grams; the number of its words, and of those known."""
        words = split_words(text)
        found = [self._word(word) for word in words]
        total = sum([rows for rows, _ in found]) + self._sum(self.find(hash_phrases(words)))
        return self._unpacker.unpack(total), len(words), sum([known for _, known in found])

    def find(self, hashes: Iterable[int]) -> list[int]:
        """The rows of these hashes, without those that have none."""
        ends, low, found = self._ends, self._low, []
        for value in hashes:
            bucket = value >> 16
            row, end = ends[bucket - 1] if bucket else 0, ends[bucket]
            while row < end:
                if low[row] == value & 0xFFFF:
                    found.append(row)
                    break
                row += 1
        return found

    def _sum_word(self, word: str) -> tuple[int, int]:
        hashes = hash_word(word)
        return self._sum(self.find(hashes)), len(self.find(hashes[:1]))

    def _sum(self, rows: list[int]) -> int:
        """The packed sum of rows, without their offsets."""
        if len(rows) > ROWS_AT_ONCE:
            return self._sum(rows[:ROWS_AT_ONCE]) + self._sum(rows[ROWS_AT_ONCE:])
        width, stored, mask = self.width, self._rows, self._bytes
        numbers = [int.from_bytes(stored[n * width : n * width + width], "little") for n in rows]
        # every second byte alone has room to grow to 16 bits; the others are what is left
        low = sum([number & mask for number in numbers])
        sums = low + ((sum(numbers) - low) >> 8 << 8 * width)
        low = sums & self._pairs
        return low + ((sums - low) >> 16 << 16 * width) - self._offsets * len(rows)


def _count_ends(hashes: Iterable[int]) -> array[int]:
    """After how many hashes each bucket of equal upper halves ends.

    No dictionary is made of them: its small pieces would stay in the process's memory.
    """
    counts = array("H", bytes(2 * NUM_BUCKETS))
    for value in hashes:
        counts[value >> 16] += 1
    return array("H", accumulate(counts))


def _order_for_sums(rows: bytes, width: int) -> bytes:
    """The rows with their bytes where adding, which takes every second one, puts them in order."""
    found = bytearray(len(rows))
    halves = [*range(0, width, 2), *range(1, width, 2)]
    for place, stored in enumerate(halves[::2] + halves[1::2]):
        found[stored::width] = rows[place::width]
    return bytes(found)
