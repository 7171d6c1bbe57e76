"""Where each sequence's state is: in a slot of the runner, or set aside."""

from __future__ import annotations

from collections.abc import Sequence as List

from lstmserve_server.engine.constraints.automaton import Automaton
from lstmserve_server.engine.constraints.grammar import Grammar
from lstmserve_server.engine.decoding.decode_row import DecodeRow, FormRow
from lstmserve_server.engine.decoding.runner import Decoded, Runner
from lstmserve_server.engine.prefix import KnownState
from lstmserve_server.engine.process.grammars import Grammars
from lstmserve_server.engine.scheduling.prefill import PromptChunk
from lstmserve_server.engine.scheduling.sequence import Sequence
from lstmserve_server.engine.shared_page import SharedPage

MAX_GIVEN_BYTES = 32 << 20  # of states in one turn: half of what a message may have


class Batch:
    """Keeps the runner's slots and the scheduler's sequences together.

    Those that prefill or decode have a slot each.
    """

    def __init__(self, runner: Runner, page: SharedPage) -> None:
        """Note on the page which sequences each call works on."""
        self._runner = runner
        self._page = page
        self._slots = Slots()
        self._aside: dict[Sequence, bytes] = {}  # of those that have begun and hold no slot
        self._last_rows: List[Sequence] = ()
        # of those that keep a form: after how many tokens of the reply, and where it is then
        self._form_states: dict[Sequence, tuple[int, int]] = {}
        self._grammars = Grammars()

    def teach(self, digest: bytes, taught: Automaton | Grammar) -> None:
        """Know a form that sequences may keep."""
        if isinstance(taught, Grammar):
            self._grammars.teach(digest, taught)
        else:
            self._runner.taught.teach(digest, taught)

    def teach_tokens(self, tokens: List[bytes], end_id: int) -> None:
        """Know what the model's tokens stand for, before the first grammar."""
        self._grammars.teach_tokens(tokens, end_id)

    def forget(self, digest: bytes) -> None:
        """Let a form go that no sequence keeps."""
        self._grammars.forget(digest)
        self._runner.taught.forget(digest)

    def begin(self, sequence: Sequence, known: KnownState) -> None:
        """Give a sequence a state before any token is prefilled."""
        self._aside[sequence] = known.data

    def prefill(self, chunks: List[PromptChunk]) -> list[tuple[int, KnownState]]:
        """Prefill a chunk of each sequence; return the wanted states by sequence id.

        It leaves out those that would make a message too long.
        """
        self.place([chunk.sequence for chunk in chunks])
        slots = [self._slots[chunk.sequence] for chunk in chunks]
        self._page.take_in_hand(chunk.sequence.id for chunk in chunks)
        self._runner.prefill(slots, [chunk.token_ids for chunk in chunks])
        self._page.put_down()
        for chunk in chunks:
            chunk.sequence.num_prefilled += len(chunk.token_ids)
        wanted = [chunk.sequence for chunk in chunks if chunk.sequence.is_state_wanted]
        room = MAX_GIVEN_BYTES // self._runner.row_bytes  # for others, who can do without, none
        return [(sequence.id, self._give_out(sequence)) for sequence in wanted[:room]]

    def set_aside(self, sequence: Sequence) -> None:
        """Free the slot of a sequence, if it has one, and keep its state."""
        if sequence in self._slots:
            self._aside[sequence] = self._runner.take(self._slots[sequence])
            self._slots.free(sequence)

    def discard(self, sequence: Sequence) -> None:
        """Forget a sequence; do nothing for one that has not begun."""
        if sequence in self._slots:
            self._slots.free(sequence)
        self._aside.pop(sequence, None)
        self._form_states.pop(sequence, None)
        self._grammars.discard(sequence)

    def decode(self, rows: List[Sequence], steps: int, least_steps: int) -> list[Decoded]:
        """Decode up to so many tokens for each of these sequences, whose prompts are prefilled.

        The least steps are enough when something has come meanwhile.
        """
        same_rows, self._last_rows = rows == self._last_rows, rows
        asked = [self._to_row(sequence, self._slots[sequence]) for sequence in rows]
        self._page.take_in_hand(sequence.id for sequence in rows)
        decoded = self._runner.decode(asked, steps, same_rows=same_rows, least_steps=least_steps)
        self._page.put_down()
        for sequence, row in zip(rows, decoded, strict=True):
            if self._keeps_automaton(sequence):
                num_tokens = len(sequence.token_ids) + len(row.token_ids)
                self._form_states[sequence] = (num_tokens, row.form_state)
        return decoded

    def take_places(self, sequence: Sequence) -> list[int]:
        """Return where else a reply may end before a stop sequence, in bytes from its beginning."""
        return self._grammars.take_places(sequence)

    @property
    def drafted(self) -> tuple[int, int]:
        """How many tokens the last call guessed, and how many of them were right."""
        return self._runner.drafted

    def learn(self, sequence: Sequence) -> None:
        """Guess from now on that replies may go on as this one did."""
        self._runner.learn(sequence.request.prompt_ids, sequence.token_ids)

    def try_alone(self, sequence: Sequence, known: KnownState | None, steps: int) -> None:
        """Prefill a sequence and decode so many tokens in the spare slot, and forget all of it."""
        slot = self._runner.spare_slot
        self._page.take_in_hand([sequence.id])
        if known is None:
            self._runner.clear([slot])
        else:
            self._runner.put(slot, known.data)
        token_ids = sequence.next_to_prefill(sequence.num_to_prefill)
        if token_ids:
            self._runner.prefill([slot], [token_ids])
        self._runner.decode([self._to_row(sequence, slot)], steps, same_rows=False)
        self._last_rows = ()
        self._grammars.discard(sequence)
        self._page.put_down()

    def place(self, sequences: List[Sequence]) -> None:
        """Give each of these sequences a slot that holds its state."""
        new = [sequence for sequence in sequences if sequence not in self._slots]
        slots = {sequence: self._slots.take(sequence) for sequence in new}
        unread = [slot for sequence, slot in slots.items() if sequence not in self._aside]
        if unread:
            self._runner.clear(unread)
        for sequence, slot in slots.items():
            if sequence in self._aside:
                self._runner.put(slot, self._aside.pop(sequence))

    def _give_out(self, sequence: Sequence) -> KnownState:
        return KnownState(sequence.num_prefilled, self._runner.take(self._slots[sequence]))

    def _to_row(self, sequence: Sequence, slot: int) -> DecodeRow:
        request = sequence.request
        keeps_grammar = request.form_digest in self._grammars
        return DecodeRow(
            slot,
            sequence.next_input,
            sequence.position,
            request.sampling,
            request.min_tokens,
            request.prompt_ids,
            sequence.token_ids,
            sequence.is_measured,
            sequence.stream,
            self._to_form_row(sequence) if self._keeps_automaton(sequence) else None,
            self._grammars.reply_of(sequence) if keeps_grammar else None,
        )

    def _keeps_automaton(self, sequence: Sequence) -> bool:
        digest = sequence.request.form_digest
        return bool(digest) and digest not in self._grammars

    def _to_form_row(self, sequence: Sequence) -> FormRow:
        request = sequence.request
        num_tokens, state = self._form_states.get(sequence, (-1, 0))
        if num_tokens != len(sequence.token_ids):  # it was just begun, or gone on with
            taught = self._runner.taught[request.form_digest]
            walked = taught.walk(sequence.token_ids, request.form_start)
            if walked is None:
                raise ValueError("a reply that has left its form")
            state = walked
        return FormRow(request.form_digest, state, request.max_tokens)


class Slots:
    """Gives slots away in O(1): the one that was freed last, or else the lowest unused one."""

    def __init__(self) -> None:
        self._slots: dict[Sequence, int] = {}
        self._free: list[int] = []

    def __len__(self) -> int:
        """Return how many are taken."""
        return len(self._slots)

    def __contains__(self, sequence: Sequence) -> bool:
        return sequence in self._slots

    def __getitem__(self, sequence: Sequence) -> int:
        return self._slots[sequence]

    def take(self, sequence: Sequence) -> int:
        """Give a slot to a sequence that has none."""
        # with nothing free, exactly the numbers below this are taken
        slot = self._free.pop() if self._free else len(self._slots)
        self._slots[sequence] = slot
        return slot

    def free(self, sequence: Sequence) -> None:
        """Take a sequence's slot back."""
        self._free.append(self._slots.pop(sequence))
