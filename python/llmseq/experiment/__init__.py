"""The main job: compare models on a dataset and hand over the winner."""
