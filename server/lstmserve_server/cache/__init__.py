"""Replies and states that are worth keeping. Knows no transport and no metrics library."""
