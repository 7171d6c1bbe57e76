"""Servers under streams, each reply the right one, while faults, swaps or nothing happens."""
