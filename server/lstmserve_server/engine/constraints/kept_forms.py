"""The forms that were built, by what was asked for; those used last stay."""

from __future__ import annotations

from collections import OrderedDict

from lstmserve_server.engine.constraints.form import Form

REFUSAL_BYTES = 512  # about what a refusal takes
Key = tuple[str, bytes]  # the digests of a version and of a form


class KeptForms:
    """Forms and refusals, up to so many bytes."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[Key, Form | str] = OrderedDict()
        self.num_bytes = 0

    def __len__(self) -> int:
        """Return how many forms and refusals are kept."""
        return len(self._kept)

    def find(self, version: str, digest: bytes) -> Form | str | None:
        """Return a form, or why it was refused; None if neither is known."""
        found = self._kept.get((version, digest))
        if found is not None:
            self._kept.move_to_end((version, digest))
        return found

    def keep(self, version: str, digest: bytes, built: Form | str) -> None:
        """Keep a form, or why there is none."""
        known = self._kept.pop((version, digest), None)
        if known is not None:
            self.num_bytes -= _size(known)
        self._kept[version, digest] = built
        self.num_bytes += _size(built)
        while self.num_bytes > self._max_bytes and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self.num_bytes -= _size(dropped)


def _size(built: Form | str) -> int:
    return REFUSAL_BYTES if isinstance(built, str) else built.num_bytes
