"""What the members of hybrids add, as plain values for the template."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from llmseq.experiment.report.numbers import metric, metric_name, number, percent
from llmseq.experiment.report.verdict import Strip

if TYPE_CHECKING:
    from llmseq.evaluation.leaderboard import Leaderboard, ModelResult
    from llmseq.experiment.report.details import Attribution, ChoiceMade, Details, MemberPart

Mark = Literal["", "better", "worse", "same"]


@dataclass(frozen=True, slots=True)
class MemberView:
    """One member: ``shared`` is its share of the hits that another member has too."""

    part: MemberPart
    shared: float
    strip: Strip | None
    mark: Mark


@dataclass(frozen=True, slots=True)
class HybridView:
    """One hybrid with its members, and what to say of them."""

    label: str
    said: tuple[str, ...]
    members: tuple[MemberView, ...]
    compared: bool


def hybrids(board: Leaderboard, details: Details) -> tuple[HybridView, ...]:
    """Show the hybrids whose hits were traced, best first."""
    primary = board.protocol.primary
    return tuple(
        _view(model, found, details.choices.get(model.name), primary)
        for model in board.models
        if (found := details.attribution.get(model.name)) is not None
    )


def _view(
    model: ModelResult, found: Attribution, choice: ChoiceMade | None, primary: str
) -> HybridView:
    said = [
        f"{number(found.n_hits, 'hit')} in the first {found.k} places; {percent(found.nobody)} of "
        f"them stand in no member's own first {found.k}: they are listed because several members "
        "agree on them."
        if found.nobody
        else f"{number(found.n_hits, 'hit')} in the first {found.k} places, each of them also in "
        "those of a member."
    ]
    if choice is not None:
        said.append(
            f"Its members were chosen on the validation sessions. There it has "
            f"{metric_name(primary)} {metric(choice.in_sample)}; chosen {choice.n_folds} times "
            f"without a part of them and scored on that part, {metric(choice.cross_fitted)}, which "
            "is the figure that the winner is chosen by."
        )
    ends = [abs(end) for part in found.members for end in part.interval or ()]
    reach = max(ends, default=0.0)
    return HybridView(
        model.label,
        tuple(said),
        tuple(
            MemberView(
                part,
                max(part.had - part.only, 0.0),
                Strip.make(part.adds, part.interval, (-reach, reach))
                if part.adds is not None and part.interval is not None
                else None,
                _mark(part),
            )
            for part in found.members
        ),
        any(part.adds is not None for part in found.members),
    )


def _mark(part: MemberPart) -> Mark:
    if part.interval is None:
        return ""
    low, high = part.interval
    return "better" if low > 0 else "worse" if high < 0 else "same"
