"""Twin of ``SessionIndex``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from llmseq.core import arrays
from llmseq.core.threads import thread_count
from llmseq.errors import ConfigError, InvalidDataError, ShapeError
from llmseq.testing.reference.checks import check_choice, check_mask, check_sessions
from llmseq.testing.reference.ranking import ranked_lists

if TYPE_CHECKING:
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
    ) -> None:
        flat, starts = arrays.items(items, "items"), arrays.counts(offsets, "offsets")
        self.n_items = arrays.count(n_items, "n_items")
        self._order = None if order is None else arrays.counts(order, "order")
        sessions = check_sessions(flat, starts, self.n_items, "sessions")
        if len(sessions) == 0:
            raise InvalidDataError("a session index needs at least one train session, got none")
        if self._order is not None and self._order.size != len(sessions):
            raise ShapeError(f"order must hold one value for each of {len(sessions)} sessions")
        self.n_sessions = len(sessions)
        self._held = [sorted(set(sessions[row].tolist())) for row in range(len(sessions))]
        self._posting: list[list[int]] = [[] for _ in range(self.n_items)]
        for row, held in enumerate(self._held):
            for item in held:
                self._posting[item].append(row)
        self._idf = [
            1 + math.log(self.n_sessions / len(rows)) if rows else 0.0 for rows in self._posting
        ]

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
        if prompt_decay is not None:
            check_choice("prompt_decay", prompt_decay, DECAYS)
        if k > sample_size:
            raise ConfigError(f"k = {k} neighbours cannot be chosen from {sample_size}")
        if sampling == "recent" and self._order is None:
            raise ConfigError('sampling "recent" needs an index that was made with order')
        allowed = check_mask(arrays.mask(candidates, "candidates"), self.n_items)
        prompts = check_sessions(flat, starts, self.n_items, "prompts")
        rows = []
        for row in range(len(prompts)):
            session = prompts[row].tolist()
            prompt = [item for item in dict.fromkeys(session) if self._posting[item]]
            prompt = prompt if last_n is None else prompt[-last_n:]
            nearest = self._nearest(
                prompt, k, sample_size, sampling, similarity, prompt_decay, seed
            )
            votes: dict[int, float] = {}
            for near, neighbour in nearest:
                for item in self._held[neighbour]:
                    votes[item] = votes.get(item, 0.0) + near
            seen = set(session) if exclude_seen else set()
            rows.append(
                {
                    item: vote * (self._idf[item] if idf_weighting else 1.0)
                    for item, vote in votes.items()
                    if allowed[item] and item not in seen
                }
            )
        return ranked_lists(rows, k_items)

    def _nearest(
        self,
        prompt: list[int],
        k: int,
        sample_size: int,
        sampling: str,
        similarity: str,
        decay: str | None,
        seed: int,
    ) -> list[tuple[float, int]]:
        """Similarities and indices of the neighbours, nearest first."""
        weights = [decay_weight(decay, len(prompt) - place) for place in range(len(prompt))]
        norm = math.sqrt(sum(weight * weight for weight in weights))
        shared: dict[int, float] = {}
        for item, weight in zip(prompt, weights, strict=True):
            for neighbour in self._posting[item]:
                shared[neighbour] = shared.get(neighbour, 0.0) + weight
        near = {
            neighbour: weight
            if similarity == "dot"
            else weight / (norm * math.sqrt(len(self._held[neighbour])))
            for neighbour, weight in shared.items()
        }
        sampled = self._sample(prompt, sorted(shared), sample_size, sampling, seed)
        best = sorted(sampled, key=lambda neighbour: (-near[neighbour], neighbour))
        return [(near[neighbour], neighbour) for neighbour in best[:k]]

    def _sample(
        self, prompt: list[int], possible: list[int], size: int, sampling: str, seed: int
    ) -> list[int]:
        """At most ``size`` possible neighbours; equal ones: the lower index."""
        if len(possible) <= size:
            return possible
        if sampling == "random":
            hashed = mix(seed)
            for item in prompt:
                hashed = mix(hashed ^ item)
            return sorted(possible, key=lambda neighbour: mix(hashed ^ neighbour))[:size]
        if sampling == "recent":
            order = np.zeros(self.n_sessions) if self._order is None else self._order
            return sorted(possible, key=lambda neighbour: -order[neighbour])[:size]
        if sampling == "idf":
            sums = dict.fromkeys(possible, 0.0)
            for item in prompt:
                for neighbour in self._posting[item]:
                    sums[neighbour] += self._idf[item]
            return sorted(possible, key=lambda neighbour: -sums[neighbour])[:size]
        rarest = sorted(prompt, key=lambda item: (-self._idf[item], item))
        greedy = dict.fromkeys(n for item in rarest for n in self._posting[item])
        return list(greedy)[:size]
