"""Measures what the caches bring, part by part."""

from benchmarks.cache.cli import main

main()
