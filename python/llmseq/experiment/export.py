"""A run's lists, what they were scored against and what came before, as other tools read them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl

from llmseq.data.files import did_you_mean, read_table
from llmseq.data.folder import read_dataset
from llmseq.data.split import split_dataset
from llmseq.errors import ArtifactError, ConfigError
from llmseq.experiment.artifacts import RunFolder
from llmseq.storage import atomic_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from llmseq.data.dataset import SessionDataset
    from llmseq.experiment.spec import CompareSpec
    from llmseq.types import CountArray, IdArray, Ragged

Format = Literal["csv", "rectools", "lenskit", "trec"]


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Parameters
    ----------
    lists
        File of each model's lists.
    scored_on
        The part that the lists are for.
    n_sessions
        Sessions of that part.
    n_seeds
        Seeds that the run's figures are means of; the lists are of the first.
    """

    lists: dict[str, Path]
    scored_on: Literal["test", "validation"]
    n_sessions: int
    n_seeds: int


def export_lists(
    run: Path | str,
    out: Path | str,
    *,
    form: Format = "csv",
    models: Sequence[str] | None = None,
    dataset: Path | str | None = None,
) -> Exported:
    """Write a folder with a run's lists and what one needs to score them elsewhere.

    ``lists/<model>`` and ``targets`` hold the lists of the first seed and the items that came next,
    in the order of the prompts. Tables are CSV with a header and come with ``train.csv`` (the
    events that the run counted popularity on) and ``items.csv`` (the whole catalogue); TREC has
    neither. The folder appears whole or not at all.

    Parameters
    ----------
    run
        Folder of a finished comparison.
    out
        Folder to make.
    form
        ``csv``: session_id, item_id, rank, score, as ``llmseq evaluate`` reads them; ``rectools``
        and ``lenskit``: user_id in place of session_id; ``trec``: a run and qrels without header,
        which ranx reads too. TREC's tools order by score and look at no rank, so a score that is
        not below the one before it is lowered to the next smaller float32 there.
    models
        Names; None: all of the run.
    dataset
        Where the run's dataset is now, if it was moved.

    Raises
    ------
    ConfigError
        If a model is unknown, or ``out`` holds something.
    ArtifactError
        If the run has no lists, or the dataset is not there or another than the run's.
    InvalidDataError
        If the dataset cannot be split as the run did.
    """
    folder, target = RunFolder(Path(run)), Path(out)
    if target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise ConfigError(f"{target}: is there already; choose another --out, or remove it")
    found = _find_lists(folder, models)
    spec = folder.read_spec()
    if spec is None:
        raise ArtifactError(f"{folder.path}: is no run folder, it has no spec.toml")
    data = _read_dataset(spec, folder, dataset)
    split = split_dataset(data, spec.split)
    held_out = split.test if spec.score == "test" else split.select
    ids = data.catalogue.ids
    targets = _pairs(held_out.prompts.ids, held_out.targets, ids)
    suffix = "trec" if form == "trec" else "csv"
    with atomic_folder(target) as temporary:
        (temporary / "lists").mkdir()
        for name, path in found.items():
            text = _lists_text(read_table(path), form, name)
            _write(temporary / "lists" / f"{name}.{suffix}", text)
        if form == "trec":
            _write(temporary / "targets.trec", _qrels(targets))
        else:
            if form == "csv" and held_out.prompts.users is not None:
                users = pl.Series("user_id", held_out.prompts.users)
                targets = targets.with_columns(users.gather(held_out.targets.rows))
            _write(temporary / "targets.csv", _renamed(targets, form).write_csv())
            before = (split.train if spec.score == "test" else split.fit).sessions
            train = _pairs(before.ids, before.events, ids)
            _write(temporary / "train.csv", _renamed(train, form).write_csv())
            items = pl.DataFrame({"item_id": ids.tolist()}, schema={"item_id": pl.String})
            _write(temporary / "items.csv", items.write_csv())
    lists = {name: target / "lists" / f"{name}.{suffix}" for name in found}
    return Exported(lists, spec.score, len(held_out), spec.n_seeds)


def _find_lists(run: RunFolder, models: Sequence[str] | None) -> dict[str, Path]:
    """Files with lists by model, in the order asked for."""
    files = {path.stem: path for path in sorted(run.recommendations.glob("*.parquet"))}
    if not files:
        raise ArtifactError(
            f"{run.path}: holds no lists; give the folder of a finished `llmseq compare`"
        )
    for name in models or ():
        if name not in files:
            raise ConfigError(
                f'{run.path}: no lists of "{name}"{did_you_mean(name, files)} '
                f"It has those of: {', '.join(files)}"
            )
    return files if models is None else {name: files[name] for name in models}


def _read_dataset(spec: CompareSpec, run: RunFolder, dataset: Path | str | None) -> SessionDataset:
    path = Path(dataset or spec.dataset)
    if dataset is None and not path.exists():
        raise ArtifactError(
            f"{run.path}: its dataset {path} is not there; say where it is with --dataset"
        )
    data = read_dataset(path)
    if data.fingerprint() != spec.fingerprint:
        raise ArtifactError(
            f"{path}: is not the dataset that {run.path} was made with, or was imported anew; name "
            "that one with --dataset, or compare again"
        )
    return data


def _pairs(sessions: IdArray, events: Ragged, items: IdArray) -> pl.DataFrame:
    """One row an event: session_id and item_id."""
    columns = {
        "session_id": sessions[events.rows].tolist(),
        "item_id": items[events.items].tolist(),
    }
    return pl.DataFrame(columns, schema={"session_id": pl.String, "item_id": pl.String})


def _renamed(table: pl.DataFrame, form: Format) -> pl.DataFrame:
    return table if form == "csv" else table.rename({"session_id": "user_id"}, strict=False)


def _lists_text(table: pl.DataFrame, form: Format, model: str) -> str:
    table = table.select("session_id", "item_id", "rank", "score")
    return _trec_run(table, model) if form == "trec" else _renamed(table, form).write_csv()


def _trec_run(table: pl.DataFrame, model: str) -> str:
    """Lines of session, Q0, item, rank, falling score, model."""
    _refuse_spaces(table)
    falling = _falling(table["score"].to_numpy(), table["rank"].to_numpy())
    return _words(
        table.select(
            "session_id",
            pl.lit("Q0").alias("q0"),
            "item_id",
            "rank",
            pl.Series("score", falling),
            pl.lit(model).alias("model"),
        )
    )


def _qrels(targets: pl.DataFrame) -> str:
    """Lines of session, 0, item, 1."""
    _refuse_spaces(targets)
    return _words(
        targets.select(
            "session_id", pl.lit(0).alias("zero"), "item_id", pl.lit(1).alias("relevant")
        )
    )


def _words(table: pl.DataFrame) -> str:
    return table.write_csv(include_header=False, separator=" ", quote_style="never")


def _refuse_spaces(table: pl.DataFrame) -> None:
    for column in ("session_id", "item_id"):
        spaced = table.filter(pl.col(column).str.contains(r"\s"))
        if spaced.height:
            raise ConfigError(
                f'the {column} "{spaced[column][0]}" holds white space, which ends a field in '
                "TREC's files; export as csv"
            )


def _falling(scores: NDArray[np.float32], ranks: CountArray) -> NDArray[np.float32]:
    """Lower each score that is not below the one before it, in its list, by the least step."""
    made = scores.copy()
    below = np.float32(-np.inf)
    for rank in range(2, int(ranks.max(initial=0)) + 1):
        here = np.flatnonzero(ranks == rank)  # the row before holds the rank before
        made[here] = np.minimum(made[here], np.nextafter(made[here - 1], below))
    return made


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
