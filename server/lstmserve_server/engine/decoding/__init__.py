"""Prefill and decode on tensors; with the loader and the proof, all that imports torch."""
