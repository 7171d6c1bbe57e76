"""Streams that are read slowly, or never."""

from __future__ import annotations

from pathlib import Path

from lstmserve.v1 import generation_service_pb2 as pb
from support.bystanders import Expected, bystanders
from support.calls import LONG
from support.footprint import Footprint, files_until, settled
from support.metrics_page import scrape_until
from support.raw_caller import raw_caller
from support.served import ask_at_once, serve
from support.whole_reply import whole_of

PARKING = ("--cache-bytes", "0", "--state-cache-bytes", "0", "--park-after-tokens", "32")
NUM_UNREAD = 32
NUM_BYTES_ONE_BY_ONE = 300
PLENTY = 1 << 30
# what a reply that nobody reads may keep of its bulkiest tokens, and then as much again
MOST_BYTES_OF_AN_UNREAD_STREAM = 1 << 19


def seeded(seed: int) -> pb.GenerateRequest:
    request = pb.GenerateRequest()
    request.CopyFrom(LONG)
    request.sampling.seed = seed
    return request


def test_streams_that_nobody_reads_are_set_aside_and_go_on_exactly(
    tiny_store: Path, expected: Expected
) -> None:
    """32 streams that are not read at all take no row from anybody and little memory; one read
    byte by byte loses nothing, and all of them are exact when they are read in the end.
    """
    with serve(tiny_store, *PARKING) as served:
        requests = [seeded(seed) for seed in range(NUM_UNREAD)]
        whole = ask_at_once(served, requests)
        before = settled(served)
        with (
            bystanders(served.process.target, expected) as others,
            raw_caller(served.process.target, 1) as unread,
            raw_caller(served.process.target, 1) as slow,
        ):
            streams = [unread.call(request) for request in requests]
            scrape_until(
                served.process.metrics_url,
                lambda page: page.total("parked_sequences") == NUM_UNREAD,
            )
            number = slow.call(requests[0])
            for count in range(1, NUM_BYTES_ONE_BY_ONE):
                slow.read(number, count)
                slow.give(number, 1)
            others.replies()
            during = Footprint.of(served.process).resident_bytes
            slow.give(number, PLENTY)
            for stream in streams:
                unread.give(stream, PLENTY)
            assert whole_of(slow.read_to_end(number)) == whole[0]
            assert [whole_of(unread.read_to_end(stream)) for stream in streams] == whole
        served.page_once_idle()
        assert during - before.resident_bytes < NUM_UNREAD * MOST_BYTES_OF_AN_UNREAD_STREAM
        after = files_until(served, lambda count: count <= before.files)
        assert after.threads <= before.threads
