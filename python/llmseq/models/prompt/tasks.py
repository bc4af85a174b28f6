"""What a task asks for and what the right answer is: choices, clusters, LLMSeqSim's lists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from llmseq.data.sessions import HeldOut
from llmseq.embeddings.matrix import unit_rows
from llmseq.errors import InvalidDataError
from llmseq.models.seq_sim import SeqSimConfig, SeqSimRecommender

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from llmseq.data.dataset import SessionDataset
    from llmseq.data.sessions import Sessions
    from llmseq.embeddings.matrix import ItemEmbeddings
    from llmseq.models.prompt.config import PromptConfig
    from llmseq.models.prompt.templates import Task
    from llmseq.models.prompt.titles import Titles
    from llmseq.types import BoolArray, ItemArray

LEANS_ON_VECTORS: frozenset[Task] = frozenset({"genlist", "classify", "rank"})


@dataclass(frozen=True, eq=False, slots=True)
class Question:
    """One training pair in item indices.

    Parameters
    ----------
    history
        Items that are told, oldest first.
    answer
        Items that are right, best first; the first one is (or, for Classify, stands for) what
        really came next.
    choices
        Items on offer, in the order of the prompt; None where every item is.
    """

    history: ItemArray
    answer: ItemArray
    choices: ItemArray | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Clusters:
    """Kinds of items for Classify.

    Parameters
    ----------
    heads : int32 (n_clusters,)
        The most popular item of each.
    nearest : int32 (n_items, n_listed)
        For each item the heads of the clusters nearest to it, its own first.
    """

    heads: ItemArray
    nearest: ItemArray


def fit_seq_sim(
    config: PromptConfig,
    train: SessionDataset,
    embeddings: Mapping[str, ItemEmbeddings] | None,
    rng: np.random.Generator,
) -> SeqSimRecommender:
    """Fit the LLMSeqSim that a task leans on."""
    usual = SeqSimConfig(embedding=config.embedding, popularity_weight=config.popularity_weight)
    width = min((made.dim for made in (embeddings or {}).values()), default=256)
    if width < 256:  # whitening cannot span more than there is
        usual = usual.replace(reduction={"method": "none"})
    return SeqSimRecommender(usual).fit(train, embeddings=embeddings, rng=rng)


def find_clusters(
    config: PromptConfig, vectors: ItemEmbeddings, titles: Titles, n_listed: int
) -> Clusters:
    """Group the titled items with events by k-means over their vectors.

    Raises
    ------
    InvalidDataError
        If no such item is left.
    """
    from sklearn.cluster import KMeans

    counts = titles.counts
    items = np.flatnonzero((counts > 0) & titles.titled).astype(np.int32)
    if items.size == 0:
        raise InvalidDataError("classify: no item has both a title and an event")
    points = unit_rows(vectors.vectors).astype(np.float64)
    n_clusters = min(config.n_clusters, len(np.unique(points[items], axis=0)))
    means = KMeans(n_clusters, n_init=1, random_state=config.seed).fit(points[items])
    heads = np.empty(n_clusters, dtype=np.int32)
    for cluster in range(n_clusters):
        own = items[means.labels_ == cluster]
        heads[cluster] = own[np.lexsort((own, -counts[own]))[0]]
    distances = (
        (points**2).sum(axis=1)[:, None]
        - 2.0 * points @ means.cluster_centers_.T
        + (means.cluster_centers_**2).sum(axis=1)
    )  # (n_items, n_clusters)
    order = np.argsort(distances, axis=1, kind="stable")[:, :n_listed]
    return Clusters(heads, heads[order])


class Questions:
    """Training pairs of one task.

    Parameters
    ----------
    config : PromptConfig
    titles : Titles
    seq_sim : SeqSimRecommender, optional
        For GenList and Rank.
    clusters : Clusters, optional
        For Classify.
    """

    def __init__(
        self,
        config: PromptConfig,
        titles: Titles,
        seq_sim: SeqSimRecommender | None,
        clusters: Clusters | None,
    ) -> None:
        self._config = config
        self._titled = titles.titled
        self._sold = titles.counts > 0  # what lists are made of when it is asked
        self._seq_sim = seq_sim
        self._clusters = clusters

    def of(self, sessions: Sessions, rng: np.random.Generator) -> tuple[list[Question], int]:
        """Make the pairs of sessions; also counts the ones left out for want of a title.

        Rank asks where LLMSeqSim lists the true item (everywhere with ``put_in``); with
        ``training.learn_from = "every"`` each session is a pair without choices, and some of them
        ask at one such place besides. ``rng`` draws these, and the order of choices.
        """
        parts = HeldOut.last_item(sessions)
        rows = self._usable(parts)
        n_left_out = len(sessions) - rows.size
        ranks = self._config.task == "rank"
        pairs = []
        if ranks and self._config.training.learn_from == "every":
            pairs += [Question(parts.prompts[row], parts.targets[row]) for row in rows.tolist()]
            n_asking = round(self._config.training.asking_share * len(sessions))
            asking = rng.permutation(len(sessions))[:n_asking]
            parts = HeldOut.every_position(sessions.take(np.sort(asking)))
            rows = rng.permutation(self._usable(parts))
        lists = self._lists(parts.prompts.take(rows))
        asked: set[str] = set()
        for place, row in enumerate(rows.tolist()):
            history, target = parts.prompts[row], int(parts.targets[row][0])
            near = None if lists is None else lists[place][lists[place] >= 0]
            offered = near is None or target in near or self._config.put_in or not ranks
            if offered and parts.prompts.ids[row] not in asked:
                pairs.append(self._pair(history, target, near, rng))
                asked.add(parts.prompts.ids[row])
        return pairs, n_left_out

    def _usable(self, parts: HeldOut) -> NDArray[np.int64]:
        """Rows whose target has a title, and an item of whose prompt has one."""
        events = parts.prompts.events
        told = np.zeros(len(parts), dtype=np.bool_)
        rows = np.repeat(np.arange(len(parts)), events.lengths)
        told[rows[self._titled[events.items]]] = True
        return np.flatnonzero(self._titled[parts.targets.items] & told)

    def _lists(self, prompts: Sessions) -> ItemArray | None:
        if self._config.task not in {"genlist", "rank"} or self._seq_sim is None:
            return None
        return self.near(prompts, exclude_seen=True, candidates=self._sold)

    def near(
        self, prompts: Sessions, *, exclude_seen: bool, candidates: BoolArray | None = None
    ) -> ItemArray:
        """LLMSeqSim's list for each prompt, titled items only."""
        if self._seq_sim is None:
            raise InvalidDataError("LLMSeqSim is missing; fit the model again")
        allowed = self._titled if candidates is None else self._titled & candidates
        n = self._config.n_choices if self._config.task == "rank" else self.list_length
        return self._seq_sim.recommend(
            prompts, n, exclude_seen=exclude_seen, candidates=allowed
        ).items

    @property
    def list_length(self) -> int:
        """Titles in an answer that is a list."""
        return self._config.decoding.n_beams

    def _pair(
        self, history: ItemArray, target: int, near: ItemArray | None, rng: np.random.Generator
    ) -> Question:
        first = np.array([target], dtype=np.int32)
        match self._config.task:
            case "genitem":
                return Question(history, first)
            case "classify":
                if self._clusters is None:
                    raise InvalidDataError("the clusters are missing; fit the model again")
                return Question(history, self._clusters.nearest[target], self._clusters.heads)
            case "genlist":
                others = np.empty(0, np.int32) if near is None else near[near != target]
                return Question(history, np.append(first, others)[: self.list_length])
            case "rank":
                others = np.empty(0, np.int32) if near is None else near[near != target]
                answer = np.append(first, others)[: self._config.n_choices]
                return Question(history, answer, rng.permutation(answer))
