"""Who may call: principals, how they prove who they are, and how much each may ask.

Knows no gRPC.
"""
