"""Loads a server and reports how fast it answers, and what that costs."""
