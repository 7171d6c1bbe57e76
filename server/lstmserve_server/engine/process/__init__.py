"""What runs in an engine's own process: loader, proof, and the loop that schedules and decodes."""
