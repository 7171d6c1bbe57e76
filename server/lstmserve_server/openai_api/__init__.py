"""OpenAI's HTTP API, for callers without gRPC: an ordinary caller of this server's own gRPC.

Requests become those of ``lstmserve.v1`` and replies are put into OpenAI's words, so replies,
limits, quotas, metrics and logs are everybody's. It is imported where ``--http-listen`` is given.
"""
