"""What the files of a version must be before anything reads them."""

from __future__ import annotations

import errno
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def size_of(path: Path) -> int:
    """The bytes of a regular file, or of what a link leads to; raises OSError.

    A pipe or a device has no size, and whoever opened it might wait for its end for ever.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return found.st_size
