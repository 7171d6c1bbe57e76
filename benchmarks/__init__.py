"""Measures lstmserve; see README.md. Every folder is one verb: ``python -m benchmarks.<verb>``."""
