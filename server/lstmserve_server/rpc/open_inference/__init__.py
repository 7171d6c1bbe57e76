"""The Open Inference Protocol: other words for the same requests and replies."""
