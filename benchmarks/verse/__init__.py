"""Whether sampled quatrains keep the rules of tone and rhyme, and how they compare with poems."""
