"""What it costs to know who calls, on real servers."""
