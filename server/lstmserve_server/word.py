"""What an operator said to one process of a server, for its others to hear."""

from __future__ import annotations

from dataclasses import dataclass

from lstmserve_server.store.directives import Directives


@dataclass(frozen=True, slots=True)
class Word:
    """All that was said so far: who hears the last word needs no other."""

    directives: Directives | None  # None: as configured
    log_level: str
