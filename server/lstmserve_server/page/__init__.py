"""The page at ``/`` of the metrics port: live numbers, models, and a box to try a prompt.

It is an ordinary caller of the server's own gRPC address, and knows nothing of what is
behind it: the process that serves the page may have no engine at all.
"""
