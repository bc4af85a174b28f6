import errno
import os
import re
import signal
import subprocess
import sys
import warnings
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner

from llmseq.cli import console, main
from llmseq.cli.main import LazyGroup, MainGroup
from llmseq.errors import InvalidDataError, MissingExtraError

FAILURES = {
    "data": (InvalidDataError("a.csv, row 3:\n  no number"), 2, "error: a.csv, row 3: no number"),
    "extra": (MissingExtraError("SASRec", "train"), 2, 'error: SASRec needs the extra "train"'),
    "missing": (FileNotFoundError(errno.ENOENT, "No such file", "x.csv"), 2, "error: x.csv: no"),
    "full": (
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "runs/a"),
        1,
        "error: runs/a: No space left on device",
    ),
    "forbidden": (
        PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/etc/a"),
        1,
        "error: /etc/a: Permission denied",
    ),
    "memory": (MemoryError(), 1, "error: not enough memory"),
    "interrupt": (KeyboardInterrupt(), 130, "error: interrupted"),
    "abort": (click.Abort(), 130, "error: interrupted"),
    "bug": (ZeroDivisionError("division"), 1, "error: ZeroDivisionError: division (run again with"),
}


@click.command()
@click.argument("kind")
def command(kind):
    if kind == "fine":
        warnings.warn("two\nlines", stacklevel=1)
        click.echo("done")
    else:
        raise FAILURES[kind][0]


@click.group(cls=MainGroup, lazy={"run": ("llmseq_test_command:command", "Run.")})
def cli():
    """Test."""


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setitem(sys.modules, "llmseq_test_command", SimpleNamespace(command=command))

    def _run(*words):
        return CliRunner().invoke(cli, list(words), prog_name="llmseq")

    return _run


@pytest.mark.parametrize("kind", FAILURES)
def test_every_error_is_one_line_and_a_code(run, kind):
    _, code, message = FAILURES[kind]
    result = run("run", kind)
    assert result.exit_code == code
    assert result.stderr.startswith(message)
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


@pytest.mark.parametrize("words", [("--debug", "run", "bug"), ("run", "bug", "--debug")])
def test_debug_shows_the_traceback_wherever_it_stands(run, words):
    result = run(*words)
    assert result.exit_code == 1
    assert result.stderr.startswith("Traceback")
    assert result.stderr.rstrip().endswith("\nerror: ZeroDivisionError: division")


def test_after_two_dashes_debug_is_a_word(run):
    assert "Traceback" not in run("run", "--", "--debug").stderr


def test_a_warning_is_one_line(run):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        result = run("run", "fine")
    assert (result.exit_code, result.stdout) == (0, "done\n")
    assert result.stderr == "warning: two lines\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["rum"],
            'error: unknown command "rum"; did you mean "run"? Choose from: run. See: llmseq',
        ),
        (["--wrong"], "error: No such option"),
        (["run"], "error: Missing argument 'KIND'. See: llmseq run --help"),
        (["run", "a", "b"], "error: Got unexpected extra argument (b). See: llmseq run --help"),
    ],
)
def test_wrong_usage_is_one_line(run, words, message):
    result = run(*words)
    assert result.exit_code == 2
    assert result.stderr.startswith(message)
    assert result.stderr.count("\n") == 1


def test_help_is_no_error_and_imports_no_command():
    group = LazyGroup("all", lazy={"broken": ("llmseq.nowhere:command", "Never imported.")})
    for words in ([], ["--help"]):
        result = CliRunner().invoke(group, words)
        assert result.exit_code == 0
        assert "broken  Never imported." in result.output


def test_version():
    result = CliRunner().invoke(main.cli, ["--version"])
    assert result.exit_code == 0
    assert result.output.startswith("llmseq ")
    assert result.output.split()[1][0].isdigit()


def test_every_command_is_listed():
    result = CliRunner().invoke(main.cli, ["--help"])
    for name in main.COMMANDS:
        assert f"\n  {name} " in result.output


def test_the_examples_of_help_are_not_wrapped():
    groups = {(): main.COMMANDS, ("data",): main.DATA, ("prompt",): main.PROMPT}
    for group, commands in groups.items():
        for name in commands:
            text = CliRunner().invoke(main.cli, [*group, name, "--help"]).stdout
            assert text.startswith("Usage: ")
            assert "\\b" not in text
            if "Example:" in text:
                assert re.search(r"^ +Example:\n +llmseq ", text, re.MULTILINE)


def test_broken_pipe_is_quiet():
    code = (
        "import sys, click\n"
        "from llmseq.cli import main as m\n"
        "command = click.Command('run', callback=lambda: print('never flushed'))\n"
        "m.cli._lazy = {'run': ('__main__:command', '')}\n"
        "sys.stdin.read()\n"
        "sys.argv = ['llmseq', 'run']\n"
        "m.main()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
    )
    process.stdout.close()
    process.stdin.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 1


def test_sigterm_runs_what_has_to_be_cleaned_up(tmp_path):
    code = (
        "import sys, time, click\n"
        "from llmseq.cli import main as m\n"
        "@click.command()\n"
        "def command():\n"
        "    from pathlib import Path\n"
        "    from llmseq.storage import atomic_file\n"
        f"    with atomic_file(Path({str(tmp_path)!r}) / 'a.txt') as path:\n"
        "        print('ready', flush=True)\n"
        "        time.sleep(60)\n"
        "m.cli._lazy = {'run': ('__main__:command', '')}\n"
        "sys.argv = ['llmseq', 'run']\n"
        "m.main()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 143
    process.stdout.close()
    assert list(tmp_path.iterdir()) == []


def test_a_table_in_a_pipe_is_never_cut(capsys):
    console.show_table(["name", "value"], [("x" * 300, 1), ("[red]b", None)], title="T")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "T"
    assert any("x" * 300 in line and line.endswith(" 1") for line in lines)
    assert any("[red]b" in line for line in lines)
    assert not any(line.endswith(" ") for line in lines)


def test_progress_without_a_terminal_is_seldom_a_line(capsys, monkeypatch):
    now = iter([0.0, 1.0, 20.0, 21.0])
    monkeypatch.setattr(console.time, "monotonic", lambda: next(now))
    with console.progress("SASRec") as update:
        update(0.0, "epoch 1")
        update(0.25, "epoch 2")
        update(0.3, "epoch 3")
    assert capsys.readouterr().err == "SASRec: 25%, about 57 s left  epoch 2\n"


def test_the_time_left_of_resumed_work_goes_by_what_this_process_did(capsys, monkeypatch):
    now = iter([0.0, 1.0, 21.0, 41.0])
    monkeypatch.setattr(console.time, "monotonic", lambda: next(now))
    with console.progress("fine-tuning") as update:
        update(0.5, "about 2 s an update")  # an earlier process came so far
        update(0.6, "step 6")
        update(0.8, "step 8")
    assert capsys.readouterr().err.splitlines() == [
        "fine-tuning: 60%, about 1 min 20 s left  step 6",
        "fine-tuning: 80%, about 27 s left  step 8",
    ]
