"""What the versions of a server whose store changes must answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_bundle.manifest import read_manifest
from support.live_server import LiveServer
from support.whole_reply import WholeReply
from support.wire_requests import PROMPTS, copy_of, make_request

REQUESTS = tuple(
    make_request(prompt, min_tokens=24, temperature=1.0, seed=seed)
    for seed, prompt in enumerate(PROMPTS)
)


class SwappedReplies:
    """What each kind of weights answers to each of the requests."""

    def __init__(self, both: LiveServer) -> None:
        """By a server that serves them from its start on, from no cache."""
        self._replies = {
            weights: _ask_all(both, version) for version, weights in both.weights.items()
        }
        texts = [{reply.text for reply in replies} for replies in self._replies.values()]
        assert len(set[str]().union(*texts)) == sum(map(len, texts))  # each says something else

    def check(self, live: LiveServer, number: int, reply: WholeReply) -> int:
        """The version that a reply to this request names, whose whole reply it must be."""
        _, version, digest = reply.model
        weights = live.weights[int(version)]
        assert read_manifest(live.sources[weights]).digest == digest
        expected = self._replies[weights][number]
        assert replace(reply, model=expected.model) == expected
        return int(version)


def _ask_all(both: LiveServer, version: int) -> Sequence[WholeReply]:
    replies = []
    for request in REQUESTS:
        asked = copy_of(request)
        asked.model_version, asked.cache_mode = str(version), pb.CACHE_MODE_BYPASS
        replies.append(both.served.ask(asked))
    return replies
