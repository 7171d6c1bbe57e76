"""Runs ``python -m benchmarks.quality``."""

from benchmarks.quality.cli import main

main()
