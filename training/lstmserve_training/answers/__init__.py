"""``answers``: a version with a company's own words, and the same weights."""
