"""Grafana's dashboards, described in Python and written as the JSON that Grafana reads.

Knows Grafana's library and the names of the metrics, nothing of the server's code.
"""
