"""A support bot for a chat such as Slack, which hands over to people.

    python bot.py 127.0.0.1:50051

It reads lines ``channel text`` and prints what it says. In your program ``on_message`` is called
by the chat, and ``say`` and ``page`` call it.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from lstmserve_client import Client, Conversation, LstmserveError, ReplyOutcome

MAX_UNSURE = 2  # questions in a row that the bot did not understand
MAX_TURNS = 12  # of a conversation, that the bot remembers
MAX_CHANNELS = 10_000  # those that were silent for the longest are forgotten
BUSY = "I cannot answer just now; a colleague will."


@dataclass
class Channel:
    """One customer's conversation."""

    conversation: Conversation
    unsure: int = 0
    is_with_people: bool = False


@dataclass
class Bot:
    """Answers until a person should, and then keeps silent until it is given back."""

    client: Client
    say: Callable[[str, str], None]  # to a channel
    page: Callable[[str, str], None]  # people, with what was said
    channels: OrderedDict[str, Channel] = field(default_factory=OrderedDict)  # the latest last

    def on_message(self, name: str, text: str) -> None:
        channel = self._channel(name)
        if text == "/bot":
            channel.is_with_people, channel.unsure = False, 0
        elif not channel.is_with_people:
            self._answer(name, channel, text)

    def _channel(self, name: str) -> Channel:
        if name not in self.channels:
            conversation = self.client.conversation(max_turns=MAX_TURNS, max_tokens=120)
            self.channels[name] = Channel(conversation)
        self.channels.move_to_end(name)
        if len(self.channels) > MAX_CHANNELS:
            self.channels.popitem(last=False)
        return self.channels[name]

    def _answer(self, name: str, channel: Channel, text: str) -> None:
        try:
            reply = channel.conversation.reply(text, timeout=10)
        except LstmserveError as error:
            self.say(name, BUSY)
            self._hand_over(name, channel, f"{text} ({error}, request {error.request_id})")
            return
        self.say(name, reply.text)
        outcome = reply.completion.outcome
        channel.unsure = channel.unsure + 1 if outcome is ReplyOutcome.UNSURE else 0
        if outcome is ReplyOutcome.HANDOVER or channel.unsure >= MAX_UNSURE:
            about = reply.classification.label.name if reply.classification else "unknown"
            self._hand_over(name, channel, f"{text} ({about})")

    def _hand_over(self, name: str, channel: Channel, why: str) -> None:
        channel.is_with_people = True
        turns = (f"  {turn.role}: {turn.text}" for turn in channel.conversation.turns)
        self.page(name, "\n".join([why, *turns]))


def main(target: str) -> None:
    with Client(target, caller="bot") as client:
        bot = Bot(
            client,
            say=lambda name, text: print(f"#{name} {text}", flush=True),
            page=lambda name, text: print(f"@support #{name}: {text}", flush=True),
        )
        for line in sys.stdin:
            name, _, text = line.strip().partition(" ")
            if text:
                bot.on_message(name, text)


if __name__ == "__main__":
    main(*sys.argv[1:])
