"""``llmseq report``: the HTML report of a run, again."""

from __future__ import annotations

from pathlib import Path

import click

from llmseq.cli.console import say


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
def command(run: Path) -> None:
    """Write report.html of the run folder RUN again."""
    from llmseq.experiment.report import write_report

    say(str(write_report(run)))
