"""Ranks under watch: a result or an error is a file, and the first error ends all."""

import signal
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path

MOMENT = 0.5  # seconds


def result(folder: Path, rank: int) -> Path:
    """The file with what a rank returned."""
    return folder / f"{rank}.result"


def note(folder: Path, rank: int) -> Path:
    """The file that says when a rank failed, in its first line, and why."""
    return folder / f"{rank}.error"


@contextmanager
def reported(folder: Path, rank: int) -> Iterator[None]:
    """Note an error, unless one is noted, and end without a word on the terminal."""
    try:
        yield
    except BaseException as error:
        when, noted = time.time(), note(folder, rank)
        if not noted.exists():
            trace = "".join(traceback.format_exception(error))
            part = noted.with_suffix(".part")
            part.write_text(f"{when}\n{type(error).__name__}: {error}\n\n{trace}")
            part.rename(noted)  # `watch` sees all of it or nothing
        raise SystemExit(1) from None


def watch(processes: Sequence[BaseProcess], folder: Path) -> None:
    """Wait until all ranks have returned something.

    Raises: RuntimeError once one has ended without; it is about the first to fail.
    """
    running = list(processes)
    while running:
        wait([process.sentinel for process in running])
        running = [process for process in running if process.is_alive()]
        if failures(processes, folder):
            # one that is killed loses its connections a moment before it has ended, and
            # its sentinel is one of them: only `join` waits until there is an exit code
            for process in running:
                process.join(MOMENT)
            _, why, rank = min(failures(processes, folder))
            raise RuntimeError(f"rank {rank} of {len(processes)} ended: {why}")


def failures(
    processes: Sequence[BaseProcess], folder: Path
) -> list[tuple[float, str, int]]:
    """When, why and which: the ranks that have failed so far. One that has noted an error
    may take longer to end than those that miss it.
    """
    return [
        (*failure(process, note(folder, rank)), rank)
        for rank, process in enumerate(processes)
        if note(folder, rank).exists()
        or (process.exitcode is not None and not result(folder, rank).exists())
    ]


def failure(process: BaseProcess, noted: Path) -> tuple[float, str]:
    """When and why a rank failed; one that was killed could note neither, and was first."""
    if noted.exists():
        when, why = noted.read_text().split("\n", 1)
        return float(when), why
    code = process.exitcode or 0
    if code < 0:
        return 0.0, f"it was killed by {signal.Signals(-code).name}"
    return 0.0, f"it left with exit status {code} and no result"


def end(processes: Sequence[BaseProcess]) -> None:
    """Stop the ranks that still run."""
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(5)
        process.kill()
        process.join()
