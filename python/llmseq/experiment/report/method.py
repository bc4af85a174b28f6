"""How the numbers came about, and how to get them again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmseq.experiment.report.numbers import (
    capitalised,
    count,
    metric_name,
    number,
    percent,
    plain,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmseq.evaluation.leaderboard import Leaderboard, ModelResult
    from llmseq.experiment.report.details import Details, Trial

Pairs = tuple[tuple[str, str], ...]
_METRICS = {
    "ndcg": "how high the true next item stands: 1 in first place, less further down, 0 where it "
    "is not listed",
    "hr": "the share of sessions whose true next item is listed",
    "mrr": "one divided by the place of the true next item, 0 where it is not listed",
}
_PARTS = {"select": "validation", "stop": "sessions to decide when to stop"}
_NAMES = {"cpu": "CPU", "n_threads": "threads"}
_SAID = {
    "method",
    "why",
    "config",
    "validation",
    "sizes",
    "dropped",
    "comparison",
    "seen_targets",
    "target_popularity",
}


@dataclass(frozen=True, slots=True)
class TrialView:
    """One point of a grid."""

    settings: str
    validation: float | None
    best: bool


@dataclass(frozen=True, slots=True)
class SettingsView:
    """What one model ran with, and what was tried; ``members`` of a hybrid."""

    model: ModelResult
    settings: Pairs
    trials: tuple[TrialView, ...]
    members: tuple[str, ...]


def dataset_name(board: Leaderboard) -> str:
    """Give the name that the run has for its data."""
    for key in ("name", "title", "path"):
        if board.dataset.get(key):
            return str(board.dataset[key]).rstrip("/").rpartition("/")[2]
    return "Comparison"


def dataset_facts(board: Leaderboard, details: Details) -> tuple[str, ...]:
    """Sizes of the dataset."""
    known = {**board.dataset, **details.dataset}
    return tuple(
        f"{count(known[key])} {name}"
        for key, name in (("n_sessions", "sessions"), ("n_events", "events"), ("n_items", "items"))
        if isinstance(known.get(key), int)
    )


def method(board: Leaderboard, details: Details) -> Pairs:
    """Say how it was measured, one question a line; what the run does not say is left out."""
    split = details.split
    lines = [
        ("Main measure", _primary(board.protocol.primary)),
        ("Test sessions", _split(board, split)),
        ("Sessions", _sizes(_mapping(split, "sizes"))),
        ("Validation sessions", _validation(board, split)),
        ("Are they like test?", _alike(_mapping(split, "comparison"))),
        ("How rare next items are", _rarity(_mapping(split, "target_popularity"))),
        ("Candidates", _candidates(_mapping(split, "sizes"))),
        ("Items already seen", _seen(split, details.exclude_seen)),
        ("Left out", _dropped(_mapping(split, "dropped"))),
        *((capitalised(words(key)), _other(split[key])) for key in split if key not in _SAID),
        ("Comparison", _tests(board)),
        ("Seeds", _seeds(board)),
        ("Test part scored", _scorings(details.test_scorings)),
        *(
            (f"Text vectors: {name}", _vectors(origin))
            for name, origin in details.embeddings.items()
        ),
    ]
    return tuple((name, text) for name, text in lines if text and text != plain(None))


def _mapping(split: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = split.get(key)
    return found if isinstance(found, Mapping) else {}


def _primary(primary: str) -> str:
    name, _, k = primary.partition("@")
    meaning = f": {_METRICS[name]}" if name in _METRICS else ""
    return f"{metric_name(primary)}{meaning}. Lists of {k}, mean over sessions."


def _split(board: Leaderboard, split: Mapping[str, Any]) -> str:
    return f"{capitalised(plain(split.get('why') or board.protocol.split))}."


def _sizes(sizes: Mapping[str, Any]) -> str:
    if not {"fit", "stop", "select", "test"} <= sizes.keys():
        return plain(sizes) if sizes else ""
    return (
        f"{count(sizes['fit'])} to learn from, {count(sizes['stop'])} to decide when to stop, "
        f"{count(sizes['select'])} to choose settings and models, {count(sizes['test'])} to test."
    )


def _validation(board: Leaderboard, split: Mapping[str, Any]) -> str:
    found = split.get("validation") or board.protocol.validation
    if isinstance(found, Mapping):
        found = found.get("why") or found.get("drawn") or found
    text = plain(found)
    return text if text == plain(None) else f"{capitalised(text)}."


def _alike(comparison: Mapping[str, Any]) -> str:
    return _side_by_side(
        comparison,
        ("mean_prompt", "{} items in a prompt", count),
        ("cold_last_items", "{} of last items were never seen in training", percent),
        ("events_lost", "{} of events removed for that reason", percent),
    )


def _rarity(parts: Mapping[str, Any]) -> str:
    return _side_by_side(
        parts,
        ("median_events", "half of the next items have {} training events or fewer", count),
        ("under_5_events", "{} have fewer than five", percent),
    )


def _side_by_side(parts: Mapping[str, Any], *lines: tuple[str, str, Callable[[float], str]]) -> str:
    """Figures of the validation part, those of test in brackets where there are any."""
    select, test = (parts.get(name) or {} for name in ("select", "test"))
    texts = []
    for key, text, write in lines:
        if isinstance(select.get(key), (int, float)):
            other = test.get(key)
            beside = f" (test: {write(round(other, 4))})" if other is not None else ""
            texts.append(text.format(write(round(select[key], 4))) + beside)
    return capitalised("; ".join(texts)) + "." if texts else ""


def _candidates(sizes: Mapping[str, Any]) -> str:
    if "test_candidates" not in sizes:
        return ""
    total = f" of the {count(sizes['items'])} in the catalogue" if "items" in sizes else ""
    return (
        f"Every model ranks the same {count(sizes['test_candidates'])} items{total}: those with an "
        "event in training."
    )


def _seen(split: Mapping[str, Any], exclude_seen: bool | None) -> str:  # noqa: FBT001
    parts = []
    if exclude_seen is not None:
        parts.append(
            "Left out of every list, for every model alike."
            if exclude_seen
            else "May be recommended again, by every model alike."
        )
    share = split.get("seen_targets")
    if isinstance(share, (int, float)):
        parts.append(
            f"{percent(share)} of the validation sessions end with an item they had before."
        )
    return " ".join(parts)


def _dropped(dropped: Mapping[str, Any]) -> str:
    parts = []
    for part, counts in dropped.items():
        name = _PARTS.get(part, words(part))
        if isinstance(counts, Mapping) and {"cold_events", "sessions"} <= counts.keys():
            parts.append(
                f"{name}: {number(counts['cold_events'], 'event')} of items unknown in training, "
                f"{number(counts['sessions'], 'session')} with fewer than two items left"
            )
        else:
            parts.append(f"{name}: {plain(counts)}")
    return f"{capitalised('; '.join(parts))}." if parts else ""


def _other(value: object) -> str:
    """Write what the split says besides; a summary stands for the whole."""
    if isinstance(value, Mapping) and value.get("summary"):
        value = value["summary"]
    return f"{capitalised(plain(value))}."


def _vectors(origin: object) -> str:
    if not isinstance(origin, Mapping):
        return plain(origin)
    shown = {
        key: value
        for key, value in origin.items()
        if "fingerprint" not in key and key not in {"encoder", "notes"} and value not in (None, [])
    }
    notes = origin.get("notes") or []
    return capitalised("; ".join([plain(shown), *map(str, notes)])) + "."


def _tests(board: Leaderboard) -> str:
    n = board.protocol.n_sessions
    sessions = f"{count(n)} {board.protocol.scored_on} sessions" if n else "sessions"
    return (
        f"All models answer the same {sessions}. Differences: two-sided paired sign-flip test, "
        "10,000 flips; intervals: bootstrap, 2,000 draws; p-values against the baseline are "
        "corrected for the number of models (Holm)."
    )


def _seeds(board: Leaderboard) -> str:
    n = max(model.seeds.n for model in board.models)
    if n < 2:
        return "One: how much figures change from one training to the next was not measured."
    return f"{n}; each session's result is averaged over them."


def _scorings(number: int | None) -> str:
    if number is None:
        return ""
    times = {0: "Never", 1: "Once", 2: "Twice"}.get(number, f"{count(number)} times")
    if number <= 1:
        return f"{times}, over all runs on this dataset."
    return (
        f"{times}, over all runs on this dataset. The more often, the less its figures are worth "
        "as a forecast."
    )


def settings(board: Leaderboard, details: Details) -> tuple[SettingsView, ...]:
    """List the settings of every model, best model first."""
    labels = {model.name: model.label for model in board.models}
    views = []
    for model in board.models:
        members = tuple(labels.get(n, n) for n in details.fusion_members.get(model.name, []))
        trials = _trials(details.grids.get(model.name, []))
        chosen = tuple((words(key), plain(value)) for key, value in model.config.items())
        if members or trials or chosen:
            views.append(SettingsView(model, chosen, trials, members))
    return tuple(views)


def _trials(trials: list[Trial]) -> tuple[TrialView, ...]:
    """Points of a grid with only what varies between them; none where nothing was to choose."""
    if len(trials) < 2:
        return ()
    keys = dict.fromkeys(key for trial in trials for key in trial.settings)
    varied = [k for k in keys if len({plain(trial.settings.get(k)) for trial in trials}) > 1]
    best = max((t.validation for t in trials if t.validation is not None), default=None)
    return tuple(
        TrialView(
            plain({key: trial.settings.get(key) for key in varied}),
            trial.validation,
            best is not None and trial.validation == best,
        )
        for trial in trials
    )


def command(board: Leaderboard) -> str:
    """Give the command that made the run."""
    value = board.environment.get("command", "")
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def environment(board: Leaderboard) -> Pairs:
    """Versions, machine, and the fingerprint of the data."""
    known = {key: value for key, value in board.environment.items() if key != "command"}
    if "fingerprint" in board.dataset:
        known["dataset fingerprint"] = board.dataset["fingerprint"]
    return tuple((_NAMES.get(key, words(key)), plain(value)) for key, value in known.items())
