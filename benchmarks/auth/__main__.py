"""Measures what authentication costs a call."""

from benchmarks.auth.cli import main

main()
