"""A service in memory, for the tests of what uses this package: no sockets, no threads, no waits.

    from lstmserve_client.testing import FakeService

    service = FakeService()
    service.reply_to("Where is my order?", "On its way.")
    with service.client() as client:
        assert client.reply("Where is my order?").text == "On its way."

Its clients are real ones: they retry, resume and give up as they do with servers, by a clock
that only waiting moves.
"""

from lstmserve_client.testing.clock import FakeClock
from lstmserve_client.testing.models import make_model
from lstmserve_client.testing.replies import FakeReply
from lstmserve_client.testing.requests import FakeRequest
from lstmserve_client.testing.service import FakeService

__all__ = ["FakeClock", "FakeReply", "FakeRequest", "FakeService", "make_model"]
