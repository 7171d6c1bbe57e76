"""What the RPC layer tells to whoever counts: handed in, never imported."""

from __future__ import annotations

from typing import Protocol

from lstmserve_server.engine.output import Finish
from lstmserve_server.rpc.call import Call


class CallObserver(Protocol):
    """Told what callers do; must be quick and must not raise."""

    def on_accepted(self, call: Call, prompt_tokens: int) -> None:
        """A request passed every check."""

    def on_tokens(self, call: Call, count: int) -> None:
        """Tokens of a reply came, from the model or from the cache."""

    def on_discarded(self, call: Call, count: int) -> None:
        """Tokens of a reply came from the model, and nobody gets them."""

    def on_finished(self, call: Call, finish: Finish) -> None:
        """A reply is complete."""

    def on_call_end(self, call: Call, code: str, seconds: float) -> None:
        """An RPC ended with this status code, after so long."""
