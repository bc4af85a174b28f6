"""Put the page together and write it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmseq.errors import ArtifactError, InvalidDataError
from llmseq.evaluation.leaderboard import Leaderboard
from llmseq.experiment.report import figures, members, method, numbers, tables
from llmseq.experiment.report.details import Details, read_details
from llmseq.experiment.report.study import study
from llmseq.experiment.report.verdict import verdict_view
from llmseq.storage import write_text

if TYPE_CHECKING:
    from pathlib import Path

_FILTERS = (
    numbers.count,
    numbers.memory,
    numbers.metric,
    numbers.metric_name,
    numbers.one_decimal,
    numbers.p_text,
    numbers.parameters,
    numbers.percent,
    numbers.seconds,
    numbers.signed,
    numbers.span,
)


def write_report(run_folder: Path) -> Path:
    """Write report.html of a run from its leaderboard.json and details.json.

    The file needs nothing beside it and no network. The same run gives the same bytes.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    ArtifactError
        If leaderboard.json is missing or damaged, or details.json is damaged.
    """
    board = _read_board(run_folder / "leaderboard.json")
    details = read_details(run_folder)
    path = run_folder / "report.html"
    write_text(path, render(board, details))
    return path


def _read_board(path: Path) -> Leaderboard:
    try:
        board = Leaderboard.from_json(path.read_text(encoding="utf-8"), what=str(path))
    except FileNotFoundError:
        raise ArtifactError(
            f"{path}: missing; is this the folder of a run that `llmseq compare` finished?"
        ) from None
    except (UnicodeDecodeError, InvalidDataError) as error:
        raise ArtifactError(f"{path}: damaged: {error}") from error
    if not board.models:
        raise ArtifactError(f"{path}: damaged: it holds no models")
    return board


def render(board: Leaderboard, details: Details) -> str:
    """Make the page; parts that the run does not have are left out."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    templates = Environment(
        loader=PackageLoader("llmseq.experiment.report"),
        autoescape=True,  # titles and ids are anybody's text
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters.update({function.__name__: function for function in _FILTERS})
    return templates.get_template("report.html").render(
        board=board,
        details=details,
        primary=board.protocol.primary,
        title=details.title or method.dataset_name(board),
        facts=method.dataset_facts(board, details),
        verdict=verdict_view(board, details),
        ranking=tables.ranking(board),
        charts=figures.charts(board),
        study=study(board),
        breakdowns=figures.breakdowns(board, details),
        hybrids=members.hybrids(board, details),
        samples=tables.samples(board, details),
        costs=tables.costs(board),
        curves=figures.curves(board, details),
        method=method.method(board, details),
        settings=method.settings(board, details),
        environment=method.environment(board),
        command=method.command(board),
    )
