"""Reading logs, datasets on disk, splits, statistics, and the made-up shop."""
