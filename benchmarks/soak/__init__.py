"""Watches a server's memory over many requests, and with many that wait."""
