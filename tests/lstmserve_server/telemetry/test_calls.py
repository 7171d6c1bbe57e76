"""Every way in which a call can end has a word."""

from __future__ import annotations

import grpc

from lstmserve_server.errors import PoisonedRequestError
from lstmserve_server.rpc.status import BUG, CODES
from lstmserve_server.telemetry.calls import OUTCOMES


def test_every_status_code_has_an_outcome() -> None:
    assert OUTCOMES.keys() == {code.name for code in grpc.StatusCode}


def test_what_callers_do_wrong_is_no_error_of_the_server() -> None:
    assert OUTCOMES[BUG[0].name] == "error"
    theirs = {code for kind, (code, _) in CODES.items() if kind is not PoisonedRequestError}
    assert "error" not in {OUTCOMES[code.name] for code in theirs}
