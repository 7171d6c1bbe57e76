"""Asks the same requests alone and under load, and counts the replies that differ."""
