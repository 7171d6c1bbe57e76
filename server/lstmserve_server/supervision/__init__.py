"""Several server processes on one port. Knows no torch and no grpc: those are in the workers.

``Supervisor`` is where to start reading; ``lstmserve_server.worker`` is what it starts.
"""
