"""A conversation on a terminal, streamed: ``python chat.py 127.0.0.1:50051``."""

from __future__ import annotations

import sys

from lstmserve_client import Client, LstmserveError


def main(target: str) -> None:
    with Client(target) as client:
        chat = client.conversation(max_turns=12, temperature=0.7, max_tokens=120)
        for line in sys.stdin:
            try:
                for piece in chat.generate(line.strip()).text:
                    print(piece, end="", flush=True)
                print()
            except LstmserveError as error:  # the conversation is as it was before the question
                print(f"\n[{error}]")


if __name__ == "__main__":
    main(*sys.argv[1:])
