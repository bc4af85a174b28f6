"""The verdict in plain words, and its numbers for the head of the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from llmseq.evaluation.leaderboard import REFITTED
from llmseq.experiment.report.numbers import (
    NO_BREAK,
    Interval,
    count,
    memory,
    metric,
    metric_name,
    p_phrase,
    percent,
    seconds,
    signed,
    span,
)

if TYPE_CHECKING:
    from llmseq.evaluation.leaderboard import Leaderboard, ModelResult, Verdict
    from llmseq.experiment.report.details import Details

Tone = Literal["better", "worse", "unclear", "untested", "single"]
_NOTABLE = 0.02  # a cost that differs by a smaller share is the same cost


@dataclass(frozen=True, slots=True)
class VerdictText:
    """One headline, then the evidence in sentences."""

    tone: Tone
    headline: str
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Strip:
    """An interval on a scale: everything in per cent of the scale's width."""

    low: float
    high: float
    middle: float
    zero: float

    @classmethod
    def make(cls, middle: float, interval: Interval, scale: Interval) -> Strip:
        """Place an interval on a scale that holds it."""
        width = scale[1] - scale[0] or 1.0

        def at(value: float) -> float:
            return round(min(max((value - scale[0]) / width, 0.0), 1.0) * 100, 2)

        return cls(at(interval[0]), at(interval[1]), at(middle), at(0.0))


@dataclass(frozen=True, slots=True)
class Figure:
    """One of the large numbers under the headline."""

    label: str
    value: str
    note: str


@dataclass(frozen=True, slots=True)
class VerdictView:
    """What the head of the page shows; ``beaten_by`` scores above the winner here."""

    text: VerdictText
    figures: tuple[Figure, ...]
    strip: Strip | None
    on_validation: bool
    winner: str
    beaten_by: str


def verdict_view(board: Leaderboard, details: Details) -> VerdictView:
    """Say the verdict, and show its numbers."""
    models = {model.name: model for model in board.models}
    winner = models.get(board.verdict.winner) if board.verdict else None
    best = board.models[0]
    on_validation = board.protocol.scored_on == "validation"
    pair = _pair(board)
    return VerdictView(
        verdict_text(board, embed_s=_embed_s(details)),
        _figures(board.verdict, *pair, board.protocol.primary) if board.verdict and pair else (),
        _strip(board.verdict) if board.verdict and pair else None,
        on_validation,
        winner.label if winner else "",
        best.label if winner and best is not winner and not on_validation else "",
    )


def verdict_text(board: Leaderboard, *, embed_s: float | None = None) -> VerdictText:
    """Say what the run found, no more than it found.

    Parameters
    ----------
    embed_s
        Seconds that making the text vectors took, if they were made in this run.
    """
    pair, found = _pair(board), board.verdict
    if pair is None or found is None:
        return _no_comparison(board)
    with_text, without = pair
    primary = board.protocol.primary
    name = metric_name(primary)
    if board.protocol.scored_on == "validation":
        name += " on validation"
    gain = _gain(found, with_text, without, primary)
    size = metric(abs(gain)) if found.relative is None else percent(abs(found.relative))
    headlines = {
        "better": f"Item texts make the recommendations better: {name} rises by {size}",
        "worse": f"Item texts make the recommendations worse here: {name} falls by {size}",
        "unclear": "No clear difference: this run does not show that item texts help or harm",
        "untested": f"{name} is {size} {'higher' if gain >= 0 else 'lower'} with item texts; "
        "whether that is chance was not tested",
    }
    sentences = [
        f"{with_text.label}, the best model with item texts, scores "
        f"{metric(with_text.metrics[primary])}; {without.label}, the best without, scores "
        f"{metric(without.metrics[primary])}.",
        _evidence(board, found, gain),
    ]
    if found.outcome == "unclear" and found.interval is not None:
        sentences.append(
            f"A true difference anywhere from {span(found.interval, sign=True)} would fit what was "
            "seen; more sessions would narrow that."
        )
    if board.refit_verdict is not None:
        sentences.append(f"{REFITTED} {board.refit_verdict.sentence}")
    sentences.append(cost_sentence(with_text, without))
    if embed_s is not None:
        sentences.append(f"The text vectors, made once for all models, took {seconds(embed_s)}.")
    return VerdictText(found.outcome, headlines[found.outcome], tuple(filter(None, sentences)))


def _embed_s(details: Details) -> float | None:
    found = [stage.seconds for stage in details.stages if stage.name.startswith("embed")]
    return sum(each for each in found if each is not None) if any(found) else None


def _pair(board: Leaderboard) -> tuple[ModelResult, ModelResult] | None:
    """Find the best model with text and the best without, if both took part."""
    if board.verdict is None:
        return None
    models = {model.name: model for model in board.models}
    with_text = models.get(board.verdict.with_text or "")
    without = models.get(board.verdict.without_text or "")
    return (with_text, without) if with_text and without else None


def _gain(found: Verdict, with_text: ModelResult, without: ModelResult, primary: str) -> float:
    if found.absolute is not None:
        return found.absolute
    return with_text.metrics[primary] - without.metrics[primary]


def _no_comparison(board: Leaderboard) -> VerdictText:
    models = {model.name: model for model in board.models}
    chosen = models.get(board.verdict.winner) if board.verdict else None
    best = chosen or board.models[0]
    if len(board.models) == 1:
        headline = f"One model was scored, {best.label}: nothing to compare it with"
    elif all(model.uses_text for model in board.models):
        headline = f"Every model compared here uses item texts; the best is {best.label}"
    elif not any(model.uses_text for model in board.models):
        headline = f"No model compared here uses item texts; the best is {best.label}"
    else:
        headline = f"The best model is {best.label}"
    primary = board.protocol.primary
    return VerdictText(
        "single",
        headline,
        (
            f"{best.label} scores {metric(best.metrics[primary])} in {metric_name(primary)}.",
            "To learn what item texts bring, compare at least one model with and one without them.",
        ),
    )


def _evidence(board: Leaderboard, found: Verdict, gain: float) -> str:
    relative = "" if found.relative is None else f" ({percent(found.relative, sign=True)})"
    parts = [f"The difference is {signed(gain)}{relative}"]
    if found.interval is not None:
        parts.append(f"95{NO_BREAK}% interval {span(found.interval, sign=True)}")
    if found.p_value is not None:
        n_sessions = board.protocol.n_sessions
        over = f" over {count(n_sessions)} sessions" if n_sessions else ""
        parts.append(f"{p_phrase(found.p_value)} in a paired test{over}")
    return ", ".join(parts) + "."


def cost_sentence(with_text: ModelResult, without: ModelResult) -> str:
    """Say what the model with text takes beyond the other, differences that matter only."""
    now, before = with_text.cost, without.cost
    parts = []
    for a, b, write, what in (
        (now.fit_s, before.fit_s, seconds, "to train"),
        (now.recommend_s, before.recommend_s, seconds, "to make all lists"),
        (now.peak_memory_mib, before.peak_memory_mib, memory, "of memory at the peak"),
    ):
        if a is None or b is None:
            continue
        if abs(a - b) > max(_NOTABLE * max(a, b), 0.1):
            more = "more" if a > b else "less"
            parts.append(f"{write(abs(a - b))} {more} {what} ({write(a)} against {write(b)})")
    if parts:
        return f"What text costs: {', '.join(parts)}."
    measured = now.fit_s is not None and before.fit_s is not None
    return "Both models take about the same time and memory." if measured else ""


def _figures(
    found: Verdict, with_text: ModelResult, without: ModelResult, primary: str
) -> tuple[Figure, ...]:
    relative = "" if found.relative is None else percent(found.relative, sign=True)
    p_value = "" if found.p_value is None else p_phrase(found.p_value)
    figures = [
        Figure("With text", metric(with_text.metrics[primary]), with_text.label),
        Figure("Without text", metric(without.metrics[primary]), without.label),
        Figure(
            "Difference",
            signed(_gain(found, with_text, without, primary)),
            ", ".join(filter(None, (relative, p_value))),
        ),
    ]
    now, before = with_text.cost.fit_s, without.cost.fit_s
    if now is not None and before is not None:
        sign = "+" if now >= before else "−"
        extra = seconds(abs(now - before))
        value = f"{sign}{extra}" if abs(now - before) >= 0.1 else f"0{NO_BREAK}s"
        figures.append(Figure("Extra time to train", value, f"{seconds(now)} in all"))
    return tuple(figures)


def _strip(found: Verdict) -> Strip | None:
    if found.interval is None or found.absolute is None:
        return None
    low, high = min(found.interval[0], 0.0), max(found.interval[1], 0.0)
    pad = (high - low) * 0.16 or 1.0
    return Strip.make(found.absolute, found.interval, (low - pad, high + pad))
