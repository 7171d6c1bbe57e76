"""A web back end: replies as server-sent events, conversations over a websocket, and feedback.

    pip install fastapi uvicorn websockets
    LSTMSERVE_TARGET=127.0.0.1:50051 uvicorn app:app
    curl -N 'http://127.0.0.1:8000/reply?question=where+is+my+refund' -H 'x-request-id: demo-1'
    curl 'http://127.0.0.1:8000/feedback' --json '{"request_id": "demo-1", "is_helpful": false}'

When the browser goes, the generation is canceled on the server. Every reply has a request id, by
which feedback is found again: the log lines of the server say which model and version it was.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import FastAPI, Header, Request, WebSocket, status
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, Field

from lstmserve_client import (
    AsyncClient,
    AsyncConversation,
    AsyncReplyStream,
    InvalidRequestError,
    LstmserveError,
    OverloadedError,
)

REQUEST_ID = r"^[A-Za-z0-9._-]{1,64}$"
FEEDBACK = logging.getLogger("feedback")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """One client for all requests: it holds the connections."""
    target = os.environ.get("LSTMSERVE_TARGET", "127.0.0.1:50051")
    async with AsyncClient(target, caller="web", timeout=20) as client:
        app.state.client = client
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/reply")
async def reply(
    request: Request,
    question: str,
    x_request_id: Annotated[str | None, Header(pattern=REQUEST_ID)] = None,
) -> Response:
    """Stream the reply to one question; the request's id goes on to the server's logs."""
    request_id = x_request_id or uuid.uuid4().hex
    headers = {"x-request-id": request_id, "cache-control": "no-store"}
    stream = request.app.state.client.generate(question, max_tokens=200, request_id=request_id)
    try:
        await anext(stream)  # has begun: what fails before has a status of HTTP
    except LstmserveError as error:
        return JSONResponse({"error": str(error)}, status_of(error), headers)
    return StreamingResponse(events_of(stream), headers=headers, media_type="text/event-stream")


async def events_of(stream: AsyncReplyStream) -> AsyncIterator[str]:
    try:
        async with stream:  # left early, it is canceled
            async for piece in stream.text:
                yield event("text", piece)
            yield event("end", (await stream.reply()).completion.outcome)
    except LstmserveError as error:
        yield event("error", str(error))


def event(name: str, data: object) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


def status_of(error: LstmserveError) -> int:
    match error:
        case InvalidRequestError():
            return 422
        case OverloadedError():
            return 503
        case _:
            return 502


class Feedback(BaseModel):
    """What somebody thinks of one reply."""

    request_id: str = Field(pattern=REQUEST_ID)  # as the reply's header or last message told it
    is_helpful: bool
    comment: str = Field("", max_length=2000)


@app.post("/feedback", status_code=204)
async def take_feedback(feedback: Feedback) -> None:
    """Log a line of JSON; joined with the server's by request id, it tells where replies fail."""
    FEEDBACK.warning(feedback.model_dump_json())  # a level that is shown without any set-up


@app.websocket("/chat")
async def chat(websocket: WebSocket) -> None:
    """Each text that comes is the next turn; its reply goes back piece by piece.

    A further text ends the reply to the one before, which is then forgotten. What is no text ends
    the conversation.
    """
    await websocket.accept()
    conversation = websocket.app.state.client.conversation(max_turns=12, max_tokens=200)
    answering: asyncio.Task[None] | None = None
    try:
        while (message := await websocket.receive())["type"] == "websocket.receive":
            await end(answering)
            if (question := message.get("text")) is None:
                await websocket.close(status.WS_1003_UNSUPPORTED_DATA, "send text")
                break
            answering = asyncio.create_task(answer(websocket, conversation, question))
    finally:  # the browser has gone, or this server goes
        await end(answering)


async def answer(websocket: WebSocket, conversation: AsyncConversation, question: str) -> None:
    request_id = uuid.uuid4().hex
    try:
        async with conversation.generate(question, request_id=request_id) as stream:
            async for piece in stream.text:
                await websocket.send_json({"text": piece})
            outcome = (await stream.reply()).completion.outcome
            await websocket.send_json({"end": outcome, "request_id": request_id})
    except LstmserveError as error:
        await websocket.send_json({"error": str(error)})


async def end(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        await asyncio.wait([task])
