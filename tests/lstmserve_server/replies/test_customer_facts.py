"""What customers have typed of themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lstmserve_bundle import Turn
from lstmserve_server.replies.customer_facts import find_fact

# made up for these tests: with a number, however it is written, and with other numbers alone
CONVERSATIONS = [
    json.loads(line)
    for line in Path(__file__).with_name("order_numbers.jsonl").read_text("utf-8").splitlines()
]


def said(*texts: str) -> list[Turn]:
    return [Turn("user", text) for text in texts]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("My order number is 48213.", "48213"),
        ("It is 4821…", "4821"),
        ("it's #93", "93"),
        ("order:48213 please, it is urgent", "48213"),
        ("my order no.48213 has not come", "48213"),
        ("the order number is WEB-AB-1234, thanks a lot", "WEB-AB-1234"),
        ("where is order SO 88123 at the moment?", "SO 88123"),
        ("WHERE IS MY ORDER 48213 NOW", "48213"),
        ("the order is 48 213 77.", "48 213 77"),
        ("order 48213 2 weeks ago", "48213"),
        ("ORD-20931 please", "ORD-20931"),
        ("ORD_2024_11 was delivered to the wrong address", "ORD_2024_11"),
        ("order no: AB12345x", "AB12345x"),
        ("113-4567890-1234567", "113-4567890-1234567"),
        ("hello, 48213", "48213"),
        ("can you call me about order 48213 today", "48213"),
        ("the ring from order 48213 is too small for me", "48213"),
        ("order-48213 has not come so far", "48213"),
        ("please look at order number 4821 3377 90, thanks", "4821 3377 90"),
        ("it is A 77412, the blue one", "A 77412"),
        ("I would like to order 12 lamps", None),
        ("I need it within 30 days", None),
        ("size 42", None),
        ("hello there, I am writing about DE-22-KX again", "DE-22-KX"),
        ("my wi-fi-6 lamp and the usb-3 cable are broken", None),
        ("order 512 please, it is urgent", "512"),
        ("where has order XK7P gone?", "XK7P"),
        ("48213", "48213"),
        ("I paid $1250.00 for order 77012 in 2024", "77012"),
        ("I paid 1,250 on 2024-05-01 at 10:30", None),
        ("I paid 1250 euros on 24/12/2024 for the 5000ml bottle", None),
        ("in 2023 I bought 3 lamps from your shop", None),
        ("order 2023 is late", "2023"),
        ("call me on 07911 123456, order 55120", "55120"),
        ("my phone is 07911123456", None),
        ("you reach me at +44 7911 123456 or 030 1234 5678", None),
        ("my card is 4111 1111 1111 1111", None),
        ("first 11111 and then 22222 did not arrive", "22222"),
        ("order 11111 from the customer 22222", "11111"),
        ("see https://x.org/98765 or a@98765.org for more", None),
        ("my order number: visit shop.example/98765", None),
        ("my order no.PO/8845/24 has not come", "PO/8845/24"),
        ("a 100% refund, I am 3000% sure of that", None),
        ("no number here", None),
    ],
)
def test_order_numbers(text: str, number: str | None) -> None:
    assert find_fact("order_number", said(text)) == number


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("write to jo.lee+shop@mail.example.org.", "jo.lee+shop@mail.example.org"),
        ("a@b.de or better c@d.de!", "c@d.de"),
        ("@nobody, me@localhost", None),
        ("it's o'brien.siobhan@mail.example", "o'brien.siobhan@mail.example"),
        ("write to 'jo@mail.example'", "jo@mail.example"),
        ("'" * 100_000 + "@mail.example", None),
    ],
)
def test_email_addresses(text: str, address: str | None) -> None:
    assert find_fact("email", said(text)) == address


def test_the_latest_turn_that_says_it_counts() -> None:
    turns = said("order 11111", "no, it is 22222", "thank you")
    assert find_fact("order_number", turns) == "22222"
    # what is said to be the order's goes before what may be anything
    turns = said("order 11111 did not come", "I live in 10115 Berlin, third floor, by the way")
    assert find_fact("order_number", turns) == "11111"


@pytest.mark.parametrize("case", CONVERSATIONS, ids=lambda case: " | ".join(case["turns"]))
def test_conversations(case: dict[str, Any]) -> None:
    turns = [Turn(*turn.split(": ", maxsplit=1)) for turn in case["turns"]]
    assert find_fact("order_number", turns) == case["order_number"]


def test_what_the_agent_says_is_not_the_customers() -> None:
    turns = [Turn("agent", "Is it order 11111, and jo@x.org?"), Turn("user", "I do not know")]
    assert find_fact("order_number", turns) is None
    assert find_fact("email", turns) is None


def test_other_kinds_are_not_looked_for() -> None:
    assert find_fact("name", said("I am Jo")) is None
