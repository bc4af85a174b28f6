"""Settings of the prompt models. torch and transformers are not imported here."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from llmseq.config import Config
from llmseq.models.prompt.templates import Form, Task, Template, builtin_template
from llmseq.remote.endpoint import EndpointConfig


class LoraSettings(Config):
    """Which weights are learnt.

    Parameters
    ----------
    rank, alpha, dropout
        Of the low-rank updates, as peft has them.
    targets
        Names of the layers that get one; "all-linear" is every linear layer but the output.
    n_layers
        Only so many of the upper blocks are trained; None: all. Nothing is propagated back
        through the blocks below, which makes a step up to three times as fast.
    """

    rank: int = Field(default=16, ge=1)
    alpha: float = Field(default=32.0, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: Literal["all-linear"] | tuple[str, ...] = "all-linear"
    n_layers: int | None = Field(default=None, ge=1)


class TrainingSettings(Config):
    """How the fine-tuning goes.

    Parameters
    ----------
    loss
        ``"trie"``: of each token of an answer, the likelihood among those that go on to a title;
        what constrained decoding ranks by, and quick, for a token without a choice costs nothing.
        ``"vocabulary"``: among all tokens, as hosted services train; sampled decoding needs it.
    learn_from
        ``"last"``: the last item of each session. ``"every"``: every item but the first, all in one
        pass over the session, where the template writes answers and history alike; Rank then
        learns from every session without choices, and asks besides. ``"auto"``: ``"every"`` for
        GenItem and Rank where the template allows it, else ``"last"``.
    asking_share
        Rank with ``"every"``: share of the sessions that ask a question with choices, too. It takes
        more than twice the tokens of a whole session and teaches one title instead of all.
    n_steps, budget_seconds
        The end: whichever comes first; where neither is given, one pass over the sessions. No step
        at all leaves the base model as it is, for comparison.
    tokens_per_step
        Sessions are put together until their tokens, padding included, would exceed it.
    accumulate
        Steps whose gradients make one update of the weights.
    warm_up
        Share of the training in which the learning rate rises; then it falls in a line to a tenth.
    evaluate_every
        Updates between two looks at the validation sample; 0: none.
    evaluation_sessions
        Prompts of the validation sample.
    patience
        Looks without gain after which training stops; 0: never.
    """

    loss: Literal["trie", "vocabulary"] = "trie"
    learn_from: Literal["auto", "last", "every"] = "auto"
    asking_share: float = Field(default=0.25, ge=0, le=1)
    n_steps: int | None = Field(default=None, ge=0)
    budget_seconds: float | None = Field(default=None, gt=0)
    tokens_per_step: int = Field(default=1024, ge=16)
    accumulate: int = Field(default=1, ge=1)
    learning_rate: float = Field(default=5e-4, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    clip_norm: float = Field(default=1.0, gt=0)
    warm_up: float = Field(default=0.05, ge=0, lt=1)
    evaluate_every: int = Field(default=0, ge=0)
    evaluation_sessions: int = Field(default=200, ge=1)
    patience: int = Field(default=0, ge=0)


class DecodingSettings(Config):
    """How lists are made.

    Parameters
    ----------
    method
        ``"constrained"``: only titles of the catalogue can come out, scored by their likelihood.
        ``"sampled"``: as published, free text at ``temperature`` and ``top_p``; what is no title
        is replaced by the nearest item.
    n_beams
        Beams, which is also the longest list that is made.
    beams_per_title
        GenList: of the search for each title of a list.
    temperature, top_p
        Of sampled decoding.
    length_power
        Scores are divided by (number of tokens with a choice) to this power; 0 leaves them.
    matcher
        Encoder of the vectors that say which item is nearest.
    tokens_per_batch
        Of prompts decoded together, with what grows behind them: what memory a batch takes.
    """

    method: Literal["constrained", "sampled"] = "constrained"
    n_beams: int = Field(default=20, ge=1)
    beams_per_title: int = Field(default=4, ge=1)
    temperature: float = Field(default=0.25, gt=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    length_power: float = Field(default=0.0, ge=0)
    matcher: str = "tfidf"
    tokens_per_batch: int = Field(default=4096, ge=16)


class PromptConfig(Config):
    """Settings of LLMSeqPrompt.

    Parameters
    ----------
    task
        What the model is asked for.
    base_model
        A folder, a .gguf file, or a name on the hub.
    form
        ``"chat"`` needs a model with a chat template.
    template
        The wording; None: the task's own.
    max_title_tokens
        Longer titles are cut, wherever they stand.
    max_prompt_tokens
        The oldest items of a longer prompt are left out.
    max_history
        Items of a prompt that are named at most.
    n_choices
        Rank: how many of LLMSeqSim's items are on offer.
    put_in
        Rank, as published: in training the true item is put in where LLMSeqSim does not list it.
        Else such sessions ask nothing: among items like the session's the odd one would be right.
    n_clusters
        Classify: how many kinds of items there are.
    embedding, popularity_weight
        Of the LLMSeqSim that GenList, Classify and Rank lean on: the text vectors' name (None: the
        only one) and how much popularity counts.
    precision
        ``"auto"``: bfloat16 on a GPU or a CPU that multiplies it natively, else float32.
    endpoint
        A hosted chat model instead of ``base_model``: nothing is trained then.
    seed
        Of sampled decoding.
    """

    task: Task = "genitem"
    base_model: str = ""
    form: Form = "plain"
    template: Template | None = None
    max_title_tokens: int = Field(default=24, ge=1)
    max_prompt_tokens: int = Field(default=512, ge=16)
    max_history: int = Field(default=20, ge=1)
    n_choices: int = Field(default=20, ge=2)
    put_in: bool = False
    n_clusters: int = Field(default=200, ge=2)
    embedding: str | None = None
    popularity_weight: float = Field(default=0.01, ge=0)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    lora: LoraSettings = LoraSettings()
    training: TrainingSettings = TrainingSettings()
    decoding: DecodingSettings = DecodingSettings()
    endpoint: EndpointConfig | None = None
    seed: int = Field(default=0, ge=0)

    @property
    def wording(self) -> Template:
        """The template that is used."""
        return self.template or builtin_template(self.task)

    @model_validator(mode="after")
    def _check(self) -> Self:
        constrained = self.decoding.method == "constrained"
        if not constrained and self.training.loss == "trie" and self.endpoint is None:
            raise ValueError(
                'sampled decoding needs training.loss = "vocabulary": the trie teaches no token '
                "that follows from the ones before it"
            )
        if self.endpoint is not None and (constrained or self.form != "chat"):
            raise ValueError('a hosted model needs form = "chat" and decoding.method = "sampled"')
        if self.training.learn_from == "every" and (
            self.task not in {"genitem", "rank"} or self.form != "plain"
        ):
            raise ValueError(
                'training.learn_from = "every" goes with genitem and rank in the plain form'
            )
        parts = self.wording.plain.text + self.wording.chat.user
        if self.task == "rank" and parts.count("{choices}") < 2:
            raise ValueError("template of rank must hold {choices} in both forms")
        if self.task in {"genitem", "genlist"} and "{choices}" in parts:
            raise ValueError(f"template of {self.task} takes no {{choices}}")
        return self
