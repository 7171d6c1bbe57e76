"""Grafana's dashboards and Prometheus' rules on a real Prometheus that scrapes a real server."""
