"""Worker processes that share one search: `python -m llmseq.experiment.workers FOLDER WORKERS`.

A worker reads everything from the run folder. Its standard input is a pipe that the parent holds:
when the parent ends, killed or not, the pipe closes and the worker ends at once, so that none lives
on beside a search that was started again.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from llmseq.core.threads import VARIABLE, thread_count
from llmseq.data.folder import read_dataset
from llmseq.data.split import split_dataset
from llmseq.errors import ArtifactError, LlmseqError
from llmseq.experiment.artifacts import RunFolder
from llmseq.experiment.bench import Bench
from llmseq.experiment.progress import Silent, Tracker
from llmseq.experiment.settings_search import SettingsSearch
from llmseq.experiment.stages import StageStore
from llmseq.experiment.vectors import embed_texts

if TYPE_CHECKING:
    from collections.abc import Iterator

_WRONG_INPUT = 2


@dataclass(frozen=True, slots=True)
class Worker:
    """A process and the file that its errors go to."""

    process: subprocess.Popen[bytes]
    errors: IO[bytes]

    def is_done(self) -> bool:
        """Whether it has ended well.

        Raises
        ------
        LlmseqError
            With the worker's own message, if wrong input ended it.
        RuntimeError
            If anything else did.
        """
        code = self.process.poll()
        if code in {None, 0}:
            return code == 0
        self.errors.seek(0)
        text = self.errors.read().decode(errors="replace").strip()
        if code == _WRONG_INPUT:
            raise LlmseqError(text)
        raise RuntimeError(f"a worker of the search ended with code {code}: {text or 'killed'}")


@contextmanager
def workers(folder: Path, n_workers: int, n_threads: int | None) -> Iterator[list[Worker]]:
    """Start workers that share the threads; whatever ends the block ends them."""
    share = max(thread_count(n_threads) // n_workers, 1)
    command = [sys.executable, "-m", "llmseq.experiment.workers", str(folder), str(n_workers)]
    environment = {**os.environ, VARIABLE: str(share), "OMP_NUM_THREADS": str(share)}
    with ExitStack() as stack:
        started = []
        for _ in range(n_workers):
            errors = stack.enter_context(tempfile.TemporaryFile())
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env=environment,
            )
            stack.callback(_end, process)
            started.append(Worker(process, errors))
        yield started


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()  # what it was at goes on from its checkpoint
    process.communicate()


def work(folder: Path, n_workers: int) -> None:
    """Take part in the search of a run folder until its budget is used up."""
    run = RunFolder(folder)
    spec = run.read_spec()
    if spec is None:
        raise ArtifactError(f"{run.spec}: missing")
    spec = spec.replace(n_threads=thread_count())
    dataset = read_dataset(spec.dataset)
    tracker = Tracker(Silent(), [], n_events=dataset.sessions.n_events)
    store = StageStore(run, tracker)
    bench = Bench(
        spec,
        dataset,
        split_dataset(dataset, spec.split),
        store,
        tracker,
        embed_texts(spec, dataset, store, tracker),
    )
    SettingsSearch(bench, spec.models[0], n_workers=n_workers, resumes=False).run()


def _end_with_parent() -> None:
    os.read(0, 1)  # returns when the pipe closes: nobody writes to it
    os._exit(1)


def main() -> int:
    """Run a worker."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        work(Path(sys.argv[1]), int(sys.argv[2]))
    except LlmseqError as error:
        sys.stderr.write(str(error))
        return _WRONG_INPUT
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
