"""Metrics with intervals and tests, and the leaderboard."""
