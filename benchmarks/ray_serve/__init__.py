"""Servers as replicas of Ray Serve, beside the same behind HAProxy and one without either."""
