"""The keys of replies: digests of everything that can change a reply, and of nothing else.

A question is a request without its seed, put to one model version within one scope. Its
digest and a seed make the key of one reply. Digests are BLAKE2b over MessagePack, which
writes a value in one way only; they are the same in every process and release of this schema.
"""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from lstmserve_server.cache.entry_key import EntryKey, Kind, Owner
from lstmserve_server.engine.request import REVISION, GenerationRequest, SamplingParams

SCHEMA = "lstmserve reply 1"
DIGEST_BYTES = 32
SEED_BYTES = 8


def digest_question(owner: Owner, request: GenerationRequest) -> bytes:
    """Return the digest of what decides the replies to a request, except for their seeds.

    The tokens to resume after are left out: they are the beginning of the same reply.
    """
    facts = (
        SCHEMA,
        REVISION,
        (owner.model, owner.version, owner.digest, owner.scope),
        request.prompt_ids,
        request.max_tokens,
        request.min_tokens,
        sorted(set(request.stop_sequences)),  # the first found ends the reply, whatever the order
        _effective(request.sampling),
        *([request.form_digest, request.form_start] if request.form_digest else ()),
        *([owner.tags] if owner.tags else ()),
    )
    return _digest(msgspec.msgpack.encode(facts))


def reply_key(owner: Owner, question: bytes, sampling: SamplingParams) -> EntryKey:
    """Return the key of the one reply that a question has with this seed."""
    seed = b"" if is_greedy(sampling) else sampling.seed.to_bytes(SEED_BYTES, "little")
    return EntryKey(Kind.REPLY, owner, question[:1].hex(), _digest(question + seed))


def variant_seed(question: bytes, variant: int) -> int:
    """Return the 64-bit seed of one of the replies to a question without a seed."""
    salt = variant.to_bytes(SEED_BYTES, "little")
    return int.from_bytes(blake2b(question, digest_size=SEED_BYTES, salt=salt).digest(), "little")


def is_greedy(sampling: SamplingParams) -> bool:
    """Return whether the most likely token is taken: neither seed nor filters matter then."""
    return sampling.temperature == 0


def _effective(sampling: SamplingParams) -> tuple[object, ...]:
    always = (
        sampling.repetition_penalty,
        sampling.frequency_penalty,
        sampling.presence_penalty,
        sampling.logit_bias,
        sampling.num_logprobs,
    )
    if is_greedy(sampling):
        return always
    return (*always, sampling.temperature, sampling.top_k, sampling.top_p, sampling.min_p)


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=DIGEST_BYTES).digest()
