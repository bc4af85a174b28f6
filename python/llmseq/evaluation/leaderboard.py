"""The leaderboard: what every model scored, how sure that is, and what it cost."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from llmseq.errors import ArtifactError, InvalidDataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SCHEMA = 1
SIGNIFICANT = 0.05
"""p-values below this, after Holm, are marked."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """How the models were compared.

    Parameters
    ----------
    split, validation : plain JSON value
        How test and validation parts were made.
    primary : str
        The metric that ranks, for example ``"ndcg@20"``.
    baseline : str, optional
        Name of the model that all others are tested against.
    scored_on : "test" or "validation"
        Which part ``metrics`` are from.
    n_sessions : int, optional
        Sessions scored.
    axis : str
        What models that have a place ``at`` differ in; empty: none has.
    substitutions : sequence of str
        What differs, for all models, from how their published figures were made.
    """

    split: Any
    validation: Any
    primary: str = "ndcg@20"
    baseline: str | None = None
    scored_on: Literal["test", "validation"] = "test"
    n_sessions: int | None = None
    axis: str = ""
    substitutions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Seeds:
    """Spread over seeds: of the primary metric, and of every metric; None for one seed."""

    n: int = 1
    sd: float | None = None
    sd_by_metric: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Versus:
    """A model against the baseline on the primary metric, paired by session."""

    baseline: str
    absolute: float
    relative: float | None
    interval: tuple[float, float]
    p_value: float
    p_holm: float
    relative_interval: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Cost:
    """What a model takes: seconds, memory, trained parameters, epochs; None: not measured.

    ``epochs`` is the best one's number and ``best_epoch_s`` the training until its end.
    """

    fit_s: float | None = None
    recommend_s: float | None = None
    peak_memory_mib: float | None = None
    parameters: int | None = None
    epochs: float | None = None
    best_epoch_s: float | None = None


@dataclass(frozen=True, slots=True)
class ModelResult:
    """One model.

    Parameters
    ----------
    name, label : str
        As in the registry, and as a report shows it.
    uses_text : bool
    config : mapping
        Chosen settings, plain JSON values.
    validation, metrics : mapping
        Metric to value, on the select part and on the scored part.
    interval : mapping
        Metric to (low, high), for metrics with a value a session.
    versus : Versus, optional
        None for the baseline itself.
    refit : mapping
        Metric to value for the same settings fitted again on all of train; empty: not asked for.
    against : Versus, optional
        The test against a model named for this one, Holm over all such pairs.
    published, substitutions
        Metric to the figure that others published, and what was done otherwise than there.
    at : float, optional
        Its place on the protocol's axis.
    """

    name: str
    label: str
    uses_text: bool
    config: dict[str, Any] = field(default_factory=dict)
    validation: dict[str, float] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    interval: dict[str, tuple[float, float]] = field(default_factory=dict)
    seeds: Seeds = field(default_factory=Seeds)
    versus: Versus | None = None
    cost: Cost = field(default_factory=Cost)
    refit: dict[str, float] = field(default_factory=dict)
    against: Versus | None = None
    published: dict[str, float] = field(default_factory=dict)
    substitutions: tuple[str, ...] = ()
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The best model with text against the best without, both chosen on validation.

    Parameters
    ----------
    winner : str
        The best of all on validation.
    with_text, without_text : str, optional
        None where no such model took part; nothing is compared then.
    outcome : "better", "worse", "unclear" or "untested"
        Of text. "better" and "worse" only where the interval excludes 0 and p is below .05.
    extra_cost : mapping
        What the model with text takes more, by name of the cost; measured ones only.
    sentence : str
        All of it in plain words.
    """

    winner: str
    with_text: str | None
    without_text: str | None
    absolute: float | None = None
    relative: float | None = None
    interval: tuple[float, float] | None = None
    p_value: float | None = None
    chosen_on: Literal["validation"] = "validation"
    relative_interval: tuple[float, float] | None = None
    outcome: Literal["better", "worse", "unclear", "untested"] = "untested"
    extra_cost: dict[str, float] = field(default_factory=dict)
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """Models, best first by the primary metric (ties by name).

    Parameters
    ----------
    dataset, environment : mapping
        Plain JSON values: name, sizes and fingerprint of the data; versions and machine.
    refit_verdict : Verdict, optional
        The same two models compared after both were fitted again on all of train; None: not asked
        for.

    Raises
    ------
    InvalidDataError
        If a model has no value for the primary metric, or two have the same name.

    Examples
    --------
    >>> best = ModelResult("v-sknn", "V-SKNN", False, metrics={"ndcg@20": 0.06})
    >>> board = Leaderboard({}, Protocol("temporal", "newest tenth"), {}, None, (best,))
    >>> Leaderboard.from_json(board.to_json()) == board
    True
    """

    dataset: dict[str, Any]
    protocol: Protocol
    environment: dict[str, Any]
    verdict: Verdict | None
    models: tuple[ModelResult, ...]
    refit_verdict: Verdict | None = None

    def __post_init__(self) -> None:
        primary = self.protocol.primary
        for model in self.models:
            if primary not in model.metrics:
                raise InvalidDataError(f'the model "{model.name}" has no value for {primary}')
        if len({model.name for model in self.models}) < len(self.models):
            raise InvalidDataError("two models of one leaderboard have the same name")
        ranked = sorted(self.models, key=lambda model: (-model.metrics[primary], model.name))
        object.__setattr__(self, "models", tuple(ranked))

    def __getitem__(self, name: str) -> ModelResult:
        for model in self.models:
            if model.name == name:
                return model
        raise KeyError(name)

    def to_json(self) -> str:
        """Write the content of ``leaderboard.json``; values are not rounded."""
        values = {"schema": SCHEMA, **dataclasses.asdict(self)}
        return json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str, *, what: str = "leaderboard.json") -> Leaderboard:
        """Read what ``to_json`` wrote; names that a later version added are ignored.

        Raises
        ------
        ArtifactError
            If it is no such JSON, or of another schema; ``what`` names the file.
        """
        from pydantic import TypeAdapter, ValidationError

        try:
            values = json.loads(text)
            schema = values.pop("schema", None) if isinstance(values, dict) else None
            if schema != SCHEMA:
                raise ArtifactError(
                    f"{what}: schema {schema} instead of {SCHEMA}; it is damaged or was written by "
                    "another version of llmseq"
                )
            return TypeAdapter(cls).validate_python(values)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ArtifactError(f"{what}: damaged: {where}: {first['msg']}") from error
        except json.JSONDecodeError as error:
            raise ArtifactError(f"{what}: damaged, not valid JSON ({error})") from error

    def to_csv(self) -> str:
        """One row a model, every figure a column, not rounded."""
        rows = [dict(_cells(model)) for model in self.models]
        columns = list(dict.fromkeys(name for row in rows for name in row))
        out = io.StringIO()
        writer = csv.DictWriter(out, ["place", *columns], lineterminator="\n")
        writer.writeheader()
        writer.writerows({"place": place, **row} for place, row in enumerate(rows, start=1))
        return out.getvalue()

    def to_markdown(self) -> str:
        """Draw the ranked table, rounded for people, with marks against the baseline."""
        primary = self.protocol.primary
        names = self._shown_metrics()
        beside = [primary] if any(primary in model.published for model in self.models) else []
        header = ["#", "Model", "Text", f"{primary} [95 %]", *("published" for _ in beside)]
        header += [*names, "vs baseline", "p", "Fit, s"]
        rows = []
        for place, model in enumerate(self.models, start=1):
            shown = figure(model.metrics[primary])
            if primary in model.interval:
                low, high = model.interval[primary]
                shown += f" [{figure(low)}, {figure(high)}]"
            rows.append(
                [
                    str(place),
                    model.label,
                    "yes" if model.uses_text else "",
                    shown,
                    *(figure(model.published.get(name)) for name in beside),
                    *(figure(model.metrics.get(name)) for name in names),
                    *_against(model, self.protocol.baseline),
                    "" if model.cost.fit_s is None else f"{model.cost.fit_s:,.1f}",
                ]
            )
        table = [header, ["--:", ":--", ":-:"] + ["--:"] * (len(header) - 3), *rows]
        lines = [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in table]
        if self.verdict is not None and self.verdict.sentence:
            lines = [self.verdict.sentence, "", *lines]
        if self.refit_verdict is not None:
            lines.insert(1, f"\n{REFITTED} {self.refit_verdict.sentence}")
        lines += ["", f"Scored on {self.protocol.scored_on}{self._sessions()}. {_LEGEND}"]
        lines += self._pairs()
        otherwise = [f"- {text}" for text in self.otherwise()]
        lines += ["", "Otherwise than published:", "", *otherwise] if otherwise else []
        return "\n".join(lines) + "\n"

    def otherwise(self) -> tuple[str, ...]:
        """Say what differs from how published figures were made, for all models, then for each."""
        own = (f"{model.label}: {text}" for model in self.models for text in model.substitutions)
        return (*self.protocol.substitutions, *own)

    def _pairs(self) -> list[str]:
        """One line for each model that was tested against another one."""
        labels = {model.name: model.label for model in self.models}
        lines = []
        for model in self.models:
            test = model.against
            if test is not None:
                gain, p_value = _against(replace(model, versus=test), None)
                low, high = test.interval
                lines.append(
                    f"- {model.label} against {labels[test.baseline]}: {gain}, "
                    f"{test.absolute:+.4f} [{low:+.4f}, {high:+.4f}], p {p_value}"
                )
        return ["", *lines] if lines else []

    def _shown_metrics(self) -> list[str]:
        """Every other metric at the cut-off of the primary one."""
        cut = self.protocol.primary.partition("@")[2]
        present = dict.fromkeys(name for model in self.models for name in model.metrics)
        wanted = [name for name in present if name.partition("@")[2] == cut]
        return [name for name in wanted if name != self.protocol.primary]

    def _sessions(self) -> str:
        n = self.protocol.n_sessions
        return "" if n is None else f", {n:,} sessions"


REFITTED = "With both fitted again on all of train:"
"""How the second verdict begins."""

_LEGEND = (
    "▲ better and ▼ worse than the baseline: p after Holm below .05, from a paired sign-flip test; "
    "= no clear difference."
)


def mark(versus: Versus | None) -> str:
    """▲ significantly better than the baseline, ▼ worse, = neither; nothing for the baseline."""
    if versus is None:
        return ""
    if versus.p_holm >= SIGNIFICANT:
        return "="
    return "▲" if versus.absolute > 0 else "▼"


def figure(value: float | None) -> str:
    """Four decimals below 1, two above; nothing for None.

    Examples
    --------
    >>> figure(0.07123), figure(11.5), figure(None)
    ('0.0712', '11.50', '')
    """
    if value is None:
        return ""
    return f"{value:.4f}" if abs(value) <= 1 else f"{value:.2f}"


def _against(model: ModelResult, baseline: str | None) -> tuple[str, str]:
    versus = model.versus
    if versus is None:
        return ("baseline" if model.name == baseline else ""), ""
    gain = f"{versus.absolute:+.4f}" if versus.relative is None else f"{versus.relative:+.1%}"
    return f"{gain} {mark(versus)}", f"{versus.p_holm:.4f}"


def _cells(model: ModelResult) -> Iterator[tuple[str, object]]:
    yield from (("name", model.name), ("label", model.label), ("uses_text", model.uses_text))
    for name, value in model.metrics.items():
        yield name, value
        if name in model.interval:
            yield f"{name}_low", model.interval[name][0]
            yield f"{name}_high", model.interval[name][1]
    yield from ((f"validation_{name}", value) for name, value in model.validation.items())
    yield from (("seeds", model.seeds.n), ("seeds_sd", model.seeds.sd))
    if model.versus is not None:
        yield from _flat("versus", dataclasses.asdict(model.versus))
    yield from dataclasses.asdict(model.cost).items()


def _flat(prefix: str, values: dict[str, Any]) -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        pair: Sequence[object] | None = value if isinstance(value, tuple) else None
        if pair is None:
            yield f"{prefix}_{name}", value
        else:
            yield f"{prefix}_{name}_low", pair[0]
            yield f"{prefix}_{name}_high", pair[1]
