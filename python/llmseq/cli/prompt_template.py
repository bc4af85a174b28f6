"""``llmseq prompt template``: the wording of a task, to be edited."""

from __future__ import annotations

import click

from llmseq.cli.console import say

TASKS = click.Choice(["genitem", "genlist", "classify", "rank"])


@click.command()
@click.argument("task", type=TASKS)
def command(task: str) -> None:
    """Write the template of TASK to standard output, as TOML.

    \b
    Example:
      llmseq prompt template genitem > mine.toml
      llmseq prompt finetune shop --template mine.toml --set base_model=model.gguf --out tuned
    """  # noqa: D301 - click wants the character
    from llmseq.models.prompt.templates import builtin_text

    say(builtin_text(task).rstrip("\n"))  # type: ignore[arg-type]  # click checked it
