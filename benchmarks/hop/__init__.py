"""What it costs an engine to exchange messages with its server, by transport and codec."""
