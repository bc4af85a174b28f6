"""Constrained decoding against scoring every title by the plain model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llmseq.models.prompt import score as scoring
from llmseq.models.prompt.decode import OutputTokens, beam_search, in_batches
from llmseq.models.prompt.language_model import LanguageModel
from llmseq.models.prompt.score import score_titles, score_tokens
from llmseq.models.prompt.trie import Trie
from llmseq.testing.language_models import tiny_language_model

END = 4
TITLES = st.lists(
    st.lists(st.integers(5, 8), min_size=1, max_size=4).map(lambda title: (*title, END)),
    min_size=1,
    max_size=12,
    unique=True,
).map(sorted)
PROMPTS = st.lists(st.lists(st.integers(5, 400), min_size=1, max_size=12), min_size=1, max_size=3)


def loaded(window):
    return LanguageModel.load(str(tiny_language_model(window=window)), precision="float32")


def plain_score(lm, prompt, title, titles):
    """Sum of log-likelihoods renormalised over the tokens that titles allow, one call a token."""
    total = 0.0
    for depth, token in enumerate(title):
        allowed = sorted({other[depth] for other in titles if other[:depth] == title[:depth]})
        with torch.no_grad():
            logits = lm.model(torch.tensor([[*prompt, *title[:depth]]])).logits[0, -1].double()
        total += float(logits[token] - logits[allowed].logsumexp(0))
    return total


@pytest.mark.parametrize("window", [None, 6])
@settings(max_examples=12, deadline=None)
@given(titles=TITLES, prompts=PROMPTS, seed=st.integers(0, 99))
def test_as_many_beams_as_titles_is_exhaustive_scoring(window, titles, prompts, seed):
    lm = loaded(window)
    trie, place = Trie.of(titles)
    kept = np.random.default_rng(seed).random((len(prompts), len(titles))) < 0.8
    tries = [trie.subset(some) for some in kept]
    output = OutputTokens(lm, trie)
    found = beam_search(lm, output, prompts, tries, len(titles))
    scored = score_titles(lm, output, prompts, tries, [some.rows.tolist() for some in tries])
    for row, prompt in enumerate(prompts):
        left = [title for number, title in enumerate(titles) if kept[row, place[number]]]
        wanted = {
            int(place[number]): plain_score(lm, prompt, title, left)
            for number, title in enumerate(titles)
            if title in left
        }
        assert {title for _, title in found[row]} == set(wanted)
        for score, title in found[row]:
            assert score == pytest.approx(wanted[title], abs=1e-4)
        for score, title in zip(scored[row], tries[row].rows.tolist(), strict=True):
            assert score == pytest.approx(wanted[title], abs=1e-4)
        assert [score for score, _ in found[row]] == sorted(
            (score for score, _ in found[row]), reverse=True
        )
        if wanted:
            assert sum(np.exp(score) for score, _ in found[row]) == pytest.approx(1.0, abs=1e-4)


@given(titles=TITLES, n_beams=st.integers(1, 5))
@settings(max_examples=20, deadline=None)
def test_few_beams_still_fill_the_list_with_different_titles(titles, n_beams):
    lm = loaded(None)
    trie, _ = Trie.of(titles)
    (found,) = beam_search(lm, OutputTokens(lm, trie), [[7, 8, 9]], [trie], n_beams)
    assert len(found) == len({row for _, row in found}) == min(n_beams, len(titles))


def test_prompts_of_a_batch_do_not_touch_each_other(llama):
    trie, _ = Trie.of([(5, END), (6, 5, END), (6, 7, END)])
    output = OutputTokens(llama, trie)
    prompts = [[9] * 3, list(range(20, 50)), [8]]
    together = beam_search(llama, output, prompts, [trie] * 3, 3)
    for prompt, found in zip(prompts, together, strict=True):
        (alone,) = beam_search(llama, output, [prompt], [trie], 3)
        assert [row for _, row in alone] == [row for _, row in found]
        np.testing.assert_allclose([s for s, _ in alone], [s for s, _ in found], atol=1e-5)


def test_length_power_divides_by_the_choices_on_the_way(llama):
    trie, _ = Trie.of([(5, END), (6, 5, END), (6, 7, END)])  # one choice, then two
    output = OutputTokens(llama, trie)
    (plain,) = beam_search(llama, output, [[9]], [trie], 3)
    (divided,) = beam_search(llama, output, [[9]], [trie], 3, length_power=1.0)
    choices = {0: 1, 1: 2, 2: 2}
    wanted = {row: score / choices[row] for score, row in plain}
    assert {row: pytest.approx(score) for score, row in divided} == wanted


@pytest.mark.parametrize("window", [None, 6])
def test_the_log_likelihood_of_texts_is_that_of_the_plain_model(window, monkeypatch):
    monkeypatch.setattr(scoring, "_TOKENS", 7)  # the vocabulary in pieces
    lm = loaded(window)
    prompts = [[9, 10, 11, 12, 13], [8]]
    answers = [[[5, 6, 7, END], [5, 6, END]], [[20, END]]]
    for prompt, some, scores in zip(
        prompts, answers, score_tokens(lm, prompts, answers), strict=True
    ):
        for answer, found in zip(some, scores, strict=True):
            with torch.no_grad():
                logs = lm.model(torch.tensor([[*prompt, *answer]])).logits[0].double()
            logs = logs.log_softmax(1)
            wanted = sum(
                float(logs[len(prompt) - 1 + depth, token]) for depth, token in enumerate(answer)
            )
            assert found == pytest.approx(wanted, abs=1e-4)


def test_batches_hold_prompts_of_like_length_within_the_budget():
    lengths = [9, 1, 5, 5, 2, 30]
    seen = []
    in_batches([[0] * length for length in lengths], 10, seen.append)
    assert sorted(row for batch in seen for row in batch) == list(range(6))
    for batch in seen:
        assert len(batch) == 1 or len(batch) * max(lengths[row] for row in batch) <= 10
    wide = []
    in_batches([[0] * length for length in lengths], 10, wide.append, grown=4)
    assert [len(batch) for batch in wide] == [1] * 6
    assert [max(lengths[row] for row in batch) for batch in seen] == sorted(
        max(lengths[row] for row in batch) for batch in seen
    )
