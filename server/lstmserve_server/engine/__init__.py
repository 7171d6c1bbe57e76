"""Continuous batching of recurrent language models. Knows no transport and no metrics library.

``EngineClient`` is what the server uses; ``process.engine.Engine.turn`` is what its process does.
"""
