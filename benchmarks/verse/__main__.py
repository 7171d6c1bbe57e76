"""Runs ``python -m benchmarks.verse``."""

from benchmarks.verse.cli import main

main()
