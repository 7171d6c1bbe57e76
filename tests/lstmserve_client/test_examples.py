"""The examples in the package's docstrings are true."""

from __future__ import annotations

import asyncio
import doctest
import importlib
import pkgutil
from types import ModuleType

import pytest

import lstmserve_client
from lstmserve_client import Classification, Label
from lstmserve_client.testing import FakeReply, FakeService

MODULES = [
    importlib.import_module(each.name)
    for each in pkgutil.walk_packages(lstmserve_client.__path__, "lstmserve_client.")
    if not each.name.endswith("__main__")  # runs the command
]
WITH_EXAMPLES = {
    *(
        "async_client",
        "batches",
        "client",
        "conversation",
        "errors",
        "policies",
        "records",
        "reply_stream",
        "types",
    ),
    "service",
}


def examples(module: ModuleType) -> list[doctest.DocTest]:
    """Those of one module, with clients of a fresh service at hand."""
    about = Classification(Label("track_order", 0.9), (), 0.95)
    late = FakeReply("I am sorry.", classification=about)
    service = FakeService({"Where is my order?": "On its way.", "It is late!": late})
    names = {
        **{name: getattr(lstmserve_client, name) for name in lstmserve_client.__all__},
        "asyncio": asyncio,
        "async_client": service.async_client(),
        "client": service.client(),
        "service": service,
    }
    found = doctest.DocTestFinder().find(module, extraglobs=names)
    return [each for each in found if each.examples]


def test_examples_are_found_where_they_are() -> None:
    found = {module.__name__.rpartition(".")[2] for module in MODULES if examples(module)}
    assert found == WITH_EXAMPLES


@pytest.mark.parametrize(
    "module", list(filter(examples, MODULES)), ids=lambda module: module.__name__
)
def test_every_example_is_true(module: ModuleType) -> None:
    said: list[str] = []
    for each in examples(module):
        doctest.DocTestRunner().run(each, out=said.append)
    assert said == []
