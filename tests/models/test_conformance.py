"""Every registered model passes every check; a new one is swept without a change here."""

from __future__ import annotations

import pytest

from llmseq.models.catalog import MODELS
from llmseq.testing.conformance import BEHAVIOUR, CHECKS, MEMBERS, UNLEARNT, Subject

SUBJECTS = [Subject(name) for name in MODELS]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("subject", SUBJECTS, ids=str)
def test_conforms(subject, check):
    check(subject)


@pytest.mark.parametrize("check", BEHAVIOUR, ids=lambda check: check.__name__)
@pytest.mark.parametrize(
    "subject", [s for s in SUBJECTS if s.personal and s.name not in UNLEARNT], ids=str
)
def test_finds_what_is_planted(subject, check):
    check(subject)


def test_hybrids_have_members_here():
    hybrids = {name for name in MODELS if MODELS[name].family == "hybrid"}
    assert set(MEMBERS) == hybrids
