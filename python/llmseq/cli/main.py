"""The entry point: finds the command, runs it, turns every error into one line and an exit code.

Exit codes: 0 done, 1 a failure (full disk, no permission, a bug), 2 wrong input, 130 Ctrl-C.
"""

from __future__ import annotations

import difflib
import importlib
import signal
import sys
import traceback
import warnings
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

import click

from llmseq.cli.console import fail, warn
from llmseq.errors import LlmseqError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import FrameType

FAILURE, WRONG_INPUT, INTERRUPTED = 1, 2, 130


class _InterruptedError(Exception):
    """Ctrl-C inside a command; click would answer it with an empty line and exit code 1."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used.

    Parameters
    ----------
    lazy : mapping
        Name of a command to "module:attribute" and its one line in the list of commands.
    """

    def __init__(
        self,
        *args: Any,  # noqa: ANN401 - click's own
        lazy: Mapping[str, tuple[str, str]] | None = None,
        **kwargs: Any,  # noqa: ANN401 - click's own
    ) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = dict(lazy or {})

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Without a word, show the help; that is no error."""
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help())
            ctx.exit()
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Names in the order in which people need them."""
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command; None if there is none of that name."""
        if cmd_name not in self._lazy:
            return None
        module, attribute = self._lazy[cmd_name][0].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self._lazy.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown name lists the choices."""
        name = args[0]
        if not name.startswith("-") and name not in self._lazy:
            close = difflib.get_close_matches(name, self._lazy, n=1)
            hint = f'; did you mean "{close[0]}"?' if close else "."
            choices = ", ".join(self._lazy)
            raise click.UsageError(f'unknown command "{name}"{hint} Choose from: {choices}', ctx)
        return super().resolve_command(ctx, args)


class MainGroup(LazyGroup):
    """The outermost group: the one place where errors become messages and exit codes."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        try:
            result = super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise _InterruptedError from error
        sys.stdout.flush()  # here, where click is quiet about a reader that left: `… | head`
        return result

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> Any:  # noqa: ANN401 - click's own
        """Run with these arguments (those of the process unless given) and exit."""
        if not extra.get("standalone_mode", True):
            return super().main(args, *rest, **extra)
        words = list(sys.argv[1:] if args is None else args)
        options = words[: words.index("--")] if "--" in words else words
        debug = "--debug" in options
        if debug:  # wanted after the command too: "run again with --debug" is then easy to do
            words.remove("--debug")
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            sys.exit(self._run(words, *rest, debug=debug, **{**extra, "standalone_mode": False}))

    def _run(self, words: Sequence[str], *rest: Any, debug: bool, **extra: Any) -> int:  # noqa: ANN401 - click's own
        try:
            code = super().main(words, *rest, **extra)
        except Exception as error:  # the one place that catches all
            if debug and not isinstance(error, (click.ClickException, _InterruptedError)):
                traceback.print_exc()
            message, code = describe_error(error)
            fail(message if debug or code != FAILURE else f"{message}{_hint(error)}")
            return code
        return code if isinstance(code, int) else 0


def describe_error(error: Exception) -> tuple[str, int]:
    """Say an error in one line, with the exit code that goes with it."""
    match error:
        case LlmseqError():
            return str(error), WRONG_INPUT
        case click.UsageError():
            path = error.ctx.command_path if error.ctx else "llmseq"
            return f"{error.format_message().rstrip('.')}. See: {path} --help", WRONG_INPUT
        case click.ClickException():
            return error.format_message(), error.exit_code
        case _InterruptedError() | click.Abort():
            return "interrupted", INTERRUPTED
        case FileNotFoundError() if error.filename is not None:
            return f"{error.filename}: no such file or folder", WRONG_INPUT
        case OSError():
            what = error.strerror or str(error) or type(error).__name__
            return (what if error.filename is None else f"{error.filename}: {what}"), FAILURE
        case MemoryError():
            return f"not enough memory {error}".rstrip(), FAILURE
        case _:
            return f"{type(error).__name__}: {error}", FAILURE


def _hint(error: Exception) -> str:
    return "" if isinstance(error, (OSError, MemoryError)) else " (run again with --debug)"


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Show a Python warning as one line, without the place in the code."""
    del category, filename, lineno, file, line
    warn(message)


def _show_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:  # noqa: ARG001, FBT001
    if value and not ctx.resilient_parsing:
        import llmseq

        click.echo(f"llmseq {llmseq.__version__}")
        ctx.exit()


DATA = {
    "import": ("llmseq.cli.data_import:command", "Read logs and items, write a dataset folder."),
    "describe": ("llmseq.cli.data_describe:command", "Statistics and quality of a dataset."),
}

PROMPT = {
    "template": ("llmseq.cli.prompt_template:command", "Show a task's wording, to be edited."),
    "export": ("llmseq.cli.prompt_export:command", "Write pairs for hosted fine-tuning."),
    "finetune": ("llmseq.cli.prompt_finetune:command", "Fine-tune a language model here."),
    "recommend": ("llmseq.cli.prompt_recommend:command", "List and score held-out prompts."),
}

COMMANDS = {
    "demo": ("llmseq.cli.demo:command", "Make a small shop and compare models on it."),
    "data": ("llmseq.cli.main:data", "Import and describe datasets."),
    "compare": ("llmseq.cli.compare:command", "Train, score and compare models; write a report."),
    "embed": ("llmseq.cli.embed:command", "Turn item texts into vectors."),
    "tune": ("llmseq.cli.tune:command", "Search the settings of a model."),
    "fit": ("llmseq.cli.fit:command", "Fit one model and save it."),
    "recommend": ("llmseq.cli.recommend:command", "Recommend with a saved model."),
    "prompt": ("llmseq.cli.main:prompt", "Language models that name items by their titles."),
    "evaluate": ("llmseq.cli.evaluate:command", "Score lists from any system."),
    "export": ("llmseq.cli.export:command", "Write the lists of a run for other tools."),
    "report": ("llmseq.cli.report:command", "Write the report of a run again."),
    "doctor": ("llmseq.cli.doctor:command", "Show versions, processor, threads and extras."),
}

_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(cls=LazyGroup, lazy=DATA, context_settings=_SETTINGS)
def data() -> None:
    """Import and describe datasets."""


@click.group(cls=LazyGroup, lazy=PROMPT, context_settings=_SETTINGS)
def prompt() -> None:
    """Fine-tune and ask language models that name items by their titles."""


@click.group(cls=MainGroup, lazy=COMMANDS, context_settings=_SETTINGS)
@click.option("--debug", is_flag=True, help="Show a traceback when something fails.")
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
def cli(debug: bool) -> None:  # noqa: FBT001 - a click option; MainGroup.main reads it
    """Find out whether language-model embeddings improve your recommendations.

    Start with "llmseq demo", then "llmseq data import" and "llmseq compare" on your own logs.
    """
    del debug


def _stop(signum: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001
    """Leave by way of every ``finally``, so that no temporary file stays."""
    sys.exit(128 + signum)


def main() -> None:
    """Run the command line of this process."""
    signal.signal(signal.SIGTERM, _stop)
    cli(prog_name="llmseq")
