"""Reads requests and prints their replies and their prompts' states: a second process's opinion."""

import sys
from pathlib import Path

from lstmserve_server.engine.request import GenerationRequest, SamplingParams
from support.engines import load_tiny, run_together

if __name__ == "__main__":
    names = {"GenerationRequest": GenerationRequest, "SamplingParams": SamplingParams}
    requests = eval(sys.stdin.read(), names)
    for reply in run_together(load_tiny(Path(sys.argv[1])), requests, with_states=True):
        print(repr((reply.essence, reply.states)))  # noqa: T201 - this is its output
