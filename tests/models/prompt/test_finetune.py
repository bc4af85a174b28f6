"""Fine-tuning: what is learnt from, exact resumption, budgets and refusals."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from llmseq.data.sessions import HeldOut
from llmseq.errors import ArtifactError, ConfigError, InvalidDataError
from llmseq.models.prompt import finetune, tune
from llmseq.models.prompt.decode import OutputTokens
from llmseq.models.prompt.estimate import Shape, training_bytes
from llmseq.models.prompt.examples import ExampleMaker
from llmseq.models.prompt.layout import Layout
from llmseq.models.prompt.loss import batch_loss
from llmseq.models.prompt.recommender import PromptRecommender
from llmseq.models.prompt.tasks import Question
from llmseq.models.prompt.templates import builtin_template
from llmseq.models.protocol import FitContext
from llmseq.testing.worlds import log_of, planted_groups


def question(history, answer, choices=None):
    some = None if choices is None else np.array(choices, dtype=np.int32)
    return Question(np.array(history, np.int32), np.array(answer, np.int32), some)


def made(lm, config, titles):
    layout = Layout.make(lm, config, titles, k=20)
    return layout, ExampleMaker(layout, config), OutputTokens(lm, layout.answers.trie)


def plain_loss(lm, config, titles, prompt, title, others):
    """Negative log-likelihood of a title among others, one call of the plain model a token."""
    total = 0.0
    for depth, token in enumerate(title):
        allowed = sorted({other[depth] for other in others if other[:depth] == title[:depth]})
        with torch.no_grad():
            logits = lm.model(torch.tensor([[*prompt, *title[:depth]]])).logits[0, -1].double()
        total -= float(logits[token] - logits[allowed].logsumexp(0))
    return total


def test_the_loss_is_that_of_the_answer_alone(llama, tiny, five):
    layout, maker, output = made(llama, tiny, five)
    answers = layout.answers
    all_titles = [(*tokens, answers.end) for tokens in answers.tokens if tokens]
    asked = [question([1, 4], [0]), question([0], [4])]
    wanted = np.mean(
        [
            plain_loss(
                llama,
                tiny,
                five,
                layout.prompt(q.history.tolist()),
                (*answers.tokens[q.answer[0]], answers.end),
                all_titles,
            )
            for q in asked
        ]
    )
    with torch.no_grad():
        loss = float(batch_loss(llama, output, [maker.make(q) for q in asked]))
    assert loss == pytest.approx(wanted, abs=1e-4)


def test_learning_from_every_item_is_the_mean_over_the_beginnings(llama, tiny, five):
    every = tiny.replace(training={**tiny.training.model_dump(), "learn_from": "every"})
    _, last, output = made(llama, tiny, five)
    _, whole, _ = made(llama, every, five)
    session = [1, 4, 2, 1]
    with torch.no_grad():
        together = float(batch_loss(llama, output, [whole.make(question(session[:-1], [1]))]))
        alone = [
            float(batch_loss(llama, output, [last.make(question(session[:n], [session[n]]))]))
            for n in (1, 2, 3)
        ]
    assert together == pytest.approx(np.mean(alone), abs=1e-4)


def test_choices_compete_among_themselves_alone(llama, tiny, five):
    config = tiny.replace(task="rank", n_choices=2)
    layout, maker, output = made(llama, config, five)
    answers = layout.answers
    prompt = layout.prompt([1], [4, 0])
    offered = [(*answers.tokens[item], answers.end) for item in (4, 0)]
    with torch.no_grad():
        loss = float(batch_loss(llama, output, [maker.make(question([1], [0, 4], [4, 0]))]))
    wanted = plain_loss(llama, config, five, prompt, offered[1], offered)
    assert loss == pytest.approx(wanted, abs=1e-4)


def test_listed_titles_leave_the_trie(llama, tiny, five):
    config = tiny.replace(task="genlist")
    layout, maker, output = made(llama, config, five)
    answers, prompt = layout.answers, layout.prompt([1])
    titles = [(*answers.tokens[item], answers.end) for item in (0, 1, 4)]
    first = plain_loss(llama, config, five, prompt, titles[0], titles)
    after = [*prompt, *titles[0], *layout.between[1:]]
    second = plain_loss(llama, config, five, after, titles[1], titles[1:])
    with torch.no_grad():
        loss = float(batch_loss(llama, output, [maker.make(question([1], [0, 2, 1]))]))
    assert loss == pytest.approx((first + second) / 2, abs=1e-4)  # 2 shares the title of 0


def test_vocabulary_loss_is_cross_entropy_of_the_answers_tokens(llama, tiny, five):
    config = tiny.replace(training={**tiny.training.model_dump(), "loss": "vocabulary"})
    layout, maker, output = made(llama, config, five)
    prompt, answer = layout.prompt([1]), [*layout.answers.tokens[4], layout.answers.end]
    with torch.no_grad():
        logits = llama.model(torch.tensor([[*prompt, *answer]])).logits[0]
        wanted = torch.nn.functional.cross_entropy(
            logits[len(prompt) - 1 : -1], torch.tensor(answer)
        )
        loss = batch_loss(llama, output, [maker.make(question([1], [4]))])
    assert float(loss) == pytest.approx(float(wanted), abs=1e-4)


class StoppedError(Exception):
    pass


def fit(config, world, folder=None, stop_at=None, validation=None):
    def progress(share, text):
        if stop_at is not None and text.startswith(f"step {stop_at} "):
            raise StoppedError

    return PromptRecommender(config).fit(
        world.train,
        embeddings={"text": world.embeddings},
        validation=validation,
        rng=np.random.default_rng(3),
        context=FitContext(folder, progress, n_threads=1),
    )


def test_a_killed_fit_goes_on_to_the_same_weights(tmp_path, monkeypatch, tiny):
    world = planted_groups()
    held_out = HeldOut.last_item(world.train.sessions.take(np.arange(12)))
    config = tiny.replace(
        lora={"rank": 4, "dropout": 0.2},
        training={
            **tiny.training.model_dump(),
            "n_steps": 7,
            "evaluate_every": 3,
            "evaluation_sessions": 6,
            "accumulate": 2,
        },
    )
    whole = fit(config, world, validation=held_out)
    monkeypatch.setattr(finetune, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    for stop_at in (3, 6):
        with pytest.raises(StoppedError):
            fit(config, world, tmp_path, stop_at, validation=held_out)
    resumed = fit(config, world, tmp_path, validation=held_out)
    lists, again = (model.recommend(world.prompts, 5) for model in (whole, resumed))
    np.testing.assert_array_equal(lists.items, again.items)
    np.testing.assert_array_equal(lists.scores, again.scores)
    assert [record["step"] for record in resumed.summary.history] == [3, 6, 7]
    for record, other in zip(whole.summary.history, resumed.summary.history, strict=True):
        assert record["loss"] == pytest.approx(other["loss"])
        assert record["ndcg@20"] == other["ndcg@20"]


def test_changes_too_small_for_the_models_precision_add_up(tiny):
    def updates(n_steps):
        training = {
            **tiny.training.model_dump(), "n_steps": n_steps, "learning_rate": 2e-5, "warm_up": 0.0,
        }  # fmt: skip
        model = fit(tiny.replace(precision="bfloat16", training=training), planted_groups())
        return {name: w for name, w in model._parts.adapter.items() if "lora_A" in name}

    before, after = updates(0), updates(60)  # one change is a tenth of what a number is rounded to
    changed = [np.mean(before[name] != after[name]) for name in before]
    assert np.mean(changed) > 0.2


def test_time_and_memory_are_told_before_the_first_step(tiny):
    told = []
    config = tiny.replace(training={**tiny.training.model_dump(), "budget_seconds": 60.0})
    world = planted_groups()
    PromptRecommender(config).fit(
        world.train,
        rng=np.random.default_rng(0),
        context=FitContext(progress=lambda share, text: told.append((share, text))),
    )
    assert told[0][0] == 0.0
    assert re.fullmatch(
        r"about \S+ s an update: some 4 updates in \d+ s, 0\.0 GiB of memory", told[0][1]
    )
    assert told[1][1].startswith("step 1 of 4, loss")


def test_choices_stand_in_another_order_each_epoch(monkeypatch, tiny):
    orders: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
    make = ExampleMaker.make

    def noting(self, question):
        orders.setdefault(tuple(question.history), []).append(tuple(question.choices))
        return make(self, question)

    monkeypatch.setattr(ExampleMaker, "make", noting)
    config = tiny.replace(
        task="rank",
        n_choices=5,
        training={"n_steps": 12, "tokens_per_step": 4096, "learn_from": "last"},
    )
    fit(config, planted_groups(n_sessions=30))
    assert all(len({frozenset(order) for order in some}) == 1 for some in orders.values())
    often = [len(set(some)) for some in orders.values() if len(some) >= 6]
    assert often
    assert min(often) > 2


def test_whole_sessions_are_learnt_where_the_template_allows_it(llama, tiny, five):
    def places(**settings):
        config = tiny.replace(**settings)
        made = tune._with_places(config, Layout.make(llama, config, five, k=20))
        return made.training.learn_from

    other = builtin_template("genitem").to_dict()
    other["plain"]["text"] = "{history}Next:"
    assert places() == "every"
    assert places(task="rank", n_choices=3) == "every"
    assert places(task="genlist") == places(template=other) == "last"
    assert places(training={"learn_from": "last"}) == "last"


def test_rank_says_that_it_has_nothing_to_learn(monkeypatch, tiny):
    monkeypatch.setattr(
        tune.Questions, "near", lambda _, prompts, **rest: np.full((len(prompts), 2), -1)
    )
    with pytest.raises(InvalidDataError, match="raise n_choices"):
        fit(
            tiny.replace(task="rank", n_choices=2, training={"learn_from": "last"}),
            planted_groups(),
        )


def test_a_checkpoint_belongs_to_its_data(tmp_path, monkeypatch, tiny):
    monkeypatch.setattr(finetune, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    with pytest.raises(StoppedError):
        fit(tiny, planted_groups(), tmp_path, 2)
    with pytest.raises(ArtifactError, match="other data or settings"):
        fit(tiny, planted_groups(n_sessions=80), tmp_path)


def test_patience_keeps_the_best_weights(monkeypatch, tiny):
    world = planted_groups()
    scores = iter([0.1, 0.5, 0.2, 0.3, 0.4, 0.9])
    monkeypatch.setattr(tune, "_score", lambda *rest: lambda: next(scores))
    training = {"n_steps": 50, "evaluate_every": 1, "patience": 3, "tokens_per_step": 200}
    model = fit(tiny.replace(training=training), world, validation=HeldOut.last_item(
        world.train.sessions
    ))  # fmt: skip
    assert (model.summary.epochs, len(model.summary.history)) == (2, 5)
    assert model.refit_config().training.n_steps == 2


def test_a_budget_of_seconds_ends_the_training(tiny):
    model = fit(tiny.replace(training={"budget_seconds": 0.3}), planted_groups())
    assert model.summary.epochs >= 1
    assert model.refit_config().training.budget_seconds is None


def test_too_little_memory_is_refused_before_training(monkeypatch, tiny):
    monkeypatch.setattr(tune, "free_bytes", lambda: 1000)
    with pytest.raises(ConfigError, match=r"loading .* needs about .* GiB of memory"):
        fit(tiny, planted_groups())
    monkeypatch.setattr(tune, "free_bytes", lambda: 500_000)
    with pytest.raises(ConfigError, match=r"lower training\.tokens_per_step"):
        fit(tiny.replace(training={"n_steps": 2, "tokens_per_step": 9000}), planted_groups())


def test_the_estimate_of_memory_grows_with_tokens_prompts_and_heads(tiny):
    def need(n_heads=4, tokens=1024, longest=512):
        shape = Shape(10_000, 100, 2, n_heads, 64, 128, 50, 2)
        config = tiny.replace(training={"tokens_per_step": tokens}, max_prompt_tokens=longest)
        return training_bytes(shape, config)

    attention = 1024 * 2 * 4 * 512 * 8  # tokens, blocks, heads, tokens seen, bytes
    assert need(n_heads=8) - need() == attention
    assert need(longest=1024) - need() == attention
    assert need(longest=4096) == need(longest=1024)
    assert 2 * need() > need(tokens=2048) > 1.5 * need()


def test_a_base_model_is_needed_and_must_be_one(tmp_path, tiny):
    world = planted_groups()
    with pytest.raises(ConfigError, match="needs a base model"):
        fit(tiny.replace(base_model=""), world)
    with pytest.raises(ArtifactError, match=r"none\.gguf: no such file"):
        fit(tiny.replace(base_model=str(tmp_path / "none.gguf")), world)
    with pytest.raises(ArtifactError, match=r"holds no \*\.safetensors"):
        fit(tiny.replace(base_model=str(tmp_path)), world)


def test_layers_that_do_not_exist_are_named(tiny):
    with pytest.raises(ConfigError, match=r"no layer called no_proj.*q_proj"):
        fit(tiny.replace(lora={"targets": ("no_proj",)}), planted_groups())


def test_only_the_upper_blocks_are_trained_if_asked(tiny):
    whole = fit(tiny, planted_groups())
    upper = fit(tiny.replace(lora={"rank": 4, "n_layers": 1}), planted_groups())
    assert upper.summary.parameters * 2 == whole.summary.parameters


def test_sessions_without_two_titles_teach_nothing(tiny):
    world = planted_groups()
    single = log_of([[0], [1]], world.n_items)
    with pytest.raises(InvalidDataError, match="no session has two items with a title"):
        PromptRecommender(tiny).fit(single, rng=np.random.default_rng(0))


def test_a_diverging_loss_names_the_setting(tiny):
    training = {"n_steps": 30, "learning_rate": 1e20, "clip_norm": 1e9, "warm_up": 0.0}
    with pytest.raises(ConfigError, match=r"training\.learning_rate"):
        fit(tiny.replace(training=training), planted_groups())
