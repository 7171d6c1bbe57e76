"""What tests and benchmarks start and stop: servers, Redis, proxies, Prometheus, a browser.

Every wait in here has a limit, and an error that says what was waited for.
"""
