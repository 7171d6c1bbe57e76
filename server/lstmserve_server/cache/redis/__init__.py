"""Entries in Redis, as bytes. Whatever becomes of Redis, a request notices a miss at most."""
