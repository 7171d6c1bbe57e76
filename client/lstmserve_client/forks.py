"""Whose a client is: gRPC's threads and connections do not come along when a process forks."""

import ctypes
import os


class Owner:
    """The process that uses something first; in a child forked from it that is of no use."""

    def __init__(self, refusal: str) -> None:
        """``refusal`` is what a child is told."""
        self._refusal = refusal
        self._process: int | None = None

    def claim(self) -> None:
        """Raise RuntimeError in another process than the one that came first.

        Takes no lock: a thread that the fork left behind may hold it for ever.
        """
        if self._process is None:
            self._process = os.getpid()
        elif self.is_elsewhere:
            raise RuntimeError(self._refusal)

    @property
    def is_elsewhere(self) -> bool:
        """Whether this is a child of the process that used it."""
        return self._process not in (None, os.getpid())


def abandon(inherited: object) -> None:
    """Keep a parent's object from being finalized here, at the end of the process either.

    gRPC's objects end their calls then, and wait for threads that only the parent has.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(inherited))
