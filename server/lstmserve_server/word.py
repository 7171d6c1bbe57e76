"""What operators tell one process of a server, and what its others hear of it."""

from __future__ import annotations

from dataclasses import dataclass

from lstmserve_server.store.directives import Directives


@dataclass(frozen=True, slots=True)
class Saying:
    """Up: what an operator told this process, as what it knew before and what it knows now."""

    before: Directives
    after: Directives
    log_level: str = ""  # empty: nothing was said of it


@dataclass(frozen=True, slots=True)
class Word:
    """Down: all that was said so far, to whomever; who hears the last word needs no other."""

    directives: Directives
    num_sayings: int = 0  # of the one who hears it, that are in it
    log_level: str = ""  # empty: as configured
