"""What replies of the engine are compared with."""

from __future__ import annotations

import pytest

from support.engines import LoadedModel
from support.reference import ReferenceDecoder


@pytest.fixture(scope="session")
def reference(tiny: LoadedModel) -> ReferenceDecoder:
    return ReferenceDecoder(tiny)
