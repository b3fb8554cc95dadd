"""Change the core in one place after another, and see that a test fails each time: `make mutants`.

What became of a mutant is kept in `.mutants/` until its file changes, so a run that is stopped
goes on; survivors are judged again. `survivors.json` says of each why no test can tell it.
"""

import argparse
import json
import re
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from multiprocessing import Pipe, Process
from multiprocessing.connection import Connection, wait
from pathlib import Path

from judge import judge
from session import Mutant, mutants

GOAL = 0.95  # of all mutants are killed
EXPLAINED = Path(__file__).with_name("survivors.json")
CORE = ("companion", "companion/refusals", "companion/rope_scaling")
# A file's own tests come first, then these, until one fails.
TESTS = (
    "tests/test_*.py",
    "tests/rope_scaling/test_*.py",
    "tests/transformer_2017/test_*.py",
    "tests/contract/test_*_refusals.py",
    "tests/properties/test_*.py",
    "tests/parity/test_l*_against_hugging_face.py",
)
# They start programs, or are about other rooms.
NOT = re.compile(r"test_(cli|documents|chat|checkpoint|drop_in|fast|kernel|tokenizer)")


def core() -> list[Path]:
    """The files that stand for chapters, what they refuse, and RoPE's scalings."""
    found = [file for room in CORE for file in sorted(Path(room).glob("[a-z]*.py"))]
    return [file for file in found if not file.stem.startswith("_")]


def tests_for(file: Path) -> tuple[list[str], list[str]]:
    """All tests of the core: those that bear the file's name, and the others."""
    found = [test for pattern in TESTS for test in sorted(Path().glob(pattern))]
    chosen = [test for test in found if not NOT.match(test.stem)]
    own = [str(test) for test in chosen if file.stem.rstrip("s") in test.stem]
    return own, [str(test) for test in chosen if str(test) not in own]


def run(waiting: list[Mutant], judges: list[Connection]) -> None:
    """Have all that wait judged, each as soon as a judge is free."""
    seconds = 10 + 5 * time_without_mutant(judges[0], waiting[0].file)
    free, at_work, count = [*judges], dict[Connection, Mutant](), len(waiting)
    while waiting or at_work:
        while waiting and free:
            mutant, judge = waiting.pop(), free.pop()
            asked = str(mutant.file), mutant.code, tests_for(mutant.file), seconds
            judge.send(asked)
            at_work[judge] = mutant
        for judge in [each for each in at_work if each in wait([*at_work])]:
            at_work.pop(judge).judged(killed=judge.recv())
            free.append(judge)
            print(f"\r{count - len(waiting)} of {count}", end="", file=sys.stderr)
    print(file=sys.stderr)


def time_without_mutant(judge: Connection, file: Path) -> float:
    """Seconds that all tests take where nothing is changed; they must pass."""
    start = time.monotonic()
    judge.send((str(file), file.read_text(encoding="utf-8"), tests_for(file), 3600))
    if judge.recv():
        sys.exit("A test fails without any mutant: mend it first (make test).")
    return time.monotonic() - start


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
