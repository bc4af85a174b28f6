"""What every recommender must do, as functions that a test calls for each of them.

A check raises AssertionError with a sentence; it needs no pytest. ``CHECKS`` lists those for all
models, ``BEHAVIOUR`` those for models that look at the prompt.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from llmseq.data.sessions import Sessions
from llmseq.errors import (
    ArtifactError,
    ConfigError,
    InvalidDataError,
    LlmseqError,
    NotFittedError,
    ShapeError,
)
from llmseq.models.catalog import MODELS
from llmseq.models.hybrid.config import HybridConfig
from llmseq.models.hybrid.recommender import HybridRecommender
from llmseq.models.persistence import SavedModel, load_model, load_recommender
from llmseq.models.protocol import FitContext, Recommender
from llmseq.testing.worlds import World, checkerboard, planted_groups

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmseq.recommendations import Recommendations

_NETWORK = {
    "embedding_dim": 16,
    "dropout": 0.1,
    "learning_rate": 0.02,
    "batch_size": 32,
    "n_epochs": 12,
}
_BLOCKS = {"n_blocks": 1, "n_heads": 1}
SMALL: Mapping[str, Mapping[str, Any]] = {
    "llmseqsim": {"reduction": {"method": "none"}},
    "sim-sequential": {"sequential": "v-sknn"},
    "sim-popularity": {"popularity_quantile": 0.1, "diversity_quantile": 1.0},
    "llm2cooccurrence": {"reduction": {"method": "none"}},
    "sknnemb": {"reduction": {"method": "none"}},
    "sasrec": {**_NETWORK, **_BLOCKS},
    "llm2sasrec": {**_NETWORK, **_BLOCKS},
    "bert4rec": {**_NETWORK, **_BLOCKS, "n_epochs": 30},
    "llm2bert4rec": {**_NETWORK, **_BLOCKS, "n_epochs": 30},
    "gru4rec": {**_NETWORK, "hidden_dim": 24},
    "llm2gru4rec": {**_NETWORK, "hidden_dim": 24},
}
"""Settings that make a model quick on the small worlds, by registry name."""

_TUNING = {"n_steps": 30, "learning_rate": 0.01, "tokens_per_step": 600}
_PROMPT: Mapping[str, Any] = {
    "precision": "float32",
    "max_history": 6,
    "max_prompt_tokens": 1024,
    "lora": {"rank": 16, "alpha": 32.0},
    "training": _TUNING,
}
_PROMPT_TASKS: Mapping[str, Mapping[str, Any]] = {
    "genitem": {"training": {**_TUNING, "learn_from": "every", "n_steps": 100}},
    "genlist": {"decoding": {"n_beams": 8}},
    "rank": {"n_choices": 8},
}
"""The same for language models; their base model is made on the spot."""

UNLEARNT = frozenset({"llmseqprompt-genlist", "llmseqprompt-classify", "llmseqprompt-rank"})
"""Models whose task a language model of two random layers does not learn in seconds."""

MEMBERS: Mapping[str, Mapping[str, str]] = {
    "embedding-ensemble": {"first": "v-sknn", "second": "llmseqsim"},
    "sim-sequential": {"sequential": "v-sknn", "similarity": "llmseqsim"},
    "sim-popularity": {"member": "llmseqsim"},
    "fusion": {"v-sknn": "v-sknn", "llmseqsim": "llmseqsim"},
    "fusion-no-text": {"popularity": "popularity", "v-sknn": "v-sknn"},
}
"""What hybrids are made of here."""


@dataclass(frozen=True)
class Subject:
    """A registered model under test.

    Parameters
    ----------
    name
        Its name in the registry; tested with the settings of ``SMALL``.
    settings
        Further settings, as pairs; a dotted name reaches into a nested setting.
    """

    name: str
    settings: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        return "-".join([self.name, *(str(value) for _, value in self.settings)])

    @property
    def personal(self) -> bool:
        """Whether the model looks at the prompt."""
        return MODELS[self.name].family != "baseline"

    def config(self) -> Any:  # noqa: ANN401 - a settings class of any model
        """Preset plus the small settings plus its own."""
        settings: dict[str, Any] = dict(SMALL.get(self.name, {}))
        for name, value in self.settings:
            outer, dot, inner = name.rpartition(".")
            settings |= {outer: {**settings.get(outer, {}), inner: value}} if dot else {name: value}
        if MODELS[self.name].family == "prompt":
            from llmseq.testing.language_models import tiny_language_model

            task = self.name.removeprefix("llmseqprompt-")
            base = {"base_model": str(tiny_language_model())}
            settings = {**base, **_PROMPT, **_PROMPT_TASKS.get(task, {}), **settings}
        return MODELS[self.name].make_config(settings, what=self.name)

    def unfitted(self, world: World, *, members_fitted: bool = True) -> Recommender:
        """Make the model; a hybrid's members are fitted unless told otherwise."""
        config = self.config()
        if isinstance(config, HybridConfig):
            members = {role: Subject(name) for role, name in MEMBERS[self.name].items()}
            return HybridRecommender(
                config,
                {
                    role: fitted(member, world) if members_fitted else member.unfitted(world)
                    for role, member in members.items()
                },
            )
        make: Callable[[Any], Recommender] = MODELS[self.name].recommender_class()
        return make(config)


def fit(subject: Subject, world: World, *, seed: int = 0) -> Recommender:
    """Fit a new model."""
    return subject.unfitted(world).fit(
        world.train,
        embeddings={"text": world.embeddings},
        rng=np.random.default_rng(seed),
        context=FitContext(n_threads=1),
    )


@cache
def fitted(subject: Subject, world: World) -> Recommender:
    """Fit once for each model and world; checks must not change what they get."""
    return fit(subject, world)


@cache
def groups_world() -> World:
    """Make the world of most checks, once."""
    return planted_groups()


@cache
def checkerboard_world() -> World:
    """Make the checkerboard, once."""
    return checkerboard()


def require(condition: object, message: str) -> None:
    """Raise AssertionError unless the condition holds."""
    if not condition:
        raise AssertionError(message)


def require_error(error: type[LlmseqError], call: Callable[[], object], *, says: str = "") -> None:
    """Require that a call raises the error, with a text in its message."""
    try:
        call()
    except error as raised:
        require(says in str(raised), f'expected "{says}" in the message, got "{raised}"')
    else:
        raise AssertionError(f"expected {error.__name__}, but nothing was raised")


def require_equal(first: Recommendations, second: Recommendations) -> None:
    """Require the same items and the same scores."""
    np.testing.assert_array_equal(first.items, second.items)
    np.testing.assert_array_equal(first.scores, second.scores)


def require_sound(lists: Recommendations, n_prompts: int, k: int, n_items: int) -> None:
    """Require the form of lists: distinct items, best first, short at the end, never a filler."""
    require(lists.items.shape == (n_prompts, k), f"shape {lists.items.shape}")
    missing = lists.items == -1
    require(np.all(lists.items >= -1) and np.all(lists.items < n_items), "an item does not exist")
    require(np.all(missing == np.isneginf(lists.scores)), "a missing place needs the score -inf")
    require(np.isfinite(lists.scores[~missing]).all(), "a listed item needs a finite score")
    for row, scores in zip(lists.items, lists.scores, strict=True):
        listed = row[row >= 0]
        require(np.unique(listed).size == listed.size, "an item stands twice in a list")
        values = scores[: listed.size]
        require(np.all(values[1:] <= values[:-1]), "scores must not rise along a list")
        tied = values[1:] == values[:-1]
        require(np.all(listed[1:][tied] > listed[:-1][tied]), "ties go to the lower index")


def check_config_round_trip(subject: Subject) -> None:
    """Require that settings survive TOML and an unknown one is refused by name."""
    config = subject.config()
    require(type(config).from_toml(config.to_toml()) == config, "TOML changed the settings")
    require_error(
        ConfigError,
        lambda: MODELS[subject.name].make_config({"no_such": 1}, what="test"),
        says="no_such",
    )
    for name, values in MODELS[subject.name].grid.items():
        for value in values:
            MODELS[subject.name].make_config({name: value}, what=subject.name)


def check_needs_fit(subject: Subject) -> None:
    """Require that neither lists nor files come out of a model that was not fitted."""
    world = groups_world()
    model = subject.unfitted(world, members_fitted=False)
    require_error(NotFittedError, lambda: model.recommend(world.prompts, 5))
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "model"
        require_error(NotFittedError, lambda: model.save(target))
        require(not any(Path(folder).iterdir()), "a failed save left something behind")


def check_lists(subject: Subject) -> None:
    """Require sound lists whose first places do not depend on how many are asked for."""
    world = groups_world()
    model = fitted(subject, world)
    long = model.recommend(world.prompts, 12)
    require_sound(long, len(world.prompts), 12, world.n_items)
    require_equal(model.recommend(world.prompts, 4), long.top(4))


def check_seen(subject: Subject) -> None:
    """Require that items of the prompt are left out, unless they are asked for."""
    world = groups_world()
    model = fitted(subject, world)
    for exclude in (True, False):
        lists = model.recommend(world.prompts, world.n_items, exclude_seen=exclude)
        require_sound(lists, len(world.prompts), world.n_items, world.n_items)
        seen = any(np.isin(world.prompts[row], lists.items[row]).any() for row in range(len(lists)))
        require(seen is not exclude, f"exclude_seen={exclude}, but seen items listed: {seen}")


def check_candidates(subject: Subject) -> None:
    """Require that only candidates are listed; none allowed, none listed."""
    world = groups_world()
    model = fitted(subject, world)
    mask = np.arange(world.n_items) % 3 == 0
    lists = model.recommend(world.prompts, 8, candidates=mask)
    require_sound(lists, len(world.prompts), 8, world.n_items)
    listed = lists.items[lists.items >= 0]
    require(listed.size > 0, "no candidate was listed")
    require(mask[listed].all(), "an item outside the candidates was listed")
    nothing = model.recommend(world.prompts, 8, candidates=np.zeros_like(mask))
    require(np.all(nothing.items == -1), "an item was listed, but none is a candidate")


def check_short_lists(subject: Subject) -> None:
    """Require that with more places than items lists are short, never filled up."""
    world = groups_world()
    k = world.n_items + 7
    lists = fitted(subject, world).recommend(world.prompts, k)
    require_sound(lists, len(world.prompts), k, world.n_items)
    require(np.all(lists.items[:, world.n_items - 3 :] == -1), "seen items or fillers were listed")


def check_odd_prompts(subject: Subject) -> None:
    """Require that odd prompts work and that prompts do not touch each other."""
    world = groups_world()
    model = fitted(subject, world)
    cold = world.n_items - 1  # the last of each group has no train event
    rows = [[], [cold], [0], [0, 0, 0], list(range(world.n_items)), [1, 7] * 40]
    together = model.recommend(Sessions.from_lists(rows), 6)
    require_sound(together, len(rows), 6, world.n_items)
    require(np.all(together.items[4] == -1), "everything was seen, yet something is listed")
    for row, prompt in enumerate(rows):
        alone = model.recommend(Sessions.from_lists([prompt]), 6)
        np.testing.assert_allclose(alone.scores[0], together.scores[row], rtol=1e-4, atol=1e-5)
    nobody = model.recommend(Sessions.from_lists([]), 6)
    require_sound(nobody, 0, 6, world.n_items)


def check_wrong_requests(subject: Subject) -> None:
    """Require the right error for what cannot be answered."""
    world = groups_world()
    model = fitted(subject, world)
    beyond = Sessions.from_lists([[0], [world.n_items]])
    narrow = np.ones(world.n_items - 1, dtype=np.bool_)
    require_error(InvalidDataError, lambda: model.recommend(beyond, 5), says=str(world.n_items))
    require_error(ConfigError, lambda: model.recommend(world.prompts, 0), says="k")
    require_error(
        ShapeError,
        lambda: model.recommend(world.prompts, 5, candidates=narrow),
        says="candidates",
    )


def check_same_seed(subject: Subject) -> None:
    """Require that the same seed gives the same lists."""
    world = groups_world()
    first, second = (fit(subject, world, seed=5).recommend(world.prompts, 10) for _ in range(2))
    require_equal(first, second)


def check_inputs_unchanged(subject: Subject) -> None:
    """Require that neither fitting nor recommending writes into what was given."""
    world = planted_groups()
    mask = np.ones(world.n_items, dtype=np.bool_)
    given = (
        world.train.sessions.items,
        world.train.sessions.offsets,
        world.embeddings.vectors,
        world.prompts.items,
        world.prompts.offsets,
        mask,
    )
    before = [array.copy() for array in given]
    fit(subject, world).recommend(world.prompts, 5, candidates=mask)
    for array, copy in zip(given, before, strict=True):
        np.testing.assert_array_equal(array, copy)


def check_save_and_load(subject: Subject) -> None:
    """Require that a saved model gives the same lists, saved again and with its catalogue too."""
    world = groups_world()
    model = fitted(subject, world)
    wanted = model.recommend(world.prompts, 10)
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "model"
        for _ in range(2):
            model.save(folder)
            read = load_recommender(folder)
            require(read.config == model.config, "the settings changed")
            require_equal(read.recommend(world.prompts, 10), wanted)
        SavedModel(model, world.train.catalogue).save(folder)
        served = load_model(folder).recommend([["i0", "i6"]], 5)
        expected = model.recommend(Sessions.from_lists([[0, 6]]), 5)
        require(
            [item for item, _ in served[0]]
            == [f"i{item}" for item in expected.items[0] if item >= 0],
            "the served list differs",
        )


def check_damaged_files(subject: Subject) -> None:
    """Require an ArtifactError that names the file which is missing or cut short."""
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "model"
        fitted(subject, groups_world()).save(folder)
        for name in ("weights.safetensors", "config.json", "manifest.json"):
            content = (folder / name).read_bytes()
            (folder / name).write_bytes(content[: len(content) // 2])
            require_error(ArtifactError, lambda: load_recommender(folder), says=name)
            (folder / name).unlink()
            require_error(ArtifactError, lambda: load_recommender(folder), says=name)
            (folder / name).write_bytes(content)


def check_refit(subject: Subject) -> None:
    """Require settings of the same class for a fit on more data."""
    model = fitted(subject, groups_world())
    require(type(model.refit_config()) is type(model.config), "another class of settings")


def check_planted_groups(subject: Subject) -> None:
    """Require that three items of a group are answered with the rest of it."""
    world = groups_world()
    lists = fitted(subject, world).recommend(
        world.prompts, 3, candidates=world.train.item_counts() > 0
    )
    right = [np.isin(lists.items[row], world.answers[row]).mean() for row in range(len(lists))]
    require(np.mean(right) > 0.9, f"only {np.mean(right):.0%} of the first three are right")


def check_checkerboard(subject: Subject) -> None:
    """Require that the withheld diagonal, the only right answer, stands first."""
    world = checkerboard_world()
    lists = fitted(subject, world).recommend(world.prompts, 1)
    right = lists.items[:, 0] == world.answers.items
    require(right.mean() > 0.9, f"only {right.mean():.0%} of the withheld items stand first")


CHECKS: tuple[Callable[[Subject], None], ...] = (
    check_config_round_trip,
    check_needs_fit,
    check_lists,
    check_seen,
    check_candidates,
    check_short_lists,
    check_odd_prompts,
    check_wrong_requests,
    check_same_seed,
    check_inputs_unchanged,
    check_save_and_load,
    check_damaged_files,
    check_refit,
)
BEHAVIOUR: tuple[Callable[[Subject], None], ...] = (check_planted_groups, check_checkerboard)
