"""Twin of ``SessionIndex``."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

from llmseq.core import arrays
from llmseq.core.pooling import POOLINGS
from llmseq.core.threads import thread_count
from llmseq.errors import ConfigError, InvalidDataError, ShapeError
from llmseq.testing.reference.checks import (
    check_choice,
    check_mask,
    check_matrix,
    check_sessions,
)
from llmseq.testing.reference.pooling import pool_sessions
from llmseq.testing.reference.ranking import ranked_lists
from llmseq.testing.reference.sums import dot, in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import ArrayLike

    from llmseq.types import FloatMatrix, ItemArray

SAMPLINGS = ("random", "recent", "idf", "idf_greedy")
DECAYS = ("linear", "log", "harmonic", "quadratic")


def mix(value: int) -> int:
    """Step of SplitMix64, a bijection of 64 bits."""
    z = (value + 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


def decay_weight(decay: str | None, i: int) -> float:
    """Weight of the prompt item at position ``i`` from the end (from 1)."""
    weights = {
        None: 1.0,
        "linear": max(1 - 0.1 * (i - 1), 1e-4),
        "log": 1 / (math.log(i) + 1),
        "harmonic": 1 / i,
        "quadratic": 1 / (i * i),
    }
    return weights[decay]


class SessionIndex:
    """See :class:`llmseq.core.SessionIndex`."""

    def __init__(
        self,
        items: ArrayLike,
        offsets: ArrayLike,
        n_items: int,
        *,
        order: ArrayLike | None = None,
        newest: int | None = None,
        followers: bool = False,
        vectors: ArrayLike | None = None,
        pooling: str = "mean",
        n_threads: int | None = None,
    ) -> None:
        thread_count(n_threads)
        flat, starts = arrays.items(items, "items"), arrays.counts(offsets, "offsets")
        self.n_items = arrays.count(n_items, "n_items")
        self._order = None if order is None else arrays.counts(order, "order").tolist()
        check_choice("pooling", pooling, POOLINGS)
        sessions = check_sessions(flat, starts, self.n_items, "sessions")
        if len(sessions) == 0:
            raise InvalidDataError("a session index needs at least one train session, got none")
        if self._order is not None and len(self._order) != len(sessions):
            raise ShapeError(f"order must hold one value for each of the {len(sessions)} sessions")
        if newest is not None and arrays.count(newest, "newest") and self._order is None:
            raise ConfigError("newest needs to know which sessions those are: give order")
        self.n_sessions = len(sessions)
        self._held = [list(dict.fromkeys(sessions[row].tolist())) for row in range(len(sessions))]
        self._posting: list[list[int]] = [[] for _ in range(self.n_items)]
        for row, held in enumerate(self._held):
            for item in held:
                self._posting[item].append(row)
        self._idf = [
            1 + math.log(self.n_sessions / len(rows)) if rows else 0.0 for rows in self._posting
        ]
        if newest is not None and self._order is not None:
            ages = self._order
            self._posting = [
                sorted(sorted(rows, key=lambda row: -ages[row])[:newest]) for rows in self._posting
            ]
        self._followers: dict[int, set[int]] | None = {} if followers else None
        if self._followers is not None:
            for row in range(len(sessions)):
                for item, then in itertools.pairwise(sessions[row].tolist()):
                    self._followers.setdefault(item, set()).add(then)
        self._vectors: FloatMatrix | None = None
        if vectors is not None:
            self._vectors = check_matrix(arrays.matrix(vectors, "vectors"), "vectors")
            if len(self._vectors) != self.n_items:
                raise ShapeError(f"vectors must have one row for each of the {self.n_items} items")
            self._session_vectors = pool_sessions(self._vectors, flat, starts, pooling)

    def search(
        self,
        prompt_items: ArrayLike,
        prompt_offsets: ArrayLike,
        k_items: int,
        *,
        k: int,
        sample_size: int,
        sampling: str = "random",
        similarity: str = "cosine",
        prompt_decay: str | None = None,
        prompt_pooling: str = "mean",
        backward: float = 1.0,
        sequential_weighting: bool = False,
        only_followers: bool = False,
        half_life: float | None = None,
        idf_weighting: bool = False,
        last_n: int | None = None,
        seed: int = 0,
        exclude_seen: bool = True,
        candidates: ArrayLike | None = None,
        n_threads: int | None = None,
    ) -> tuple[ItemArray, FloatMatrix]:
        """See :meth:`llmseq.core.SessionIndex.search`."""
        thread_count(n_threads)
        flat = arrays.items(prompt_items, "prompt items")
        starts = arrays.counts(prompt_offsets, "prompt offsets")
        k_items, k = arrays.count(k_items, "k_items"), arrays.count(k, "k")
        sample_size = arrays.count(sample_size, "sample_size")
        last_n = None if last_n is None else arrays.count(last_n, "last_n")
        seed = arrays.seed(seed)
        check_choice("sampling", sampling, SAMPLINGS)
        check_choice("similarity", similarity, ("cosine", "dot"))
        check_choice("pooling", prompt_pooling, POOLINGS)
        if prompt_decay is not None:
            check_choice("prompt_decay", prompt_decay, DECAYS)
        if not (backward >= 0 and math.isfinite(backward)):
            raise ConfigError(f"backward must be finite and not below 0, got {backward}")
        self._check_settings(
            k, sample_size, sampling, prompt_decay, half_life, only_followers=only_followers
        )
        allowed = check_mask(arrays.mask(candidates, "candidates"), self.n_items)
        prompts = check_sessions(flat, starts, self.n_items, "prompts")
        rows = []
        for row in range(len(prompts)):
            session = prompts[row].tolist()
            known = [item for item in session if self._idf[item] > 0]
            prompt = list(dict.fromkeys(known))
            prompt = prompt if last_n is None else prompt[-last_n:]
            newest_first = prompt[::-1]
            possible = dict.fromkeys(row for item in newest_first for row in self._posting[item])
            sampled = self._sample(prompt, list(possible), sample_size, sampling, seed)
            if self._vectors is None:
                similarities = self._of_items(prompt, sampled, similarity, prompt_decay)
            else:
                similarities = self._of_vectors(prompt, sampled, similarity, prompt_pooling)
            near = {
                neighbour: similarity * self._youth(neighbour, half_life)
                for neighbour, similarity in similarities.items()
            }
            nearest = set(first(near, k, key=lambda neighbour, of=near: -of[neighbour]))  # type: ignore[misc]
            votes: dict[int, float] = {}
            for neighbour in (neighbour for neighbour in near if neighbour in nearest):
                held = self._held[neighbour]
                vote = near[neighbour]
                place, newest = max((at, i) for at, i in enumerate(prompt, start=1) if i in held)
                if sequential_weighting:
                    vote *= place / len(prompt)
                for at, item in enumerate(held):
                    share = vote * backward if at < held.index(newest) else vote
                    if share > 0:
                        votes[item] = votes.get(item, 0.0) + share
            left_out = set(session) if exclude_seen else set()
            if only_followers and self._followers is not None:
                left_out |= set(votes) - self._followers.get(known[-1] if known else -1, set())
            rows.append(
                {
                    item: vote * (self._idf[item] if idf_weighting else 1.0)
                    for item, vote in votes.items()
                    if allowed[item] and item not in left_out
                }
            )
        return ranked_lists(rows, k_items)

    def _check_settings(
        self,
        k: int,
        sample_size: int,
        sampling: str,
        decay: str | None,
        half_life: float | None,
        *,
        only_followers: bool,
    ) -> None:
        if k > sample_size:
            raise ConfigError(f"k = {k} neighbours cannot be chosen from {sample_size}")
        if self._order is None and (sampling == "recent" or half_life is not None):
            raise ConfigError("recent sampling and half_life need an index made with order")
        if half_life is not None and not (half_life > 0 and math.isfinite(half_life)):
            raise ConfigError(f"half_life must be above 0, got {half_life}")
        if only_followers and self._followers is None:
            raise ConfigError("only_followers needs an index made with followers")
        if decay is not None and self._vectors is not None:
            raise ConfigError("prompt_decay is not for an index with vectors: set prompt_pooling")

    def _of_items(
        self, prompt: list[int], sampled: list[int], similarity: str, decay: str | None
    ) -> dict[int, float]:
        """Similarities of the prompt's weights and the neighbours' 0/1 vectors."""
        weights = [decay_weight(decay, len(prompt) - place) for place in range(len(prompt))]
        norm = math.sqrt(in_order(weight * weight for weight in weights))
        shared = dict.fromkeys(sampled, 0.0)
        for item, weight in zip(prompt[::-1], weights[::-1], strict=True):
            for neighbour in self._posting[item]:
                if neighbour in shared:
                    shared[neighbour] += weight
        if similarity == "dot":
            return shared
        return {
            neighbour: weight / (norm * math.sqrt(len(self._held[neighbour])))
            for neighbour, weight in shared.items()
        }

    def _of_vectors(
        self, prompt: list[int], sampled: list[int], similarity: str, pooling: str
    ) -> dict[int, float]:
        """Similarities of pooled vectors; 0 where one is zero."""
        pooled = pool_sessions(self._vectors, prompt, [0, len(prompt)], pooling)[0]  # type: ignore[arg-type]
        norm = math.sqrt(dot(pooled, pooled))
        found = {}
        for neighbour in sampled:
            vector = self._session_vectors[neighbour]
            product = dot(pooled, vector)
            lengths = norm * math.sqrt(dot(vector, vector))
            cosine = product / lengths if lengths > 0 else 0.0
            found[neighbour] = product if similarity == "dot" else cosine
        return found

    def _youth(self, neighbour: int, half_life: float | None) -> float:
        if half_life is None or self._order is None:
            return 1.0
        age = float(max(self._order)) - float(self._order[neighbour])
        return math.exp2(-age / half_life)

    def _sample(
        self, prompt: list[int], possible: list[int], size: int, sampling: str, seed: int
    ) -> list[int]:
        """At most ``size`` possible neighbours, in their order."""
        if len(possible) <= size:
            return possible
        if sampling == "random":
            hashed = mix(seed)
            for item in prompt:
                hashed = mix(hashed ^ item)
            chosen = first(possible, size, key=lambda neighbour: mix(hashed ^ neighbour))
        elif sampling == "recent":
            order = self._order or [0] * self.n_sessions
            chosen = first(possible, size, key=lambda neighbour: -order[neighbour])
        elif sampling == "idf":
            sums = dict.fromkeys(possible, 0.0)
            for item in prompt[::-1]:
                for neighbour in self._posting[item]:
                    sums[neighbour] += self._idf[item]
            chosen = first(possible, size, key=lambda neighbour: -sums[neighbour])
        else:
            rarest = sorted(prompt, key=lambda item: (-self._idf[item], item))
            chosen = list(dict.fromkeys(n for item in rarest for n in self._posting[item]))[:size]
        return [neighbour for neighbour in possible if neighbour in set(chosen)]


def first(sessions: Iterable[int], n: int, *, key: Callable[[int], float]) -> list[int]:
    """Give the ``n`` sessions with the smallest keys; equal ones: the lower index."""
    return sorted(sessions, key=lambda session: (key(session), session))[:n]
