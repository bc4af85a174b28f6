"""What a comparison shows in the terminal: how far it is, then the leaderboard and the verdict."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Self

from llmseq.cli.console import console, duration, note, one_line, say, show_table, warn

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress, TaskID

    from llmseq.evaluation.leaderboard import ModelResult
    from llmseq.experiment.progress import Update
    from llmseq.experiment.run import Run

_SECONDS_BETWEEN_LINES = 15.0


class RunView:
    """Shows the progress of a run on standard error: a bar on a terminal, else a line now and then.

    Implements `llmseq.experiment.progress.Observer`.
    """

    def __init__(self) -> None:
        self._bars: Progress | None = None
        self._task: TaskID | None = None
        self._last = time.monotonic()

    def __enter__(self) -> Self:
        drawn = console(sys.stderr)
        if drawn.is_terminal:
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            self._bars = Progress(
                TextColumn("{task.percentage:>3.0f} %"),
                BarColumn(bar_width=24),
                TimeElapsedColumn(),
                TextColumn("{task.fields[left]}", markup=False),
                TextColumn("{task.fields[stage]}", markup=False),
                console=drawn,
                transient=True,
            )
            self._task = self._bars.add_task("", total=1.0, stage="", left="")
            self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def update(self, update: Update) -> None:
        """Show how far the run is."""
        left = f"about {duration(update.seconds_left)} left"
        stage = f"{update.finished}/{update.total} {update.stage}"
        if update.text:
            stage += f": {update.text}"
        if self._bars is not None and self._task is not None:
            self._bars.update(self._task, completed=update.share, left=left, stage=one_line(stage))
            return
        now = time.monotonic()
        if now - self._last >= _SECONDS_BETWEEN_LINES:
            self._last = now
            note(f"{update.share:.0%}, {left}  {one_line(stage)}")

    def warn(self, text: str) -> None:
        """Show a warning."""
        warn(text)


def show_run(run: Run) -> None:
    """Show leaderboard, verdict and where everything lies."""
    from llmseq.evaluation.leaderboard import REFITTED, figure, mark

    board = run.leaderboard
    primary = board.protocol.primary
    cut_off = primary.split("@")[1]
    others = [f"ndcg@{cut_off}", f"hr@{cut_off}", f"coverage@{cut_off}"]
    others = [name for name in others if name != primary]
    refitted = ["refit"] if any(model.refit for model in board.models) else []

    def row(place: int, model: ModelResult) -> list[object]:
        low, high = model.interval[primary]
        versus, fit_s = model.versus, model.cost.fit_s
        return [
            place,
            model.label,
            "yes" if model.uses_text else "",
            figure(model.metrics[primary]),
            f"{figure(low)} to {figure(high)}",
            *(figure(model.metrics.get(name)) for name in others),
            "baseline" if versus is None else f"{versus.absolute:+.4f} {mark(versus)}",
            None if versus is None else f"{versus.p_holm:.4f}",
            None if fit_s is None else duration(fit_s),
            *([figure(model.refit.get(primary))] if refitted else []),
        ]

    show_table(
        ["#", "model", "text", primary, "95 % interval", *others, "gain", "p", "fit", *refitted],
        [row(place, model) for place, model in enumerate(board.models, start=1)],
        title=f"{board.dataset['name']}, scored on {board.protocol.scored_on}, "
        f"{board.protocol.n_sessions:,} sessions",
        left=["model", "text"],
    )
    say("")
    say(run.verdict.sentence)
    if board.refit_verdict is not None:
        say(f"{REFITTED} {board.refit_verdict.sentence}")
    say("")
    n_scorings = board.dataset.get("test_scorings", 0)
    if board.protocol.scored_on == "test" and n_scorings > 1:
        say(f"test    scored {n_scorings} times so far: the more often, the less it foretells")
    winner = board[run.verdict.winner]
    if run.has_winner:
        path = run.folder / "models" / "winner"
        say(f"winner  {winner.label}, fitted again on all sessions: {path}")
    else:
        say(f"winner  {winner.label}: {run.folder / 'models' / winner.name}")
    say(f"report  {run.report_path}")
