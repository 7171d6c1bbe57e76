"""Whose turn it is: plain Python, told the time, knows neither torch nor tensors."""
