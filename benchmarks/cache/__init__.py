"""What the reply cache and the state cache bring, and what they cost, on real servers."""
