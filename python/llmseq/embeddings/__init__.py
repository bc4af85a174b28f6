"""Item texts to vectors: encoders, cache, reductions."""
