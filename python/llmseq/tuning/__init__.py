"""Search for a model's settings: which to try (spaces), how long, and what came of it."""
