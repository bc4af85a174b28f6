"""Reading logs and item texts, datasets on disk, splits, a made-up shop."""
