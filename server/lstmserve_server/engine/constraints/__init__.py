"""Forms that replies keep: automata over a model's tokens, and the process that builds them."""
