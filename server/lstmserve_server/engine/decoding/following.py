"""Lets rows choose only what their grammars allow; Python, which the decode loop calls.

A grammar has no table of its states, so a library says after each token what may follow
(docs/adr/0014-grammars.md). The decode loop calls it as an operator of torch's, which TorchScript
can save and load. TorchScript reads the annotations of a NamedTuple as types, so this module does
not import ``annotations`` from ``__future__``.
"""

import itertools
from collections import OrderedDict
from typing import Any, NamedTuple, Protocol
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lstmserve_server.engine.constraints.grammar import GrammarError, too_complex
from lstmserve_server.errors import LstmserveError

MAX_BIASES = 256  # of sets of tokens; those of 4,096 tokens take 4 MiB
# what torch changes is told to TorchScript, so that no call is left out as one without effect
OPERATOR = "follow_grammars(Tensor(a!) tokens, Tensor(b!) bias, int number) -> ()"

Floats = npt.NDArray[np.float32]


class Grammars(NamedTuple):
    """The rows that keep a grammar, g of them."""

    rows: Tensor  # int64 [g]
    bias: Tensor  # float32 [g, tokens]: what may follow, 0 or minus infinity; kept up to date
    number: int  # names the replies in Python


class GrammarReply(Protocol):
    """The tokens of one reply so far; ``growing`` has it. Methods raise GrammarError."""

    error: LstmserveError | None  # why it cannot go on

    @property
    def num_tokens(self) -> int:
        """How many were taken."""

    @property
    def is_over(self) -> bool:
        """Whether no further token counts."""

    def allowed(self) -> bytes:
        """Return a bit for each token that may follow, lowest first."""

    def take(self, token_id: int) -> int:
        """Take an allowed token, or else the next one to completion; return what was taken."""

    def take_places(self) -> list[int]:
        """Return where else it may end before a stop sequence, in bytes from its beginning."""


class Biases:
    """What sets of tokens add to logits; those used last are kept."""

    def __init__(self, num_tokens: int) -> None:
        self._num_tokens = num_tokens
        self._kept: OrderedDict[bytes, Floats] = OrderedDict()

    def __getitem__(self, mask: bytes) -> Floats:
        """Return float32 [tokens]: 0 where a bit is set, else minus infinity."""
        if mask not in self._kept:
            bits = np.unpackbits(np.frombuffer(mask, np.uint8), bitorder="little")
            is_allowed = bits[: self._num_tokens] == 1
            self._kept[mask] = np.where(is_allowed, np.float32(0), np.float32(-np.inf))
            if len(self._kept) > MAX_BIASES:
                self._kept.popitem(last=False)
        self._kept.move_to_end(mask)
        return self._kept[mask]


class Following:
    """Replies that are decoded together, each under its grammar."""

    def __init__(self, replies: dict[int, GrammarReply], biases: Biases, num_tokens: int) -> None:
        """``replies`` are those of the rows that keep a grammar."""
        self._replies = replies
        self._biases = biases
        bias = torch.zeros(len(replies), num_tokens)
        self._masks = [b""] * len(replies)  # what the bias of each says
        self._number = next(_numbers)
        _following[self._number] = self
        self.grammars = Grammars(torch.tensor([*replies], dtype=torch.int64), bias, self._number)
        self._allow(bias)

    def error_of(self, row: int) -> LstmserveError | None:
        """Return why a row cannot go on; None if it can."""
        return self._replies[row].error if row in self._replies else None

    def follow(self, tokens: Tensor, bias: Tensor) -> None:
        """Take what was chosen, int64 [rows], where it may be completed; else change it."""
        chosen = tokens.tolist()
        for row, reply in self._replies.items():
            if not reply.is_over and reply.error is None:
                taken = _take(reply, chosen[row])
                if taken != chosen[row]:
                    tokens[row] = taken
        self._allow(bias)

    def _allow(self, bias: Tensor) -> None:
        table = bias.numpy()
        for place, reply in enumerate(self._replies.values()):
            if not reply.is_over and reply.error is None:
                mask = _allowed(reply, self._masks[place])
                if mask != self._masks[place]:  # else it stands there already
                    table[place] = self._biases[mask]
                    self._masks[place] = mask


def _take(reply: GrammarReply, token_id: int) -> int:
    """Take a token, and note where the library gives up."""
    try:
        return reply.take(token_id)
    except GrammarError as error:
        reply.error = too_complex(error)
        return token_id


def _allowed(reply: GrammarReply, before: bytes) -> bytes:
    """Return what may follow; where the library gives up, which is noted, what might before."""
    try:
        return reply.allowed()
    except GrammarError as error:
        reply.error = too_complex(error)
        return before


_numbers = itertools.count()
_following: WeakValueDictionary[int, Following] = WeakValueDictionary()


def _follow_grammars(tokens: Tensor, bias: Tensor, number: int) -> None:
    _following[number].follow(tokens, bias)


_library: Any = torch.library.Library("lstmserve", "FRAGMENT")  # type: ignore[no-untyped-call]
_library.define(OPERATOR)
_library.impl("follow_grammars", _follow_grammars, "CPU")
