"""report.html: one file that says what a run found, for people who did not run it."""

from llmseq.experiment.report.page import write_report

__all__ = ["write_report"]
