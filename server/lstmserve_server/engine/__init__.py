"""Continuous batching of recurrent language models. Knows no transport and no metrics library.

``AsyncEngine`` is what the server uses; ``Engine.step`` is where to start reading.
"""
