"""Whether a recipe's text fits into memory: found out before it is read, not when the kernel kills.

All text is held at once: what is held out, copies and labels in two spellings are found across all
of it.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lstmserve_training.data.files import find_files, open_binary
from lstmserve_training.data.tables import format_of
from lstmserve_training.errors import DataError
from lstmserve_training.recipe.sections import Augmentation

if TYPE_CHECKING:
    from lstmserve_training.recipe.schema import Recipe

MIN_BYTES = 50_000_000  # of files; less fits anywhere
CHUNK_BYTES = 1 << 24
SHOWN_TO = 1000  # rows
GIGABYTE = 1e9
# Measured: 0.75 kB for a row of 59 bytes, 0.4 kB more for each version of its prompt (docs/log.md).
FIXED_BYTES, ROW_BYTES, VERSION_BYTES = 300_000_000, 500, 300
BYTES_PER_BYTE, BYTES_PER_BYTE_AND_VERSION = 6, 4
MEMORY_FILE = Path("/proc/meminfo")
LIMIT_FILE, USED_FILE = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")


def check_room(recipe: Recipe, folder: Path) -> None:
    """Raise DataError where the text needs more memory than is free."""
    files = [
        path
        for source in recipe.sources
        for path in find_files(source, folder)
        if format_of(path, source.format) != "parquet"  # whose rows no newline ends
    ]
    if sum(path.stat().st_size for path in files) < MIN_BYTES:
        return
    free = free_bytes()
    sizes = [_measure(path) for path in files]
    rows, size = sum(count for count, _ in sizes), sum(size for _, size in sizes)
    versions = 0 if recipe.augmentation == Augmentation() else recipe.augmentation.variants
    needed = estimate(rows, size, versions)
    if free is not None and needed > free:
        largest = files[sizes.index(max(sizes))]
        raise DataError(
            f"{len(files)} files with {rows:,} rows need about {needed / GIGABYTE:.1f} GB of "
            f"memory, and {free / GIGABYTE:.1f} GB are free: train on a part of {largest} (such as "
            f"its first {_fitting(rows, free, needed):,} rows), or on a larger machine"
        )


def estimate(rows: int, size: int, versions: int) -> int:
    """The memory in bytes that so many rows of so many bytes in all need.

    ``versions`` of their prompts are made, besides what they are.
    """
    per_byte = BYTES_PER_BYTE + BYTES_PER_BYTE_AND_VERSION * versions
    return FIXED_BYTES + rows * (ROW_BYTES + VERSION_BYTES * versions) + size * per_byte


def _fitting(rows: int, free: int, needed: int) -> int:
    """How many of the rows have room, in a round number."""
    fitting = max(0, int(rows * (free - FIXED_BYTES) / (needed - FIXED_BYTES)))
    return fitting - fitting % SHOWN_TO if fitting > SHOWN_TO else fitting


def free_bytes() -> int | None:
    """The memory that is free, of the machine or of the container; None where nobody says."""
    found = []
    with suppress(OSError, ValueError, StopIteration):
        lines = MEMORY_FILE.read_text().splitlines()
        line = next(line for line in lines if line.startswith("MemAvailable:"))
        found.append(int(line.split()[1]) * 1024)
    with suppress(OSError, ValueError):  # "max" is no number: there is no limit
        found.append(int(LIMIT_FILE.read_text()) - int(USED_FILE.read_text()))
    return min(found, default=None)


def _measure(path: Path) -> tuple[int, int]:
    """Lines and bytes, unpacked."""
    lines = size = 0
    try:
        with open_binary(path) as file:
            while chunk := file.read(CHUNK_BYTES):
                lines += chunk.count(b"\n")
                size += len(chunk)
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    return lines, size
