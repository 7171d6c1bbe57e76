"""What a reply is asked of."""

from __future__ import annotations

from dataclasses import dataclass

from lstmserve_bundle import Bundle
from lstmserve_server.cache.entry_key import Owner
from lstmserve_server.cache.outcome import CacheMode
from lstmserve_server.engine.async_engine import AsyncEngine
from lstmserve_server.engine.claim import Claim
from lstmserve_server.engine.request import GenerationRequest


@dataclass(frozen=True, slots=True)
class Ask:
    """One request to one model version."""

    owner: Owner
    bundle: Bundle
    engine: AsyncEngine
    request: GenerationRequest
    claim: Claim
    is_seeded: bool = True  # else its seed may be chosen
    mode: CacheMode = CacheMode.DEFAULT
    is_exact: bool = True  # else nothing of its reply may be kept, shared or gone on from
    is_streamed: bool = True  # else a reply that is there may come in one piece
