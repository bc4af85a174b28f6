"""Templates, titles, budgets: what a prompt is made of."""

from __future__ import annotations

import numpy as np
import pytest

from llmseq.errors import ConfigError, InvalidDataError
from llmseq.models.prompt.config import PromptConfig
from llmseq.models.prompt.language_model import LanguageModel
from llmseq.models.prompt.layout import Layout
from llmseq.models.prompt.templates import TASKS, Template, builtin_template, read_template
from llmseq.models.prompt.titles import Titles
from llmseq.testing.language_models import tiny_language_model

FORM = {"text": "Bought:\n{history}-", "line": "- {title}\n", "answer": " {title}\n"}


def text_of(lm, tokens):
    return lm.tokenizer.decode(tokens)


@pytest.mark.parametrize("task", TASKS)
def test_a_built_in_template_survives_toml(task):
    template = builtin_template(task)
    assert Template.from_toml(template.to_toml()) == template


def test_a_plain_prompt_reads_as_the_template_says(llama, tiny, five):
    layout = Layout.make(llama, tiny, five, k=20)
    assert text_of(llama, layout.prompt([1, 3, 4])) == (
        "Bought in order:\n- hand cream\n- rose balm\n-"
    )


def test_a_chat_prompt_goes_through_the_models_own_template(llama, tiny, five):
    layout = Layout.make(llama, tiny.replace(form="chat"), five, k=20)
    text = text_of(llama, layout.prompt([1]))
    assert text.startswith("<s><turn>system\nYou recommend products.")
    assert "oldest first:\n- hand cream\nWhich product" in text
    assert text.endswith("<turn>assistant\n")
    assert text_of(llama, [layout.answers.end]) == "<end>"
    assert text_of(llama, layout.answers.tokens[1]) == "hand cream"


def test_choices_and_k_stand_where_the_template_has_them(llama, tiny, five):
    config = tiny.replace(task="rank", n_choices=3)
    text = text_of(llama, Layout.make(llama, config, five, k=7).prompt([1], [4, 0]))
    assert text == "On offer:\n- rose balm\n- rose soap\nBought in order:\n- hand cream\n-"
    listed = Layout.make(llama, tiny.replace(task="genlist"), five, k=7)
    assert "Best 7 next" in text_of(llama, listed.prompt([1]))


def test_the_oldest_items_leave_a_prompt_that_is_too_long(llama, tiny, five):
    layout = Layout.make(llama, tiny.replace(max_prompt_tokens=40), five, k=20)
    tokens = layout.prompt([1, 4, 0, 1, 4] * 4)
    assert len(tokens) <= 40
    assert text_of(llama, tokens).endswith("- hand cream\n- rose balm\n-")
    few = Layout.make(llama, tiny.replace(max_history=2), five, k=20)
    assert text_of(llama, few.prompt([1, 1, 0, 4])).count("- ") == 2


def test_long_titles_are_cut_and_counted(llama, tiny, five):
    titles = Layout.make(llama, tiny.replace(max_title_tokens=3), five, k=20).named
    assert max(map(len, titles.tokens)) == 3
    assert titles.n_cut == sum(
        len(tokens) > 3 for tokens in Layout.make(llama, tiny, five, k=20).named.tokens
    )


def test_of_items_that_share_a_title_the_more_popular_comes_first(llama, tiny, five):
    answers = Layout.make(llama, tiny, five, k=20).answers
    assert answers.items[answers.row[0]].tolist() == [2, 0]
    assert answers.row[3] == -1
    assert answers.trie.rows.size == 3


def test_a_title_that_spells_special_tokens_is_plain_text(llama, tiny):
    titles = Titles.of(["soap<end></s>", "balm"], np.array([1, 1]))
    layout = Layout.make(llama, tiny, titles, k=20)
    assert text_of(llama, layout.named.tokens[0]).strip() == "soap"


def test_a_title_longer_than_the_budget_says_what_to_change(llama, tiny):
    five = Titles.of(["a very long title of one item", "balm"], np.array([1, 1]))
    with pytest.raises(ConfigError, match=r"leaves \d+ tokens.*max_prompt_tokens to \d+"):
        Layout.make(llama, tiny.replace(max_prompt_tokens=18), five, k=20)


def test_a_model_without_a_chat_template_says_so(tiny, five):
    lm = LanguageModel.load(str(tiny_language_model(chat=False)), precision="float32")
    with pytest.raises(ConfigError, match=r"no chat template: set form = \"plain\""):
        Layout.make(lm, tiny.replace(form="chat"), five, k=20)


def test_titles_are_needed():
    with pytest.raises(InvalidDataError, match="no item has a title"):
        Titles.of([None, "  "], np.array([1, 1]))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"text": "no place"}, "history"),
        ({"text": "{history}{prices}"}, "unknown placeholder {prices}"),
        ({"text": "{history"}, "not a template"),
        ({"line": "- nothing\n"}, "{title} once"),
        ({"answer": "{title}"}, "ends a title"),
    ],
)
def test_a_wrong_template_names_what_is_wrong(tmp_path, change, says):
    chat = builtin_template("genitem").chat.to_dict()
    file = tmp_path / "mine.toml"
    template = {"plain": {**FORM, **change}, "chat": chat}
    import tomli_w

    file.write_text(tomli_w.dumps(template))
    with pytest.raises(ConfigError) as error:
        read_template(file)
    assert says in str(error.value)
    assert "mine.toml" in str(error.value)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"decoding": {"method": "sampled"}}, "training.loss"),
        ({"task": "classify", "training": {"learn_from": "every"}}, "learn_from"),
        ({"task": "rank", "form": "chat", "training": {"learn_from": "every"}}, "learn_from"),
        ({"task": "rank", "template": builtin_template("genitem").to_dict()}, "{choices}"),
        ({"template": builtin_template("rank").to_dict()}, "takes no {choices}"),
        ({"endpoint": {"model": "m"}}, "hosted model needs"),
        ({"endpoint": {"model": "m", "base_url": "http://me:secret@host/v1"}}, "no user"),
    ],
)
def test_settings_that_do_not_go_together(settings, says):
    with pytest.raises(ConfigError) as error:
        PromptConfig.make(settings, what="model")
    assert says in str(error.value)
