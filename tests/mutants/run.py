"""Change the core in one place after another, and see that a test fails each time: `make mutants`.

What became of a mutant is kept in `.mutants/` until its file changes, so a run that is stopped
goes on; survivors are judged again. `survivors.json` says of each why no test can tell it.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from multiprocessing import Pipe, Process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from judge import Question, judge
from own_tests import core, tests_of
from session import Mutant, mutants

GOAL = 0.95  # of all mutants are killed
EXPLAINED = Path(__file__).with_name("survivors.json")


def run(waiting: list[Mutant], judges: list[Connection]) -> None:
    """Have all that wait judged, each as soon as a judge is free."""
    seconds = time_without_mutant({mutant.file for mutant in waiting}, judges)
    work = (
        (mutant, (mutant.file, mutant.code, tests_of(mutant.file), seconds))
        for mutant in waiting
    )
    for n, (mutant, killed) in enumerate(judged(work, judges), 1):
        mutant.judged(killed)
        print(f"\r{n} of {len(waiting)}", end="", file=sys.stderr)
    print(file=sys.stderr)


def time_without_mutant(files: set[Path], judges: list[Connection]) -> float:
    """Seconds that all tests of these files take where nothing is changed; they must pass."""
    file, tests = (
        min(files),
        sorted({test for each in files for test in tests_of(each)}),
    )
    start = time.monotonic()
    question = file, file.read_text(encoding="utf-8"), tests, 3600.0
    [(_, failed)] = judged([(file, question)], judges)
    if failed:
        sys.exit("A test fails without any mutant: mend it first (make test).")
    return time.monotonic() - start


def judged(
    work: Iterable[tuple[Any, Question]], judges: list[Connection]
) -> Iterator[tuple[Any, bool]]:
    """What each piece of work is about, and whether a test failed, as soon as that is known."""
    free, busy, left = [*judges], dict[Any, Any](), iter(work)
    while True:
        while free and (piece := next(left, None)):
            judge = free.pop()
            about, question = piece
            judge.send(question)
            busy[judge] = about
        if not busy:
            return
        for judge in wait([*busy]):
            assert isinstance(judge, Connection)
            yield busy.pop(judge), judge.recv()
            free.append(judge)


def report(found: list[Mutant]) -> bool:
    """Print what was killed, by file, and the survivors; whether the goal is reached."""
    said = json.loads(EXPLAINED.read_text(encoding="utf-8"))
    explained = {(each["file"], each["line"], each["mutant"]) for each in said}
    tested, killed = Counter[str](), Counter[str]()
    for mutant in found:
        tested[str(mutant.file)] += mutant.killed is not None
        killed[str(mutant.file)] += mutant.killed is True
    for file, count in tested.items():
        print(f"{file:44} {killed[file]:4} of {count:4}")
    share = killed.total() / max(tested.total(), 1)
    print(f"{killed.total()} of {tested.total()} mutants killed: {share:.1%}")
    alive = {(str(m.file), *m.lines) for m in found if m.killed is False}
    for file, before, after in sorted(alive - explained):
        print(f"\n{file}: survives, and is not explained\n  - {before}\n  + {after}")
    files = {str(mutant.file) for mutant in found}
    for file, before, after in sorted(explained - alive):
        if file in files:
            print(f"\n{file}: explained, and killed\n  - {before}\n  + {after}")
    return share >= GOAL and alive <= explained


def judges(count: int, stack: ExitStack) -> list[Connection]:
    """Connections to as many judges, each with a copy of the tree."""
    connections = []
    for _ in range(count):
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        here, there = Pipe()
        process = Process(target=judge, args=(there, folder), daemon=True)
        process.start()
        stack.callback(process.terminate)
        connections.append(here)
    return connections


def main() -> int:
    """Judge the mutants of the chosen files that are not known to be killed, and report."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("files", nargs="*", type=Path, help="default: the whole core")
    options.add_argument("--jobs", type=int, default=2)
    options.add_argument("--kept", type=Path, default=Path(".mutants"))
    chosen = options.parse_args()
    found = [m for file in chosen.files or core() for m in mutants(chosen.kept, file)]
    waiting = [mutant for mutant in found if not mutant.killed]
    if waiting:
        with ExitStack() as stack:
            run(waiting, judges(chosen.jobs, stack))
    return 0 if report(found) else 1


if __name__ == "__main__":
    sys.exit(main())
