"""What the RPC layer tells to whoever counts: handed in, never imported."""

from __future__ import annotations

from typing import Protocol

from lstmserve_server.engine.output import Finish
from lstmserve_server.rpc.call import Call


class CallEndObserver(Protocol):
    """Told of every RPC's end; must be quick and must not raise."""

    def on_call_end(self, call: Call, code: str, seconds: float) -> None:
        """Tell that an RPC ended with this status code, after so long."""


class CallObserver(CallEndObserver, Protocol):
    """Told what callers do; must be quick and must not raise."""

    def on_accepted(self, call: Call, prompt_tokens: int) -> None:
        """Tell that a request passed every check."""

    def on_tokens(self, call: Call, count: int) -> None:
        """Tell that tokens of a reply came, from the model or from the cache."""

    def on_discarded(self, call: Call, count: int) -> None:
        """Tell that tokens of a reply came from the model, and nobody gets them."""

    def on_finished(self, call: Call, finish: Finish) -> None:
        """Tell that a reply is complete."""
