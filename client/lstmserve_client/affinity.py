"""What tells which server is warm for a request: a digest of how it begins. Pure functions."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeAlias

from lstmserve.v1 import cache_service_pb2 as cache_pb
from lstmserve.v1 import generation_service_pb2 as pb

Affinity: TypeAlias = bool | str
Request: TypeAlias = pb.GenerateRequest | pb.GenerateReplyRequest | cache_pb.WarmCacheRequest

METADATA_KEY = "x-affinity"
_DIGEST_BYTES = 8


def check_affinity(value: object) -> None:
    """Raise TypeError or ValueError for what can be no affinity."""
    if not isinstance(value, bool | str):
        kind = type(value).__name__
        raise TypeError(f"affinity: must be text, or True or False, not {kind}")
    if value == "":
        raise ValueError("affinity: must not be empty; False turns it off")


def affinity_key(wanted: Affinity, request: Request) -> str:
    """Return what is sent for a request: a digest, or nothing where it is not wanted.

    All turns of a conversation have the same one, and so has its first question as a prompt.
    """
    if wanted is False:
        return ""
    if isinstance(wanted, str):
        return _digest(wanted)
    asked = request.request if isinstance(request, cache_pb.WarmCacheRequest) else request
    return _digest(asked.model, asked.model_version, _beginning(asked))


def rank_targets(key: str, targets: Sequence[str]) -> tuple[int, ...]:
    """Return the targets' numbers, the preferred one for this key first (rendezvous hashing).

    A target that joins or goes moves only the keys that it gets or had, and clients that list
    the same targets in another order agree.
    """
    # one that is listed twice is two connections, which share its keys
    names = [f"{target} {targets[:number].count(target)}" for number, target in enumerate(targets)]
    return tuple(sorted(range(len(targets)), key=lambda number: _digest(key, names[number])))


def _beginning(request: pb.GenerateRequest | pb.GenerateReplyRequest) -> str:
    turns = request.conversation.turns
    return turns[0].text if turns else request.prompt


def _digest(*parts: str) -> str:
    """Return a digest of texts in this order, wherever one ends and the next begins."""
    found = blake2b(digest_size=_DIGEST_BYTES)
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        found.update(len(encoded).to_bytes(8) + encoded)
    return found.hexdigest()
