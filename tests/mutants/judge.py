"""Whether a test fails for a mutant: each is judged in a fork of a process that has imported torch."""

import contextlib
import importlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IMPORTED = (
    "torch",
    "einops",
    "jaxtyping",
    "hypothesis",
    "gguf",
    "tokenizers",
    "safetensors.torch",
    "transformers.models.llama.modeling_llama",
)
# The file to change, its code, the files of tests, and the seconds that they may take.
Question = tuple[Path, str, Sequence[str], float]
OPTIONS = [
    "-x",
    *(f"-pno:{plugin}" for plugin in ("cacheprovider", "xdist", "cov", "nbval")),
]


def copy_of_tree(folder: Path) -> Path:
    """What git knows of the working tree, and what is new in it, in a folder."""
    listing = ("git", "ls-files", "-z", "-co", "--exclude-standard")
    rooms = ("companion", "tests", "benchmarks", "pyproject.toml")
    names = subprocess.run(
        [*listing, *rooms], cwd=ROOT, check=True, capture_output=True, text=True
    )
    for name in filter(None, names.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def a_test_fails(tree: Path, tests: Sequence[str], seconds: float) -> bool:
    """Whether a test of these files fails in that tree, or does not end in that time."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            run_tests(tree, tests)
        os._exit(1)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status != 0
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def run_tests(tree: Path, tests: Sequence[str]) -> None:
    """Run one file after the other until a test fails, in silence, and end the process."""
    os.setsid()
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    os.chdir(tree)
    sys.path.insert(0, str(tree))
    sys.dont_write_bytecode = True
    os._exit(any(pytest.main([*OPTIONS, test]) for test in tests))


def judge(connection: Connection, folder: Path) -> None:
    """Answer each question that comes with whether a test fails."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever asks
    for name in IMPORTED:
        importlib.import_module(name)
    tree = copy_of_tree(folder)
    with contextlib.suppress(EOFError):
        while True:
            question: Question = connection.recv()
            file, code, tests, seconds = question
            before = (tree / file).read_text(encoding="utf-8")
            (tree / file).write_text(code, encoding="utf-8")
            connection.send(a_test_fails(tree, tests, seconds))
            (tree / file).write_text(before, encoding="utf-8")
