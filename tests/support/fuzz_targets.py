"""All that reads bytes from outside, as functions of bytes that must not raise.

What is wrong with the bytes is told by a domain error, which each target forgives; anything else
that gets out of one is a bug.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_bundle import BundleError, open_bundle
from lstmserve_bundle.manifest import MANIFEST_NAME, parse_manifest
from lstmserve_server.cache.entry_key import CorruptEntryError, EntryKey, Kind, Owner, seal, unseal
from lstmserve_server.cache.redis.address import describe, parse_url
from lstmserve_server.engine.output import FinishReason
from lstmserve_server.errors import LstmserveError
from lstmserve_server.replies.cached_reply import CachedReply, decode_reply, encode_reply
from lstmserve_server.rpc.request import check_request, encode, to_generation_request
from lstmserve_server.rpc.wire import Malformed, make_reader
from lstmserve_server.settings import read_config
from support.fuzzing import GENERATE, seed_messages

VERSION = next((Path(__file__).parents[2] / "model_store" / "support-en").glob("[0-9]*"))
KEY = EntryKey(Kind.REPLY, Owner("tiny", "1", "digest"), "shard", bytes(32))
REPLY = CachedReply("hi!", (5, 6), (2, 3), ((-0.5, ((5, -0.5),)),) * 2, FinishReason(1), "", 0.1)


@dataclass(frozen=True)
class Target:
    """A reader, and bytes that it reads to their end."""

    read: Callable[[bytes], object]
    seeds: tuple[bytes, ...]


def read_request(data: bytes) -> None:
    """From the wire to what the engine takes."""
    for kind in (pb.GenerateRequest, pb.GenerateReplyRequest):
        message: Any = make_reader(kind)(data)
        if not isinstance(message, Malformed):
            with suppress(LstmserveError):
                model = _model()
                check_request(message, model)
                prompt_ids = encode(message, model).prompt_ids
                to_generation_request(message, model, prompt_ids)


def read_entry(data: bytes) -> None:
    """What is found in Redis; right or wrong, it can be sent, or is known to be corrupt."""
    with suppress(CorruptEntryError):
        unseal(KEY, data)
    with suppress(CorruptEntryError):
        reply = decode_reply(data)
        count = len(reply.token_ids)
        parts = [reply.cut(n, n + 1) for n in range(count)]
        assert "".join(part.text for part in parts) == reply.text
        for part in parts:
            pb.Chunk(text=part.text, token_ids=part.token_ids).SerializeToString()


def read_manifest(data: bytes) -> None:
    with suppress(BundleError):
        parse_manifest(data.decode(errors="replace"), "here")


def read_configuration(data: bytes) -> None:
    """A TOML file, as ``--config`` names it."""
    with tempfile.NamedTemporaryFile(suffix=".toml") as file, suppress(LstmserveError):
        file.write(data)
        file.flush()
        read_config({"config": file.name})


def read_address(data: bytes) -> None:
    """A Redis URL; what is wrong with it is told without a word of it."""
    url = data.decode(errors="replace")
    try:
        parse_url(url)
    except ValueError:
        return
    describe(url)


TARGETS: Mapping[str, Target] = {
    "request": Target(read_request, seed_messages(GENERATE)),
    "entry": Target(read_entry, (encode_reply(REPLY), seal(KEY, b"content"))),
    "manifest": Target(read_manifest, ((VERSION / MANIFEST_NAME).read_bytes(),)),
    "configuration": Target(
        read_configuration, (b'listen = "127.0.0.1:1"\nmax_running = 4\ndrain_seconds = 1.5\n',)
    ),
    "address": Target(
        read_address,
        (
            b"redis://user:secret@host:6379/1",
            b"rediss+sentinel://a:1,b:2/main/0?ssl_cert_reqs=none",
            b"unix://:secret@/tmp/redis.sock?db=3",
            b"redis+cluster://[::1]:7000,b",
        ),
    ),
}


@cache
def _model() -> Any:  # noqa: ANN401 - what is read of a ServedModel, without an engine
    bundle = open_bundle(VERSION)
    name, version = bundle.manifest.name, str(bundle.manifest.version)
    return SimpleNamespace(
        bundle=bundle,
        manifest=bundle.manifest,
        name=name,
        version=version,
        is_exact=True,
        classifier=None,
        faq=None,
        answers=None,
    )
