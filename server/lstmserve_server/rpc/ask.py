"""From a request on the wire to what is asked of the caches."""

from __future__ import annotations

from typing import Any

import grpc

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_server.cache.ask import Ask
from lstmserve_server.cache.entry_key import Owner
from lstmserve_server.rpc.call import Call
from lstmserve_server.rpc.claim import to_claim
from lstmserve_server.rpc.request import check_request, render, to_generation_request
from lstmserve_server.rpc.tokenizing import Tokenizing
from lstmserve_server.rpc.validation import CACHE_MODES, Request, count_bytes
from lstmserve_server.store.served_model import ServedModel

Context = grpc.aio.ServicerContext[Any, Any]


async def to_ask(
    request: Request,
    call: Call,
    context: Context,
    model: ServedModel,
    tokenizing: Tokenizing,
    *,
    is_per_caller: bool,
) -> Ask:
    """Check and convert; raises InvalidRequestError naming every wrong field.

    With ``is_per_caller`` no caller gets what was kept for another.
    """
    check_request(request, model.manifest)
    claim = to_claim(request, call, context)
    prompt_ids = await tokenizing.run(
        lambda: render(request, model.bundle.template), count_bytes(request), claim
    )
    return Ask(
        owner=Owner(
            model.name,
            model.version,
            model.manifest.digest,
            call.identity.cache_scope(is_per_caller=is_per_caller),
        ),
        bundle=model.bundle,
        engine=model.engine,
        request=to_generation_request(request, model, prompt_ids),
        claim=claim,
        is_seeded=request.sampling.HasField("seed"),
        mode=CACHE_MODES[request.cache_mode],
        is_exact=model.is_exact,
        is_streamed=isinstance(request, pb.GenerateRequest),
    )
