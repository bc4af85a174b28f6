"""Models made of other models' lists."""
