"""What keeps a caller on one version while several share a model's requests."""

from __future__ import annotations

from lstmserve_server.engine.claim import ANONYMOUS
from lstmserve_server.rpc.validation import Request


def sticky_key(request: Request, caller: str) -> str:
    """The caller or, where it gives no name, what its conversation began with.

    So all turns of one conversation go to one version, on every replica.
    """
    if caller != ANONYMOUS:
        return f"caller:{caller}"
    turns = request.conversation.turns
    return f"prompt:{turns[0].text if turns else request.prompt}"
