"""llama.cpp beside us: a process of its own for each file, asked line by line.

It runs in this Python, after `pip install -e .[bench]`, or in the one that the
environment variable LLAMA_CPP_PYTHON names, if llama-cpp-python is installed there.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from written import Written

PYTHON = os.environ.get("LLAMA_CPP_PYTHON", sys.executable)
WORKER = Path(__file__).with_name("llama_worker.py")
ABSENT = (
    "llama.cpp is left out: llama-cpp-python is not installed in {}. Run pip install "
    "-e '.[bench]', or name a Python that has it with LLAMA_CPP_PYTHON=..."
)


def installed_version(python: str = PYTHON) -> str | None:
    """The version of llama-cpp-python, or None after saying that there is none."""
    code = "from importlib.metadata import version; print(version('llama-cpp-python'))"
    command = [python, "-c", code]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        done = None
    if done is None or done.returncode:
        print(ABSENT.format(python))
        return None
    return done.stdout.strip()


class Llama:
    """One model in a llama.cpp process, which sleeps until it is asked."""

    def __init__(self, path: Path, command: tuple[str, ...] = (PYTHON, str(WORKER))):
        self.path, threads = path, str(torch.get_num_threads())
        self.process = subprocess.Popen(
            [*command, str(path), threads],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.answer()

    def answer(self) -> dict:
        """The next line that is JSON: llama.cpp prints lines of its own too."""
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise RuntimeError(
            f"the llama.cpp process ended with code {self.process.wait()}: its error "
            "stands above"
        )

    def ask(self, **request: object) -> dict:
        """Send one request and wait for its answer."""
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def __call__(self, ids: list[int], new: int) -> Written:
        """Greedy tokens after the ids, timed inside the process."""
        return Written(**self.ask(ids=ids, new=new))

    def logits(self, ids: list[int], path: Path) -> torch.Tensor:
        """Logits after the first 32 ids, and after each id that follows."""
        self.ask(ids=ids, logits=str(path))
        return torch.from_numpy(np.load(path))

    def close(self) -> None:
        """End the process."""
        self.process.stdin.close()
        self.process.wait()
