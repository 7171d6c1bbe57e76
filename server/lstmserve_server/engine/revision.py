"""Which replies this engine gives."""

# Raise it whenever any reply to any request changes by a bit, in token or log-probability: what
# other servers have kept, perhaps for days, is this engine's own only if their revision is.
REVISION = 1
