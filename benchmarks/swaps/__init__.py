"""Publishes version after version under a server that is busy."""
